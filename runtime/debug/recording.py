"""What a guest got from outside, written down as it runs: enough to have it do the same again without a kernel.

Between two stretches of guest code the kernel has its turn: a system call is answered, a signal's handler is entered.
Whatever it changed, registers, memory, mappings, is an event at a position, the number of instructions executed; a
turn of the kernel that changes anything counts as one.
"""

from __future__ import annotations

from bisect import bisect_left
from zlib import crc32

from runtime.core.env import ENV, GUEST_STATE, PAGE_BITS, PAGE_WRITE
from runtime.core.memory import PAGE_SIZE, GuestMemory, Region, page_down, page_up
from runtime.core.record import record
from runtime.core.snapshot import touched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtime.core.cpu import Vcpu

_FIELDS = tuple(ENV[name] // 8 for name in ("pc", "flags", "cs_base", "exclusive_address", "exclusive_value", "npc"))
_BUDGET_BASE = ENV["budget_base"] // 8
_ZERO = bytes(PAGE_SIZE)
_SMALL = 16 * PAGE_SIZE  # of more bytes, those that are zero are not kept

Range = tuple[int, int]
#: registers and modes of a vCPU as one string of bytes
State = bytes


def capture(vcpu: Vcpu) -> State:
    """Everything of a vCPU that the guest can see."""
    words = vcpu.words
    return b"".join([words[field].to_bytes(8, "little") for field in _FIELDS]) + bytes(vcpu.octets[GUEST_STATE:])


def put_back(vcpu: Vcpu, state: State, position: int) -> None:
    """The opposite of capture, `position` instructions after the vCPU was made."""
    vcpu.signed[_BUDGET_BASE] += position - vcpu.executed
    for index, field in enumerate(_FIELDS):
        vcpu.words[field] = int.from_bytes(state[8 * index : 8 * index + 8], "little")
    vcpu.octets[GUEST_STATE:] = state[8 * len(_FIELDS) :]


@record
class Event:
    """One turn of the kernel.

    position   instructions executed before it; one more behind it
    check      of the state before it: whether a replay is still what it was
    state      behind it
    maps       what ranges are mapped as now, where that changed
    writes     what stands where: bytes, or a number of zeros
    """

    position: int
    check: int
    state: State
    maps: tuple[tuple[Range, tuple[Region, ...]], ...]
    writes: tuple[tuple[int, bytes | int], ...]

    @property
    def size(self) -> int:
        return len(self.state) + sum(len(data) for _, data in self.writes if isinstance(data, bytes)) + 200


class Recording:
    """The events of one vCPU, in order."""

    def __init__(self, vcpu: Vcpu) -> None:
        self.vcpu = vcpu
        self.memory: GuestMemory = vcpu.memory
        self.events: list[Event] = []
        self.positions: list[int] = []
        self.size = 0
        self.shares = False  # memory with somebody whose stores are not seen
        self._regions: tuple[Region, ...] = ()
        self._before = b""

    def kernel_begins(self) -> None:
        """The guest stops for the kernel, or the recording begins here."""
        self._before = capture(self.vcpu)
        self._regions = tuple(self.memory.regions())
        self.memory.changes = []

    def kernel_ended(self) -> None:
        """The guest is about to go on: note what changed since kernel_begins, or since the last kernel_ended."""
        vcpu, memory = self.vcpu, self.memory
        state, changes = capture(vcpu), memory.changes or []
        if not changes and state == self._before:
            return
        position = vcpu.executed
        after = tuple(memory.regions())
        ranges = joined([*changes, *_different(self._regions, after)])
        maps = tuple(
            (each, inside)
            for each in ranges
            if (inside := _clipped(after, each)) != _clipped(self._regions, each) and not _inside_page(each)
        )
        writes = [piece for each in ranges for piece in _contents(memory, each)]
        event = Event(position, crc32(self._before), state, maps, tuple(writes))
        self.events.append(event)
        self.positions.append(position)
        self.size += event.size
        self.shares = self.shares or any(r.shared and r.backing is not None for _, inside in maps for r in inside)
        vcpu.signed[_BUDGET_BASE] += 1
        self._before, self._regions = state, after
        memory.changes = []

    def next(self, position: int) -> Event | None:
        """The first event at or behind a position."""
        index = bisect_left(self.positions, position)
        return self.events[index] if index < len(self.events) else None

    def drop_before(self, position: int) -> None:
        """Forget what is earlier."""
        count = bisect_left(self.positions, position)
        self.size -= sum(event.size for event in self.events[:count])
        del self.events[:count], self.positions[:count]

    def apply(self, event: Event) -> bool:
        """Do what the kernel did; False, and nothing done, if the guest is not where it was then."""
        vcpu, memory = self.vcpu, self.memory
        if crc32(capture(vcpu)) != event.check:
            return False
        for (start, end), regions in event.maps:
            memory.unmap(start, end - start)
            for region in regions:
                memory.map(region.start, region.size, region.permissions, region.name, region.offset, region.shared)
        for address, data in event.writes:
            if isinstance(data, int):
                memory.discard(address, data)
            else:
                memory.write(address, data, need=0)
        put_back(vcpu, event.state, event.position + 1)
        return True


def joined(ranges: Iterable[Range]) -> list[Range]:
    """Ranges in order, those that touch made one."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _inside_page(each: Range) -> bool:
    return bool((each[0] | each[1]) & (PAGE_SIZE - 1))


def _different(before: tuple[Region, ...], after: tuple[Region, ...]) -> list[Range]:
    """Where the mappings are not the same."""
    if before == after:
        return []
    old, new = set(before), set(after)
    return [(region.start, region.end) for region in old ^ new]


def _clipped(regions: tuple[Region, ...], each: Range) -> tuple[Region, ...]:
    """The parts of regions in a range."""
    start, end = page_down(each[0]), page_up(each[1])
    found = []
    for region in regions:
        low, high = max(region.start, start), min(region.end, end)
        if low < high:
            offset = region.offset + (low - region.start if region.name[:1] == "/" else 0)
            found.append(Region(low, high, region.permissions, region.name, offset, region.shared, region.backing))
    return tuple(found)


def _contents(memory: GuestMemory, each: Range) -> Iterator[tuple[int, bytes | int]]:
    """What stands in a range now: bytes at an address, or so many zeros."""
    start, end = each
    for region in memory.regions():
        low, high = max(region.start, start), min(region.end, end, region.data_end)
        if low >= high or (region.backing is not None and not region.backing.most & PAGE_WRITE):
            continue
        first, last = page_up(low), page_down(high)
        if region.backing is not None or last - first <= _SMALL:
            yield low, bytes(memory.view[low:high])
            continue
        yield low, bytes(memory.view[low:first])
        yield first, last - first
        for page in touched(memory, first >> PAGE_BITS, last >> PAGE_BITS):
            address = page << PAGE_BITS
            data = bytes(memory.view[address : address + PAGE_SIZE])
            if data != _ZERO:
                yield address, data
        yield last, bytes(memory.view[last:high])
