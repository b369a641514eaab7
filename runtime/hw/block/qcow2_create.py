"""Making an empty qcow2 image, version 3."""

from __future__ import annotations

import os
import struct

from runtime.hw.block.backend import ImageError
from runtime.hw.block.qcow2_header import BACKING_FORMAT, MAGIC, MOST_L1_BYTES

__all__ = ["create_qcow2"]


def create_qcow2(
    path: str, size: int, *, cluster_bits: int = 16, backing_file: str | None = None, backing_format: str | None = None
) -> None:
    """Write an image of `size` bytes that holds nothing; it must not exist yet."""
    cluster = 1 << cluster_bits
    l1_size = max(1, -(-size // (cluster // 8 * cluster)))
    if size < 0 or l1_size * 8 > MOST_L1_BYTES:
        raise ImageError(f"{path}: a disk of {size} bytes is too large for clusters of {cluster}")
    l1_clusters = -(-l1_size * 8 // cluster)
    per_block, blocks = cluster // 2, 1
    while True:  # header, table of counts, their blocks, first level; the blocks count them all
        table_clusters = -(-blocks * 8 // cluster)
        used = 1 + table_clusters + blocks + l1_clusters
        if used <= blocks * per_block:
            break
        blocks = -(-used // per_block)
    l1_offset = (1 + table_clusters + blocks) * cluster
    extensions = b""
    if backing_file is not None and backing_format is not None:
        name = backing_format.encode("utf-8", "surrogateescape")
        extensions = struct.pack(">II", BACKING_FORMAT, len(name)) + name.ljust(-(-len(name) // 8) * 8, b"\0")
    extensions += bytes(8)
    named = os.fsencode(backing_file or "")
    if 112 + len(extensions) + len(named) > cluster or len(named) > 1023:
        raise ImageError(f"{path}: the name of its backing file is too long")
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII8x",
        *(MAGIC, 3, 112 + len(extensions) if named else 0, len(named), cluster_bits, size, 0),
        *(l1_size, l1_offset, cluster, table_clusters, 0, 0),
        *(0, 0, 0, 4, 112),
    )
    table = b"".join(struct.pack(">Q", (1 + table_clusters + block) * cluster) for block in range(blocks))
    counts = struct.pack(">H", 1) * used
    try:
        with open(path, "xb") as file:
            file.write(header + extensions + named)
            file.seek(cluster)
            file.write(table)
            file.seek((1 + table_clusters) * cluster)
            file.write(counts)
            file.truncate(used * cluster)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
