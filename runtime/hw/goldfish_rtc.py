"""The goldfish real-time clock: nanoseconds since 1970 in two registers, and an alarm."""

from __future__ import annotations

from runtime.hw.device_tree import Node
from runtime.hw.registers import Register, RegisterDevice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.clock import Clock
    from runtime.hw.device_tree import Place
    from runtime.hw.irq import Line

_ALL = (1 << 64) - 1


class GoldfishRtc(RegisterDevice):
    """`base`: what time it was, in ns since 1970, when the machine's clock was zero."""

    kind = "google,goldfish-rtc"
    REGISTERS = (
        Register("TIME_LOW", 0x00),
        Register("TIME_HIGH", 0x04),
        Register("ALARM_LOW", 0x08),
        Register("ALARM_HIGH", 0x0C),
        Register("IRQ_ENABLED", 0x10, writable=1),
        Register("CLEAR_ALARM", 0x14, access="wo"),
        Register("ALARM_STATUS", 0x18, access="ro"),
        Register("CLEAR_INTERRUPT", 0x1C, access="wo"),
    )
    STATE = ("base", "high", "pending", "alarm")

    def __init__(self, name: str, line: Line, clock: Clock, base: int) -> None:
        super().__init__(name, 0x1000)
        self.base = base
        self.high = 0  # latched by a load of TIME_LOW
        self.pending = False
        self.alarm = 0
        self._line = line
        self._clock = clock
        self._timer = clock.timer(f"{name}.alarm", self._ring)

    def time(self) -> int:
        """Nanoseconds since 1970."""
        return (self.base + self._clock.now()) & _ALL

    def read_time_low(self) -> int:
        now = self.time()
        self.high = now >> 32
        return now & 0xFFFFFFFF

    def read_time_high(self) -> int:
        return self.high

    def write_time_low(self, value: int) -> None:
        """The guest sets the time; it has stored the high half before."""
        self.base = (self.value["TIME_HIGH"] << 32 | value) - self._clock.now()
        if self.value["ALARM_STATUS"]:
            self._arm()

    def write_alarm_low(self, value: int) -> None:
        self.alarm = self.value["ALARM_HIGH"] << 32 | value
        self._arm()

    def _arm(self) -> None:
        if self.alarm <= self.time():
            self._ring()
        else:
            self.value["ALARM_STATUS"] = 1
            self._timer.set(self.alarm - self.base)

    def _ring(self) -> None:
        self.value["ALARM_STATUS"] = 0
        self.pending = True
        self._update()

    def write_clear_alarm(self, value: int) -> None:
        self._timer.cancel()
        self.value["ALARM_STATUS"] = 0

    def write_irq_enabled(self, value: int) -> None:
        self._update()

    def write_clear_interrupt(self, value: int) -> None:
        self.pending = False
        self._update()

    def _update(self) -> None:
        self._line.set(self.pending and self.value["IRQ_ENABLED"])

    def reset(self) -> None:
        super().reset()
        self.pending = False
        self._timer.cancel()
        self._update()

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        self._update()

    def device_tree_node(self, place: Place) -> Node:
        return place.node("rtc", self.kind)
