"""The 16550A UART: FIFOs, interrupts, loop-back.  The sections are those of National Semiconductor's PC16550D."""

from __future__ import annotations

from runtime.hw.device_tree import Node
from runtime.hw.registers import Field, Register, RegisterDevice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.characters import Characters
    from runtime.hw.clock import Clock
    from runtime.hw.device_tree import Place
    from runtime.hw.irq import Line

#: the crystal, Hz; sixteen of its cycles a bit at divisor 1
FREQUENCY = 3_686_400
_FIFO = 16
#: what drivers access for each character: where it is sent, and whether it may be
_THR, _LSR = 0, 5
_TRIGGERS = (1, 4, 8, 14)
#: interrupt identification, section 8.5, by priority
_LINE_STATUS, _DATA, _TIME_OUT, _EMPTY, _MODEM, _NONE = 0x6, 0x4, 0xC, 0x2, 0x0, 0x1


class Ns16550(RegisterDevice):
    """A UART between `characters` and the guest.  What is sent leaves at once."""

    kind = "ns16550a"
    REGISTERS = (
        Register("RBR", 0, 1, access="ro", bank="read"),
        Register("THR", 0, 1, access="wo", bank="write"),
        Register("DLL", 0, 1, bank="latch", reset=12),
        Register(
            "IER",
            1,
            1,
            bank="data",
            writable=0x0F,
            fields=(Field("DATA", 0), Field("EMPTY", 1), Field("LINE", 2), Field("MODEM", 3)),
        ),
        Register("DLM", 1, 1, bank="latch"),
        Register(
            "IIR",
            2,
            1,
            access="ro",
            bank="read",
            reset=1,
            fields=(Field("NONE", 0), Field("ID", 1, 3), Field("FIFO", 6, 2)),
        ),
        Register(
            "FCR",
            2,
            1,
            bank="write",
            fields=(Field("ENABLE", 0), Field("CLEAR_IN", 1), Field("CLEAR_OUT", 2), Field("TRIGGER", 6, 2)),
        ),
        Register(
            "LCR",
            3,
            1,
            fields=(Field("BITS", 0, 2), Field("STOP", 2), Field("PARITY", 3, 3), Field("BREAK", 6), Field("DLAB", 7)),
        ),
        Register(
            "MCR",
            4,
            1,
            writable=0x1F,
            fields=(Field("DTR", 0), Field("RTS", 1), Field("OUT1", 2), Field("OUT2", 3), Field("LOOP", 4)),
        ),
        Register(
            "LSR",
            5,
            1,
            access="ro",
            reset=0x60,
            fields=(Field("READY", 0), Field("OVERRUN", 1), Field("BREAK", 4), Field("EMPTY", 5), Field("IDLE", 6)),
        ),
        Register(
            "MSR",
            6,
            1,
            access="ro",
            reset=0xB0,
            fields=(Field("CHANGES", 0, 4), Field("CTS", 4), Field("DSR", 5), Field("RI", 6), Field("DCD", 7)),
        ),
        Register("SCR", 7, 1),
    )
    STATE = ("received", "empty_pending", "timed_out")

    def __init__(self, name: str, characters: Characters, line: Line, clock: Clock, size: int = 0x100) -> None:
        super().__init__(name, size)
        self.characters = characters
        self.received = bytearray()
        self.empty_pending = False  # the transmitter ran empty and nobody has looked
        self.timed_out = False  # characters below the trigger level have waited long enough
        self._line = line
        self._timer = clock.timer(f"{name}.timeout", self._time_out)
        characters.connect(self._receive, self.room)
        characters.on_break = self._break

    def bank(self, offset: int, write: bool) -> str:
        if offset < 2 and self.field("LCR", "DLAB"):
            return "latch"
        if offset == 1:
            return "data"
        return "write" if write else "read"

    def read(self, offset: int, size: int) -> int:
        if offset == _LSR and self.log is None:
            return self.read_lsr()
        return super().read(offset, 1)  # eight data lines, whatever the access

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == _THR and self.log is None and not self.field("LCR", "DLAB"):
            self.value["THR"] = value & 0xFF
            self.write_thr(value & 0xFF)
            return
        super().write(offset, 1, value & 0xFF)

    # ------------------------------------------------------------ the outside

    @property
    def _depth(self) -> int:
        return _FIFO if self.field("FCR", "ENABLE") else 1

    def room(self) -> int:
        """How many characters can be taken now."""
        return 0 if self.field("MCR", "LOOP") else max(0, self._depth - len(self.received))

    def _receive(self, data: bytes) -> None:
        self._take(data)
        self._update()

    def _take(self, data: bytes) -> None:
        for byte in data:
            if len(self.received) >= self._depth:
                self.set_field("LSR", "OVERRUN", 1)
            else:
                self.received.append(byte)
        self.timed_out = False
        if self.received:
            self._timer.set_after(4 * self._character_time())

    def _break(self) -> None:
        self._take(b"\0")
        self.set_field("LSR", "BREAK", 1)
        self._update()

    def _character_time(self) -> int:
        """Nanoseconds that ten bits take."""
        divisor = (self.value["DLM"] << 8 | self.value["DLL"]) or 1
        return 10 * 16 * divisor * 1_000_000_000 // FREQUENCY

    def _time_out(self) -> None:
        self.timed_out = bool(self.received)
        self._update()

    # ------------------------------------------------------------ registers

    def read_rbr(self) -> int:
        if not self.received:
            return 0
        byte = self.received.pop(0)
        self.timed_out = False
        if self.received:
            self._timer.set_after(4 * self._character_time())
        else:
            self._timer.cancel()
        self.characters.accept()
        self._update()
        return byte

    def write_thr(self, value: int) -> None:
        if self.field("MCR", "LOOP"):
            self._take(bytes((value,)))
        else:
            self.characters.write(bytes((value,)))
        self.empty_pending = True
        self._update()

    def write_ier(self, value: int) -> None:
        if value & 2:
            self.empty_pending = True  # section 8.7: enabling it finds the transmitter empty
        self._update()

    def read_iir(self) -> int:
        found = self._interrupt()
        if found == _EMPTY:
            self.empty_pending = False
            self._update()
        return found | (0xC0 if self.field("FCR", "ENABLE") else 0)

    def write_fcr(self, value: int) -> None:
        if value & 2 or not value & 1:
            self.received.clear()
            self.timed_out = False
            self._timer.cancel()
        self.value["FCR"] = value & 0xC9 if value & 1 else 0
        self.characters.accept()
        self._update()

    def write_mcr(self, value: int) -> None:
        if value & 0x10:  # loop-back: section 8.6, the outputs feed the inputs
            status = (value & 2) << 3 | (value & 1) << 5 | (value & 4) << 4 | (value & 8) << 4
        else:
            status = 0xB0
        before = self.value["MSR"]
        changes = (before ^ status) >> 4 & 0xB | (before & ~status) >> 4 & 4
        self.value["MSR"] = status | before & 0xF | changes
        self.characters.accept()
        self._update()

    def read_lsr(self) -> int:
        value = self.value["LSR"] & ~1 | bool(self.received)
        if self.value["LSR"] & 0x1E:
            self.value["LSR"] &= ~0x1E
            self._update()
        return value

    def read_msr(self) -> int:
        value = self.value["MSR"]
        if value & 0xF:
            self.value["MSR"] = value & 0xF0
            self._update()
        return value

    # ------------------------------------------------------------ interrupts

    def _interrupt(self) -> int:
        enabled = self.value["IER"]
        if enabled & 4 and self.value["LSR"] & 0x1E:
            return _LINE_STATUS
        if enabled & 1 and self.received:
            if not self.field("FCR", "ENABLE") or len(self.received) >= _TRIGGERS[self.field("FCR", "TRIGGER")]:
                return _DATA
            if self.timed_out:
                return _TIME_OUT
        if enabled & 2 and self.empty_pending:
            return _EMPTY
        if enabled & 8 and self.value["MSR"] & 0xF:
            return _MODEM
        return _NONE

    def _update(self) -> None:
        self._line.set(self._interrupt() != _NONE)

    def reset(self) -> None:
        super().reset()
        self.received.clear()
        self.empty_pending = self.timed_out = False
        self._timer.cancel()
        self._update()
        self.characters.accept()

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        self._update()
        self.characters.accept()

    def device_tree_node(self, place: Place) -> Node:
        return place.node("serial", "ns16550a").set("clock-frequency", FREQUENCY)

    def describe(self) -> str:
        return f"chardev {self.characters.describe()}"

    def close(self) -> None:
        self.characters.close()
