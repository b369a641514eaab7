"""Tables beside specs that say what other emulators call an ISA's state (`NAME.oracle.toml`), printed as oracle.py.

Those of all modules of a spec are joined, the base's first.  What differential tests need of an ISA and its spec does
not say stands there: constants of Unicorn, the name of QEMU's program, where those two are known to be wrong, and which
values are worth trying.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from gen import model
from gen.side_tables import SideTable, tables_of
from gen.source import Doc, Group, Keyword, call, hexadecimal, literal, quoted, statement, tuple_of
from gen.stamp import ORACLE_SUFFIX
from gen.templates import render
from runtime.core.layout import Layout

#: key -> the type of its value; what is in `differs` has _DIFFERENCE's
_KEYS: dict[str, dict[str, type]] = {
    "values": {},
    "modes": {},
    "unicorn": {
        "arch": str, "mode": str, "constants": str, "pc": str, "registers": dict, "setup": dict, "unknown": list,
        "differs": list, "address_mode": str, "without": list,
    },
    "qemu": {
        "program": str, "keep": str, "start": str, "load": dict, "jump": str, "store": dict, "finish": str,
        "unknown": list, "differs": list,
    },
}  # fmt: skip
_DIFFERENCE: dict[str, type] = {
    "instructions": list, "fields": list, "equal": list, "unequal": list, "registers": dict, "same": list,
    "result": dict, "why": str,
}  # fmt: skip
_KINDS_OF_TOML = {"str": "text", "list": "a list", "dict": "a table"}
#: what all tables together must say of an emulator if they say anything
_NEEDED = {
    "unicorn": ("arch", "mode", "constants", "pc", "registers"),
    "qemu": ("program", "keep", "start", "load", "jump", "store", "finish"),
}
#: characters
_WHY = 90
#: kinds of values that a register file may be said to hold
_KINDS = ("word", "pointer", "code", "single", "boxed", "double")


def module_source(spec: model.Spec, layout: Layout) -> str | None:
    """The text of build/<isa>/oracle.py, None without tables; SpecError if a table is wrong."""
    paths = tables_of(spec, ORACLE_SUFFIX)
    if not paths:
        return None
    merged: dict[str, object] = {}
    for path in paths:
        table = _Table(path, spec, layout)
        _merge(merged, table.checked())
    items: list[Doc] = []
    for section, content in merged.items():
        assert isinstance(content, dict)
        missing = [key for key in _NEEDED.get(section, ()) if key not in content]
        if missing:
            table.error(
                section, f"[{section}] does not say {', '.join(missing)}, in this table or another of the spec's"
            )
            table.diagnostics.raise_if_any()
        if section in ("values", "modes"):
            items.append(Keyword(f"{section}=", _literal(content)))
        else:
            differs = content.pop("differs", [])
            arguments: list[Doc] = [Keyword(f"{key}=", _literal(value)) for key, value in content.items()]
            rows = [call("Difference", *(Keyword(f"{k}=", _literal(v)) for k, v in row.items())) for row in differs]
            if rows:
                arguments.append(Keyword("differs=", tuple_of(rows)))
            items.append(Keyword(f"{section}=", call(section.capitalize(), *arguments)))
    lines = statement("ORACLE = ", call("Oracle", *items))
    kinds = [kind for kind in ("Difference", "Oracle", "Qemu", "Unicorn") if any(f"{kind}(" in line for line in lines)]
    names = ",\n".join(path.name for path in paths)
    return render("oracle.py.j2", isa=spec.name, tables=names, kinds=kinds, lines=lines)


def _merge(into: dict[str, object], more: Mapping[str, object]) -> None:
    for key, value in more.items():
        old = into.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            _merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            into[key] = old + value
        else:
            into[key] = value


def _literal(value: object) -> Doc:
    if isinstance(value, dict):
        return Group("{", tuple(Keyword(f"{quoted(key)}: ", _literal(item)) for key, item in value.items()), "}")
    if isinstance(value, list):
        return tuple_of(map(_literal, value))
    if isinstance(value, int):
        return hexadecimal(value)
    if isinstance(value, str) and "\n" in value:  # assembly: a statement a line, without its comments
        lines = (re.sub(r"#.*", "", line).strip() for line in value.splitlines())
        return tuple_of(quoted(line) for line in lines if line)
    return quoted(value) if isinstance(value, str) else literal(value)


class _Table(SideTable):
    """One table, checked against the spec."""

    def __init__(self, path: Path, spec: model.Spec, layout: Layout) -> None:
        super().__init__(path)
        self.spec = spec
        self.layout = layout

    def checked(self) -> dict[str, object]:
        """The table; SpecError if something in it is wrong."""
        table = self.parse()
        for section, content in table.items():
            if section not in _KEYS or not isinstance(content, dict):
                self.error(section, f"there is no section [{section}]", f"sections: {', '.join(_KEYS)}")
            elif section in ("values", "modes"):
                self._choices(section, content)
            else:
                self._oracle(section, content)
        self.diagnostics.raise_if_any()
        return table

    def _choices(self, section: str, content: Mapping[str, object]) -> None:
        names = [register.name for register in self.layout.registers]
        known = names if section == "values" else [mode.name for mode in self.layout.modes]
        for name, choices in content.items():
            if name not in known:
                self.error(name, f"the spec has no '{name}'", f"it has {', '.join(known) or 'none'}")
            elif not isinstance(choices, list) or not choices:
                self.error(name, f"'{name}' is a list of what it may hold")
            elif section == "values" and not set(choices) <= set(_KINDS):
                self.error(name, f"'{name}' holds what is not known here", f"kinds of values: {', '.join(_KINDS)}")

    def _oracle(self, section: str, content: Mapping[str, object]) -> None:
        self._typed(section, content, _KEYS[section])
        state = [register.name for register in self.layout.registers] + [mode.name for mode in self.layout.modes]
        for key in ("registers", "load", "store"):
            names = content.get(key, {})
            for name in names if isinstance(names, dict) else ():
                if name not in state:
                    self.error(name, f"the spec has no register or mode '{name}'", f"it has {', '.join(state)}")
        without = content.get("without", [])
        for name in without if isinstance(without, list) else ():
            if name not in state and name not in dict(self.layout.exceptions):
                message = f"the spec has no register, mode or exception '{name}'"
                self.error("without", message, f"it has {', '.join([*state, *dict(self.layout.exceptions)])}")
        differs = content.get("differs", [])
        for row in differs if isinstance(differs, list) else ():
            self._difference(row)

    def _difference(self, row: object) -> None:
        if not isinstance(row, dict) or not self._typed("differs", row, _DIFFERENCE):
            return
        names = {instruction.mnemonic for instruction in self.spec.instructions}
        for pattern in row.get("instructions", ()):
            if not any(fnmatchcase(name, str(pattern).removeprefix("!")) for name in names):
                self.error("instructions", f"no instruction of {self.spec.name} is called '{pattern}'")
        for name in row.get("registers", ()):
            if name not in (files := [register.name for register in self.layout.registers]):
                self.error(name, f"the spec has no register '{name}'", f"it has {', '.join(files)}")
        for key in ("equal", "unequal"):
            pair = row.get(key, [0, 0])
            if len(pair) != 2 or not all(isinstance(number, int) for number in pair):
                self.error(key, f"'{key}' is a mask and what the value is under it: two numbers")
        if not row.get("instructions") or not 0 < len(row.get("why", "")) <= _WHY:
            help = f"why: the manual's section and what the other one does, in at most {_WHY} characters"
            self.error("differs", "a difference says which instructions it is about, and why", help)

    def _typed(self, section: str, content: Mapping[str, object], types: Mapping[str, type]) -> bool:
        """Whether all keys are known, and their values of the types they should be."""
        good = True
        for key, value in content.items():
            good = good and key in types and isinstance(value, types[key])
            if key not in types:
                self.error(key, f"[{section}] has no '{key}'", f"it has {', '.join(types)}")
            elif not isinstance(value, types[key]):
                self.error(key, f"'{key}' is {_KINDS_OF_TOML[types[key].__name__]}")
        return good
