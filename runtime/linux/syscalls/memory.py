"""System calls that shape the address space: brk, mmap and their kin."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from runtime.core.memory import PAGE_MASK, PAGE_SIZE, page_up
from runtime.linux.mm import LOWEST
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Thread
    from runtime.linux.syscalls.table import Answer

PROT_READ, PROT_WRITE, PROT_EXEC, PROT_SEM = 1, 2, 4, 8
PROT_GROWSDOWN, PROT_GROWSUP = 0x01000000, 0x02000000
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MADV_DONTNEED, MADV_FREE = 4, 8
_MADVICES = frozenset((*range(5), *range(8, 26), 100, 101))
MS_ASYNC, MS_INVALIDATE, MS_SYNC = 1, 2, 4
_DEV_ZERO = os.makedev(1, 5)


def _one_at_a_time(answer: Answer) -> Answer:
    """A call that threads make one after the other, for it looks at the map of memory or changes it."""

    def locked(thread: Thread, *arguments: int) -> int:
        with thread.process.lock:
            return answer(thread, *arguments)

    locked.__name__ = answer.__name__  # the call's

    return locked


@system_call("pointer")
@_one_at_a_time
def brk(thread: Thread, address: int) -> int:
    return thread.process.space.set_break(address)


@system_call("pointer size protection map_flags fd offset")
@_one_at_a_time
def mmap(thread: Thread, address: int, size: int, protection: int, flags: int, fd: int, offset: int) -> int:
    """mmap of a 64-bit guest: the offset is in bytes, in one register."""
    return _mmap(thread, address, size, protection, flags, fd, offset)


@system_call("pointer size protection map_flags fd size")
@_one_at_a_time
def mmap2(thread: Thread, address: int, size: int, protection: int, flags: int, fd: int, pages: int) -> int:
    """mmap of a 32-bit guest: the offset is in units of 4096 bytes."""
    return _mmap(thread, address, size, protection, flags, fd, pages << 12)


def _mmap(thread: Thread, address: int, size: int, protection: int, flags: int, fd: int, offset: int) -> int:
    process, constants = thread.process, thread.process.abi.constants
    space = process.space
    kind = flags & constants["MAP_SHARED_VALIDATE"]
    if kind == 0 or offset & PAGE_MASK or size == 0 or offset < 0:
        raise fail(errno.EINVAL)
    if size > space.top:
        raise fail(errno.ENOMEM)
    shared = kind != constants["MAP_PRIVATE"]
    anonymous = bool(flags & constants["MAP_ANONYMOUS"])
    host = -1
    if not anonymous:
        host = process.descriptors.host(fd)
        anonymous = not _check_mappable(host, protection, shared)
    if flags & (constants["MAP_FIXED"] | constants["MAP_FIXED_NOREPLACE"]):
        size = space.check(address, size)
        if address < LOWEST:
            raise fail(errno.EPERM)
        if flags & constants["MAP_FIXED_NOREPLACE"] and not process.memory.is_free(address, size):
            raise fail(errno.EEXIST)
    else:
        size = page_up(size)
        address = space.find(size, address)
    if anonymous and flags & constants["MAP_HUGETLB"]:
        raise fail(errno.ENOMEM)  # as a host says that has set no huge pages aside: programs do without
    if anonymous:
        space.map(address, size, protection, shared=shared)
    else:
        space.map_file(address, size, protection, host, offset, shared)
    return address


def _check_mappable(host: int, protection: int, shared: bool) -> bool:
    """Whether a descriptor's file can be mapped so (EACCES, ENODEV); False for /dev/zero: anonymous memory."""
    status = os.fstat(host)
    mode = fcntl.fcntl(host, fcntl.F_GETFL)
    if mode & os.O_PATH:
        raise fail(errno.EBADF)
    access = mode & os.O_ACCMODE
    if access == os.O_WRONLY or (shared and protection & PROT_WRITE and access != os.O_RDWR):
        raise fail(errno.EACCES)
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == _DEV_ZERO:
        return False
    if not stat.S_ISREG(status.st_mode):
        raise fail(errno.ENODEV)
    return True


@system_call("pointer size")
@_one_at_a_time
def munmap(thread: Thread, address: int, size: int) -> int:
    space = thread.process.space
    if address & PAGE_MASK or size == 0 or size > space.top or address + size > space.top:
        raise fail(errno.EINVAL)
    space.unmap(address, page_up(size))
    return 0


@system_call("pointer size protection")
@_one_at_a_time
def mprotect(thread: Thread, address: int, size: int, protection: int) -> int:
    known = PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM
    if address & PAGE_MASK or protection & ~known:
        raise fail(errno.EINVAL)
    if size == 0:
        return 0
    space = thread.process.space
    if size > space.top or address + size > space.top:
        raise fail(errno.ENOMEM)
    space.protect(address, page_up(size), protection)
    return 0


@system_call("pointer size size flags pointer")
@_one_at_a_time
def mremap(thread: Thread, address: int, old_size: int, new_size: int, flags: int, target: int) -> int:
    space, memory = thread.process.space, thread.memory
    if flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) or address & PAGE_MASK or not new_size or not old_size:
        raise fail(errno.EINVAL)
    if flags & MREMAP_FIXED and not flags & MREMAP_MAYMOVE:
        raise fail(errno.EINVAL)
    if max(old_size, new_size) > space.top:
        raise fail(errno.ENOMEM)
    old_size, new_size = page_up(old_size), page_up(new_size)
    region = memory.region_at(address)
    if region is None or address + old_size > region.end:
        raise fail(errno.EFAULT)
    if flags & MREMAP_FIXED:
        space.check(target, new_size)
        if target < address + old_size and address < target + new_size:
            raise fail(errno.EINVAL)
        space.unmap(target, new_size)
        space.move(address, old_size, target, new_size)
        return target
    if new_size <= old_size:
        if new_size < old_size:
            space.unmap(address + new_size, old_size - new_size)
        return address
    grown = new_size - old_size
    if address + old_size == region.end and address + new_size <= space.top and memory.is_free(region.end, grown):
        memory.grow(address, old_size, new_size)
        return address
    if not flags & MREMAP_MAYMOVE:
        raise fail(errno.ENOMEM)
    place = space.find(new_size)
    space.move(address, old_size, place, new_size)
    return place


@system_call("pointer size int")
@_one_at_a_time
def madvise(thread: Thread, address: int, size: int, advice: int) -> int:
    space, memory = thread.process.space, thread.memory
    if address & PAGE_MASK or advice not in _MADVICES or size > 1 << thread.process.abi.bits - 1:
        raise fail(errno.EINVAL)
    if size == 0:
        return 0
    if address + size > space.top or not memory.is_mapped(address, page_up(size)):
        raise fail(errno.ENOMEM)
    if advice == MADV_DONTNEED:
        space.discard(address, page_up(size))
    return 0


@system_call("pointer size flags")
@_one_at_a_time
def msync(thread: Thread, address: int, size: int, flags: int) -> int:
    space = thread.process.space
    if address & PAGE_MASK or flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC):
        raise fail(errno.EINVAL)
    if size > space.top or address + size > space.top:
        raise fail(errno.ENOMEM)
    if size and not thread.memory.is_mapped(address, page_up(size)):
        raise fail(errno.ENOMEM)
    if flags & MS_SYNC and flags & MS_ASYNC:
        raise fail(errno.EINVAL)
    if flags & MS_SYNC and size:
        thread.memory.flush(address, page_up(size))
    return 0


@system_call("pointer size pointer")
@_one_at_a_time
def mincore(thread: Thread, address: int, size: int, result: int) -> int:
    space = thread.process.space
    if address & PAGE_MASK:
        raise fail(errno.EINVAL)
    if size > space.top or not thread.memory.is_mapped(address, page_up(size)):
        raise fail(errno.ENOMEM)
    pages = page_up(size) // PAGE_SIZE
    for at in range(0, pages, PAGE_SIZE):
        thread.memory.write(result + at, b"\1" * min(pages - at, PAGE_SIZE))
    return 0


@system_call("pointer size", "mlock", "munlock")
def mlock(thread: Thread, address: int, size: int) -> int:
    if size > thread.process.space.top or not thread.memory.is_mapped(address & ~PAGE_MASK, page_up(size or 1)):
        raise fail(errno.ENOMEM)
    return 0
