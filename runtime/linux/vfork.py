"""vfork's shared memory: what the child changed goes to its parent, which waits until the child executes or ends.

The child is a fork, so that its memory is a copy.  Programs do rely on the sharing, though: posix_spawn's child leaves
the errno of a failed execve in its parent's variable.  The host tells which pages the child has for itself alone
(bit 56 of /proc/self/pagemap): those it has written.
"""

from __future__ import annotations

import os
import struct

from runtime.core.env import PAGE_WRITE
from runtime.core.memory import PAGE_SIZE, GuestMemory, Region

_PIECE = struct.Struct("<QQ")  # address and size of the bytes that follow
_PRESENT, _EXCLUSIVE = 1 << 63, 1 << 56
_ENTRY = 8
_AT_ONCE = 1 << 16


def tell(descriptor: int, memory: GuestMemory) -> None:
    """In the child, at its end or its execve: send what it wrote, and let the parent go on."""
    try:
        for start, end in _written(memory):
            _write(descriptor, _PIECE.pack(start, end - start))
            _write(descriptor, memory.view[start:end])
    except OSError:  # no /proc, or the parent is gone
        pass
    os.close(descriptor)


def listen(descriptor: int, memory: GuestMemory, own: Region | None = None) -> None:
    """In the parent: wait, and take over what the child wrote, or only what it wrote in region `own`."""
    with open(descriptor, "rb") as pipe:
        while len(head := pipe.read(_PIECE.size)) == _PIECE.size:
            address, size = _PIECE.unpack(head)
            data = pipe.read(size)
            if own is not None:
                end = min(address + size, own.end)
                data = data[max(own.start - address, 0) : max(end - address, 0)]
                address = max(address, own.start)
            if data and memory.is_mapped(address, len(data)):
                memory.write(address, data, need=0)


def _written(memory: GuestMemory) -> list[tuple[int, int]]:
    """Runs of pages, [start, end), that this process does not share with its parent any more."""
    runs: list[tuple[int, int]] = []
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for region in memory.regions():
            if region.shared or not region.permissions & PAGE_WRITE:
                continue
            for start in range(region.start, region.end, _AT_ONCE * PAGE_SIZE):
                count = min(_AT_ONCE, (region.end - start) // PAGE_SIZE)
                data = os.pread(pagemap, count * _ENTRY, (memory.base + start) // PAGE_SIZE * _ENTRY)
                for index, (entry,) in enumerate(struct.iter_unpack("<Q", data)):
                    if entry & _PRESENT and entry & _EXCLUSIVE:
                        _add(runs, start + index * PAGE_SIZE)
    finally:
        os.close(pagemap)
    return runs


def _add(runs: list[tuple[int, int]], page: int) -> None:
    if runs and runs[-1][1] == page:
        runs[-1] = runs[-1][0], page + PAGE_SIZE
    else:
        runs.append((page, page + PAGE_SIZE))


def _write(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
