"""Motorola's MC146818 clock with its CMOS memory, as a PC has it at ports 0x70 and 0x71."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from runtime.hw.device import Device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.clock import Clock
    from runtime.hw.irq import Line

_SECOND = 1_000_000_000
_SECONDS, _MINUTES, _HOURS, _WEEKDAY, _DAY, _MONTH, _YEAR = 0, 2, 4, 6, 7, 8, 9
_A, _B, _C, _D = 0x0A, 0x0B, 0x0C, 0x0D
CENTURY = 0x32
_BYTES = 128
# Register B: periodic, alarm and update interrupts, binary numbers, 24 hours, no updates.
_PERIODIC, _ALARM, _UPDATE, _BINARY, _FULL_DAY, _SET = 0x40, 0x20, 0x10, 0x04, 0x02, 0x80
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


class Mc146818(Device):
    """`base` is the time in ns since 1970 at the machine's start; `cmos` what firmware finds in the memory."""

    kind = "mc146818rtc"
    STATE = ("index", "memory", "offset")

    def __init__(self, name: str, line: Line, clock: Clock, base: int, cmos: dict[int, int] | None = None) -> None:
        super().__init__(name, 2)
        self.sizes = frozenset((1,))
        self.index = 0
        self.memory = bytearray(_BYTES)
        self.offset = base  # the clock's time less the machine's
        self._base = base
        self._cmos = cmos or {}
        self._line = line
        self._clock = clock
        self._periodic = clock.timer(f"{name}.periodic", self._period)
        self._second = clock.timer(f"{name}.second", self._tick)
        self._power_on()

    def _power_on(self) -> None:
        self.memory[_A], self.memory[_B], self.memory[_D] = 0x26, _FULL_DAY, 0x80
        for place, value in self._cmos.items():
            self.memory[place] = value

    def reset(self) -> None:
        """What is in the memory stays: there is a battery."""
        self.index = 0
        self.memory[_B] &= ~(_PERIODIC | _ALARM | _UPDATE)
        self.memory[_C] = 0
        self._line.set(0)
        self._arm()

    # ------------------------------------------------------------ the time

    def now(self) -> datetime:
        """What the clock shows, to the second."""
        return _UNIX + timedelta(seconds=(self._clock.now() + self.offset) // _SECOND)

    def _coded(self, value: int) -> int:
        return value if self.memory[_B] & _BINARY else value // 10 << 4 | value % 10

    def _plain(self, value: int) -> int:
        return value if self.memory[_B] & _BINARY else (value >> 4) * 10 + (value & 15)

    def _hour(self, hour: int) -> int:
        if self.memory[_B] & _FULL_DAY:
            return self._coded(hour)
        return self._coded((hour + 11) % 12 + 1) | (0x80 if hour >= 12 else 0)

    def _time_field(self, index: int) -> int | None:
        time = self.now()
        fields = {
            _SECONDS: time.second,
            _MINUTES: time.minute,
            _WEEKDAY: time.isoweekday() % 7 + 1,
            _DAY: time.day,
            _MONTH: time.month,
            _YEAR: time.year % 100,
            CENTURY: time.year // 100,
        }
        if index == _HOURS:
            return self._hour(time.hour)
        return self._coded(fields[index]) if index in fields else None

    def _set_time(self, index: int, value: int) -> None:
        """One field is set; a date that does not exist leaves the clock as it was."""
        time = self.now()
        plain = self._plain(value & 0x7F if index == _HOURS else value)
        try:
            if index == _HOURS:
                if not self.memory[_B] & _FULL_DAY:
                    plain = plain % 12 + (12 if value & 0x80 else 0)
                new = time.replace(hour=plain)
            elif index == _YEAR:
                new = time.replace(year=time.year // 100 * 100 + plain)
            elif index == CENTURY:
                new = time.replace(year=plain * 100 + time.year % 100)
            else:
                names = {_SECONDS: "second", _MINUTES: "minute", _DAY: "day", _MONTH: "month"}
                if index not in names:
                    return  # the day of the week follows from the date
                new = time.replace(**{names[index]: plain})  # type: ignore[arg-type] # one name, one number
        except ValueError:
            self.complain(f"register {index:#x} set to {value:#x}: there is no such time")
            return
        self.offset += int((new - time).total_seconds()) * _SECOND

    # ------------------------------------------------------------ ports

    def read(self, offset: int, size: int) -> int:
        if not offset:
            return 0xFF
        index = self.index
        found = self._time_field(index)
        if found is not None:
            return found
        value = self.memory[index]
        if index == _C:
            self.memory[_C] = 0
            self._line.set(0)
        elif index == _A:
            # An update is announced 244 us before it happens.
            late = (self._clock.now() + self.offset) % _SECOND >= _SECOND - 244_000
            return value & 0x7F | (0x80 if late and not self.memory[_B] & _SET else 0)
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        if not offset:
            self.index = value & 0x7F
            return
        index = self.index
        if self._time_field(index) is not None:
            self._set_time(index, value)
        elif index in (_C, _D):
            self.complain(f"store to register {index:#x}, which is read-only")
        else:
            self.memory[index] = value & 0x7F if index == _A else value
            if index in (_A, _B):
                self._arm()

    # ------------------------------------------------------------ interrupts

    def period(self) -> int | None:
        """Nanoseconds between periodic interrupts, as register A has them."""
        rate = self.memory[_A] & 15
        if not rate:
            return None
        rate += 7 if rate < 3 else 0
        return _SECOND * (1 << rate - 1) // 32768

    def _arm(self) -> None:
        period = self.period()
        if self.memory[_B] & _PERIODIC and period:
            self._periodic.set_after(period)
        else:
            self._periodic.cancel()
        if self.memory[_B] & (_ALARM | _UPDATE):
            self._second.set_after(_SECOND - (self._clock.now() + self.offset) % _SECOND)
        else:
            self._second.cancel()
        self._update()

    def _period(self) -> None:
        self.memory[_C] |= _PERIODIC
        self._arm()

    def _tick(self) -> None:
        self.memory[_C] |= _UPDATE
        wanted = ((_SECONDS, 1), (_MINUTES, 3), (_HOURS, 5))
        if all(self.memory[alarm] >= 0xC0 or self.memory[alarm] == self._time_field(field) for field, alarm in wanted):
            self.memory[_C] |= _ALARM
        self._arm()

    def _update(self) -> None:
        if self.memory[_B] & self.memory[_C] & (_PERIODIC | _ALARM | _UPDATE):
            self.memory[_C] |= 0x80
            self._line.set(1)
