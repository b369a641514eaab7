"""Intel's 8254 timer: three counters, and port 0x61, where a PC has its third one's gate and output."""

from __future__ import annotations

from runtime.hw.device import Device, DeviceError, give_state, take_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.clock import Clock
    from runtime.hw.irq import Line

FREQUENCY = 1_193_182
_SECOND = 1_000_000_000
_LOW, _HIGH, _BOTH = 1, 2, 3


class Counter:
    """One of them; the sections are those of Intel's data sheet, modes 0 to 5."""

    STATE = (
        *("mode", "access", "decimal", "initial", "written", "write_high", "read_high", "latched", "status", "gate"),
        *("start", "loaded"),
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.gate = 1
        self.reset()

    def reset(self) -> None:
        self.mode, self.access, self.decimal = 0, _BOTH, False
        self.initial = 0x10000
        self.written = 0  # the low byte of a value that is being written
        self.write_high = self.read_high = False
        self.latched = -1
        self.status = -1
        self.start = 0
        self.loaded = False

    def elapsed(self) -> int:
        """Its clock's periods since it was loaded, or since its gate rose."""
        return (self._clock.now() - self.start) * FREQUENCY // _SECOND

    def count(self) -> int:
        """What is in the counting element now."""
        passed, initial = self.elapsed(), self.initial
        if self.mode in (0, 1, 4, 5):
            value = (initial - passed) & 0xFFFF
        elif self.mode == 3:
            value = initial - 2 * passed % initial
        else:
            value = initial - passed % initial
        return self._coded(value & 0xFFFF)

    def _coded(self, value: int) -> int:
        return int(f"{value % 10000:04d}", 16) if self.decimal else value

    def output(self) -> int:
        """The level of its OUT."""
        if not self.loaded:
            return int(self.mode != 0)
        passed, initial = self.elapsed(), self.initial
        if self.mode in (0, 1):
            return int(passed >= initial)
        if self.mode == 2:
            return int(passed % initial != initial - 1)
        if self.mode == 3:
            return int(passed % initial < (initial + 1) // 2)
        return int(passed != initial)

    def next_rise(self) -> int | None:
        """When its output rises next."""
        if not self.loaded or not self.gate:
            return None
        passed = self.elapsed()
        if self.mode in (2, 3):
            periods = (passed // self.initial + 1) * self.initial
        elif passed < self.initial:
            periods = self.initial
        else:
            return None
        return self.start - -(periods * _SECOND) // FREQUENCY

    def control(self, value: int) -> None:
        """A control word; access 0 latches the count."""
        access = value >> 4 & 3
        if not access:
            if self.latched < 0:
                self.latched = self.count()
            return
        self.access, self.decimal = access, bool(value & 1)
        self.mode = (0, 1, 2, 3, 4, 5, 2, 3)[value >> 1 & 7]
        self.write_high = self.read_high = self.loaded = False
        self.latched = self.status = -1

    def latch_status(self) -> None:
        self.status = self.output() << 7 | (not self.loaded) << 6 | self.access << 4 | self.mode << 1 | self.decimal

    def read(self) -> int:
        if self.status >= 0:
            value, self.status = self.status, -1
            return value
        value = self.latched if self.latched >= 0 else self.count()
        high = self.access == _HIGH or (self.access == _BOTH and self.read_high)
        if self.access == _BOTH:
            self.read_high = not self.read_high
        if self.access != _BOTH or not self.read_high:
            self.latched = -1
        return value >> 8 if high else value & 0xFF

    def write(self, value: int) -> None:
        if self.access == _LOW:
            self._load(value)
        elif self.access == _HIGH:
            self._load(value << 8)
        elif self.write_high:
            self.write_high = False
            self._load(self.written | value << 8)
        else:
            self.written, self.write_high = value, True

    def _load(self, value: int) -> None:
        if self.decimal:
            value = int(f"{value:x}".translate(str.maketrans("abcdef", "999999")))
        self.initial = value or (10000 if self.decimal else 0x10000)
        self.start, self.loaded = self._clock.now(), True

    def set_gate(self, gate: int) -> None:
        if gate and not self.gate and self.mode in (1, 2, 3, 5):
            self.start = self._clock.now()
        self.gate = gate


class I8254(Device):
    """Ports 0x40 to 0x43; the first counter's output is an interrupt line."""

    kind = "isa-pit"

    def __init__(self, name: str, line: Line, clock: Clock) -> None:
        super().__init__(name, 4)
        self.sizes = frozenset((1,))
        self.counters = [Counter(clock) for _ in range(3)]
        self.counters[2].gate = 0
        self._line = line
        self._timer = clock.timer(f"{name}.0", self._rise)

    def read(self, offset: int, size: int) -> int:
        return self.counters[offset].read() if offset < 3 else 0

    def write(self, offset: int, size: int, value: int) -> None:
        if offset < 3:
            self.counters[offset].write(value)
        elif value >> 6 == 3:  # read-back
            for number, counter in enumerate(self.counters):
                if value >> number + 1 & 1:
                    if not value & 0x20 and counter.latched < 0:
                        counter.latched = counter.count()
                    if not value & 0x10:
                        counter.latch_status()
        else:
            self.counters[value >> 6].control(value)
        if offset == 0 or (offset == 3 and value >> 6 == 0):
            self._arm()

    def _arm(self) -> None:
        self._timer.set(self.counters[0].next_rise())
        self._line.set(self.counters[0].output() if self.counters[0].mode == 0 else 0)

    def _rise(self) -> None:
        self._line.set(0)
        self._line.set(1)
        if self.counters[0].mode != 0:
            self._line.set(0)
        self._timer.set(self.counters[0].next_rise())

    def reset(self) -> None:
        for counter in self.counters:
            counter.reset()
        self._timer.cancel()
        self._line.set(0)

    def save(self) -> dict[str, object]:
        return {"counters": [give_state(counter, Counter.STATE) for counter in self.counters]}

    def load(self, state: dict[str, object]) -> None:
        saved = state.get("counters")
        if not isinstance(saved, list) or len(saved) != 3:
            raise DeviceError(f"{self.name}: the saved state is of another timer")
        for counter, values in zip(self.counters, saved, strict=True):
            take_state(self.name, counter, Counter.STATE, values)


class PortB(Device):
    """Port 0x61: the speaker's gate, the third counter's output, and a bit that changes as memory is refreshed."""

    kind = "isa-port-b"
    STATE = ("value", "refresh")

    def __init__(self, name: str, timer: I8254) -> None:
        super().__init__(name, 1)
        self.sizes = frozenset((1,))
        self.value = 0
        self.refresh = 0
        self._timer = timer

    def read(self, offset: int, size: int) -> int:
        self.refresh ^= 0x10
        return self.value | self.refresh | self._timer.counters[2].output() << 5

    def write(self, offset: int, size: int, value: int) -> None:
        self.value = value & 0x0F
        self._timer.counters[2].set_gate(value & 1)

    def reset(self) -> None:
        self.value = self.refresh = 0
