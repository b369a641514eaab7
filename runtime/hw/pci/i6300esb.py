"""Intel's 6300ESB watchdog: two timers, one after the other, that a driver must keep from running out.

Sections are those of the 6300ESB I/O controller hub's data sheet (300641), chapter 16.
"""

from __future__ import annotations

from runtime.hw.device import DeviceError
from runtime.hw.pci.function import Bar, PciFunction
from runtime.hw.registers import Field, Register, RegisterDevice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from runtime.hw.clock import Clock
    from runtime.hw.device import Platform
    from runtime.hw.registry import Option

__all__ = ["Watchdog"]

#: places in the configuration space (16.4): what happens at the end, and how time is counted; locking and enabling
_CONFIGURATION, _LOCK = 0x60, 0x68
_NO_REBOOT, _FINE = 0x20, 0x04
_LOCKED, _ENABLED, _FREE = 1, 2, 4
#: what is written to the reload register before a register that is protected (16.5)
_KEYS = (0x80, 0x86)
_RELOAD, _TIMED_OUT = 0x100, 0x200
#: nanoseconds of PCI's clock; a timer's unit is so many of these, coarse or fine
_CYCLE, _COARSE_SHIFT, _FINE_SHIFT = 30, 15, 5


class _Registers(RegisterDevice):
    """The memory of the base-address register; only what follows the two keys is stored."""

    kind = "i6300esb-registers"
    REGISTERS = (
        Register("TIMER1", 0x0, reset=0xFFFFF, writable=0xFFFFF),
        Register("TIMER2", 0x4, reset=0xFFFFF, writable=0xFFFFF),
        Register("INTERRUPT", 0x8, access="w1c", fields=(Field("STATUS", 0),), writable=1),
        Register("RELOAD", 0xC, width=2, fields=(Field("RELOAD", 8), Field("TIMEOUT", 9))),
    )
    STATE = ("keys", "timed_out")

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__(f"{watchdog.name}.registers", 16)
        self.sizes = frozenset((1, 2, 4))
        self.keys = 0  # how many of them have come
        self.timed_out = False
        self._watchdog = watchdog

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == 0xC and self.keys < len(_KEYS):
            self.keys = self.keys + 1 if value == _KEYS[self.keys] else int(value == _KEYS[0])
        elif self.keys == len(_KEYS) or offset == 8:
            super().write(offset, size, value)
            self.keys = 0

    def write_reload(self, value: int) -> None:
        self.value["RELOAD"] = 0
        if value & _TIMED_OUT:
            self.timed_out = False
        if value & _RELOAD:
            self._watchdog.restart()

    def read_reload(self) -> int:
        return _TIMED_OUT if self.timed_out else 0

    def reset(self) -> None:
        super().reset()
        self.keys = 0  # that it ran out is known behind the reset that it made


class Watchdog(PciFunction):
    """The function; `bite` is called when both timers have run out and nobody has told it not to reboot."""

    kind = "i6300esb"
    OPTIONS: tuple[Option, ...] = ()

    def __init__(self, name: str, clock: Clock, bite: Callable[[], None]) -> None:
        super().__init__(name, vendor=0x8086, device=0x25AB, class_code=0x088000, subsystem=(0x1AF4, 0x1100))
        self.allow(_CONFIGURATION, 0x27, 2)
        self.allow(_LOCK, 0x07, 1)
        self.registers = _Registers(self)
        self.add_bar(Bar(0, self.registers))
        self.second = False  # the second timer runs
        self._clock = clock
        self._bite = bite
        self._timer = clock.timer(f"{name}.stage", self._ran_out)

    @classmethod
    def make(cls, platform: Platform, name: str, values: Mapping[str, Any]) -> Watchdog:
        """By `-device`."""
        return cls(name, platform.clock, platform.watchdog)

    def write(self, offset: int, size: int, value: int) -> None:
        lock = self.config[_LOCK]
        super().write(offset, size, value)
        if offset <= _LOCK < offset + size:
            if lock & _LOCKED:  # until the next reset
                self.config[_LOCK] = lock
            elif (lock ^ self.config[_LOCK]) & _ENABLED:
                self.restart()

    def restart(self) -> None:
        """From the first timer on, if it is enabled at all."""
        self.second = False
        self._begin()

    def _begin(self) -> None:
        if not self.config[_LOCK] & _ENABLED:
            self._timer.cancel()
            return
        count = self.registers.value["TIMER2" if self.second else "TIMER1"]
        shift = _FINE_SHIFT if self.config[_CONFIGURATION] & _FINE else _COARSE_SHIFT
        self._timer.set_after((max(count, 1) << shift) * _CYCLE)  # free running, one of zero would never let go

    def _ran_out(self) -> None:
        if self.second or self.config[_LOCK] & _FREE:
            self.registers.timed_out = True
            if not self.config[_CONFIGURATION] & _NO_REBOOT:
                self._bite()
            if self.config[_LOCK] & _FREE:
                self.restart()
            return
        self.registers.value["INTERRUPT"] = 1
        self.second = True
        self._begin()

    def describe(self) -> str:
        return "enabled" if self.config[_LOCK] & _ENABLED else "not enabled"

    def reset(self) -> None:
        super().reset()
        self.registers.reset()
        self.second = False
        self._timer.cancel()

    def save(self) -> dict[str, object]:
        return {**super().save(), "registers": self.registers.save(), "second": self.second}

    def load(self, state: dict[str, object]) -> None:
        registers, second = state.get("registers"), state.get("second")
        if not isinstance(registers, dict) or not isinstance(second, bool):
            raise DeviceError(f"{self.name}: the saved state is not a watchdog's")
        super().load(state)
        self.registers.load(registers)
        self.second = second
