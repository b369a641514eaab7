"""Intel's 8259A interrupt controller, and the pair of them in a PC.  The sections are those of Intel's data sheet."""

from __future__ import annotations

from runtime.hw.device import Device
from runtime.hw.irq import Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CASCADE = 2
_SPURIOUS = 7


class I8259(Device):
    """One chip, at two ports; `output` is its INT wire.

    requests   lines that are up, or were, when edges count (IRR); `level_triggered` is the PC's ELCR
    """

    kind = "isa-i8259"
    STATE = (
        *("requests", "levels", "serving", "mask", "base", "level_triggered", "lowest", "auto_end", "rotate_auto"),
        *("special_mask", "special_nested", "read_serving", "poll", "step", "single", "needs_fourth"),
    )

    def __init__(self, name: str, output: Callable[[int], None], master: bool) -> None:
        super().__init__(name, 2)
        self.sizes = frozenset((1,))
        self.master = master
        self._output = output
        self.slave: I8259 | None = None
        self.level_triggered = 0
        self.reset()

    def reset(self) -> None:
        self.requests = self.levels = self.serving = self.base = 0
        self.mask = 0xFF  # firmware initialises it before it lets interrupts in
        self.lowest = 7  # the priority 7 of a rotated order
        self.auto_end = self.rotate_auto = self.special_mask = self.special_nested = False
        self.read_serving = self.poll = self.single = self.needs_fourth = False
        self.step = 0  # which initialisation word comes next; 0: none
        self._update()

    def line(self, number: int) -> Line:
        """The wire to an input."""
        return Line(f"{self.name}.{number}", lambda level: self.set_input(number, level))

    def set_input(self, number: int, level: int) -> None:
        """An input's level changed: an edge upwards is a request, and so is the level where that counts."""
        bit = 1 << number
        if level:
            if not self.levels & bit or self.level_triggered & bit:
                self.requests |= bit
            self.levels |= bit
        else:
            self.levels &= ~bit
            if self.level_triggered & bit:
                self.requests &= ~bit
        self._update()

    # ------------------------------------------------------------ priorities

    def _rank(self, bits: int) -> int | None:
        """The input of highest priority among `bits`."""
        for number in range(8):
            line = (self.lowest + 1 + number) & 7
            if bits >> line & 1:
                return line
        return None

    def _order(self, line: int) -> int:
        return (line - self.lowest - 1) & 7

    def pending(self) -> int | None:
        """The request that would interrupt now."""
        line = self._rank(self.requests & ~self.mask)
        if line is None:
            return None
        serving = self.serving & ~self.mask if self.special_mask else self.serving
        if self.special_nested and self.master:
            serving &= ~(1 << _CASCADE)  # requests of higher priority from the slave being served
        current = self._rank(serving)
        return line if current is None or self._order(line) < self._order(current) else None

    def _update(self) -> None:
        self._output(int(self.pending() is not None))

    def _serve(self, line: int) -> None:
        bit = 1 << line
        if self.auto_end:
            if self.rotate_auto:
                self.lowest = line
        else:
            self.serving |= bit
        if not self.level_triggered & bit:
            self.requests &= ~bit
        self._update()

    def acknowledge(self) -> int:
        """INTA: the vector, of the slave if the request comes from it."""
        line = self.pending()
        if line is None:
            return self.base | _SPURIOUS
        if self.slave is not None and line == _CASCADE:
            vector = self.slave.acknowledge()
            self._serve(line)
            return vector
        self._serve(line)
        return self.base | line

    # ------------------------------------------------------------ ports

    def read(self, offset: int, size: int) -> int:
        if self.poll:
            self.poll = False
            line = self.pending()
            if line is None:
                return 0
            self._serve(line)
            return 0x80 | line
        if offset:
            return self.mask
        return self.serving if self.read_serving else self.requests

    def write(self, offset: int, size: int, value: int) -> None:
        if not offset and value & 0x10:  # ICW1
            levels = self.levels
            self.reset()
            self.levels, self.mask = levels, 0
            self.single, self.needs_fourth = bool(value & 2), bool(value & 1)
            self.step = 2
        elif offset and self.step:
            self._initialise(value)
        elif offset:
            self.mask = value
        elif value & 8:
            self._third_command(value)
        else:
            self._second_command(value >> 5, value & 7)
        self._update()

    def _initialise(self, value: int) -> None:
        """ICW2 to ICW4."""
        if self.step == 2:
            self.base = value & 0xF8
            self.step = 3 if not self.single else 4 if self.needs_fourth else 0
        elif self.step == 3:  # who is cascaded where: a PC's wiring
            self.step = 4 if self.needs_fourth else 0
        else:
            self.auto_end, self.special_nested = bool(value & 2), bool(value & 0x10)
            self.step = 0

    def _second_command(self, command: int, line: int) -> None:
        """OCW2: ends of interrupts, rotation."""
        if command in (0, 4):
            self.rotate_auto = command == 4
        elif command in (1, 5):  # not specific
            served = self._rank(self.serving & ~self.mask if self.special_mask else self.serving)
            if served is not None:
                self.serving &= ~(1 << served)
                if command == 5:
                    self.lowest = served
        elif command in (3, 7):
            self.serving &= ~(1 << line)
            if command == 7:
                self.lowest = line
        elif command == 6:
            self.lowest = line

    def _third_command(self, value: int) -> None:
        """OCW3: what is read, polling, the special mask."""
        self.poll = bool(value & 4)
        if value & 2:
            self.read_serving = bool(value & 1)
        if value & 0x40:
            self.special_mask = bool(value & 0x20)


class EdgeLevelControl(Device):
    """Ports 0x4d0 and 0x4d1: which inputs of the two chips are level-triggered."""

    kind = "isa-elcr"
    #: the timer, keyboard, cascade, clock and coprocessor are edges whatever is written
    _CHANGEABLE = (0xF8, 0xDE)

    def __init__(self, name: str, chips: tuple[I8259, I8259]) -> None:
        super().__init__(name, 2)
        self.sizes = frozenset((1,))
        self._chips = chips

    def read(self, offset: int, size: int) -> int:
        return self._chips[offset].level_triggered

    def write(self, offset: int, size: int, value: int) -> None:
        self._chips[offset].level_triggered = value & self._CHANGEABLE[offset]

    def reset(self) -> None:
        for chip in self._chips:
            chip.level_triggered = 0


def make_pair(output: Callable[[int], None]) -> tuple[I8259, I8259]:
    """Master and slave; `output` is the processor's INTR."""
    master = I8259("pic0", output, True)
    slave = I8259("pic1", lambda level: master.set_input(_CASCADE, level), False)
    master.slave = slave
    return master, slave
