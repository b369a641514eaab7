"""Regions: the hot code that is compiled as one function, as the run process asks for it and the compiler answers."""

from __future__ import annotations

import struct

from runtime.core.record import record

#: a request has at most so many blocks
MOST_BLOCKS = 64

#: between the run process and a worker, in front of each message: its length, ticket, flags (worker's: its pid)
FRAME = struct.Struct("<IQI")
#: flag of a request: the answer shall have a listing
WANTS_LISTING = 1

_REQUEST = struct.Struct("<QQI")
_BLOCK = struct.Struct("<QQII")
_WORD_BYTES = 8
_ANSWER = struct.Struct("<IIdIII")


@record
class RegionBlock:
    """A translated block of tier 0: what it was translated from, and how often it was entered.

    code    its guest bytes; branches that are not taken may lie inside
    count   times it was entered, as far as they were counted
    seen    pcs that an indirect jump at its end goes to, if they are known and few
    """

    pc: int
    code: bytes
    count: int
    seen: tuple[int, ...] = ()

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.pc + len(self.code)


@record
class RegionRequest:
    """Blocks to compile as one region, entered at the first one's pc with the modes `flags`."""

    entry: int
    flags: int
    blocks: tuple[RegionBlock, ...]

    def key(self) -> bytes:
        """What the compiled code depends on: all but the counts."""
        return self._encoded(False)

    def encode(self) -> bytes:
        """As bytes, for a worker."""
        return self._encoded(True)

    def _encoded(self, counts: bool) -> bytes:
        parts = [_REQUEST.pack(self.entry, self.flags, len(self.blocks))]
        for block in self.blocks:
            header = _BLOCK.pack(block.pc, block.count if counts else 0, len(block.code), len(block.seen))
            parts += (header, struct.pack(f"<{len(block.seen)}Q", *block.seen), block.code)
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes | memoryview) -> RegionRequest:
        """The request that `encode` made bytes of; ValueError if they are not that."""
        view = memoryview(data)
        try:
            entry, flags, count = _REQUEST.unpack_from(view)
            at, blocks = _REQUEST.size, []
            for _ in range(count):
                pc, entered, size, targets = _BLOCK.unpack_from(view, at)
                at += _BLOCK.size
                seen = struct.unpack_from(f"<{targets}Q", view, at)
                at += _WORD_BYTES * targets
                blocks.append(RegionBlock(pc, bytes(view[at : at + size]), entered, seen))
                at += size
        except struct.error as error:
            raise ValueError("not a region request") from error
        if at != len(view):
            raise ValueError("not a region request: it has another length")
        if not blocks:
            raise ValueError("not a region request: it has no blocks")
        return cls(entry, flags, tuple(blocks))


@record
class RegionAnswer:
    """What became of a request.

    code          position-independent, to be mapped at a page boundary; empty if it could not be compiled
    entry         where in it control enters
    instructions  guest instructions compiled
    seconds       spent on it
    text          why not, or the listing that was asked for
    table         where in the code its table of accesses that may fault begins (runtime/core/host_faults.py)
    accesses      how many there are; if there are any, the code needs guarded memory
    """

    code: bytes
    entry: int
    instructions: int
    seconds: float
    text: str = ""
    table: int = 0
    accesses: int = 0

    def encode(self) -> bytes:
        """As bytes, for the process that asked."""
        numbers = self.entry, self.instructions, self.seconds, self.table, self.accesses, len(self.code)
        return _ANSWER.pack(*numbers) + self.code + self.text.encode()

    @classmethod
    def decode(cls, data: bytes) -> RegionAnswer:
        """The answer that `encode` made bytes of."""
        entry, instructions, seconds, table, accesses, size = _ANSWER.unpack_from(data)
        at = _ANSWER.size
        text = data[at + size :].decode(errors="replace")
        return cls(data[at : at + size], entry, instructions, seconds, text, table, accesses)
