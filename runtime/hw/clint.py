"""RISC-V's core-local interruptors: machine timer, machine and supervisor software interrupts.

The chapters are the ACLINT specification's (1.0).  SiFive's CLINT is the first two, one behind the other.
"""

from __future__ import annotations

from runtime.hw.device_tree import Node, wide
from runtime.hw.registers import Register, RegisterDevice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.hw.clock import Clock
    from runtime.hw.device_tree import Place
    from runtime.hw.irq import Line

_SECOND = 1_000_000_000
_NEVER = (1 << 64) - 1
MSWI_SIZE, MTIMER_SIZE, SSWI_SIZE = 0x4000, 0x8000, 0x4000


class SoftwareInterrupts(RegisterDevice):
    """MSWI (chapter 3): bit 0 of each hart's register is the level of its line."""

    kind = "riscv.aclint.mswi"

    def __init__(self, name: str, lines: Sequence[Line]) -> None:
        super().__init__(name, MSWI_SIZE, (Register("MSIP", 0, writable=1, count=max(2, len(lines))),))
        self._lines = lines

    def write_msip(self, hart: int, value: int) -> None:
        if hart < len(self._lines):
            self._lines[hart].set(value)
        else:
            self.array["MSIP"][hart] = 0

    def reset(self) -> None:
        super().reset()
        self._drive()

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        self._drive()

    def _drive(self) -> None:
        for line, level in zip(self._lines, self.array["MSIP"], strict=False):
            line.set(level)

    def device_tree_node(self, place: Place) -> Node:
        return place.node("mswi", "riscv,aclint-mswi").set("interrupt-controller").set("#interrupt-cells", 0)


class SupervisorSoftwareInterrupts(RegisterDevice):
    """SSWI (chapter 5): a one written is an edge that sets the hart's pending bit; registers read as zero."""

    kind = "riscv.aclint.sswi"

    def __init__(self, name: str, lines: Sequence[Line]) -> None:
        super().__init__(name, SSWI_SIZE, (Register("SETSSIP", 0, writable=1, count=max(2, len(lines))),))
        self._lines = lines

    def write_setssip(self, hart: int, value: int) -> None:
        self.array["SETSSIP"][hart] = 0
        if value and hart < len(self._lines):
            self._lines[hart].pulse()

    def device_tree_node(self, place: Place) -> Node:
        return place.node("sswi", "riscv,aclint-sswi").set("interrupt-controller").set("#interrupt-cells", 0)


class MachineTimer(RegisterDevice):
    """MTIMER (chapter 2): one counter, MTIME, and a comparator a hart, whose line is up while MTIME has reached it."""

    kind = "riscv.aclint.mtimer"
    STATE = ("shift",)

    def __init__(self, name: str, lines: Sequence[Line], clock: Clock, frequency: int) -> None:
        registers = (
            Register("MTIMECMP", 0, 8, reset=_NEVER, count=max(2, len(lines))),
            Register("MTIME", 0x7FF8, 8),
        )
        super().__init__(name, MTIMER_SIZE, registers)
        self.shift = 0  # ticks the guest has set MTIME off by
        self._lines = lines
        self._clock = clock
        self._frequency = frequency
        self._timers = [
            clock.timer(f"{name}.hart{hart}", lambda hart=hart: self._update(hart))  # type: ignore[misc]  # a default
            for hart in range(len(lines))
        ]

    def ticks(self) -> int:
        """MTIME."""
        return (self._clock.now() * self._frequency // _SECOND + self.shift) & _NEVER

    def read_mtime(self) -> int:
        return self.ticks()

    def write_mtime(self, value: int) -> None:
        self.shift += value - self.ticks()
        for hart in range(len(self._lines)):
            self._update(hart)

    def write_mtimecmp(self, hart: int, value: int) -> None:
        if hart < len(self._lines):
            self._update(hart)

    def _update(self, hart: int) -> None:
        compare = self.array["MTIMECMP"][hart]
        reached = self.ticks() >= compare
        self._lines[hart].set(reached)
        if reached or compare == _NEVER:
            self._timers[hart].cancel()
        else:
            self._timers[hart].set(-(-(compare - self.shift) * _SECOND // self._frequency))

    def reset(self) -> None:
        super().reset()
        self.shift = 0  # the processors' own view of time does not begin anew either
        for hart in range(len(self._lines)):
            self._update(hart)

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        for hart in range(len(self._lines)):
            self._update(hart)

    def device_tree_node(self, place: Place) -> Node:
        node = place.node("mtimer", "riscv,aclint-mtimer")
        # MTIME first, then the comparators (the binding's order).
        time, rest = place.address + 0x7FF8, place.size - 0x7FF8
        return node.set("reg", *wide(time), *wide(rest), *wide(place.address), *wide(0x7FF8))


def clint_node(place: Place) -> Node:
    """The node of a CLINT: software interrupts, and the timer behind them."""
    return place.node("clint", "sifive,clint0", "riscv,clint0")
