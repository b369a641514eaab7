"""The table unicorn_differences.txt: which comparisons with Unicorn to leave out, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tests.oracles.riscv_state import BOX, State

_TABLE = Path(__file__).with_suffix(".txt")
Fields = Mapping[str, int]


def _sources(values: Fields, state: State) -> list[int]:
    return [state.f[values[field]] for field in ("fs1", "fs2", "fs3") if field in values]


def _unboxed(name: str, values: Fields, state: State) -> bool:
    return any(value & BOX != BOX for value in _sources(values, state))


def _signalling(name: str, values: Fields, state: State) -> bool:
    exponent, quiet = (0x7F800000, 1 << 22) if name.endswith("_s") else (0x7FF << 52, 1 << 51)
    magnitudes = [value & (2 * quiet - 1 | exponent) for value in _sources(values, state)]
    return any(value > exponent and not value & quiet for value in magnitudes)


def _always(name: str, values: Fields, state: State) -> bool:
    return True


def _reads_singles(name: str) -> bool:
    return name.startswith("f") and name.endswith("_s")


def _writes_singles(name: str) -> bool:
    computes = name.startswith("f") and name.endswith("_s") and not name.startswith("fcvt")
    return computes or name.startswith("fcvt_s_") or name == "fmv_w_x"


_CIRCUMSTANCES = {"always": _always, "unboxed": _unboxed, "signalling": _signalling, "upper": _always}
_GROUPS: dict[str, Callable[[str], bool]] = {"reading singles": _reads_singles, "writing singles": _writes_singles}


class Differences:
    """The table, read."""

    def __init__(self) -> None:
        self.lines: list[tuple[Callable[[str], bool], str]] = []
        for line in _TABLE.read_text().splitlines():
            if line and not line.startswith("#"):
                names, circumstance, _ = (part.strip() for part in line.split("|"))
                self.lines.append((_GROUPS.get(names) or frozenset(names.split()).__contains__, circumstance))

    def leave_out(self, name: str, values: Fields, state: State) -> bool:
        """Whether Unicorn cannot be asked about this instruction on these operands."""
        return any(
            applies(name) and circumstance != "upper" and _CIRCUMSTANCES[circumstance](name, values, state)
            for applies, circumstance in self.lines
        )

    def adjusted(self, name: str, values: Fields, state: State) -> State:
        """Unicorn's state as the manual has it, where the difference is only a matter of unused bits."""
        if "fd" in values and any(applies(name) and circumstance == "upper" for applies, circumstance in self.lines):
            fd = values["fd"]
            return replace(state, f=(*state.f[:fd], BOX | state.f[fd], *state.f[fd + 1 :]))
        return state
