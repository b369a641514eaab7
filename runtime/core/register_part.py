"""`Part`: some bits of a register, mode or entry of a file, of which what others call a register is put together."""

from __future__ import annotations

from runtime.core.record import record


@record
class Part:
    """A piece of a register: bits of a register, a mode or the entry of a file of the spec, or of "pc".

    Without a name: bits that never change, whose value is `index`.

    low           its lowest bit
    counted_from  a mode that is added to `index`, in a file of so many `entries`: that of a stack, say
    inverted      1 is called what is 0 in the spec
    also          where the same bits stand, too
    """

    name: str
    index: int
    width: int
    low: int = 0
    counted_from: str = ""
    entries: int = 0
    inverted: bool = False
    also: tuple[Part, ...] = ()

    @property
    def mask(self) -> int:
        """So many bits as it has."""
        return (1 << self.width) - 1
