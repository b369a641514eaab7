"""Snapshots inside a qcow2 image: made, gone back to, deleted (QEMU's docs/interop/qcow2.txt; `qemu-img snapshot`).

A snapshot is a copy of the first-level table; everything it names has one reference more.  References are counted
before anything names what they count and given back after, and the header changes last: a process that is killed
leaves at worst clusters that are counted and unused.
"""

from __future__ import annotations

import struct
import time

from runtime.hw.block.backend import BlockError
from runtime.hw.block.qcow2_header import AT_SNAPSHOTS, MOST_SNAPSHOTS, Snapshot, read_header, read_snapshots
from runtime.hw.block.qcow2_refcounts import big_endian_words
from runtime.hw.block.qcow2_tables import COMPRESSED, COPIED, OFFSET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtime.hw.block.qcow2 import Qcow2Image

__all__ = ["delete_snapshot", "go_to_snapshot", "take_snapshot"]

_ENTRY = struct.Struct(">QIHHIIQII")
_EXTRA = struct.Struct(">QQQ")
_NO_COUNT = (1 << 64) - 1


def take_snapshot(image: Qcow2Image, name: str, clock: int = 0) -> None:
    """Keep the disk as it is now; `clock` is the machine's time in ns.  BlockError."""
    image.flush()
    known = read_snapshots(image.file, image.header)
    if image.refcounts.bits < 8 or len(known) >= MOST_SNAPSHOTS:
        raise BlockError(f"{image.name}: the image has no room for a snapshot's reference counts")
    table = [entry & OFFSET for entry in image.first_level]
    _count(image, table, 1)
    image.flush()
    _mark(image)
    image.flush()
    data = b"".join(entry.to_bytes(8, "big") for entry in table)
    place = _store(image, data) if data else 0
    numbers = [int(one.identity) for one in known if one.identity.isdecimal()]
    identity, label = str(max(numbers, default=0) + 1).encode(), name.encode("utf-8", "surrogateescape")
    now = time.time_ns()
    entry = _ENTRY.pack(
        *(place, len(table), len(identity), len(label), now // 10**9, now % 10**9, clock, 0, _EXTRA.size)
    )
    entry += _EXTRA.pack(0, image.header.size, _NO_COUNT) + identity + label
    _write_list(image, [*(one.raw for one in known), entry.ljust(-(-len(entry) // 8) * 8, b"\0")], known)


def go_to_snapshot(image: Qcow2Image, name: str) -> None:
    """Make the disk what it was; BlockError."""
    image.flush()
    snapshot = _find(image, name)
    if snapshot.disk_size != image.header.size or snapshot.l1_size > len(image.first_level):
        raise BlockError(f"{image.name}: the image has had another size since the snapshot {name}")
    before = [entry & OFFSET for entry in image.first_level]
    table = _table_of(image, snapshot)
    table += [0] * (len(before) - len(table))
    _count(image, table, 1)
    image.flush()
    image.replace_first_level(table)
    image.flush()
    _count(image, before, -1)
    _mark(image)
    image.flush()


def delete_snapshot(image: Qcow2Image, name: str) -> None:
    """Forget one; BlockError."""
    image.flush()
    snapshot = _find(image, name)
    known = read_snapshots(image.file, image.header)
    table = _table_of(image, snapshot)
    _write_list(image, [one.raw for one in known if one.identity != snapshot.identity], known)
    _count(image, table, -1)
    image.free(snapshot.l1_offset, 8 * snapshot.l1_size)
    image.flush()
    _mark(image)
    image.flush()


def _find(image: Qcow2Image, name: str) -> Snapshot:
    for snapshot in read_snapshots(image.file, image.header):
        if snapshot.name == name:
            return snapshot
    raise BlockError(f"{image.name}: the image has no snapshot {name}")


def _table_of(image: Qcow2Image, snapshot: Snapshot) -> list[int]:
    words = big_endian_words(image.file.read(snapshot.l1_offset, 8 * snapshot.l1_size))
    return [entry & OFFSET for entry in words]


def _clusters(image: Qcow2Image, entry: int) -> Iterable[int]:
    """What a second-level entry names."""
    if entry & COMPRESSED:
        place, size = image.packed_place(entry)
        return range(place >> image.cluster_bits, (place + size - 1 >> image.cluster_bits) + 1)
    return ((entry & OFFSET) >> image.cluster_bits,) if entry & OFFSET else ()


def _named(image: Qcow2Image, first_level: Iterable[int]) -> Iterator[int]:
    """Every cluster that a first-level table names, by way of second-level ones that are in the file."""
    for offset in first_level:
        if offset:
            words = big_endian_words(image.file.read(offset, image.cluster_size))
            for entry in words:
                yield from _clusters(image, entry)
            yield offset >> image.cluster_bits


def _count(image: Qcow2Image, first_level: list[int], change: int) -> None:
    """One reference more, or fewer, to all that a first-level table names."""
    counts = image.refcounts
    for cluster in _named(image, first_level):
        if change < 0:
            image.free(cluster << image.cluster_bits, 1)
            continue
        count = counts.get(cluster)
        if not 0 < count < counts.most:
            raise BlockError(f"{image.name}: cluster {cluster} is counted {count} times; qemu-img check")
        counts.set(cluster, count + 1)


def _mark(image: Qcow2Image) -> None:
    """The flag that says that a cluster may be overwritten, wherever there is one reference."""
    counts, bits = image.refcounts, image.cluster_bits
    for index, entry in enumerate(image.first_level):
        if not entry & OFFSET:
            continue
        table = image.table(index)
        assert table is not None
        for slot, old in enumerate(table.words):
            if not old & COMPRESSED and old & OFFSET:
                alone = counts.get((old & OFFSET) >> bits) == 1
                new = old & ~COPIED | (COPIED if alone else 0)
                if new != old:
                    table.set(slot, new)
        alone = counts.get((entry & OFFSET) >> bits) == 1
        image.set_first_level(index, entry & OFFSET | (COPIED if alone else 0))


def _store(image: Qcow2Image, data: bytes) -> int:
    """Put something into clusters of its own that adjoin; where."""
    counts, wanted = image.refcounts, -(-len(data) // image.cluster_size)
    while True:
        first, found = counts.allocate(wanted)
        if found == wanted:
            break
        for cluster in range(first, first + found):
            counts.set(cluster, 0)
        counts.go_on_behind(first + found)
    image.file.write(first << image.cluster_bits, data.ljust(wanted * image.cluster_size, b"\0"))
    image.file.sync()
    return first << image.cluster_bits


def _write_list(image: Qcow2Image, entries: list[bytes], before: list[Snapshot]) -> None:
    """The list of snapshots, elsewhere; then the header says so, and the old list's room is free."""
    data = b"".join(entries)
    place = _store(image, data) if data else 0
    image.flush()
    old, size = image.header.snapshots_offset, sum(len(one.raw) for one in before)
    image.file.write(AT_SNAPSHOTS, struct.pack(">IQ", len(entries), place))
    image.file.sync()
    image.header = read_header(image.file)
    if size:
        image.free(old, size)
    image.flush()
