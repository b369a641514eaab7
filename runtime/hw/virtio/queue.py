"""Virtqueues from the device's side: split ones (virtio 1.2, section 2.7) and packed ones (2.8).

Everything in them is the driver's word.  What breaks the rules raises RequestError, and the device asks for a reset;
addresses are checked by the memory, so nothing outside RAM is ever reached.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from runtime.hw.virtio.buffers import Memory, RequestError

__all__ = ["MAXIMUM_CHAIN_BYTES", "Chain", "Queue"]

#: descriptor flags (2.7.5, 2.8.1)
NEXT, WRITE, INDIRECT = 1, 2, 4
PACKED_AVAIL, PACKED_USED = 1 << 7, 1 << 15

#: 2.7.5.2 allows 4 GiB; what a driver sends in earnest is far below
MAXIMUM_CHAIN_BYTES = 1 << 30

_DESCRIPTOR = struct.Struct("<QIHH")
_PACKED_DESCRIPTOR = struct.Struct("<QIHH")  # address, length, buffer id, flags
_USED = struct.Struct("<II")
_U16 = struct.Struct("<H")
_PAIR = struct.Struct("<HH")


class Chain:
    """One request: what the driver wrote, and the room for the answer."""

    __slots__ = ("head", "readable", "slots", "total", "writable")

    def __init__(self, head: int) -> None:
        self.head = head  # how the driver knows it
        self.slots = 1  # places in a packed ring that it takes
        self.total = 0  # bytes
        self.readable: list[tuple[int, int]] = []
        self.writable: list[tuple[int, int]] = []


class Queue:
    """One virtqueue.  A driver sets `size`, the three addresses and `ready`; the device pops and pushes."""

    #: what of it is state, for save and load
    FIELDS = (
        *("size", "descriptors", "driver_area", "device_area", "ready", "next_available", "next_used"),
        *("available_wrap", "used_wrap", "packed", "event_index", "indirect", "signalled", "unreported"),
    )

    def __init__(self, index: int, maximum: int) -> None:
        self.index = index
        self.maximum = maximum
        self.reset()

    def reset(self) -> None:
        """As before a driver came."""
        self.size = self.maximum
        self.descriptors = 0
        self.driver_area = 0  # the available ring; of a packed queue, the driver's event suppression
        self.device_area = 0  # the used ring; of a packed queue, the device's
        self.ready = False
        self.next_available = 0
        self.next_used = 0
        self.available_wrap = True
        self.used_wrap = True
        self.packed = False
        self.event_index = False
        self.indirect = False
        self.signalled: int | None = None  # the used index when the driver was last interrupted, or nothing yet
        self.unreported = False  # whether anything was pushed since

    def save(self) -> dict[str, int | None]:
        """Its state."""
        return {name: getattr(self, name) for name in self.FIELDS}

    def load(self, state: Mapping[str, int | None]) -> None:
        """What `save` gave; ValueError if a queue cannot be like that."""
        if state["ready"] and not 0 < (state["size"] or 0) <= self.maximum:
            raise ValueError(f"queue {self.index}: {state['size']} entries, where {self.maximum} are possible")
        for name in self.FIELDS:
            setattr(self, name, state[name])

    # The driver's side to us

    def pop(self, memory: Memory) -> Chain | None:
        """The next request, if there is one."""
        if not self.ready:
            return None
        return self._pop_packed(memory) if self.packed else self._pop_split(memory)

    def push(self, memory: Memory, chain: Chain, written: int) -> None:
        """Give a request back, with so many bytes written into its answer."""
        self.unreported = True
        if self.packed:
            self._push_packed(memory, chain, written)
            return
        entry = self.device_area + 4 + 8 * (self.next_used % self.size)
        memory.write(entry, _USED.pack(chain.head, written))
        self.next_used = (self.next_used + 1) & 0xFFFF
        memory.write(self.device_area + 2, _U16.pack(self.next_used))

    def unpop(self, chain: Chain) -> None:
        """Take back the last `pop`: the device cannot serve the request now."""
        if self.packed:
            self.next_available -= chain.slots
            if self.next_available < 0:
                self.next_available += self.size
                self.available_wrap = not self.available_wrap
        else:
            self.next_available = (self.next_available - 1) & 0xFFFF

    def should_interrupt(self, memory: Memory) -> bool:
        """Whether the driver wants to hear of what was pushed since this was last asked."""
        if not self.unreported:
            return False
        self.unreported = False
        if self.packed:
            return self._packed_should_interrupt(memory)
        if not self.event_index:
            return not _U16.unpack(memory.read(self.driver_area, 2))[0] & 1
        old, self.signalled = self.signalled, self.next_used
        if old is None:
            return True
        (event,) = _U16.unpack(memory.read(self.driver_area + 4 + 2 * self.size, 2))
        # 2.7.7.2: the index it asked for lies among those pushed since
        return _passed(event, old, self.next_used)

    # Split rings

    def _waiting(self, memory: Memory) -> int:
        (index,) = _U16.unpack(memory.read(self.driver_area + 2, 2))
        waiting: int = (index - self.next_available) & 0xFFFF
        if waiting > self.size:
            raise RequestError(f"queue {self.index}: {waiting} requests in a ring of {self.size}")
        return waiting

    def _pop_split(self, memory: Memory) -> Chain | None:
        if not self._waiting(memory):
            if self.event_index:
                memory.write(self.device_area + 4 + 8 * self.size, _U16.pack(self.next_available))
                if not self._waiting(memory):  # it may have added one before it saw that
                    return None
            else:
                return None
        entry = self.driver_area + 4 + 2 * (self.next_available % self.size)
        (head,) = _U16.unpack(memory.read(entry, 2))
        if head >= self.size:
            raise RequestError(f"queue {self.index}: descriptor {head} of {self.size}")
        chain = Chain(head)
        self._follow(memory, chain, self.descriptors, self.size, head, self.indirect)
        self.next_available = (self.next_available + 1) & 0xFFFF
        return chain

    def _follow(self, memory: Memory, chain: Chain, table: int, entries: int, index: int, indirect: bool) -> None:
        """Add the descriptors from `index` on of a table to a chain."""
        seen = 0
        while True:
            address, length, flags, following = _DESCRIPTOR.unpack(memory.read(table + 16 * index, 16))
            seen += 1
            if seen > entries:
                raise RequestError(f"queue {self.index}: a chain of descriptors is a loop")
            if flags & INDIRECT:
                if not indirect:
                    raise RequestError(f"queue {self.index}: an indirect descriptor that was not agreed on")
                if flags & NEXT:
                    raise RequestError(f"queue {self.index}: an indirect descriptor that others follow")
                self._follow(memory, chain, address, self._indirect_entries(length), 0, False)
                return
            self._add(chain, address, length, flags)
            if not flags & NEXT:
                return
            if following >= entries:
                raise RequestError(f"queue {self.index}: descriptor {following} of {entries}")
            index = following

    def _indirect_entries(self, length: int) -> int:
        if length == 0 or length % 16:
            raise RequestError(f"queue {self.index}: a table of {length} bytes for indirect descriptors")
        if length // 16 > max(self.size, 1024):
            raise RequestError(f"queue {self.index}: {length // 16} indirect descriptors")
        return length // 16

    def _add(self, chain: Chain, address: int, length: int, flags: int) -> None:
        chain.total += length
        if chain.total > MAXIMUM_CHAIN_BYTES:
            raise RequestError(f"queue {self.index}: a request of more than {MAXIMUM_CHAIN_BYTES} bytes")
        if flags & WRITE:
            chain.writable.append((address, length))
        elif chain.writable:
            raise RequestError(f"queue {self.index}: a buffer to read from behind one to write to")
        else:
            chain.readable.append((address, length))

    # Packed rings

    def _packed_available(self, memory: Memory) -> tuple[bool, int]:
        (flags,) = _U16.unpack(memory.read(self.descriptors + 16 * self.next_available + 14, 2))
        available = bool(flags & PACKED_AVAIL) == self.available_wrap
        return available and bool(flags & PACKED_USED) != self.available_wrap, flags

    def _pop_packed(self, memory: Memory) -> Chain | None:
        if not self._packed_available(memory)[0]:
            return None
        chain = Chain(0)
        place, slots = self.next_available, 0
        while True:
            raw = memory.read(self.descriptors + 16 * place, 16)
            address, length, identity, flags = _PACKED_DESCRIPTOR.unpack(raw)
            slots += 1
            place = place + 1 if place + 1 < self.size else 0
            if flags & INDIRECT:
                if not self.indirect or flags & NEXT or slots > 1:
                    raise RequestError(f"queue {self.index}: an indirect descriptor out of place")
                self._packed_table(memory, chain, address, self._indirect_entries(length))
            else:
                self._add(chain, address, length, flags)
            if not flags & NEXT:
                break
            if slots == self.size:
                raise RequestError(f"queue {self.index}: a chain of descriptors is a loop")
        chain.head, chain.slots = identity, slots  # 2.8.6: the last descriptor has the buffer's id
        self.next_available += slots
        if self.next_available >= self.size:
            self.next_available -= self.size
            self.available_wrap = not self.available_wrap
        return chain

    def _packed_table(self, memory: Memory, chain: Chain, table: int, entries: int) -> None:
        for index in range(entries):
            address, length, _, flags = _PACKED_DESCRIPTOR.unpack(memory.read(table + 16 * index, 16))
            self._add(chain, address, length, flags & WRITE)

    def _push_packed(self, memory: Memory, chain: Chain, written: int) -> None:
        entry = self.descriptors + 16 * self.next_used
        flags = (PACKED_AVAIL | PACKED_USED) if self.used_wrap else 0
        if written:
            flags |= WRITE
        memory.write(entry + 8, struct.pack("<IH", written, chain.head))
        memory.write(entry + 14, _U16.pack(flags))  # the flags last: they hand it over
        self.next_used += chain.slots
        if self.next_used >= self.size:
            self.next_used -= self.size
            self.used_wrap = not self.used_wrap
            self.signalled = None

    def _packed_should_interrupt(self, memory: Memory) -> bool:
        offset, flags = _PAIR.unpack(memory.read(self.driver_area, 4))
        old, self.signalled = self.signalled, self.next_used
        if flags & 3 != 2 or not self.event_index:
            return bool(flags & 3 != 1)
        if old is None:
            return True
        wanted, wrap = offset & 0x7FFF, bool(offset >> 15)
        now = self.next_used
        event = wanted if wrap == self.used_wrap else wanted - self.size
        return _passed(event, old, now)


def _passed(event: int, old: int, new: int) -> bool:
    """Whether an index lies among those from `old` up to `new`."""
    return (new - event - 1) & 0xFFFF < (new - old) & 0xFFFF
