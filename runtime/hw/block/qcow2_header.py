"""The header of a qcow2 image, its extensions and its list of snapshots (QEMU's docs/interop/qcow2.txt)."""

from __future__ import annotations

import struct

from runtime.core.record import record
from runtime.hw.block.backend import ImageError
from runtime.hw.block.files import HostFile

__all__ = ["MAGIC", "Header", "Snapshot", "read_header", "read_snapshots"]

MAGIC = b"QFI\xfb"

_VERSION_2 = struct.Struct(">4sIQIIQIIQQIIQ")
_VERSION_3 = struct.Struct(">QQQII")

#: incompatible features
DIRTY, CORRUPT, EXTERNAL_DATA, COMPRESSION_TYPE, EXTENDED_L2 = 1, 2, 4, 8, 16
_REFUSED = {
    EXTERNAL_DATA: "its data is in another file",
    COMPRESSION_TYPE: "it is compressed with zstd",
    EXTENDED_L2: "it has subclusters (extended L2 entries)",
}

BACKING_FORMAT = 0xE2792ACA

#: what QEMU itself does not exceed
MOST_L1_BYTES, MOST_REFCOUNT_TABLE_BYTES, MOST_SNAPSHOTS = 32 << 20, 8 << 20, 65536

#: where fields are that change while an image is used
AT_REFCOUNT_TABLE, AT_SNAPSHOTS, AT_INCOMPATIBLE, AT_AUTOCLEAR = 48, 60, 72, 88


@record
class Header:
    """What the header says, checked."""

    version: int
    backing_file: str | None
    backing_format: str | None
    cluster_bits: int
    size: int
    l1_size: int  # entries
    l1_offset: int
    refcount_table_offset: int
    refcount_table_clusters: int
    snapshots: int
    snapshots_offset: int
    incompatible: int
    autoclear: int
    refcount_order: int

    @property
    def cluster_size(self) -> int:
        """Bytes."""
        return 1 << self.cluster_bits


@record
class Snapshot:
    """An internal snapshot, as `info snapshots` shows it."""

    identity: str
    name: str
    seconds: int
    nanoseconds: int
    clock: int  # the guest's, in ns
    vm_state_size: int
    disk_size: int
    l1_offset: int  # the copy of the first-level table
    l1_size: int  # its entries
    raw: bytes  # as it stands in the list


def read_header(file: HostFile) -> Header:
    """The header of an open file; ImageError if it is no image that we can use."""

    def refuse(why: str) -> ImageError:
        return ImageError(f"{file.path}: this qcow2 image cannot be used: {why}")

    length = file.size()
    raw = file.read(0, _VERSION_2.size)
    (
        magic, version, backing_offset, backing_length, bits, size, encryption,
        l1_size, l1_offset, table_offset, table_clusters, snapshots, snapshots_offset,
    ) = _VERSION_2.unpack(raw)  # fmt: skip
    if magic != MAGIC:
        raise ImageError(f"{file.path}: not a qcow2 image (format=raw takes it as it is)")
    if version not in (2, 3):
        raise refuse(f"its version is {version}; there are 2 and 3")
    if encryption:
        raise refuse("it is encrypted")
    if not 9 <= bits <= 21:
        raise refuse(f"clusters of 2^{bits} bytes; they have 2^9 to 2^21")
    incompatible = autoclear = 0
    order, header_length = 4, _VERSION_2.size
    if version == 3:
        incompatible, _, autoclear, order, header_length = _VERSION_3.unpack(file.read(72, _VERSION_3.size))
        for bit, why in _REFUSED.items():
            if incompatible & bit and (bit != COMPRESSION_TYPE or file.read(104, 1) != b"\0"):
                raise refuse(f"{why}, which is not supported; `qemu-img convert -O qcow2` makes one without")
        unknown = incompatible & ~0x1F
        if unknown:
            raise refuse(f"it uses features that are not known here (bits {unknown:#x})")
        if incompatible & CORRUPT and not file.read_only:
            raise refuse("it is marked as corrupt; `qemu-img check -r all` may mend it, readonly=on reads it")
        if incompatible & DIRTY and not file.read_only:
            raise refuse("it was not closed and its reference counts are stale; `qemu-img check -r all` mends it")
        if order > 6:
            raise refuse(f"reference counts of 2^{order} bits")
        if header_length < 104 or header_length > 1 << bits:
            raise refuse(f"a header of {header_length} bytes")
    cluster = 1 << bits
    if size > 1 << 62:
        raise refuse(f"a disk of {size} bytes")
    covered = cluster // 8 * cluster
    if l1_size * 8 > MOST_L1_BYTES or l1_size * covered < size:
        raise refuse(f"a first-level table of {l1_size} entries for {size} bytes")
    if l1_size and (l1_offset % cluster or not 0 < l1_offset < length):
        raise refuse(f"its first-level table is at {l1_offset:#x}")
    if not table_clusters or table_clusters * cluster > max(MOST_REFCOUNT_TABLE_BYTES, cluster):
        raise refuse(f"a table of reference counts of {table_clusters} clusters")
    if table_offset % cluster or not 0 < table_offset < length:
        raise refuse(f"its table of reference counts is at {table_offset:#x}")
    if snapshots > MOST_SNAPSHOTS or (snapshots and (snapshots_offset % 8 or not 0 < snapshots_offset < length)):
        raise refuse(f"{snapshots} snapshots at {snapshots_offset:#x}")
    backing_file = None
    if backing_offset:
        if backing_length > 1023 or backing_offset + backing_length > cluster:
            raise refuse("the name of its backing file is out of place")
        try:
            backing_file = file.read(backing_offset, backing_length).decode()
        except UnicodeDecodeError:
            raise refuse("the name of its backing file is no text") from None
        if not backing_file or "\0" in backing_file:
            raise refuse("the name of its backing file is no name")
    end = backing_offset if backing_offset else cluster
    backing_format = _backing_format(file.read(header_length, max(0, min(end, cluster) - header_length)))
    return Header(
        version=version,
        backing_file=backing_file,
        backing_format=backing_format,
        cluster_bits=bits,
        size=size,
        l1_size=l1_size,
        l1_offset=l1_offset,
        refcount_table_offset=table_offset,
        refcount_table_clusters=table_clusters,
        snapshots=snapshots,
        snapshots_offset=snapshots_offset,
        incompatible=incompatible,
        autoclear=autoclear,
        refcount_order=order,
    )


def _backing_format(extensions: bytes) -> str | None:
    """The format of the backing file, if one of the header's extensions names it."""
    place = 0
    while place + 8 <= len(extensions):
        kind, length = struct.unpack_from(">II", extensions, place)
        if kind == 0 or place + 8 + length > len(extensions):
            break
        if kind == BACKING_FORMAT:
            return extensions[place + 8 : place + 8 + length].decode("ascii", "replace")
        place += 8 + -(-length // 8) * 8
    return None


def read_snapshots(file: HostFile, header: Header) -> list[Snapshot]:
    """The internal snapshots that the image lists."""
    found: list[Snapshot] = []
    place = header.snapshots_offset
    for _ in range(header.snapshots):
        (
            l1_offset, l1_size, identity_length, name_length, seconds, nanoseconds, clock, state_size, extra_length,
        ) = struct.unpack(">QIHHIIQII", file.read(place, 40))  # fmt: skip
        if extra_length > 1024:
            raise ImageError(f"{file.path}: this qcow2 image's list of snapshots is damaged")
        extra = file.read(place + 40, extra_length)
        disk_size = header.size
        if extra_length >= 8:
            state_size = int.from_bytes(extra[:8], "big")
        if extra_length >= 16:
            disk_size = int.from_bytes(extra[8:16], "big")
        start, place = place, place + 40 + extra_length
        identity = file.read(place, identity_length).decode("utf-8", "replace")
        name = file.read(place + identity_length, name_length).decode("utf-8", "replace")
        place += -(-(identity_length + name_length) // 8) * 8
        place = -(-place // 8) * 8
        found.append(
            Snapshot(
                *(identity, name, seconds, nanoseconds, clock, state_size, disk_size, l1_offset, l1_size),
                file.read(start, place - start),
            )
        )
    return found
