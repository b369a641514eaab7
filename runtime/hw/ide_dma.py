"""Bus mastering for two ATA channels: the eight registers of each, and tables of memory that transfers go to and from.

The sections are those of "Programming Interface for Bus Master IDE Controller", revision 1.0 (Intel, 1994).
"""

from __future__ import annotations

from functools import partial

from runtime.hw.dma import DmaError
from runtime.hw.registers import Field, Register, RegisterDevice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.hw.dma import Dma
    from runtime.hw.ide import IdeChannel

_START, _TO_MEMORY = 1, 8
_ACTIVE, _ERROR, _INTERRUPT, _CAPABLE = 1, 2, 4, 0x60
#: a region of memory in the table (1.2): the last one says so
_ENTRY, _LAST, _WHOLE = 8, 0x80000000, 0x10000


class BusMaster(RegisterDevice):
    """The registers; `allowed` says whether the function may reach memory at all (its command register)."""

    kind = "ide-bus-master"
    REGISTERS = (
        Register(
            "COMMAND",
            0,
            width=1,
            writable=_START | _TO_MEMORY,
            fields=(Field("START", 0), Field("READ", 3)),
            count=2,
            stride=8,
        ),
        Register(
            "STATUS",
            2,
            width=1,
            fields=(Field("ACTIVE", 0), Field("ERROR", 1), Field("INTERRUPT", 2)),
            count=2,
            stride=8,
        ),
        Register("TABLE", 4, writable=0xFFFFFFFC, count=2, stride=8),
    )
    STATE = ("status",)

    def __init__(self, name: str, memory: Dma, channels: Sequence[IdeChannel], allowed: Callable[[], bool]) -> None:
        super().__init__(name, 16)
        self.sizes = frozenset((1, 2, 4))
        self.status = [0, 0]
        self._memory = memory
        self._channels = tuple(channels)
        self._allowed = allowed
        for number, channel in enumerate(channels):
            channel.on_interrupt = partial(self._interrupted, number)
            channel.on_transfer = partial(self.run, number)

    def _interrupted(self, number: int) -> None:
        """The channel's interrupt has risen (2.2, bit 2), whatever for."""
        self.status[number] |= _INTERRUPT

    def read_status(self, number: int) -> int:
        return self.status[number]

    def write_status(self, number: int, value: int) -> None:
        """ERROR and INTERRUPT are cleared by a one; what software knows of the disks is kept for it."""
        kept = self.status[number] & ~(value & (_ERROR | _INTERRUPT)) & ~_CAPABLE
        self.status[number] = kept | value & _CAPABLE

    def write_command(self, number: int, value: int) -> None:
        """2.1: the start bit begins a transfer that a disk is ready for, or ends the one there is."""
        if not value & _START:
            self.status[number] &= ~_ACTIVE
        elif not self.status[number] & _ACTIVE:
            self.status[number] |= _ACTIVE
            self.run(number)

    def run(self, number: int) -> None:
        """Transfer, if both sides are ready."""
        channel, command = self._channels[number], self.array["COMMAND"][number]
        wanted = channel.transfer
        if wanted is None or not self.status[number] & _ACTIVE:
            return
        writing, size = wanted
        try:
            if bool(command & _TO_MEMORY) == writing or not self._allowed():
                raise DmaError(self.array["TABLE"][number], _ENTRY)
            parts, exact = self._parts(self.array["TABLE"][number], size)
            if writing:
                channel.finish_write(b"".join(self._memory.read(address, length) for address, length in parts))
            else:
                for address, length in parts:
                    self._memory.check(address, length)
                data = channel.finish_read()
                at = 0
                for address, length in parts:
                    self._memory.write(address, data[at : at + length])
                    at += length
        except DmaError as error:
            self.complain(f"channel {number}: {error}")
            self.status[number] = self.status[number] & ~_ACTIVE | _ERROR
            channel.abort_transfer()
            return
        if exact:  # 3.1, table 1: a table of more than the disk had leaves it active
            self.status[number] &= ~_ACTIVE

    def _parts(self, table: int, size: int) -> tuple[list[tuple[int, int]], bool]:
        """Where `size` bytes go, and whether the table ends with them; DmaError if it has not so many."""
        parts = []
        end = (table | 0xFFFF) + 1  # 1.2: tables do not cross it
        while True:
            if table >= end:
                raise DmaError(table, _ENTRY)
            entry = self._memory.read(table, _ENTRY)
            address, word = int.from_bytes(entry[:4], "little") & ~1, int.from_bytes(entry[4:], "little")
            length = word & 0xFFFE or _WHOLE
            parts.append((address, min(length, size)))
            if length >= size:
                return parts, length == size and bool(word & _LAST)
            size -= length
            if word & _LAST:
                raise DmaError(table, _ENTRY)
            table += _ENTRY

    def reset(self) -> None:
        super().reset()
        self.status = [0, 0]

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        self.status = [int(value) & (_ACTIVE | _ERROR | _INTERRUPT | _CAPABLE) for value in (*self.status, 0, 0)][:2]
