"""VGA's 256 KiB: four planes behind the window at 0xA0000, with its read and write modes (IBM's PS/2 manual, VGA)."""

from __future__ import annotations

__all__ = ["PLANE", "Planes"]

PLANE = 0x10000
_SPREAD = [sum(0xFF << 8 * plane for plane in range(4) if bits >> plane & 1) for bits in range(16)]


class Planes:
    """The planes, one behind the other.  `graphics` and `sequencer` are the controllers' registers."""

    def __init__(self, graphics: bytearray, sequencer: bytearray) -> None:
        self.data = bytearray(4 * PLANE)
        self.graphics = graphics
        self.sequencer = sequencer
        self.latch = 0

    def plane(self, number: int) -> memoryview:
        return memoryview(self.data)[number * PLANE : (number + 1) * PLANE]

    def _place(self, offset: int) -> tuple[int, int | None]:
        """Which byte of the planes, and which plane where the address chooses it (chain 4; odd and even)."""
        if self.sequencer[4] & 8:
            return offset & ~3 & PLANE - 1, offset & 3
        if not self.sequencer[4] & 4:
            return offset & ~1 & PLANE - 1, offset & 1
        return offset & PLANE - 1, None

    def read(self, offset: int) -> int:
        """A byte, by read mode 0 or 1; all four planes' go to the latches."""
        place, plane = self._place(offset)
        data, graphics = self.data, self.graphics
        if plane is not None and self.sequencer[4] & 8:
            return data[plane * PLANE + place]
        self.latch = sum(data[number * PLANE + place] << 8 * number for number in range(4))
        if plane is not None:
            return self.latch >> 8 * (graphics[4] & 2 | plane) & 0xFF
        if not graphics[5] & 8:
            return self.latch >> 8 * (graphics[4] & 3) & 0xFF
        differs = (self.latch ^ _SPREAD[graphics[2] & 15]) & _SPREAD[graphics[7] & 15]
        return ~(differs | differs >> 8 | differs >> 16 | differs >> 24) & 0xFF

    def write(self, offset: int, value: int) -> None:
        """A byte, by write mode 0 to 3."""
        place, plane = self._place(offset)
        allowed = self.sequencer[2] & 15
        if plane is not None:
            allowed &= 1 << plane if self.sequencer[4] & 8 else 5 << plane
            if self.sequencer[4] & 8:
                if allowed:
                    self.data[plane * PLANE + place] = value
                return
        word = self._combined(value)
        for number in range(4):
            if allowed >> number & 1:
                self.data[number * PLANE + place] = word >> 8 * number & 0xFF

    def _combined(self, value: int) -> int:
        """What goes to the four planes: rotated, set or reset, combined with the latches, under the bit mask."""
        graphics, latch = self.graphics, self.latch
        mode, mask = graphics[5] & 3, graphics[8]
        if mode == 1:
            return latch
        turn = graphics[3] & 7
        rotated = (value >> turn | value << 8 - turn) & 0xFF
        if mode == 0:
            enabled = _SPREAD[graphics[1] & 15]
            word = rotated * 0x01010101 & ~enabled | _SPREAD[graphics[0] & 15] & enabled
        elif mode == 2:
            word = _SPREAD[value & 15]
        else:
            word = _SPREAD[graphics[0] & 15]
            mask &= rotated
        function = graphics[3] >> 3 & 3
        if mode != 3:
            word = (word, word & latch, word | latch, word ^ latch)[function]
        whole = mask * 0x01010101
        return word & whole | latch & ~whole & 0xFFFFFFFF
