"""Why a run ended: StopReason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class StopKind(Enum):
    """What ended a run."""

    UNTIL = "until"  # the pc is an address of `until`
    COUNT = "count"  # `count` instructions were executed
    TIMEOUT = "timeout"
    STOPPED = "stopped"  # by stop()
    EXCEPTION = "exception"  # the guest raised an exception that no hook handled
    UNMAPPED = "unmapped"  # ... because it accessed an address where nothing is mapped
    PROTECTED = "protected"  # ... because the page's permissions do not allow it
    WAIT = "wait"  # the guest waits for an interrupt
    EXITED = "exited"  # a Process ended by itself
    KILLED = "killed"  # a signal ended a Process


class Access(Enum):
    """What the guest did to an address."""

    READ = "read"
    WRITE = "write"
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class GuestException:
    """An exception as the spec declares it: raised by the instruction at `pc`, with these arguments."""

    name: str
    code: int
    pc: int
    arguments: tuple[int, ...]

    def __str__(self) -> str:
        arguments = ", ".join(f"{argument:#x}" for argument in self.arguments)
        return f"{self.name}({arguments})" if any(self.arguments) else self.name


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a run ended.

    pc            the next instruction, or the one that raised: registers are as before it
    instructions  executed in this run
    exception     for EXCEPTION, UNMAPPED and PROTECTED
    address, access, size   for UNMAPPED and PROTECTED: what was accessed
    """

    kind: StopKind
    pc: int
    instructions: int
    exception: GuestException | None = None
    address: int | None = None
    access: Access | None = None
    size: int = 0

    def __str__(self) -> str:
        plural = "" if self.instructions == 1 else "s"
        text = f"{self.kind.value} at {self.pc:#x} after {self.instructions:,} instruction{plural}"
        if self.address is not None and self.access is not None:
            text += f": {self.access.value} of {self.size} bytes at {self.address:#x}"
        if self.exception is not None:
            text += f": {self.exception}"
        return text
