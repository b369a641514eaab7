"""System calls on files and paths, made through a guest's registers."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from runtime.core.env import PAGE_READ
from runtime.linux.process import Thread
from tests.linux.guest import SCRATCH, SCRATCH_BYTES, call, make_thread, put

AT_FDCWD = -100 & ((1 << 64) - 1)
O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_APPEND, O_CLOEXEC = 1, 2, 0o100, 0o200, 0o2000, 0o2000000
BUFFER = SCRATCH + 0x8000
BAD = 0x10


@pytest.fixture
def thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Thread:
    monkeypatch.chdir(tmp_path)
    return make_thread()


def openat(thread: Thread, path: bytes, flags: int = 0, mode: int = 0o644, dirfd: int = AT_FDCWD) -> int:
    return call(thread, "openat", dirfd, put(thread, path + b"\0"), flags, mode)


def test_write_seek_read(thread: Thread) -> None:
    fd = openat(thread, b"file", O_RDWR | O_CREAT)
    assert fd == 3
    assert call(thread, "write", fd, put(thread, b"hello world"), 11) == 11
    assert call(thread, "lseek", fd, 6, 0) == 6
    assert call(thread, "read", fd, BUFFER, 100) == 5
    assert thread.memory.read(BUFFER, 5) == b"world"
    assert call(thread, "pwrite64", fd, put(thread, b"HE"), 2, 0) == 2
    assert call(thread, "pread64", fd, BUFFER, 4, 1) == 4
    assert thread.memory.read(BUFFER, 4) == b"Ello"
    assert call(thread, "lseek", fd, -1 & ((1 << 64) - 1), 0) == -errno.EINVAL
    assert call(thread, "close", fd) == 0
    assert call(thread, "close", fd) == -errno.EBADF
    assert Path("file").read_bytes() == b"HEllo world"


def test_a_buffer_may_end_before_its_length_does(thread: Thread) -> None:
    Path("file").write_bytes(b"0123456789")
    fd = openat(thread, b"file", O_RDWR)
    end = SCRATCH + SCRATCH_BYTES
    assert call(thread, "read", fd, end - 4, 1 << 62) == 4
    assert thread.memory.read(end - 4, 4) == b"0123"
    assert call(thread, "read", fd, end, 10) == -errno.EFAULT
    assert call(thread, "write", fd, BAD, 10) == -errno.EFAULT
    thread.memory.map(end, 4096, PAGE_READ)
    assert call(thread, "pread64", fd, end - 2, 5, 0) == 2
    assert call(thread, "pwrite64", fd, end - 2, 5, 0) == 5
    assert Path("file").read_bytes() == b"01\0\0\x0056789"


def test_vectors(thread: Thread) -> None:
    fd = openat(thread, b"file", O_RDWR | O_CREAT)
    table = b"".join(word.to_bytes(8, "little") for word in (BUFFER, 3, 0, 0, BUFFER + 3, 2))
    put(thread, b"abcde", BUFFER)
    assert call(thread, "writev", fd, put(thread, table), 3) == 5
    assert call(thread, "lseek", fd, 0, 0) == 0
    assert call(thread, "readv", fd, SCRATCH, 3) == 5
    assert call(thread, "writev", fd, SCRATCH, 1025) == -errno.EINVAL
    assert call(thread, "writev", fd, SCRATCH, -1 & 0xFFFFFFFF) == -errno.EINVAL
    assert call(thread, "readv", fd, BAD, 1) == -errno.EFAULT
    negative = b"".join(word.to_bytes(8, "little") for word in (BUFFER, 1 << 63))
    assert call(thread, "writev", fd, put(thread, negative), 1) == -errno.EINVAL
    partly = b"".join(word.to_bytes(8, "little") for word in (BUFFER, 2, BAD, 2))
    assert call(thread, "writev", fd, put(thread, partly), 2) == 2


def test_descriptors_are_the_guests_own(thread: Thread) -> None:
    """A host descriptor has no number in the guest, and numbers are the lowest free ones."""
    secret = os.open("secret", os.O_RDWR | os.O_CREAT)
    try:
        assert secret > 2
        for number in range(3, 64):
            assert call(thread, "write", number, SCRATCH, 1) == -errno.EBADF
        first, second = openat(thread, b"a", O_CREAT), openat(thread, b"b", O_CREAT)
        assert (first, second) == (3, 4)
        assert call(thread, "close", 3) == 0
        assert openat(thread, b"a") == 3
        assert call(thread, "dup", 4) == 5
        assert call(thread, "dup3", 4, 9, 0) == 9
        assert call(thread, "dup3", 4, 4, 0) == -errno.EINVAL
        assert call(thread, "dup3", 77, 5, 0) == -errno.EBADF
        assert call(thread, "fcntl", 4, 0, 20) == 20
        assert call(thread, "fcntl", 4, 1) == 0
        assert call(thread, "fcntl", 4, 1030, 0) == 6
        assert call(thread, "fcntl", 6, 1) == 1
        assert call(thread, "close_range", 5, 0xFFFFFFFF, 0) == 0
        assert thread.process.descriptors.numbers()[-1] == 4
        assert call(thread, "fcntl", 4, 0, -1 & 0xFFFFFFFF) == -errno.EINVAL
    finally:
        os.close(secret)


def test_a_closed_standard_descriptor_is_not_the_emulators(thread: Thread) -> None:
    """What a guest opens after closing its 2 is its 2, but not the host's: messages must not land there."""
    descriptors = thread.process.descriptors
    copy = os.dup(2)
    try:
        descriptors.close(2)
        assert openat(thread, b"log", O_RDWR | O_CREAT) == 2
        assert descriptors.host(2) > 2
    finally:
        os.dup2(copy, 2)
        os.close(copy)


def test_too_many_descriptors(thread: Thread) -> None:
    limit = (8).to_bytes(8, "little") * 2
    assert call(thread, "prlimit64", 0, 7, put(thread, limit), 0) == 0
    numbers = [openat(thread, b".") for _ in range(8)]
    assert numbers[:5] == [3, 4, 5, 6, 7]
    assert set(numbers[5:]) == {-errno.EMFILE}


def test_open_errors(thread: Thread) -> None:
    assert openat(thread, b"none") == -errno.ENOENT
    assert openat(thread, b"") == -errno.ENOENT
    assert openat(thread, b"x" * 5000) == -errno.ENAMETOOLONG
    assert openat(thread, b"x" * 300, O_CREAT) == -errno.ENAMETOOLONG
    assert call(thread, "openat", AT_FDCWD, BAD, 0, 0) == -errno.EFAULT
    assert openat(thread, b"file", dirfd=99) == -errno.EBADF
    assert openat(thread, b"file", O_CREAT | O_EXCL | O_WRONLY) == 3
    assert openat(thread, b"file", O_CREAT | O_EXCL | O_WRONLY) == -errno.EEXIST
    assert openat(thread, b"file/x", dirfd=AT_FDCWD) == -errno.ENOTDIR
    assert openat(thread, b"x", dirfd=3) == -errno.ENOTDIR


def test_stat_and_statx_agree(thread: Thread) -> None:
    Path("file").write_bytes(b"12345")
    os.utime("file", ns=(1_000_000_007, 2_000_000_009))
    abi = thread.process.abi
    assert call(thread, "newfstatat", AT_FDCWD, put(thread, b"file\0"), BUFFER, 0) == 0
    fields = abi.struct("stat").unpack(thread.memory.read(BUFFER, 128))
    expected = os.stat("file")
    assert (fields["size"], fields["mode"], fields["ino"]) == (5, expected.st_mode, expected.st_ino)
    assert (fields["atime"], fields["atime_nsec"], fields["mtime"], fields["mtime_nsec"]) == (1, 7, 2, 9)
    assert call(thread, "statx", AT_FDCWD, SCRATCH, 0, 0xFFF, BUFFER) == 0
    extended = abi.struct("statx").unpack(thread.memory.read(BUFFER, 256))
    assert all(extended[name] == fields[name] for name in ("size", "mode", "ino", "uid", "gid", "blocks", "mtime_nsec"))
    os.symlink("file", "link")
    assert call(thread, "newfstatat", AT_FDCWD, put(thread, b"link\0"), BUFFER, 0x100) == 0
    assert stat.S_ISLNK(abi.struct("stat").unpack(thread.memory.read(BUFFER, 128))["mode"])
    assert call(thread, "newfstatat", 0, put(thread, b"\0"), BUFFER, 0x1000) == 0
    assert call(thread, "newfstatat", AT_FDCWD, SCRATCH, BUFFER, 0) == -errno.ENOENT
    assert call(thread, "newfstatat", AT_FDCWD, SCRATCH, BUFFER, 1) == -errno.EINVAL
    assert call(thread, "fstat", 0, BAD) == -errno.EFAULT


def test_directories(thread: Thread) -> None:
    assert call(thread, "mkdirat", AT_FDCWD, put(thread, b"sub\0"), 0o700) == 0
    assert call(thread, "mkdirat", AT_FDCWD, SCRATCH, 0o700) == -errno.EEXIST
    assert call(thread, "chdir", SCRATCH) == 0
    length = call(thread, "getcwd", BUFFER, 4096)
    assert thread.memory.read(BUFFER, length) == os.fsencode(Path("sub").resolve()) + b"\0"
    assert call(thread, "getcwd", BUFFER, 3) == -errno.ERANGE
    assert os.getcwd() == str(Path(".").resolve())  # the emulator stays where it is
    for name in (b"one", b"two", b"\xff"):
        assert openat(thread, name, O_CREAT | O_WRONLY) > 0
    assert sorted(os.listdir(b"sub")) == [b"one", b"two", b"\xff"]
    fd = openat(thread, b".")
    names = set()
    while (got := call(thread, "getdents64", fd, BUFFER, 80)) > 0:
        data = thread.memory.read(BUFFER, got)
        while data:
            length = int.from_bytes(data[16:18], "little")
            names.add(data[19:length].split(b"\0")[0])
            data = data[length:]
    assert got == 0
    assert names == {b".", b"..", b"one", b"two", b"\xff"}
    assert call(thread, "getdents64", fd, BAD, 80) == -errno.EFAULT
    assert call(thread, "unlinkat", AT_FDCWD, put(thread, b"one\0"), 0) == 0
    assert call(thread, "unlinkat", AT_FDCWD, put(thread, b"../sub\0"), 0x200) == -errno.ENOTEMPTY
    assert call(thread, "fchdir", fd) == 0
    assert call(thread, "chdir", put(thread, b"two\0")) == -errno.ENOTDIR


def test_rename_link_readlink(thread: Thread) -> None:
    Path("a").write_bytes(b"a")
    Path("b").write_bytes(b"b")
    a, b = put(thread, b"a\0"), put(thread, b"b\0", SCRATCH + 16)
    link = put(thread, b"link\0", SCRATCH + 32)
    assert call(thread, "renameat2", AT_FDCWD, a, AT_FDCWD, b, 1) == -errno.EEXIST
    assert call(thread, "renameat2", AT_FDCWD, a, AT_FDCWD, b, 2) == 0
    assert Path("a").read_bytes() == b"b"
    assert call(thread, "renameat2", AT_FDCWD, a, AT_FDCWD, b, 0) == 0
    assert call(thread, "symlinkat", b, AT_FDCWD, link) == 0
    assert call(thread, "readlinkat", AT_FDCWD, link, BUFFER, 100) == 1
    assert call(thread, "readlinkat", AT_FDCWD, b, BUFFER, 100) == -errno.EINVAL
    assert call(thread, "readlinkat", AT_FDCWD, link, BUFFER, 0) == -errno.EINVAL
    assert call(thread, "faccessat", AT_FDCWD, link, 4) == 0
    assert call(thread, "faccessat", AT_FDCWD, a, 0) == -errno.ENOENT
    assert call(thread, "faccessat", AT_FDCWD, link, 8) == -errno.EINVAL


def test_pipes_and_poll(thread: Thread) -> None:
    assert call(thread, "pipe2", BUFFER, O_CLOEXEC) == 0
    reader, writer = (int.from_bytes(thread.memory.read(BUFFER + at, 4), "little") for at in (0, 4))
    assert call(thread, "pipe2", BAD, 0) == -errno.EFAULT
    assert call(thread, "pipe2", BUFFER, 1) == -errno.EINVAL
    layout = thread.process.abi.struct("pollfd")
    entries = [{"fd": reader, "events": 1}, {"fd": 99, "events": 1}, {"fd": -1, "events": 1}]
    put(thread, b"".join(layout.pack(entry) for entry in entries))
    timeout = put(thread, bytes(16), BUFFER)

    def ready() -> list[int]:
        assert call(thread, "ppoll", SCRATCH, 3, timeout, 0, 8) >= 0
        data = thread.memory.read(SCRATCH, 24)
        return [layout.unpack(data[at : at + 8])["revents"] for at in (0, 8, 16)]

    assert ready() == [0, 0x20, 0]
    assert call(thread, "write", writer, BUFFER, 3) == 3
    assert ready() == [1, 0x20, 0]
    assert call(thread, "ioctl", reader, 0x541B, BUFFER) == 0
    assert thread.memory.read(BUFFER, 4) == b"\3\0\0\0"
    assert call(thread, "ioctl", reader, 0x5401, BUFFER) == -errno.ENOTTY
    assert call(thread, "ioctl", reader, 0x1234, BUFFER) == -errno.ENOTTY


def test_flags_and_sizes(thread: Thread) -> None:
    fd = openat(thread, b"file", O_RDWR | O_CREAT | O_APPEND)
    assert call(thread, "fcntl", fd, 3) & 0o3777 == O_RDWR | O_APPEND
    assert call(thread, "fcntl", fd, 4, 0) == 0
    assert call(thread, "fcntl", fd, 3) & 0o3777 == O_RDWR
    assert call(thread, "ftruncate", fd, 1000) == 0
    assert Path("file").stat().st_size == 1000
    assert call(thread, "ftruncate", fd, -5 & ((1 << 64) - 1)) == -errno.EINVAL
    assert call(thread, "truncate", put(thread, b"file\0"), 10) == 0
    assert call(thread, "fsync", fd) == 0
    assert call(thread, "fallocate", fd, 0, 0, 4096) == 0
    times = b"".join(word.to_bytes(8, "little") for word in (5, 6, 7, 8))
    assert call(thread, "utimensat", fd, 0, put(thread, times), 0) == 0
    assert (Path("file").stat().st_atime_ns, Path("file").stat().st_mtime_ns) == (5_000_000_006, 7_000_000_008)
    bad = b"".join(word.to_bytes(8, "little") for word in (5, 1_000_000_000, 7, 8))
    assert call(thread, "utimensat", fd, 0, put(thread, bad), 0) == -errno.EINVAL


def test_a_32_bit_guest_seeks_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    thread = make_thread("riscv32")
    path = put(thread, b"file\0")
    fd = call(thread, "openat", -100 & 0xFFFFFFFF, path, O_RDWR | O_CREAT, 0o600)
    assert call(thread, "ftruncate64", fd, 5, 1) == 0
    assert Path("file").stat().st_size == (1 << 32) + 5
    assert call(thread, "_llseek", fd, 2, 7, BUFFER, 0) == 0
    assert thread.memory.read(BUFFER, 8) == ((2 << 32) + 7).to_bytes(8, "little")
    assert call(thread, "pwrite64", fd, SCRATCH, 4, 1, 1) == 4


# ------------------------------------------------------------ /proc/self


def contents(thread: Thread, path: bytes) -> bytes:
    fd = openat(thread, path)
    assert fd >= 0, os.strerror(-fd)
    data = b""
    while (got := call(thread, "read", fd, BUFFER, 4096)) > 0:
        data += thread.memory.read(BUFFER, got)
    call(thread, "close", fd)
    return data


def test_proc_self_is_the_guests(thread: Thread) -> None:
    process = thread.process
    process.executable, process.arguments, process.environment = b"/guest/program", [b"prog", b"x y"], [b"A=1"]
    assert contents(thread, b"/proc/self/cmdline") == b"prog\0x y\0"
    assert contents(thread, b"/proc/self/environ") == b"A=1\0"
    assert contents(thread, b"/proc/%d/maps" % os.getpid()) == b"00100000-00110000 rw-p 00000000 00:00 0 \n"
    assert contents(thread, b"//proc/./self/../self/maps") == contents(thread, b"/proc/thread-self/maps")
    length = call(thread, "readlinkat", AT_FDCWD, put(thread, b"/proc/self/exe\0"), BUFFER, 100)
    assert thread.memory.read(BUFFER, length) == b"/guest/program"
    fd = openat(thread, b"file", O_RDWR | O_CREAT)
    length = call(thread, "readlinkat", AT_FDCWD, put(thread, b"/proc/self/fd/%d\0" % fd), BUFFER, 4096)
    assert thread.memory.read(BUFFER, length) == os.fsencode(Path("file").resolve())


def test_proc_self_does_not_lead_to_the_emulator(thread: Thread) -> None:
    secret = os.open("secret", os.O_RDWR | os.O_CREAT)
    try:
        for path in (b"/proc/self/mem", b"/proc/self/pagemap", b"/proc/self/root", b"/proc/self", b"/proc/self/task"):
            assert openat(thread, path) in (-errno.EACCES, 3), path
        assert openat(thread, b"/proc/self/mem", O_RDWR) == -errno.EACCES
        os.symlink("/proc/self/mem", "innocent")
        assert openat(thread, b"innocent", O_RDWR) == -errno.EACCES
        proc = openat(thread, b"/proc")
        assert openat(thread, b"self/mem", O_RDWR, dirfd=proc) == -errno.EACCES
        assert openat(thread, b"/proc/self/fd/%d" % secret) == -errno.ENOENT
        assert openat(thread, b"/dev/fd/%d" % secret) == -errno.ENOENT
        assert call(thread, "truncate", put(thread, b"/proc/self/fd/%d\0" % secret), 100) == -errno.ENOENT
        assert call(thread, "chdir", put(thread, b"/proc/self\0")) == -errno.EACCES
        assert os.fstat(secret).st_size == 0
    finally:
        os.close(secret)
