"""What the oracles are compared with: the engines of isomorph.fuzz, given one instruction and a state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from isomorph.fuzz.case import Case
from isomorph.fuzz.engines import make_engine
from isomorph.fuzz.state import State
from runtime.core.cpu import load_isa
from tests.conftest import ROOT

#: the upper half of a register that holds a single
BOX = 0xFFFFFFFF << 32


class Subject:
    """One engine of one width: "steps" and "blocks" are native, "reference" is the translator."""

    def __init__(self, xlen: int, name: str) -> None:
        self.xlen = xlen
        self.isa = load_isa(ROOT / "build" / f"riscv{xlen}")
        self.engine = make_engine(name, self.isa)

    def close(self) -> None:
        """Free everything."""
        self.engine.close()

    def run(self, word: int, state: State) -> tuple[State, str]:
        """The state after an instruction, and the name of the exception that it raised, or ""."""
        result = self.engine.run(Case((word.to_bytes(4, "little"),), state, {}))
        return result.state, result.raised


def with_registers(state: State, file: str, values: Mapping[int, int]) -> State:
    """The state with other values in some registers of a file."""
    old = state.registers[file]
    changed = tuple(values.get(number, value) for number, value in enumerate(old))
    return replace(state, registers={**state.registers, file: changed})


#: widths and engines, for fixtures
SUBJECTS = [(xlen, name) for xlen in (64, 32) for name in ("steps", "blocks", "reference")]
