"""Pixels as a viewer wants them (RFC 6143, section 7.4): any width, order and number of bits of the colours."""

from __future__ import annotations

import struct

from runtime.core.record import record

__all__ = ["BLUE_GREEN_RED", "COLOUR_MAP", "PixelFormat", "colour_map_entries", "convert", "read_format"]

_FORMAT = struct.Struct(">BBBBHHHBBBxxx")
_BITS = (8, 16, 32)


@record
class PixelFormat:
    """A pixel of `bits`; each colour is a number from 0 to its `most`, shifted left."""

    bits: int
    depth: int
    big_endian: bool
    most: tuple[int, int, int]
    shifts: tuple[int, int, int]

    @property
    def size(self) -> int:
        """In bytes."""
        return self.bits // 8

    def packed(self) -> bytes:
        """PIXEL_FORMAT."""
        return _FORMAT.pack(self.bits, self.depth, self.big_endian, 1, *self.most, *self.shifts)

    @property
    def compact(self) -> tuple[int, int]:
        """The bytes of a pixel that ZRLE sends (7.7.5), as a range: three of four, if the colours lie within three."""
        if self.bits == 32 and self.depth <= 24:
            used = 0
            for most, shift in zip(self.most, self.shifts, strict=True):
                used |= most << shift
            if used < 1 << 24:
                return (1, 4) if self.big_endian else (0, 3)
            if used & 0xFF == 0:
                return (0, 3) if self.big_endian else (1, 4)
        return 0, self.size


#: what is told to viewers that do not say what they want
BLUE_GREEN_RED = PixelFormat(32, 24, False, (255, 255, 255), (16, 8, 0))
#: what viewers with a colour map get: a map that holds these bits' colours
COLOUR_MAP = PixelFormat(8, 8, False, (7, 7, 3), (0, 3, 6))


def read_format(data: bytes) -> tuple[PixelFormat, bool]:
    """What SetPixelFormat says, and whether it wants a colour map; ValueError."""
    bits, depth, big, true, *rest = _FORMAT.unpack(data)
    if bits not in _BITS:
        raise ValueError(f"pixels of {bits} bits")
    if not true:
        return COLOUR_MAP, True
    red, green, blue, *shifts = rest
    if any(shift >= bits for shift in shifts):
        raise ValueError("colours beyond the pixel")
    return PixelFormat(bits, depth, bool(big), (red, green, blue), (shifts[0], shifts[1], shifts[2])), False


def colour_map_entries() -> bytes:
    """The colours of COLOUR_MAP's 256 values, 16 bits each."""
    data = b""
    for value in range(256):
        for most, shift in zip(COLOUR_MAP.most, COLOUR_MAP.shifts, strict=True):
            data += ((value >> shift & most) * 0xFFFF // most).to_bytes(2, "big")
    return data


def convert(rgb: bytes, wanted: PixelFormat) -> bytes:
    """Pixels from three bytes each, red, green and blue."""
    count, size = len(rgb) // 3, wanted.size
    result = bytearray(count * size)
    for byte in range(size):
        place = size - 1 - byte if wanted.big_endian else byte
        together = 0
        for colour, (most, shift) in enumerate(zip(wanted.most, wanted.shifts, strict=True)):
            # Each byte of a pixel takes its own bits of each colour: a table says which, for all pixels at once.
            table = bytes(((value * most + 127) // 255 << shift) >> 8 * byte & 0xFF for value in range(256))
            if any(table):
                together |= int.from_bytes(rgb[colour::3].translate(table), "little")
        result[place::size] = together.to_bytes(count, "little")
    return bytes(result)
