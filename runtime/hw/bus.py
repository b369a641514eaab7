"""A machine's address space: which memory, ROM or device answers at each address, and what is host memory.

Regions are put at addresses with a priority; where two overlap, the higher priority answers, and two of the same
priority are an error.  The map is flattened into a sorted tuple of pieces whenever it changes, which is rare; an access
is one bisection.  A second instance is a processor's I/O ports, a third the memory behind a PCI bridge.
"""

from __future__ import annotations

from bisect import bisect_right
from threading import RLock

from runtime.core.accelerator import BusError, Ram
from runtime.core.buffer import HOST_PAGE, HostBuffer
from runtime.core.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runtime.hw.device import Device, Doorbell


#: bytes that all of an erased memory is made of
_ERASED = 1 << 20


class MapError(ValueError):
    """A region that cannot be where it is put; the message is for whoever describes the machine."""


class Memory:
    """Host memory that guests see as RAM or ROM; `size` is rounded up to whole pages.

    It may stand at several addresses at once.  `host` is the address of its first byte in this process.
    """

    def __init__(self, name: str, size: int, contents: bytes = b"") -> None:
        if size <= 0 or len(contents) > size:
            raise MapError(f"{name}: {len(contents):#x} bytes in a memory of {size:#x}")
        self.name = name
        self._buffer = HostBuffer(size)
        self.size = self._buffer.size
        self.host = self._buffer.address
        self.bytes = self._buffer.view()
        self.bytes[: len(contents)] = contents

    def erase(self) -> None:
        """Make it all ones, as flash is; that takes no memory of the host's until somebody stores there."""
        self._buffer.repeat(b"\xff" * min(self.size, _ERASED))

    def discard(self) -> None:
        """Make it all zeros, and give its pages back to the host."""
        self._buffer.discard(0, self.size)


class Region:
    """Something at an address.  `remove` it from its space, or `enable` and move it as a bridge's registers say.

    memory    RAM or ROM; None if a device or another space answers
    device    who answers; for a memory, who gets the stores (a flash's commands), None: they are dropped in ROM
    space     another address space shown through this window
    offset    which byte of these the region begins with
    direct    whether loads come from the memory itself (a flash may switch to answering with its status)
    """

    def __init__(
        self,
        owner: AddressSpace,
        name: str,
        address: int,
        size: int,
        priority: int,
        *,
        memory: Memory | None = None,
        device: Device | None = None,
        space: AddressSpace | None = None,
        offset: int = 0,
        writable: bool = True,
        enabled: bool = True,
    ) -> None:
        self.owner = owner
        self.name = name
        self.address = address
        self.size = size
        self.priority = priority
        self.memory = memory
        self.device = device
        self.space = space
        self.offset = offset
        self.writable = writable
        self.enabled = enabled
        self.direct = True

    @property
    def end(self) -> int:
        return self.address + self.size

    def enable(self, enabled: bool) -> None:
        """Show or hide it."""
        if enabled != self.enabled:
            self.owner.change(self, self.address, enabled)

    def move(self, address: int) -> None:
        """Put it elsewhere (a base-address register was written)."""
        if address != self.address:
            self.owner.change(self, address, self.enabled)

    def set_direct(self, direct: bool) -> None:
        """Have loads answered by the memory, or by the device in front of it."""
        if direct != self.direct:
            self.direct = direct
            self.owner.changed()

    def remove(self) -> None:
        """Take it out for good."""
        self.owner.remove(self)


@record
class Piece:
    """A run of addresses answered by one region; `offset` counts in its memory or device."""

    start: int
    end: int
    offset: int
    region: Region

    def cut(self, start: int, end: int) -> Piece:
        """The part of it within start..end."""
        first = max(start, self.start)
        return Piece(first, min(end, self.end), self.offset + first - self.start, self.region)

    @property
    def kind(self) -> str:
        """For listings: ram, rom, flash, device."""
        region = self.region
        if region.memory is None:
            return "device"
        if region.device is not None:
            return "flash"
        return "ram" if region.writable else "rom"


class AddressSpace:
    """What answers at each address; an accelerator's `Bus`.

    `lock` is the machine's: whoever touches a device holds it.  `floating` is what a load reads where nothing is
    (I/O ports read as ones); without it, BusError.
    """

    def __init__(self, name: str, bits: int = 64, lock: RLock | None = None, floating: int | None = None) -> None:
        self.name = name
        self.size = 1 << bits
        self.lock = RLock() if lock is None else lock
        self._floating = floating
        self._regions: list[Region] = []
        self._pieces: tuple[Piece, ...] = ()
        self._starts: list[int] = []
        self._ram: tuple[Ram, ...] = ()
        self._listeners: list[Callable[[], None]] = []
        self._viewers: list[AddressSpace] = []
        self._map_listeners: list[Callable[[], None]] = []

    # ------------------------------------------------------------ building the map

    def add_ram(
        self,
        address: int,
        memory: Memory,
        *,
        offset: int = 0,
        size: int | None = None,
        priority: int = 0,
        name: str = "",
    ) -> Region:
        """Memory, or a part of it."""
        return self._add(
            name or memory.name, address, size or memory.size - offset, priority, memory, None, offset, True
        )

    def add_rom(
        self,
        address: int,
        memory: Memory,
        *,
        offset: int = 0,
        size: int | None = None,
        priority: int = 0,
        name: str = "",
    ) -> Region:
        """Memory whose stores are dropped."""
        return self._add(
            name or memory.name, address, size or memory.size - offset, priority, memory, None, offset, False
        )

    def add_flash(self, address: int, memory: Memory, device: Device, *, priority: int = 0) -> Region:
        """Memory whose stores go to `device`; `Region.set_direct(False)` sends the loads there, too."""
        return self._add(device.name, address, device.size, priority, memory, device, 0, False)

    def add_device(
        self, address: int, device: Device, *, offset: int = 0, size: int | None = None, priority: int = 0
    ) -> Region:
        """A device's registers, or a part of them."""
        return self._add(device.name, address, size or device.size - offset, priority, None, device, offset, True)

    def add_window(
        self,
        address: int,
        space: AddressSpace,
        *,
        offset: int = 0,
        size: int | None = None,
        priority: int = 0,
        name: str = "",
    ) -> Region:
        """An alias: addresses from `offset` of another space, seen here."""
        if space is self or self in space.seen():
            raise MapError(f"{self.name}: {space.name} shows {self.name} already, it cannot be shown there")
        region = Region(
            self, name or space.name, address, size or space.size - offset, priority, space=space, offset=offset
        )
        space._viewers.append(self)
        return self._enter(region)

    def _add(
        self,
        name: str,
        address: int,
        size: int,
        priority: int,
        memory: Memory | None,
        device: Device | None,
        offset: int,
        writable: bool,
    ) -> Region:
        whole = memory.size if memory is not None else device.size if device is not None else 0
        if offset < 0 or offset + size > whole:
            raise MapError(f"{self.name}: {name} has {whole:#x} bytes, {size:#x} from {offset:#x} are not among them")
        return self._enter(
            Region(self, name, address, size, priority, memory=memory, device=device, offset=offset, writable=writable)
        )

    def _enter(self, region: Region) -> Region:
        self._check(region, region.address)
        self._regions.append(region)
        self.changed()
        return region

    def _check(self, region: Region, address: int) -> None:
        end = address + region.size
        if not 0 <= address < end <= self.size:
            raise MapError(f"{self.name}: {region.name} at {address:#x}..{end - 1:#x} is outside of the address space")
        for other in self._regions:
            if (
                other is not region
                and other.enabled
                and other.priority == region.priority
                and address < other.end
                and other.address < end
            ):
                raise MapError(
                    f"{self.name}: {region.name} at {address:#x}..{end - 1:#x} overlaps {other.name} at "
                    f"{other.address:#x}..{other.end - 1:#x}; one of them needs a priority"
                )

    def change(self, region: Region, address: int, enabled: bool) -> None:
        """Move, show or hide a region."""
        if enabled:
            self._check(region, address)
        region.address, region.enabled = address, enabled
        self.changed()

    def remove(self, region: Region) -> None:
        """Take a region out."""
        self._regions.remove(region)
        if region.space is not None:
            region.space._viewers.remove(self)
        self.changed()

    def seen(self) -> Iterator[AddressSpace]:
        """The spaces shown in this one, and those shown in them."""
        for region in self._regions:
            if region.space is not None:
                yield region.space
                yield from region.space.seen()

    def changed(self) -> None:
        """Flatten the map anew; listeners hear of it if other memory is seen than before."""
        with self.lock:
            pieces: list[Piece] = []
            for region in sorted(self._regions, key=lambda region: region.priority):
                if region.enabled:
                    for piece in _pieces_of(region):
                        pieces = _painted(pieces, piece)
            self._pieces = tuple(_merged(pieces))
            self._starts = [piece.start for piece in self._pieces]
            before, self._ram = self._ram, tuple(_host_memory(self._pieces))
            for viewer in self._viewers:
                viewer.changed()
            if self._ram != before:
                for listener in tuple(self._listeners):
                    listener()
            for listener in tuple(self._map_listeners):
                listener()

    # ------------------------------------------------------------ the accelerator's side

    def ram(self) -> Sequence[Ram]:
        """What is host memory now, ascending."""
        return self._ram

    def on_ram_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` when `ram()` changes."""
        self._listeners.append(listener)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` when anything is seen elsewhere than before."""
        self._map_listeners.append(listener)

    def doorbells(self) -> Iterator[tuple[int, Doorbell, Device]]:
        """The doorbells that are seen now, each with its address and device."""
        for piece in self._pieces:
            device = piece.region.device
            for bell in () if device is None else device.doorbells:
                at = piece.start + bell.offset - piece.offset
                if device is not None and piece.start <= at and at + bell.size <= piece.end:
                    yield at, bell, device

    def read(self, address: int, size: int) -> int:
        """A load by a processor; BusError if nobody answers."""
        with self.lock:
            piece = self.find(address, size)
            if piece is None:
                if self._floating is not None:
                    return self._floating & ((1 << 8 * size) - 1)
                raise BusError(address, size)
            region = piece.region
            offset = address - piece.start + piece.offset
            if region.memory is not None and (region.direct or region.device is None):
                return int.from_bytes(region.memory.bytes[offset : offset + size], "little")
            device = region.device
            if device is None or size not in device.sizes:
                raise BusError(address, size)
            return device.read(offset, size) & ((1 << 8 * size) - 1)

    def write(self, address: int, size: int, value: int) -> None:
        """A store by a processor; BusError if nobody answers."""
        with self.lock:
            piece = self.find(address, size)
            if piece is None:
                if self._floating is not None:
                    return
                raise BusError(address, size)
            region = piece.region
            offset = address - piece.start + piece.offset
            value &= (1 << 8 * size) - 1
            if region.device is not None:
                if size not in region.device.sizes:
                    raise BusError(address, size)
                region.device.write(offset, size, value)
            elif region.memory is not None and region.writable:
                region.memory.bytes[offset : offset + size] = value.to_bytes(size, "little")

    # ------------------------------------------------------------ looking

    def find(self, address: int, size: int = 1) -> Piece | None:
        """What answers all of an access."""
        at = bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        piece = self._pieces[at]
        return piece if address + size <= piece.end else None

    @property
    def pieces(self) -> Sequence[Piece]:
        """The flattened map."""
        return self._pieces

    @property
    def regions(self) -> Sequence[Region]:
        """What was put in, in that order."""
        return tuple(self._regions)


def _pieces_of(region: Region) -> Iterator[Piece]:
    """A region in its owner's addresses."""
    if region.space is None:
        yield Piece(region.address, region.end, region.offset, region)
        return
    shift = region.address - region.offset
    for piece in region.space.pieces:
        if piece.start < region.offset + region.size and region.offset < piece.end:
            part = piece.cut(region.offset, region.offset + region.size)
            yield Piece(part.start + shift, part.end + shift, part.offset, part.region)


def _painted(pieces: list[Piece], new: Piece) -> list[Piece]:
    """`pieces` with `new` over them."""
    result = []
    for piece in pieces:
        if piece.end <= new.start or new.end <= piece.start:
            result.append(piece)
            continue
        if piece.start < new.start:
            result.append(piece.cut(piece.start, new.start))
        if new.end < piece.end:
            result.append(piece.cut(new.end, piece.end))
    return [*result, new]


def _merged(pieces: list[Piece]) -> Iterator[Piece]:
    """Sorted by address, with what belongs together put together."""
    last: Piece | None = None
    for piece in sorted(pieces, key=lambda piece: piece.start):
        if last is not None:
            if last.end == piece.start and last.region is piece.region and _follows(last, piece):
                last = Piece(last.start, piece.end, last.offset, last.region)
                continue
            yield last
        last = piece
    if last is not None:
        yield last


def _follows(first: Piece, second: Piece) -> bool:
    return first.offset + first.end - first.start == second.offset


def _host_memory(pieces: Sequence[Piece]) -> Iterator[Ram]:
    """The whole pages of memory in a map; the processor asks the bus for what is less than a page."""
    for piece in pieces:
        region = piece.region
        if region.memory is None or not region.direct:
            continue
        start, end = -(-piece.start // HOST_PAGE) * HOST_PAGE, piece.end // HOST_PAGE * HOST_PAGE
        offset = piece.offset + start - piece.start
        if start < end and offset % HOST_PAGE == 0:
            writable = region.writable and region.device is None
            yield Ram(start, region.memory.host + offset, end - start, writable, region.name)
