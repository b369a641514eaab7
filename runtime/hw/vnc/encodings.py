"""How rectangles of pixels travel (RFC 6143, section 7.7): as they are, compressed, or in tiles that are compressed."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

from runtime.hw.vnc.pixels import PixelFormat, convert

__all__ = ["EXTENDED_KEYS", "NEW_SIZE", "RAW", "ZLIB", "ZRLE", "Encoder", "rectangle"]

RAW, ZLIB, ZRLE = 0, 6, 16
#: pseudo-encodings: the viewer takes another size (7.8.2), and tells scan codes (QEMU's extension)
NEW_SIZE, EXTENDED_KEYS = -223, -258

_TILE = 64
_TILE_RAW, _TILE_SOLID = 0, 1
_convert = lru_cache(maxsize=256)(convert)


def rectangle(x: int, y: int, width: int, height: int, encoding: int) -> bytes:
    """What stands before each rectangle's data."""
    return struct.pack(">HHHHi", x, y, width, height, encoding)


class Encoder:
    """One viewer's: the compressed streams go on from one rectangle to the next."""

    def __init__(self) -> None:
        self._streams = {ZLIB: zlib.compressobj(1), ZRLE: zlib.compressobj(1)}

    def encode(self, encoding: int, rgb: bytes, width: int, wanted: PixelFormat) -> bytes:
        """The data of a rectangle, from three bytes a pixel."""
        if encoding == RAW:
            return convert(rgb, wanted)
        data = convert(rgb, wanted) if encoding == ZLIB else _tiles(rgb, width, wanted)
        stream = self._streams[encoding]
        packed = stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
        return struct.pack(">I", len(packed)) + packed


def _tiles(rgb: bytes, width: int, wanted: PixelFormat) -> bytes:
    """ZRLE's (7.7.6): tiles of one colour, and tiles as they are, whose repetitions are left to zlib."""
    first, last = wanted.compact
    result, stride = bytearray(), 3 * width
    height = len(rgb) // stride if stride else 0
    for top in range(0, height, _TILE):
        rows = range(top, min(top + _TILE, height))
        for left in range(0, stride, 3 * _TILE):
            right = min(left + 3 * _TILE, stride)
            tile = b"".join(rgb[row * stride + left : row * stride + right] for row in rows)
            if tile == tile[:3] * (len(tile) // 3):
                result.append(_TILE_SOLID)
                result += _convert(tile[:3], wanted)[first:last]
                continue
            result.append(_TILE_RAW)
            pixels, size = convert(tile, wanted), wanted.size
            if last - first == size:
                result += pixels
                continue
            compact = bytearray(len(pixels) // size * (last - first))
            for place, byte in enumerate(range(first, last)):
                compact[place :: last - first] = pixels[byte::size]
            result += compact
    return bytes(result)
