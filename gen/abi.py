"""The table beside a spec that says how its programs call Linux (`NAME.abi.toml`), checked and printed as abi.py.

An isa without a table has that of the nearest isa it extends.  What a table does not say is as it is for machines that
are new to Linux: numbers, flags and structures of asm-generic.
"""

from __future__ import annotations

from pathlib import Path

from gen import model
from gen.side_tables import SideTable, tables_of
from gen.source import Doc, Group, Keyword, call, literal, quoted, statement
from gen.stamp import ABI_SUFFIX
from gen.templates import render
from runtime.core.layout import Layout

#: no Linux system call has more
_ARGUMENTS = 6
_KEYS = ("number", "arguments", "result", "stack", "link", "exceptions", "system_calls")
_REGISTERS = ("number", "result", "stack")
_FAULT = ("signal", "code", "address")
_ADDRESSES = ("pc", "arg0", "arg1", "arg2")

Register = tuple[str, int]


def table_of(spec: model.Spec) -> Path | None:
    """The table that holds for a spec: its own, or that of the nearest isa it extends."""
    tables = tables_of(spec, ABI_SUFFIX)
    return tables[-1] if tables else None


def module_source(spec: model.Spec, layout: Layout) -> str | None:
    """The text of build/<isa>/abi.py, None without a table; SpecError if the table is wrong."""
    path = table_of(spec)
    return None if path is None else _Table(path, layout).source(spec)


class _Table(SideTable):
    """The table, checked against the spec's state."""

    def __init__(self, path: Path, layout: Layout) -> None:
        super().__init__(path)
        self.layout = layout
        self.bits = 32 if layout.memories[0].address_width <= 32 else 64
        self.registers: dict[str, Register] = {}
        for register in layout.registers:
            if register.width == self.bits and not register.is_file:
                self.registers[register.name] = register.name, 0
            for index, spellings in enumerate(register.names if register.width == self.bits else ()):
                if index != register.zero:
                    self.registers.update(dict.fromkeys(spellings, (register.name, index)))

    def source(self, spec: model.Spec) -> str:
        table = self.parse()
        self.known("a table", table, _KEYS)
        big = spec.memories[0].big
        saved = tuple((register.name, register.count, register.stride) for register in self.layout.registers)
        items: list[Doc] = [
            Keyword("name=", quoted(spec.name)),
            Keyword("bits=", str(self.bits)),
            Keyword("big_endian=", str(isinstance(big, model.Const) and bool(big.value))),
            *(Keyword(f"{key}=", literal(self._register(key, table.get(key)))) for key in _REGISTERS),
            Keyword("arguments=", literal(self._arguments(table.get("arguments")))),
            Keyword("saved=", literal(saved)),
            Keyword("exceptions=", self._exceptions(table.get("exceptions", {}))),
        ]
        if "link" in table:
            items.append(Keyword("link=", literal(self._register("link", table["link"]))))
        if "system_calls" in table:
            items.append(Keyword("numbers=", self._numbers(table["system_calls"])))
        self.diagnostics.raise_if_any()
        lines = statement("ABI = ", call("new_abi", *items))
        kinds = [kind for kind in ("Fault", "SystemCall") if any(f"{kind}(" in line for line in lines)]
        return render("abi.py.j2", isa=spec.name, table=self.path.name, kinds=kinds, lines=lines)

    def _register(self, key: str, name: object) -> Register:
        """A register by a name that assembly text has for it."""
        if isinstance(name, str) and name in self.registers:
            return self.registers[name]
        known = f"{self.bits}-bit registers: {', '.join(self.registers) or 'none'}"
        if name is None:
            self.error(key, f"'{key}' is missing: it names a register", known)
        else:
            self.error(key, f"'{key}': {name!r} is no {self.bits}-bit register that can be written", known)
        return "", 0

    def _arguments(self, names: object) -> tuple[Register, ...]:
        if not isinstance(names, list) or len(names) < _ARGUMENTS:
            self.error("arguments", f"'arguments' names {_ARGUMENTS} registers: system calls have up to so many")
            return ()
        return tuple(self._register("arguments", name) for name in names)

    def _exceptions(self, table: object) -> Doc:
        known = [name for name, _ in self.layout.exceptions]
        items: list[Doc] = []
        calls = 0
        for name, value in self._pairs("exceptions", table):
            meaning = self._meaning(value)
            calls += type(value) is int
            if name not in known:
                self.error(name, f"the spec has no exception '{name}'", f"exceptions: {', '.join(known) or 'none'}")
            elif meaning is None:
                self.error(
                    name,
                    f"'{name}' is neither a system call nor a signal",
                    f'{name} = 4 is a system call 4 bytes long; {name} = {{ signal = "SIGSEGV", code = "SEGV", '
                    'address = "arg0" }} a signal',
                )
            else:
                items.append(Keyword(f"{quoted(name)}: ", meaning))
        if not calls:
            self.error("exceptions", "no exception is a system call", "one is the length of its instruction: Call = 4")
        return Group("{", tuple(items), "}")

    def _meaning(self, value: object) -> Doc | None:
        if type(value) is int:
            return call("SystemCall", f"length={value}") if 0 <= value <= self.layout.max_bytes else None
        if not isinstance(value, dict) or not {"signal", "code"} <= value.keys() <= set(_FAULT):
            return None
        if value.get("address", "pc") not in _ADDRESSES or not all(isinstance(item, str) for item in value.values()):
            return None
        return call("Fault", *(Keyword(f"{key}=", quoted(value[key])) for key in _FAULT if key in value))

    def _numbers(self, table: object) -> Doc:
        items: list[Doc] = []
        for name, number in self._pairs("system_calls", table):
            if type(number) is not int or number < 0:
                self.error(name, f"the number of '{name}' is {number!r}", "numbers count from 0")
            items.append(Keyword(f"{quoted(name)}: ", str(number)))
        return Group("{", tuple(items), "}")

    def _pairs(self, key: str, table: object) -> list[tuple[str, object]]:
        if isinstance(table, dict):
            return list(table.items())
        self.error(key, f"'{key}' is a table", f"write [{key}] on a line, and what it holds on the lines below")
        return []
