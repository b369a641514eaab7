"""The table beside a spec that says how its programs call Linux (`NAME.abi.toml`), checked and printed as abi.py.

An isa without a table has that of the nearest isa it extends.  What a table does not say is as it is for machines that
are new to Linux: numbers, flags and structures of asm-generic.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gen import model
from gen.errors import Diagnostics, about_file
from gen.source import Doc, Group, Keyword, call, literal, quoted, statement, tuple_of
from gen.stamp import ABI_SUFFIX
from gen.templates import render
from gen.tree import Pos
from runtime.core.layout import Layout, RegisterLayout

#: registers of Linux system calls: none has more arguments
ARGUMENTS = 6
_WORDS = (32, 64)
_REGISTERS = ("number", "result", "stack")
_OPTIONAL = ("link",)
_TABLES = ("exceptions", "system_calls")
_KEYS = (*_REGISTERS, "arguments", *_OPTIONAL, *_TABLES)
_FAULT = ("signal", "code", "address")
_ADDRESSES = ("pc", "arg0", "arg1", "arg2")


def table_of(spec: model.Spec) -> Path | None:
    """The table that holds for a spec: its own, or that of the nearest isa it extends."""
    files = {Path(source).stem: Path(source) for source in spec.sources}
    for name in reversed(spec.modules):
        path = files[name].with_suffix(ABI_SUFFIX)
        if path.is_file():
            return path
    return None


def module_source(spec: model.Spec, layout: Layout) -> str | None:
    """The text of build/<isa>/abi.py, or None without a table; SpecError if the table is wrong."""
    path = table_of(spec)
    return None if path is None else _Reader(path, spec, layout).source()


class _Reader:
    """Checks one table."""

    def __init__(self, path: Path, spec: model.Spec, layout: Layout) -> None:
        self.path = path
        self.spec = spec
        self.layout = layout
        self.bits = next((width for width in _WORDS if layout.memories[0].address_width <= width), 0)
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.diagnostics = Diagnostics({str(path): self.text})

    def source(self) -> str:
        found = self._read()
        for name in (name for name in found if name not in _KEYS):
            self._error(name, f"a table has no '{name}'", f"it has {', '.join(_KEYS)}")
        big = self.spec.memories[0].big
        if not isinstance(big, bool):
            self.diagnostics.error(about_file(str(self.path)), "the byte order of a Linux program cannot change")
        items: list[Doc] = [
            Keyword("name=", quoted(self.spec.name)),
            Keyword("bits=", str(self.bits)),
            Keyword("big_endian=", repr(bool(big))),
        ]
        for name in (*_REGISTERS, *(name for name in _OPTIONAL if name in found)):
            items.append(Keyword(f"{name}=", literal(self._register(name, found.get(name)))))
        items.append(Keyword("arguments=", literal(self._arguments(found.get("arguments")))))
        items.append(Keyword("exceptions=", self._exceptions(self._table(found, "exceptions"))))
        if "system_calls" in found:
            items.append(Keyword("numbers=", self._numbers(self._table(found, "system_calls"))))
        self.diagnostics.raise_if_any()
        return render(
            "abi.py.j2",
            isa=self.spec.name,
            table=self.path.name,
            kinds=[kind for kind in ("Fault", "SystemCall") if any(f"{kind}(" in line for line in self._lines(items))],
            abi="\n".join(self._lines(items)),
        )

    @staticmethod
    def _lines(items: list[Doc]) -> list[str]:
        return statement("ABI = ", call("new_abi", *items))

    def _read(self) -> Mapping[str, Any]:
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            # "... (at line 3, column 5)"
            place = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
            line, column = map(int, place.groups()) if place else (0, 0)
            message = str(error)[: place.start()] if place else str(error)
            self.diagnostics.error(Pos(str(self.path), line, column, line, column + 1), f"not TOML: {message}")
            self.diagnostics.raise_if_any()
            raise

    def _error(self, key: str, message: str, help: str | None = None) -> None:
        """An error about a key, or about the file if the key is not there."""
        place = re.search(rf'^[ \t]*"?({re.escape(key)})"?[ \t]*=|^[ \t]*\[({re.escape(key)})\]', self.text, re.MULTILINE)
        pos = about_file(str(self.path))
        if place is not None:
            start, end = place.span(place.lastindex or 0)
            line = self.text.count("\n", 0, start) + 1
            first = self.text.rfind("\n", 0, start) + 1
            pos = Pos(str(self.path), line, start - first + 1, line, end - first + 1)
        self.diagnostics.error(pos, message, help=help)

    # ------------------------------------------------------------ registers

    def _register(self, key: str, name: object) -> tuple[str, int]:
        """A register by a name that assembly text could call it, as the runtime's (file, index)."""
        if not isinstance(name, str):
            what = f"'{key}' names a register" if name is not None else f"the table does not say '{key}'"
            self._error(key, what, f'write {key} = "{self._example()}", say')
            return "", 0
        found = self._find(name)
        if found is None:
            self._error(key, f"'{self.spec.name}' has no register '{name}'", f"registers: {self._known()}")
            return "", 0
        register, index = found
        if register.width != self.bits or index == register.zero:
            kind = "hard-wired to 0" if index == register.zero else f"of {register.width} bits"
            self._error(key, f"register '{name}' is {kind}", f"take one of {self.bits} bits that can be written")
        return register.name, index

    def _find(self, name: str) -> tuple[RegisterLayout, int] | None:
        for register in self.layout.registers:
            if not register.is_file and register.name == name:
                return register, 0
            for index in range(register.count if register.is_file else 0):
                spellings = register.names[index] if register.names else (f"{register.name}[{index}]",)
                if name in spellings:
                    return register, index
        return None

    def _known(self) -> str:
        """The registers of a file by its ends, so that the list is short."""
        names = []
        for register in self.layout.registers:
            if register.is_file and register.width == self.bits:
                ends = (0, register.count - 1)
                names.append(" to ".join(register.names[i][0] if register.names else f"{register.name}[{i}]" for i in ends))
            elif register.width == self.bits:
                names.append(register.name)
        return ", ".join(names)

    def _example(self) -> str:
        for register in self.layout.registers:
            if register.width == self.bits:
                return register.names[-1][0] if register.names else register.name
        return "r1"

    def _arguments(self, names: object) -> tuple[tuple[str, int], ...]:
        if not isinstance(names, list) or len(names) < ARGUMENTS:
            self._error("arguments", f"'arguments' names {ARGUMENTS} registers: so many has a system call at most")
            return ()
        return tuple(self._register("arguments", name) for name in names)

    # ------------------------------------------------------------ tables

    def _table(self, found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = found.get(key, {})
        if not isinstance(value, dict):
            self._error(key, f"'{key}' is a table", f"write [{key}] on a line, and what it holds on lines below")
            return {}
        return value

    def _exceptions(self, table: Mapping[str, Any]) -> Doc:
        known = [name for name, _ in self.layout.exceptions]
        items: list[Doc] = []
        for name, value in table.items():
            if name not in known:
                self._error(name, f"'{self.spec.name}' has no exception '{name}'", f"exceptions: {', '.join(known)}")
            elif isinstance(value, int) and not isinstance(value, bool):
                if not 0 <= value <= self.layout.max_bytes:
                    help = f"from 0 to {self.layout.max_bytes}, the bytes of the longest instruction"
                    self._error(name, f"a system call of {value} bytes", help)
                items.append(Keyword(f"{quoted(name)}: ", call("SystemCall", f"length={value}")))
            else:
                items.append(Keyword(f"{quoted(name)}: ", self._fault(name, value)))
        if not any(isinstance(value, int) for value in table.values()):
            self._error("exceptions", "no exception is a system call", f"write {known[0]} = 4 below [exceptions], say: the "
                        "program goes on 4 bytes further" if known else None)
        return Group("{", tuple(items), "}")

    def _fault(self, name: str, value: object) -> Doc:
        help = '{ signal = "SIGSEGV", code = "SEGV", address = "arg0" } or the length of a system call instruction'
        if not isinstance(value, dict) or not {"signal", "code"} <= value.keys() <= set(_FAULT):
            self._error(name, f"it is not said what '{name}' is to Linux", f"write {name} = {help}")
            return ""
        if not all(isinstance(item, str) for item in value.values()) or value.get("address", "pc") not in _ADDRESSES:
            self._error(name, f"'{name}': 'address' is one of {', '.join(_ADDRESSES)}, the others are names")
            return ""
        items = [Keyword(f"{key}=", quoted(value[key])) for key in _FAULT if key in value]
        return call("Fault", *items)

    def _numbers(self, table: Mapping[str, Any]) -> Doc:
        for name, number in table.items():
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                self._error(name, f"the number of system call '{name}' is no number from 0 on")
        return Group("{", tuple(Keyword(f"{quoted(name)}: ", str(number)) for name, number in table.items()), "}")
