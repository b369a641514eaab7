"""System calls that shape the address space."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE
from runtime.linux.mm import LOWEST
from runtime.linux.process import Thread
from tests.linux.guest import SCRATCH, call, make_thread, put

READ, WRITE, EXEC = 1, 2, 4
SHARED, PRIVATE, FIXED, ANONYMOUS, NOREPLACE = 1, 2, 0x10, 0x20, 0x100000
NOBODY = (1 << 64) - 1
AT_FDCWD = -100 & NOBODY
PAGE = 4096


@pytest.fixture
def thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Thread:
    monkeypatch.chdir(tmp_path)
    return make_thread()


def anonymous(thread: Thread, size: int, address: int = 0, flags: int = PRIVATE, protection: int = READ | WRITE) -> int:
    return call(thread, "mmap", address, size, protection, flags | ANONYMOUS, NOBODY, 0)


def open_file(thread: Thread, data: bytes, flags: int = 2) -> int:
    Path("file").write_bytes(data)
    return call(thread, "openat", AT_FDCWD, put(thread, b"file\0"), flags, 0)


def test_brk(thread: Thread) -> None:
    space = thread.process.space
    space.set_heap(0x200000)
    assert call(thread, "brk", 0) == 0x200000
    assert call(thread, "brk", 0x200010) == 0x200010
    thread.memory.write(0x200FFF, b"x")
    assert call(thread, "brk", 0x1FFFFF) == 0x200010
    assert call(thread, "brk", 1 << 60) == 0x200010
    thread.memory.map(0x210000, PAGE, PAGE_READ)
    assert call(thread, "brk", 0x211000) == 0x200010
    assert call(thread, "brk", 0x210000) == 0x210000
    assert call(thread, "brk", 0x200000) == 0x200000
    assert not thread.memory.is_mapped(0x200000, PAGE)
    assert call(thread, "prlimit64", 0, 2, put(thread, (0x3000).to_bytes(8, "little") * 2), 0) == 0
    assert call(thread, "brk", 0x203001) == 0x200000


def test_anonymous_mappings_grow_downwards(thread: Thread) -> None:
    first, second = anonymous(thread, 1), anonymous(thread, PAGE + 1)
    assert first == thread.process.space.mmap_top - PAGE
    assert second == first - 2 * PAGE
    assert thread.memory.read(second, 2 * PAGE) == bytes(2 * PAGE)
    assert anonymous(thread, PAGE, 0x5000123) == 0x5000000
    assert anonymous(thread, PAGE, 0x5000000) == second - PAGE
    assert anonymous(thread, PAGE, 16) > LOWEST
    assert call(thread, "munmap", first, PAGE) == 0
    assert anonymous(thread, PAGE) == first


def test_fixed_mappings(thread: Thread) -> None:
    put(thread, b"old")
    assert anonymous(thread, PAGE, SCRATCH, PRIVATE | FIXED) == SCRATCH
    assert thread.memory.read(SCRATCH, 3) == bytes(3)
    assert anonymous(thread, PAGE, SCRATCH, PRIVATE | FIXED | NOREPLACE) == -errno.EEXIST
    assert anonymous(thread, PAGE, SCRATCH + 1, PRIVATE | FIXED) == -errno.EINVAL
    assert anonymous(thread, PAGE, 0, PRIVATE | FIXED) == -errno.EPERM
    assert anonymous(thread, PAGE, (1 << 38) - PAGE, PRIVATE | FIXED) == (1 << 38) - PAGE
    assert anonymous(thread, 2 * PAGE, (1 << 38) - PAGE, PRIVATE | FIXED) == -errno.ENOMEM


def test_mmap_refuses(thread: Thread) -> None:
    assert anonymous(thread, 0) == -errno.EINVAL
    assert anonymous(thread, 1 << 63) == -errno.ENOMEM
    assert anonymous(thread, (1 << 38) - 1) == -errno.ENOMEM
    assert anonymous(thread, PAGE, 0, 0) == -errno.EINVAL
    assert call(thread, "mmap", 0, PAGE, READ, PRIVATE, 99, 0) == -errno.EBADF
    fd = open_file(thread, b"abc", 0)
    assert call(thread, "mmap", 0, PAGE, READ, PRIVATE, fd, 1) == -errno.EINVAL
    assert call(thread, "mmap", 0, PAGE, READ | WRITE, SHARED, fd, 0) == -errno.EACCES
    directory = call(thread, "openat", AT_FDCWD, put(thread, b".\0"), 0, 0)
    assert call(thread, "mmap", 0, PAGE, READ, PRIVATE, directory, 0) == -errno.ENODEV


def test_private_file_mapping(thread: Thread) -> None:
    fd = open_file(thread, b"a" * PAGE + b"bcd")
    address = call(thread, "mmap", 0, 3 * PAGE, READ | WRITE, PRIVATE, fd, 0)
    assert thread.memory.read(address + PAGE - 1, 5) == b"abcd\0"
    thread.memory.write(address, b"X")
    assert call(thread, "munmap", address, 3 * PAGE) == 0
    assert Path("file").read_bytes()[:1] == b"a"
    second = call(thread, "mmap", 0, PAGE, READ, PRIVATE, fd, PAGE)
    assert thread.memory.read(second, 4) == b"bcd\0"
    assert call(thread, "lseek", fd, 0, 1) == 0


def test_shared_file_mapping(thread: Thread) -> None:
    fd = open_file(thread, b"0" * 10)
    address = call(thread, "mmap", 0, 2 * PAGE, READ | WRITE, SHARED, fd, 0)
    other = call(thread, "mmap", 0, PAGE, READ, SHARED, fd, 0)
    assert call(thread, "pwrite64", fd, put(thread, b"x"), 1, 5) == 1
    assert call(thread, "close", fd) == 0
    thread.memory.write(address, b"12")
    assert Path("file").read_bytes() == b"12000x0000"
    assert thread.memory.read(other, 3) == b"120"
    assert call(thread, "msync", address, PAGE, 4) == 0
    assert call(thread, "msync", address, PAGE, 5) == -errno.EINVAL
    assert call(thread, "munmap", address, PAGE) == 0
    assert thread.memory.check(address, PAGE, 0) is None
    assert thread.memory.view[address : address + 2] == b"\0\0"
    assert Path("file").stat().st_size == 10


def test_a_file_opened_for_reading_stays_as_it_is(thread: Thread) -> None:
    fd = open_file(thread, b"0" * 10, 0)
    shared = call(thread, "mmap", 0, PAGE, READ, SHARED, fd, 0)
    assert call(thread, "mprotect", shared, PAGE, READ | WRITE) == -errno.EACCES
    assert call(thread, "mprotect", shared, PAGE, READ | EXEC) == 0
    private = call(thread, "mmap", 0, PAGE, READ, PRIVATE, fd, 0)
    assert call(thread, "mprotect", private, PAGE, READ | WRITE) == 0
    thread.memory.write(private, b"1")
    assert Path("file").read_bytes() == b"0" * 10
    assert call(thread, "madvise", private, PAGE, 4) == 0
    assert thread.memory.read(private, 1) == b"0"


def test_pages_behind_the_end_of_a_file(thread: Thread) -> None:
    """Neither the guest nor the host process may touch them; they come when the file grows, and go when it is cut."""
    fd = open_file(thread, b"a" * (PAGE + 1))
    address = call(thread, "mmap", 0, 4 * PAGE, READ | WRITE, SHARED, fd, 0)
    memory, space = thread.memory, thread.process.space
    assert memory.check(address, 4 * PAGE, PAGE_READ) == address + 2 * PAGE
    assert space.behind_data(address + 2 * PAGE)
    assert not space.behind_data(address + PAGE)
    assert not memory.look_again(address + 2 * PAGE)
    assert call(thread, "mprotect", address, 4 * PAGE, READ | WRITE | EXEC) == 0
    assert memory.check(address, 4 * PAGE, PAGE_READ) == address + 2 * PAGE
    assert call(thread, "ftruncate", fd, 4 * PAGE) == 0
    assert memory.look_again(address + 3 * PAGE)
    assert memory.check(address, 4 * PAGE, PAGE_READ | PAGE_WRITE) is None
    memory.write(address + 4 * PAGE - 1, b"z")
    assert call(thread, "ftruncate", fd, 5) == 0
    assert memory.check(address, 4 * PAGE, PAGE_READ) == address + PAGE
    assert memory.read(address, 6) == b"aaaaa\0"
    assert call(thread, "ftruncate", fd, 2 * PAGE) == 0
    assert memory.look_again(address + PAGE)
    assert call(thread, "openat", AT_FDCWD, put(thread, b"file\0"), 0o1001, 0) > 0
    assert memory.check(address, 1, PAGE_READ) == address
    assert call(thread, "write", fd, address, 1) == -errno.EFAULT
    assert call(thread, "munmap", address, 4 * PAGE) == 0


def test_shared_memory_is_shared_after_fork(thread: Thread) -> None:
    shared = anonymous(thread, 2 * PAGE, 0, SHARED)
    private = anonymous(thread, PAGE)
    child = os.fork()
    if not child:
        thread.memory.write(shared + PAGE, b"from the child")
        thread.memory.write(private, b"from the child")
        os._exit(0)
    os.waitpid(child, 0)
    assert thread.memory.read(shared + PAGE, 14) == b"from the child"
    assert thread.memory.read(private, 14) == bytes(14)
    assert "/dev/zero" in next(region.name for region in thread.memory.regions() if region.shared)
    grown = call(thread, "mremap", shared, 2 * PAGE, 2 * PAGE, 3, 0x6000000)
    assert thread.memory.read(grown + PAGE, 4) == b"from"


def test_mappings_of_files_grow_and_move(thread: Thread) -> None:
    fd = open_file(thread, b"".join(bytes([65 + page]) * PAGE for page in range(4)))
    address = call(thread, "mmap", 0x4000000, 2 * PAGE, READ | WRITE, SHARED | FIXED, fd, PAGE)
    assert call(thread, "mremap", address, 2 * PAGE, 3 * PAGE, 0, 0) == address
    assert [thread.memory.read(address + page * PAGE, 1) for page in range(3)] == [b"B", b"C", b"D"]
    assert call(thread, "munmap", address + PAGE, PAGE) == 0
    assert call(thread, "mremap", address, 3 * PAGE, 4 * PAGE, 1, 0) == -errno.EFAULT
    moved = call(thread, "mremap", address, PAGE, 2 * PAGE, 3, 0x7000000)
    assert [thread.memory.read(moved + page * PAGE, 1) for page in range(2)] == [b"B", b"C"]
    thread.memory.write(moved, b"b")
    assert Path("file").read_bytes()[PAGE : PAGE + 2] == b"bB"
    assert anonymous(thread, PAGE, address, PRIVATE | FIXED | NOREPLACE) == address
    assert thread.memory.read(address, 1) == b"\0"
    regions = [(region.start, region.size, region.offset) for region in thread.memory.regions() if region.shared]
    assert regions == [(address + 2 * PAGE, PAGE, 3 * PAGE), (moved, 2 * PAGE, PAGE)]


def test_a_hole_takes_no_memory(thread: Thread) -> None:
    fd = open_file(thread, b"start")
    assert call(thread, "ftruncate", fd, 1 << 36) == 0
    address = call(thread, "mmap", 0, 1 << 36, READ, PRIVATE, fd, 0)
    assert thread.memory.read(address, 6) == b"start\0"
    assert thread.memory.read(address + (1 << 36) - 4, 4) == bytes(4)


def test_protect_and_unmap(thread: Thread) -> None:
    address = anonymous(thread, 4 * PAGE)
    assert call(thread, "mprotect", address + PAGE, PAGE, READ) == 0
    assert thread.memory.check(address, 2 * PAGE, PAGE_WRITE) == address + PAGE
    assert call(thread, "mprotect", address, PAGE, WRITE) == 0
    assert thread.memory.check(address, PAGE, PAGE_READ | PAGE_WRITE) is None
    assert call(thread, "mprotect", address, PAGE, EXEC) == 0
    assert thread.memory.check(address, PAGE, PAGE_EXEC) is None
    assert call(thread, "mprotect", address + 1, PAGE, READ) == -errno.EINVAL
    assert call(thread, "mprotect", address, PAGE, 0x100) == -errno.EINVAL
    assert call(thread, "munmap", address + PAGE, 2 * PAGE) == 0
    assert call(thread, "mprotect", address, 4 * PAGE, READ) == -errno.ENOMEM
    assert call(thread, "munmap", address, 4 * PAGE) == 0
    assert call(thread, "munmap", address, 0) == -errno.EINVAL
    assert call(thread, "munmap", 1 << 50, PAGE) == -errno.EINVAL


def test_mremap(thread: Thread) -> None:
    address = anonymous(thread, 4 * PAGE)
    thread.memory.write(address, b"kept")
    assert call(thread, "mremap", address, 4 * PAGE, 2 * PAGE, 0, 0) == address
    assert not thread.memory.is_mapped(address + 2 * PAGE, PAGE)
    assert call(thread, "mremap", address, 2 * PAGE, 4 * PAGE, 0, 0) == address
    assert call(thread, "mremap", address, 4 * PAGE, 5 * PAGE, 0, 0) == -errno.ENOMEM
    moved = call(thread, "mremap", address, 4 * PAGE, 5 * PAGE, 1, 0)
    assert moved not in (address, -errno.ENOMEM)
    assert thread.memory.read(moved, 5) == b"kept\0"
    assert not thread.memory.is_mapped(address, PAGE)
    assert call(thread, "mremap", moved, 5 * PAGE, PAGE, 3, 0x7000000) == 0x7000000
    assert thread.memory.read(0x7000000, 4) == b"kept"
    assert call(thread, "mremap", 0x9000000, PAGE, PAGE, 0, 0) == -errno.EFAULT
    assert call(thread, "mremap", 0x7000000, PAGE, 0, 0, 0) == -errno.EINVAL
    assert call(thread, "mremap", 0x7000000, PAGE, PAGE, 3, 0x7000000) == -errno.EINVAL


def test_madvise(thread: Thread) -> None:
    address = anonymous(thread, 2 * PAGE)
    thread.memory.write(address, b"x" * 2 * PAGE)
    assert call(thread, "madvise", address + PAGE, PAGE, 4) == 0
    assert thread.memory.read(address + PAGE - 1, 2) == b"x\0"
    assert call(thread, "madvise", address, PAGE, 77) == -errno.EINVAL
    assert call(thread, "madvise", address, 1 << 40, 4) == -errno.ENOMEM


def test_hostile_maps_do_not_fill_the_host(thread: Thread) -> None:
    """max_map_count: mappings that cannot be joined come to an end."""
    base = 0x10000000
    for index in range(70000):
        result = anonymous(thread, PAGE, base + 2 * PAGE * index, PRIVATE | FIXED)
        if result < 0:
            break
    assert result == -errno.ENOMEM
    assert index > 60000
