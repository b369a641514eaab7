"""What runs a case, seen from outside: the face all engines have, what they answer, and when they give up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from isomorph.errors import IsomorphError
from isomorph.fuzz.case import Case
from isomorph.fuzz.state import State
from runtime.core.cpu import Isa
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function

#: what an engine says of a case that does not come to its end
ENDLESS = "endless"
#: instructions after which it does not
LIMIT = 400


@dataclass(frozen=True, slots=True)
class Result:
    """The state at the end, "" or the name of the exception that was raised before it, and instructions executed.

    An engine that does not know names says "raised"; a count of -1 is not known.
    """

    state: State
    raised: str
    executed: int = -1


class Engine(Protocol):
    """Runs cases."""

    name: str
    #: whether `raised` is the exception's name, and pc and state are those of the instruction that raised
    precise: bool

    def run(self, case: Case) -> Result:
        """Until the end of the case's code, an exception, or LIMIT instructions."""

    def close(self) -> None:
        """Free everything."""


class MissingEngine(IsomorphError):
    """An engine that cannot be had here; the message says why, and what to install."""


def terminator(isa: Isa) -> bytes:
    """A word that is no instruction: behind the last one of a case, it ends the block."""
    decoder = isa.module("translate")
    builder = Builder(isa.layout, Function("decode"))
    builder.modes.update({mode.name: mode.reset for mode in isa.layout.modes})
    size = isa.layout.max_bytes
    for number in (0, (1 << 8 * size) - 1, *range(1, 1 << 16)):
        if decoder.decode(number, size, builder) is None:
            return int(number).to_bytes(size, "little")
    raise MissingEngine(f"{isa.name} has no word that is no instruction: blocks would not end")
