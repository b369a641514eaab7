"""A port that firmware prints to (0x402 is SeaBIOS's, 0xe9 Bochs'), and one that ends the machine with a status."""

from __future__ import annotations

from runtime.hw.device import Device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.hw.device import Platform

#: what tells a guest that somebody listens
_HERE = 0xE9


class DebugConsole(Device):
    """What is written goes to `write`, a byte at a time."""

    kind = "isa-debugcon"

    def __init__(self, name: str, write: Callable[[bytes], object]) -> None:
        super().__init__(name, 1)
        self._write = write

    def read(self, offset: int, size: int) -> int:
        return _HERE

    def write(self, offset: int, size: int, value: int) -> None:
        self._write(value.to_bytes(size, "little"))


class DebugExit(Device):
    """A value n written here ends the machine with exit status 2 n + 1."""

    kind = "isa-debug-exit"

    def __init__(self, name: str, platform: Platform, size: int = 4) -> None:
        super().__init__(name, size)
        self._platform = platform

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        self._platform.power_off((value << 1 | 1) & 0xFF)
