"""qcow2 images, versions 2 and 3: read and written (QEMU's docs/interop/qcow2.txt).

Data goes to the file at once, tables stay in memory until `flush`, which writes them in the order that leaves the image
whole at every moment: data and reference counts, then the tables that name them, then the tables that name those.
Clusters that fall free are reused only after that.  So a killed process loses nothing that was flushed; at worst it
leaves clusters that are counted and unused.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterator, Mapping

from runtime.hw.block.backend import BlockBackend, BlockError, ImageError
from runtime.hw.block.files import HostFile, Kept
from runtime.hw.block.qcow2_header import AT_AUTOCLEAR, Snapshot, read_header, read_snapshots
from runtime.hw.block.qcow2_refcounts import Refcounts, big_endian_words
from runtime.hw.block.qcow2_snapshots import delete_snapshot, go_to_snapshot, take_snapshot
from runtime.hw.block.qcow2_tables import COMPRESSED, COPIED, OFFSET, ZERO, Table
from runtime.hw.block.raw import zeroes

__all__ = ["Qcow2Image"]

SECTOR = 512

#: what a stretch of the disk is
UNALLOCATED, ZEROES, DATA, PACKED = range(4)

#: bytes of second-level tables in memory
MOST_TABLE_BYTES = 32 << 20


class Qcow2Image(Kept):
    """An open image.  `backing` is what shows through where it holds nothing."""

    format = "qcow2"

    def __init__(self, file: HostFile, backing: BlockBackend | None = None) -> None:
        self.file = file
        self.name = file.path
        self.read_only = file.read_only
        self.header = read_header(file)
        self.backing = backing
        self.size = -(-self.header.size // SECTOR) * SECTOR
        self.cluster_bits = self.header.cluster_bits
        self.cluster_size = self.granularity = 1 << self.cluster_bits
        self.per_table = self.cluster_size // 8
        self.first_level = big_endian_words(file.read(self.header.l1_offset, 8 * self.header.l1_size))
        self.refcounts = Refcounts(file, self.header)
        self._tables: dict[int, Table] = {}
        self._dirty_first_level: set[int] = set()
        self._wrote_data = False
        self._freed: list[int] = []
        self._unpacked: tuple[int, bytes] = (0, b"")  # the last compressed cluster: entry, contents
        self._metadata: set[int] = set()
        if not self.read_only:
            self._check_metadata()
            if self.header.version == 3 and self.header.autoclear:
                file.write(AT_AUTOCLEAR, bytes(8))  # what we do not keep up (bitmaps) is no longer valid

    def snapshots(self) -> list[Snapshot]:
        """The internal snapshots."""
        return read_snapshots(self.file, self.header)

    def has_snapshot(self, name: str) -> bool:
        """Whether there is one of that name."""
        return any(snapshot.name == name for snapshot in self.snapshots())

    def take_snapshot(self, name: str) -> None:
        """Keep the disk as it is, in the image; instead of one that had the name."""
        if self.has_snapshot(name):
            delete_snapshot(self, name)
        take_snapshot(self, name)

    def go_to_snapshot(self, name: str) -> None:
        """Make the disk what it was."""
        go_to_snapshot(self, name)

    def drop_snapshot(self, name: str) -> None:
        """Forget it."""
        if self.has_snapshot(name):
            delete_snapshot(self, name)

    def _check_metadata(self) -> None:
        """A table that counts as free would be overwritten: refuse to write such an image."""
        header, bits = self.header, self.cluster_bits
        ranges = [
            (0, 1),
            (header.l1_offset >> bits, -(-8 * header.l1_size // self.cluster_size)),
            (self.refcounts.table_offset >> bits, self.refcounts.table_clusters),
            *((entry >> bits, 1) for entry in self.refcounts.table if entry),
            *(((entry & OFFSET) >> bits, 1) for entry in self.first_level if entry & OFFSET),
        ]
        for first, count in ranges:
            self._metadata.update(range(first, first + count))
        if any(self.refcounts.get(cluster) == 0 for cluster in self._metadata):
            raise ImageError(
                f"{self.name}: this qcow2 image cannot be written: its tables are counted as free space; "
                "`qemu-img check -r all` mends it"
            )

    # Looking up

    def _table(self, index: int) -> Table | None:
        """A second-level table by its place in the first."""
        table = self._tables.get(index)
        if table is None:
            offset = self.first_level[index] & OFFSET
            if not offset:
                return None
            if offset % self.cluster_size:
                raise BlockError(f"{self.name}: the image is damaged: a table at {offset:#x}")
            table = Table(offset, big_endian_words(self.file.read(offset, self.cluster_size)))
            self._keep(index, table)
        return table

    # For snapshots

    def table(self, index: int) -> Table | None:
        """A second-level table, which may be marked as changed."""
        return self._table(index)

    def set_first_level(self, index: int, entry: int) -> None:
        """Change an entry of the first-level table, from the next flush on."""
        if self.first_level[index] != entry:
            self.first_level[index] = entry
            self._dirty_first_level.add(index)

    def replace_first_level(self, entries: list[int]) -> None:
        """Name other second-level tables, from the next flush on; nothing waits to be written."""
        self._tables.clear()
        for index, entry in enumerate(entries):
            self.set_first_level(index, entry)
            self._metadata.add(entry >> self.cluster_bits)
        self._unpacked = (0, b"")

    def free(self, offset: int, size: int) -> None:
        """One reference fewer to these bytes' clusters, from the next flush on."""
        self._freed += range(offset >> self.cluster_bits, -(-(offset + size) // self.cluster_size))

    def _keep(self, index: int, table: Table) -> None:
        if len(self._tables) * self.cluster_size >= MOST_TABLE_BYTES:
            clean = next((key for key, kept in self._tables.items() if kept.first >= kept.last), None)
            if clean is None:
                self.flush()
                clean = next(iter(self._tables))
            del self._tables[clean]
        self._tables[index] = table

    def _table_to_write(self, index: int) -> Table:
        """The same, made or copied if need be, so that its entries can be changed."""
        entry = self.first_level[index]
        table = self._table(index)
        if table is not None and entry & COPIED:
            return table
        (cluster, _) = self.refcounts.allocate(1)
        words = array("Q", bytes(self.cluster_size)) if table is None else table.words
        fresh = Table(cluster << self.cluster_bits, array("Q", words))
        fresh.first, fresh.last = 0, len(words)
        self._tables.pop(index, None)
        self._keep(index, fresh)  # this may flush: what follows must not be half done then
        if table is not None:
            self._freed.append(table.offset >> self.cluster_bits)
        self.first_level[index] = fresh.offset | COPIED
        self._dirty_first_level.add(index)
        return fresh

    def _kind(self, entry: int) -> int:
        if entry & COMPRESSED:
            return PACKED
        if self.header.version == 3 and entry & ZERO:
            return ZEROES
        return DATA if entry & OFFSET else UNALLOCATED

    def _host(self, entry: int) -> int:
        host = entry & OFFSET
        if host % self.cluster_size:
            raise BlockError(f"{self.name}: the image is damaged: a cluster at {host:#x}")
        return host

    def _runs(self, offset: int, size: int) -> Iterator[tuple[int, int, int, int]]:
        """(kind, place in the file or table entry, offset, size) of stretches that lie together."""
        kind = place = start = length = -1
        while size > 0:
            cluster, within = divmod(offset, self.cluster_size)
            index, slot = divmod(cluster, self.per_table)
            piece = min(size, self.cluster_size - within)
            table = self._table(index)
            entry = 0 if table is None else table.words[slot]
            what = self._kind(entry)
            where = self._host(entry) + within if what == DATA else entry
            if what == kind and (what in (UNALLOCATED, ZEROES) or (what == DATA and where == place + length)):
                length += piece
            else:
                if length > 0:
                    yield kind, place, start, length
                kind, place, start, length = what, where, offset, piece
            offset, size = offset + piece, size - piece
        if length > 0:
            yield kind, place, start, length

    # Reading

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes."""
        pieces = []
        for kind, place, start, length in self._runs(offset, size):
            if kind == DATA:
                pieces.append(self.file.read(place, length))
            elif kind == PACKED:
                within = start % self.cluster_size
                pieces.append(self._unpack(place)[within : within + length])
            elif kind == UNALLOCATED and self.backing is not None:
                there = max(0, min(length, self.backing.size - start))
                pieces.append(self.backing.read(start, there) + bytes(length - there))
            else:
                pieces.append(zeroes(length))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def packed_place(self, entry: int) -> tuple[int, int]:
        """Where a compressed cluster is, and its size: whole sectors from its beginning's on."""
        bits = 62 - (self.cluster_bits - 8)
        place = entry & (1 << bits) - 1
        sectors = (entry & COMPRESSED - 1) >> bits
        return place, (sectors + 1) * SECTOR - place % SECTOR

    def _unpack(self, entry: int) -> bytes:
        if self._unpacked[0] != entry:
            place, size = self.packed_place(entry)
            try:
                contents = zlib.decompressobj(-12).decompress(self.file.read(place, size), self.cluster_size)
            except zlib.error as error:
                raise BlockError(f"{self.name}: the image is damaged: {error}") from error
            if len(contents) != self.cluster_size:
                raise BlockError(f"{self.name}: the image is damaged: a compressed cluster is too short")
            self._unpacked = (entry, contents)
        return self._unpacked[1]

    # Writing

    def write(self, offset: int, data: bytes) -> None:
        """Store bytes."""
        view, done = memoryview(data), 0
        while done < len(data):
            done += self._write_some(offset + done, view[done:])

    def _write_some(self, offset: int, data: memoryview) -> int:
        """Store the first stretch of it; how much that was."""
        cluster, within = divmod(offset, self.cluster_size)
        index, slot = divmod(cluster, self.per_table)
        table = self._table_to_write(index)
        most = min(-(-(within + len(data)) // self.cluster_size), self.per_table - slot)
        count, first = 0, 0
        while count < most and self._in_place(table, slot + count):
            host = self._host(table.words[slot + count])
            if count and host != first + count * self.cluster_size:
                break
            first = first if count else host
            count += 1
        self._wrote_data = True
        if count:
            length = min(len(data), count * self.cluster_size - within)
            self.file.write(first + within, data[:length])
            return length
        wanted = 1
        while wanted < most and not self._in_place(table, slot + wanted):
            wanted += 1
        return self._write_new(table, slot, wanted, offset, data)

    def _in_place(self, table: Table, slot: int) -> bool:
        """Whether a cluster is ours alone, so that it may be overwritten."""
        entry = table.words[slot]
        if self._kind(entry) != DATA:
            return False
        cluster = self._host(entry) >> self.cluster_bits
        if cluster in self._metadata:
            raise BlockError(f"{self.name}: the image is damaged: its data are where its tables are")
        if entry & COPIED:
            return True
        if self.refcounts.get(cluster) != 1:
            return False
        table.set(slot, entry | COPIED)
        return True

    def _write_new(self, table: Table, slot: int, wanted: int, offset: int, data: memoryview) -> int:
        """Store the beginning of `data` in fresh clusters, filled up with what the old ones show."""
        first, count = self.refcounts.allocate(wanted)
        within = offset % self.cluster_size
        length = min(len(data), count * self.cluster_size - within)
        end = offset + length
        rest = -end % self.cluster_size
        behind = max(0, min(rest, self.size - end))
        try:
            head = self.read(offset - within, within) if within else b""
            tail = self.read(end, behind) + bytes(rest - behind) if rest else b""
            self.file.write(first << self.cluster_bits, b"".join((head, data[:length], tail)))
        except BlockError:
            for cluster in range(first, first + count):
                self.refcounts.set(cluster, 0)
            raise
        for number in range(count):
            self._drop(table.words[slot + number])
            table.set(slot + number, (first + number) << self.cluster_bits | COPIED)
        return length

    def _drop(self, entry: int) -> None:
        """An entry is replaced: what it names has one reference fewer, from the next flush on."""
        if entry & COMPRESSED:
            place, size = self.packed_place(entry)
            self._freed += range(place >> self.cluster_bits, (place + size - 1 >> self.cluster_bits) + 1)
        elif entry & OFFSET:
            self._freed.append(self._host(entry) >> self.cluster_bits)

    def write_zeroes(self, offset: int, size: int, *, unmap: bool) -> None:
        """Store zeros; whole clusters as a flag."""
        if self.header.version == 2 and self.backing is not None:
            self._write_zero_bytes(offset, size)
            return
        while size > 0:
            piece = min(size, self.cluster_size - offset % self.cluster_size)
            whole = piece == self.cluster_size or (offset % self.cluster_size == 0 and offset + piece == self.size)
            if whole:
                self._clear(offset // self.cluster_size, must_be_zero=True)
            else:
                self._write_zero_bytes(offset, piece)
            offset, size = offset + piece, size - piece

    def _write_zero_bytes(self, offset: int, size: int) -> None:
        while size > 0:
            piece = min(size, 1 << 20)
            self.write(offset, zeroes(piece))
            offset, size = offset + piece, size - piece

    def discard(self, offset: int, size: int) -> None:
        """Free the clusters that lie in it as a whole; they read as zeros."""
        if self.header.version == 2 and self.backing is not None:
            return
        end = offset + size
        last = -(-end // self.cluster_size) if end == self.size else end // self.cluster_size
        for cluster in range(-(-offset // self.cluster_size), last):
            self._clear(cluster, must_be_zero=False)

    def _clear(self, cluster: int, *, must_be_zero: bool) -> None:
        """Make a cluster hold nothing."""
        index, slot = divmod(cluster, self.per_table)
        table = self._table(index)
        old = 0 if table is None else table.words[slot]
        if old == 0 and (self.backing is None or not must_be_zero):
            return
        new = 0 if self.backing is None else ZERO
        if old != new:
            self._table_to_write(index).set(slot, new)
            self._drop(old)

    # Making it durable

    def flush(self) -> None:
        """Everything that was written is in the file, and the file on its medium, behind this."""
        if self.read_only:
            return
        counts, file = self.refcounts, self.file
        counts.place_table()
        if counts.flush_blocks() or self._wrote_data:
            file.sync()
            self._wrote_data = False
        if counts.flush_table():
            file.sync()
            if counts.flush_header():
                file.sync()
                self._freed += counts.take_old_tables()
        tables = [table for table in self._tables.values() if table.first < table.last]
        for table in tables:
            file.write(table.offset + 8 * table.first, _big_endian_bytes(table.words[table.first : table.last]))
            table.first, table.last = len(table.words), 0
        if tables:
            file.sync()
        if self._dirty_first_level:
            for index in sorted(self._dirty_first_level):
                file.write(self.header.l1_offset + 8 * index, self.first_level[index].to_bytes(8, "big"))
            self._dirty_first_level.clear()
            file.sync()
        if self._freed:
            freed, self._freed = self._freed, []
            for cluster in freed:
                counts.release(cluster)
                if counts.get(cluster) == 0:
                    self._metadata.discard(cluster)
                    file.punch(cluster << self.cluster_bits, self.cluster_size)
            counts.flush_blocks()

    def close(self) -> None:
        """Flush and close, the backing file too."""
        if self.file.descriptor >= 0:
            try:
                self.flush()
            finally:
                self.file.close()
                if self.backing is not None:
                    self.backing.close()

    def describe(self) -> Mapping[str, object]:
        """For a monitor."""
        told: dict[str, object] = {
            "file": self.name,
            "format": self.format,
            "size": self.size,
            "read-only": self.read_only,
            "cluster-size": self.cluster_size,
        }
        if self.backing is not None:
            told["backing"] = self.backing.describe()
        if self.header.snapshots:
            told["snapshots"] = [snapshot.name for snapshot in self.snapshots()]
        return told


def _big_endian_bytes(words: array[int]) -> bytes:
    words = array("Q", words)
    if sys.byteorder == "little":
        words.byteswap()
    return words.tobytes()
