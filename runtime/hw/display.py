"""A screen: the picture that a graphics device shows, for screendumps and whoever sends it to a viewer."""

from __future__ import annotations

import struct
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Display", "png"]


class Display:
    """What is seen now: pixels of four bytes, whose red, green and blue stand at the places that `order` gives.

    on_change(x, y, width, height)   somebody who wants to know of each change; a size of zero: the screen has another
                                     size, or nothing is shown
    poll                             memory that processors write shows no changes of itself: whoever watches such a
                                     screen calls this now and then, and hears of what is new
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.width = self.height = 0
        self.order = (2, 1, 0)
        self._pixels: Callable[[], bytes | bytearray | memoryview] = lambda: b""
        self.on_change: list[Callable[[int, int, int, int], None]] = []
        self.poll: Callable[[], None] | None = None

    def show(
        self,
        width: int,
        height: int,
        order: tuple[int, int, int],
        pixels: Callable[[], bytes | bytearray | memoryview],
    ) -> None:
        """The device shows another picture; `pixels` gives its rows, one behind the other."""
        self.width, self.height, self.order, self._pixels = width, height, order, pixels
        self.changed(0, 0, 0, 0)

    def blank(self) -> None:
        """The device shows nothing."""
        self.show(0, 0, (2, 1, 0), lambda: b"")

    def changed(self, x: int, y: int, width: int, height: int) -> None:
        """Part of the picture is another than before."""
        for listener in self.on_change:
            listener(x, y, width, height)

    def pixels(self) -> bytes | bytearray | memoryview:
        """The picture as the device has it."""
        return self._pixels()

    def rgb(self, x: int = 0, y: int = 0, width: int | None = None, height: int | None = None) -> bytes:
        """Three bytes a pixel: red, green, blue; the whole picture or a part of it."""
        width = self.width - x if width is None else width
        height = self.height - y if height is None else height
        pixels = memoryview(self._pixels())
        result = bytearray(3 * width * height)
        stride = 4 * self.width
        if width == self.width:
            part = bytes(pixels[y * stride : (y + height) * stride])
        else:
            rows = range(y * stride + 4 * x, (y + height) * stride + 4 * x, stride)
            part = b"".join(pixels[row : row + 4 * width] for row in rows)
        for colour, place in enumerate(self.order):
            result[colour::3] = part[place::4]
        return bytes(result)

    def png(self) -> bytes:
        """The picture as a PNG file; a black point if nothing is shown."""
        return png(self.width, self.height, self.rgb()) if self.width else png(1, 1, bytes(3))


def png(width: int, height: int, rgb: bytes) -> bytes:
    """A PNG file (ISO/IEC 15948) of three bytes a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    stride = 3 * width
    lines = b"".join(b"\0" + rgb[row : row + stride] for row in range(0, stride * height, stride))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 6)) + chunk(b"IEND", b"")
