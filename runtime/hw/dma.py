"""Guest memory as devices see it: RAM and nothing else, each access checked against its bounds."""

from __future__ import annotations

from runtime.core.accelerator import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.hw.bus import AddressSpace


class DmaError(BusError):
    """A device was told to reach where there is no RAM."""


class Dma:
    """What a bus-mastering device reaches: the RAM of a space, never its devices.

    An access may run over several adjoining memories.  `on_write` hears of every store, for there may be code.
    """

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._listeners: list[Callable[[int, int], None]] = []

    def on_write(self, listener: Callable[[int, int], None]) -> None:
        """Call `listener(address, size)` behind each store."""
        self._listeners.append(listener)

    def view(self, address: int, size: int, write: bool = False) -> memoryview:
        """The bytes themselves, where they lie in one memory; DmaError.  Behind a store say `written`."""
        piece = self._space.find(address, size) if size > 0 and address >= 0 else None
        if piece is None or piece.region.memory is None or (write and not piece.region.writable):
            raise DmaError(address, size)
        offset = address - piece.start + piece.offset
        return piece.region.memory.bytes[offset : offset + size]

    def written(self, address: int, size: int) -> None:
        """Somebody stored through a view."""
        for listener in self._listeners:
            listener(address, size)

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes; DmaError if one of them is no RAM."""
        if size == 0:
            return b""
        piece = self._space.find(address, size) if size > 0 and address >= 0 else None
        if piece is not None:
            return bytes(self.view(address, size))
        return b"".join(bytes(self.view(start, length)) for start, length in self._parts(address, size))

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store all of `data`, or nothing: DmaError if one byte of it would not go to RAM."""
        size = len(data)
        if size == 0:
            return
        if self._space.find(address, size) is not None:
            self.view(address, size, True)[:] = data
        else:
            parts = [(start, self.view(start, length, True)) for start, length in self._parts(address, size)]
            for start, view in parts:
                view[:] = data[start - address : start - address + len(view)]
        self.written(address, size)

    def check(self, address: int, size: int) -> None:
        """DmaError unless all of it is RAM."""
        for start, length in self._parts(address, size) if size else ():
            self.view(start, length, True)

    def _parts(self, address: int, size: int) -> list[tuple[int, int]]:
        """An access cut where one memory ends and the next begins."""
        parts, at = [], address
        while at < address + size:
            piece = self._space.find(at) if at >= 0 else None
            if piece is None:
                raise DmaError(address, size)
            length = min(piece.end, address + size) - at
            parts.append((at, length))
            at += length
        if not parts:
            raise DmaError(address, size)
        return parts

    def read_int(self, address: int, size: int) -> int:
        """A little-endian number."""
        return int.from_bytes(self.read(address, size), "little")

    def write_int(self, address: int, size: int, value: int) -> None:
        """Store one, cut to its size."""
        self.write(address, (value & ((1 << 8 * size) - 1)).to_bytes(size, "little"))
