"""System calls that move data between descriptors, and reads and writes at a position with flags."""

from __future__ import annotations

import errno
import os

from runtime.core.env import PAGE_WRITE
from runtime.core.memory import GuestFault
from runtime.linux.host import Bytes
from runtime.linux.syscalls.files import MAX_TRANSFER, host_vector
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.linux.process import Thread

_ALL = (1 << 64) - 1
#: include/uapi/linux/fs.h: RWF_HIPRI, DSYNC, SYNC, NOWAIT, APPEND
_RWF_KNOWN = 0x1F


class _Position:
    """A guest's loff_t, for the host to read and move on."""

    def __init__(self, thread: Thread, address: int) -> None:
        self._thread, self._at = thread, address
        self._order: Any = thread.process.abi.byte_order
        self._bytes: Bytes | None = None
        if address:
            value = int.from_bytes(thread.memory.read(address, 8), self._order)
            if thread.memory.check(address, 8, PAGE_WRITE) is not None:
                raise GuestFault(address, 1)
            self._bytes = Bytes(value.to_bytes(8, "little"))

    @property
    def address(self) -> int:
        return 0 if self._bytes is None else self._bytes.address

    def give(self) -> None:
        if self._bytes is not None:
            value = int.from_bytes(self._bytes.raw[:8], "little")
            self._thread.memory.write(self._at, value.to_bytes(8, self._order))


def _between(thread: Thread, call: str, ends: tuple[int, int, int, int], count: int, flags: int) -> int:
    """splice and copy_file_range, which take the same arguments: descriptors, each with a place for its position."""
    process = thread.process
    source, target = process.descriptors.host(ends[0]), process.descriptors.host(ends[2])
    first, second = _Position(thread, ends[1]), _Position(thread, ends[3])
    count = min(count, MAX_TRANSFER)
    moved = process.host.wait(call, source, first.address, target, second.address, count, flags & 0xFFFFFFFF)
    first.give()
    second.give()
    return moved


@system_call("fd position fd position size splice_flags")
def splice(thread: Thread, source: int, source_at: int, target: int, target_at: int, count: int, flags: int) -> int:
    return _between(thread, "splice", (source, source_at, target, target_at), count, flags)


@system_call("fd position fd position size flags")
def copy_file_range(
    thread: Thread, source: int, source_at: int, target: int, target_at: int, count: int, flags: int
) -> int:
    return _between(thread, "copy_file_range", (source, source_at, target, target_at), count, flags)


@system_call("fd fd size splice_flags")
def tee(thread: Thread, source: int, target: int, count: int, flags: int) -> int:
    process = thread.process
    hosts = process.descriptors.host(source), process.descriptors.host(target)
    return process.host.wait("tee", *hosts, min(count, MAX_TRANSFER), flags & 0xFFFFFFFF)


@system_call("fd pointer size splice_flags")
def vmsplice(thread: Thread, fd: int, address: int, count: int, flags: int) -> int:
    """Pages are copied into the pipe, not given: what the guest does to them later is not seen there."""
    process = thread.process
    host = process.descriptors.host(fd)
    reads = os.readlink(f"/proc/self/fd/{host}").startswith("pipe:") and _is_read_end(host)
    parts, number = host_vector(thread, address, count, reads)
    return process.host.wait("readv" if reads else "writev", host, parts.address, number)


def _is_read_end(host: int) -> bool:
    with open(f"/proc/self/fdinfo/{host}", "rb") as information:
        flags = next(int(line.split()[1], 8) for line in information if line.startswith(b"flags:"))
    return flags & os.O_ACCMODE == os.O_RDONLY


def _at(thread: Thread, call: str, fd: int, address: int, count: int, low: int, high: int, flags: int) -> int:
    """preadv2 and pwritev2: a position of -1 is the file's own."""
    process, bits = thread.process, thread.process.abi.bits
    host = process.descriptors.host(fd)
    position = low if bits == 64 else low | high << bits
    if flags & ~_RWF_KNOWN:
        raise fail(errno.EOPNOTSUPP)
    if position >> 63 and position != _ALL:
        raise fail(errno.EINVAL)
    parts, number = host_vector(thread, address, count, call == "preadv2")
    signed = (position ^ 1 << 63) - (1 << 63)
    return process.host.wait(call, host, parts.address, number, signed, 0, flags)


@system_call("fd pointer int word word rwf_flags")
def preadv2(thread: Thread, fd: int, address: int, count: int, low: int, high: int, flags: int) -> int:
    return _at(thread, "preadv2", fd, address, count, low, high, flags)


@system_call("fd pointer int word word rwf_flags")
def pwritev2(thread: Thread, fd: int, address: int, count: int, low: int, high: int, flags: int) -> int:
    return _at(thread, "pwritev2", fd, address, count, low, high, flags)


@system_call("fd offset size")
def readahead(thread: Thread, fd: int, offset: int, count: int) -> int:
    return thread.process.host.do("readahead", thread.process.descriptors.host(fd), offset, min(count, MAX_TRANSFER))


@system_call("fd offset offset sync_flags")
def sync_file_range(thread: Thread, fd: int, offset: int, count: int, flags: int) -> int:
    host = thread.process.descriptors.host(fd)
    return thread.process.host.do("sync_file_range", host, offset, count, flags & 0xFFFFFFFF)


@system_call("fd")
def syncfs(thread: Thread, fd: int) -> int:
    return thread.process.host.do("syncfs", thread.process.descriptors.host(fd))
