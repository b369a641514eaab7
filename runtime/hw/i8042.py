"""Intel's 8042 as a PC's keyboard controller, with a PS/2 keyboard and mouse behind it."""

from __future__ import annotations

from runtime.hw.device import Device
from runtime.hw.keys import scan_codes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.hw.irq import Line

_ACKNOWLEDGE, _RESEND, _PASSED = 0xFA, 0xFE, 0xAA
# Status: output full, command, from the mouse; system flag.
_FULL, _SYSTEM, _COMMAND, _UNLOCKED, _MOUSE = 1, 4, 8, 0x10, 0x20
# The command byte.
_INTERRUPT, _MOUSE_INTERRUPT, _TESTED, _DISABLED, _MOUSE_DISABLED, _TRANSLATE = 1, 2, 4, 0x10, 0x20, 0x40
_ROOM = 64


class Port:
    """A PS/2 device: takes bytes, gives bytes."""

    def __init__(self, identity: bytes) -> None:
        self.identity = identity
        self.enabled = True
        self.awaited: int | None = None  # the command whose argument comes next

    def reset(self) -> None:
        self.enabled, self.awaited = True, None

    def take(self, value: int) -> bytes:
        """What it answers to a byte from the controller."""
        if self.awaited is not None:
            self.awaited = None
            return bytes((_ACKNOWLEDGE,))
        if value == 0xFF:
            self.reset()
            return bytes((_ACKNOWLEDGE, _PASSED)) + self.after_reset()
        if value == 0xF2:
            return bytes((_ACKNOWLEDGE,)) + self.identity
        if value in (0xF4, 0xF5, 0xF6):
            self.enabled = value != 0xF5
            return bytes((_ACKNOWLEDGE,))
        return self.other(value)

    def after_reset(self) -> bytes:
        return b""

    def other(self, value: int) -> bytes:
        return bytes((_RESEND,))


class Keyboard(Port):
    """101 keys, scan codes of set 2."""

    def __init__(self) -> None:
        super().__init__(b"\xab\x83")

    def other(self, value: int) -> bytes:
        if value == 0xEE:
            return b"\xee"
        if value in (0xED, 0xF0, 0xF3):  # lights, set of scan codes, rate: an argument follows
            self.awaited = value
            return bytes((_ACKNOWLEDGE,))
        return bytes((_RESEND,))


class Mouse(Port):
    """Three buttons; it reports when it is told to."""

    def __init__(self) -> None:
        super().__init__(b"\0")
        self.enabled = False

    def reset(self) -> None:
        super().reset()
        self.enabled = False

    def after_reset(self) -> bytes:
        return self.identity

    def other(self, value: int) -> bytes:
        if value in (0xE8, 0xF3):
            self.awaited = value
        if value == 0xE9:
            return bytes((_ACKNOWLEDGE, 0x20 if self.enabled else 0, 2, 100))
        known = value in (0xE6, 0xE7, 0xE8, 0xEA, 0xEB, 0xEC, 0xEE, 0xF0, 0xF3)
        return bytes((_ACKNOWLEDGE if known else _RESEND,))

    def report(self, buttons: int, right: int, up: int) -> bytes:
        """The three bytes of a movement."""
        right, up = (max(-255, min(255, way)) for way in (right, up))
        head = 8 | buttons & 7 | (0x10 if right < 0 else 0) | (0x20 if up < 0 else 0)
        return bytes((head, right & 0xFF, up & 0xFF))


_BUTTONS = {"left": 1, "right": 2, "middle": 4}


class I8042(Device):
    """Port 0x60 is offset 0, port 0x64 offset 4.

    a20       told the level of the A20 gate
    on_reset  the processor's reset, which hangs on an output of the controller
    """

    kind = "i8042"
    STATE = ("command", "outport", "awaited")

    def __init__(self, name: str, lines: tuple[Line, Line], on_reset: Callable[[], None]) -> None:
        super().__init__(name, 5)
        self.sizes = frozenset((1,))
        self.keyboard, self.mouse = Keyboard(), Mouse()
        self.a20: Callable[[int], None] = lambda level: None
        self._lines = lines
        self._on_reset = on_reset
        self._buttons = 0
        self._queue: list[tuple[int, bool]] = []  # bytes for the guest, and whether they are the mouse's
        self.command = self.outport = 0
        self.awaited = 0
        self.reset()

    def reset(self) -> None:
        self.keyboard.reset()
        self.mouse.reset()
        self._queue.clear()
        self.command = _INTERRUPT | _TESTED | _TRANSLATE
        self.outport = 0x03
        self.awaited = 0
        self._update()

    # ------------------------------------------------------------ input from the outside

    def press(self, codes: bytes) -> None:
        """Scan codes of set 1, as the guest is to read them; dropped when nobody reads."""
        if self.keyboard.enabled and not self.command & _DISABLED and len(self._queue) + len(codes) <= _ROOM:
            self._give(codes, False)

    def key(self, code: int, pressed: bool) -> None:
        """A key, by Linux's code, went down or up."""
        scan = scan_codes(code, pressed)
        if scan:
            self.press(scan)

    def move(self, x: int, y: int) -> None:
        """The mouse was moved, to the right and down."""
        self.report(self._buttons, x, -y)

    def button(self, name: str, pressed: bool) -> None:
        """A button of the mouse went down or up."""
        bit = _BUTTONS.get(name, 0)
        self._buttons = self._buttons | bit if pressed else self._buttons & ~bit
        self.report(self._buttons, 0, 0)

    def wheel(self, steps: int) -> None:
        """This mouse has none."""

    def report(self, buttons: int, right: int, up: int) -> None:
        """The mouse moved, or its buttons changed."""
        if self.mouse.enabled and not self.command & _MOUSE_DISABLED and len(self._queue) + 3 <= _ROOM:
            self._give(self.mouse.report(buttons, right, up), True)

    def _give(self, data: bytes, of_mouse: bool) -> None:
        self._queue += [(byte, of_mouse) for byte in data]
        self._update()

    def _update(self) -> None:
        of_mouse = bool(self._queue) and self._queue[0][1]
        keyboard, mouse = self._lines
        keyboard.set(bool(self._queue) and not of_mouse and bool(self.command & _INTERRUPT))
        mouse.set(of_mouse and bool(self.command & _MOUSE_INTERRUPT))

    # ------------------------------------------------------------ ports

    def read(self, offset: int, size: int) -> int:
        if offset == 4:
            status = _UNLOCKED | (self.command & _TESTED)
            if self._queue:
                status |= _FULL | (_MOUSE if self._queue[0][1] else 0)
            return status
        if offset or not self._queue:
            return 0
        value, _ = self._queue.pop(0)
        for line in self._lines:  # the next byte is another edge
            line.set(0)
        self._update()
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == 4:
            self._obey(value)
        elif offset == 0:
            awaited, self.awaited = self.awaited, 0
            self._data(awaited, value)
        self._update()

    def _obey(self, value: int) -> None:
        """A command to the controller."""
        answers = {0xAA: 0x55, 0xA9: 0, 0xAB: 0, 0xC0: 0x80, 0xD0: self.outport, 0x20: self.command}
        if value in answers:
            if value == 0xAA:
                self.command |= _TESTED
            self._give(bytes((answers[value],)), False)
        elif value in (0x60, 0xD1, 0xD2, 0xD3, 0xD4):
            self.awaited = value
        elif value in (0xA7, 0xA8):
            self.command = self.command & ~_MOUSE_DISABLED | (_MOUSE_DISABLED if value == 0xA7 else 0)
        elif value in (0xAD, 0xAE):
            self.command = self.command & ~_DISABLED | (_DISABLED if value == 0xAD else 0)
        elif value in (0xDD, 0xDF):
            self._set_outport(self.outport & ~2 | (2 if value == 0xDF else 0))
        elif value >= 0xF0 and not value & 1:
            self._on_reset()
        elif value < 0xF0:
            self.complain(f"command {value:#x}, which there is none of")

    def _data(self, awaited: int, value: int) -> None:
        if awaited == 0x60:
            self.command = value
        elif awaited == 0xD1:
            self._set_outport(value)
        elif awaited in (0xD2, 0xD3):
            self._give(bytes((value,)), awaited == 0xD3)
        elif awaited == 0xD4:
            self.command &= ~_MOUSE_DISABLED
            self._give(self.mouse.take(value), True)
        else:
            self.command &= ~_DISABLED
            self._give(self.keyboard.take(value), False)

    def _set_outport(self, value: int) -> None:
        if (value ^ self.outport) & 2:
            self.a20(value >> 1 & 1)
        self.outport = value
        if not value & 1:
            self._on_reset()


class FastGate(Device):
    """Port 0x92: the A20 gate and the processor's reset, without the keyboard controller's slowness."""

    kind = "port92"
    STATE = ("value",)

    def __init__(self, name: str, on_reset: Callable[[], None]) -> None:
        super().__init__(name, 1)
        self.sizes = frozenset((1,))
        self.value = 2
        self._on_reset = on_reset

    def read(self, offset: int, size: int) -> int:
        return self.value

    def write(self, offset: int, size: int, value: int) -> None:
        rises = value & ~self.value & 1
        self.value = value & 2
        if rises:
            self._on_reset()

    def reset(self) -> None:
        self.value = 2
