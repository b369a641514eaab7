"""Who sits before a machine: its screen, and the keyboards and pointers that the user's hands are at."""

from __future__ import annotations

from runtime.hw.keys import SHIFT_CODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    from runtime.hw.display import Display

    class Keyboard(Protocol):
        """A device with keys; codes are Linux's."""

        def key(self, code: int, pressed: bool) -> None: ...

    class Pointer(Protocol):
        """A device with buttons, by name, that can be moved."""

        def button(self, name: str, pressed: bool) -> None: ...

        def wheel(self, steps: int) -> None: ...

        def move(self, x: int, y: int) -> None: ...


__all__ = ["Seat"]

_BUTTONS = ("left", "middle", "right")


class Seat:
    """One screen, and the first keyboard and pointer; a tablet is preferred to a mouse, for it knows where it is."""

    def __init__(self, devices: Iterable[Any]) -> None:
        self.displays: list[Display] = []
        self.keyboard: Keyboard | None = None
        self.pointer: Pointer | None = None
        self._end = 0  # a tablet's coordinates go to here; 0: a mouse
        self._down: dict[int, None] = {}
        self._buttons = 0
        self._place = (0, 0)
        for device in devices:
            if hasattr(device, "display"):
                self.displays.append(device.display)
            if hasattr(device, "key") and self.keyboard is None:
                self.keyboard = device
            if hasattr(device, "move") and hasattr(device, "wheel"):
                end = getattr(device, "end", 0)
                if self.pointer is None or (end and not self._end):
                    self.pointer, self._end = device, end

    # ------------------------------------------------------------ keys

    @property
    def shifted(self) -> bool:
        """Whether a shift key is down."""
        return any(code in self._down for code in SHIFT_CODES)

    def key(self, code: int, pressed: bool) -> None:
        """A key goes down or up."""
        if pressed:
            self._down[code] = None
        else:
            self._down.pop(code, None)
        if self.keyboard is not None:
            self.keyboard.key(code, pressed)

    def press(self, codes: Iterable[int]) -> None:
        """Keys go down together, and up again."""
        held = list(codes)
        for code in held:
            self.key(code, True)
        for code in reversed(held):
            self.key(code, False)

    def let_go(self) -> None:
        """Nobody touches anything any more."""
        for code in list(self._down):
            self.key(code, False)
        self._press_buttons(0)

    # ------------------------------------------------------------ pointer

    def point(self, x: int, y: int, buttons: int, width: int, height: int) -> None:
        """The user's pointer is at a pixel of a screen of this size; buttons: left, middle, right, wheel up, down."""
        pointer = self.pointer
        if pointer is None:
            return
        if (x, y) != self._place:
            if self._end:
                pointer.move(_scaled(x, width, self._end), _scaled(y, height, self._end))
            else:
                pointer.move(x - self._place[0], y - self._place[1])
            self._place = x, y
        self._press_buttons(buttons)

    def _press_buttons(self, buttons: int) -> None:
        if self.pointer is None:
            return
        changed, self._buttons = buttons ^ self._buttons, buttons
        for bit, name in enumerate(_BUTTONS):
            if changed >> bit & 1:
                self.pointer.button(name, bool(buttons >> bit & 1))
        for bit, steps in ((3, 1), (4, -1)):
            if (changed & buttons) >> bit & 1:
                self.pointer.wheel(steps)


def _scaled(place: int, size: int, end: int) -> int:
    return min(max(place, 0), size - 1) * end // max(size - 1, 1)
