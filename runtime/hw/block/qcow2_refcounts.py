"""Reference counts of a qcow2 image's clusters, and finding free ones.

Changes stay in memory until `flush_blocks` and `flush_table`, which Qcow2Image calls in the order that keeps the file
consistent at every moment.
"""

from __future__ import annotations

import sys
from array import array

from runtime.hw.block.backend import BlockError, ImageError
from runtime.hw.block.files import HostFile
from runtime.hw.block.qcow2_header import AT_REFCOUNT_TABLE, MOST_REFCOUNT_TABLE_BYTES, Header

__all__ = ["Refcounts", "big_endian_words"]


def big_endian_words(data: bytes) -> array[int]:
    """64-bit words as qcow2 stores them."""
    words = array("Q", data)
    if sys.byteorder == "little":
        words.byteswap()
    return words


class Refcounts:
    """The counts.  A cluster is known by its number in the file."""

    def __init__(self, file: HostFile, header: Header) -> None:
        self.file = file
        self.cluster_bits = header.cluster_bits
        self.cluster_size = header.cluster_size
        self.bits = 1 << header.refcount_order
        self.most = (1 << self.bits) - 1
        self.per_block = self.cluster_size * 8 // self.bits
        self.table_offset = header.refcount_table_offset
        self.table = big_endian_words(file.read(self.table_offset, header.refcount_table_clusters * self.cluster_size))
        self.table_clusters = header.refcount_table_clusters
        if any(entry % self.cluster_size or entry >> 56 for entry in self.table):
            raise ImageError(f"{file.path}: this qcow2 image cannot be used: the table of reference counts is damaged")
        self.blocks: dict[int, bytearray] = {}
        self.dirty_blocks: dict[int, tuple[int, int]] = {}  # table index -> bytes that changed
        self.dirty_entries: set[int] = set()  # of the table
        self.moved = False  # the table is elsewhere than the header says
        self._old_tables: list[tuple[int, int]] = []  # (first cluster, clusters), free once the header is written
        self._hint = 0

    # Counts

    def get(self, cluster: int) -> int:
        """How many references there are to a cluster."""
        index, within = divmod(cluster, self.per_block)
        block = self._block(index)
        if block is None:
            return 0
        if self.bits >= 8:
            size = self.bits // 8
            return int.from_bytes(block[within * size : within * size + size], "big")
        per_byte = 8 // self.bits
        return block[within // per_byte] >> within % per_byte * self.bits & self.most

    def set(self, cluster: int, count: int) -> None:
        """Change it."""
        index, within = divmod(cluster, self.per_block)
        block = self._block(index)
        if block is None:
            block = self._make_block(index)
        if self.bits >= 8:
            size = self.bits // 8
            start, end = within * size, within * size + size
            block[start:end] = count.to_bytes(size, "big")
        else:
            per_byte = 8 // self.bits
            start = within // per_byte
            end, shift = start + 1, within % per_byte * self.bits
            block[start] = block[start] & ~(self.most << shift) | count << shift
        first, last = self.dirty_blocks.get(index, (start, end))
        self.dirty_blocks[index] = (min(first, start), max(last, end))
        if count == 0 and cluster < self._hint:
            self._hint = cluster

    def release(self, cluster: int) -> None:
        """One reference fewer."""
        count = self.get(cluster)
        if count == 0:
            raise BlockError(f"{self.file.path}: cluster {cluster} is used but counted as free; qemu-img check")
        self.set(cluster, count - 1)

    def _block(self, index: int) -> bytearray | None:
        block = self.blocks.get(index)
        if block is None and index < len(self.table) and self.table[index]:
            block = bytearray(self.file.read(self.table[index], self.cluster_size))
            self.blocks[index] = block
        return block

    def _make_block(self, index: int) -> bytearray:
        """A block of counts where there is none: it lies in a free cluster, which may be one that it counts itself."""
        if index >= len(self.table):
            self._grow(index + 1)
        block = self.blocks[index] = bytearray(self.cluster_size)
        self.dirty_blocks[index] = (0, self.cluster_size)
        cluster = self._search(index * self.per_block)
        self.table[index] = cluster << self.cluster_bits
        self.dirty_entries.add(index)
        self.set(cluster, 1)
        return block

    def _grow(self, entries: int) -> None:
        """A longer table; `place_table` finds room for it."""
        clusters = max(-(-entries * 8 // self.cluster_size), self.table_clusters + self.table_clusters // 2 + 1)
        if clusters * self.cluster_size > max(MOST_REFCOUNT_TABLE_BYTES, self.cluster_size):
            raise BlockError(f"{self.file.path}: the image can grow no further")
        self.table = self.table + array("Q", bytes(clusters * self.cluster_size - len(self.table) * 8))
        self.moved = True

    # Free clusters

    def allocate(self, wanted: int) -> tuple[int, int]:
        """(first, how many) free clusters that adjoin, now counted once: as many as wanted, or fewer."""
        first = self._search(self._hint)
        while not self._claim(first):
            first = self._search(first)
        count = 1
        while count < wanted and self._claim(first + count):
            count += 1
        self._hint = first + count
        return first, count

    def go_on_behind(self, cluster: int) -> None:
        """Look for free clusters from here on."""
        self._hint = cluster

    def _claim(self, cluster: int) -> bool:
        """Count a cluster once if it is free.  It may be free no more as soon as there is a block to count it in."""
        if self.get(cluster):
            return False
        if self._block(cluster // self.per_block) is None:
            self._make_block(cluster // self.per_block)
            if self.get(cluster):
                return False
        self.set(cluster, 1)
        return True

    def _search(self, start: int) -> int:
        """The first free cluster from `start` on."""
        cluster = max(start, 1)  # 0 is the header
        while self.get(cluster):
            cluster += 1
        return cluster

    def place_table(self) -> None:
        """Find room for a table that has grown."""
        while self.moved and self.table_clusters * self.cluster_size != len(self.table) * 8:
            clusters = len(self.table) * 8 // self.cluster_size
            first, count = self.allocate(clusters)
            if count < clusters:  # go on behind it; what was taken is free again
                for cluster in range(first, first + count):
                    self.set(cluster, 0)
                self._hint = first + count
                continue
            self._old_tables.append((self.table_offset >> self.cluster_bits, self.table_clusters))
            self.table_offset = first << self.cluster_bits
            self.table_clusters = clusters

    # Writing back

    def flush_blocks(self) -> bool:
        """Write the counts; whether anything was written."""
        wrote = False
        for index, (start, end) in sorted(self.dirty_blocks.items()):
            self.file.write(self.table[index] + start, memoryview(self.blocks[index])[start:end])
            wrote = True
        self.dirty_blocks.clear()
        return wrote

    def flush_table(self) -> bool:
        """Write the table, behind the blocks that it names; whether anything was written."""
        if not self.dirty_entries and not self.moved:
            return False
        words = array("Q", self.table)
        if sys.byteorder == "little":
            words.byteswap()
        raw = memoryview(words).cast("B")
        if self.moved:
            self.file.write(self.table_offset, raw)
        else:
            for index in sorted(self.dirty_entries):
                self.file.write(self.table_offset + 8 * index, raw[8 * index : 8 * index + 8])
        self.dirty_entries.clear()
        return True

    def flush_header(self) -> bool:
        """Say in the header where the table is, once it is there; whether anything was written."""
        if not self.moved:
            return False
        place = self.table_offset.to_bytes(8, "big") + self.table_clusters.to_bytes(4, "big")
        self.file.write(AT_REFCOUNT_TABLE, place)
        self.moved = False
        return True

    def take_old_tables(self) -> list[int]:
        """Clusters of tables that the header names no more."""
        old = [cluster for first, count in self._old_tables for cluster in range(first, first + count)]
        self._old_tables.clear()
        return old
