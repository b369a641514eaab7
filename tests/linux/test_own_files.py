"""/proc/self: what a guest reads there is about itself."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE
from runtime.linux.process import Thread
from tests.linux.guest import SCRATCH, call, make_thread, put

AT_FDCWD = -100 & ((1 << 64) - 1)
BUFFER = SCRATCH + 0x8000
NOFOLLOW = 0x100


@pytest.fixture
def thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Thread:
    monkeypatch.chdir(tmp_path)
    thread = make_thread()
    thread.process.comm = b"a (name)"
    thread.process.stack_start = 0x3FFFFF0000
    return thread


def openat(thread: Thread, path: bytes, flags: int = 0, dirfd: int = AT_FDCWD) -> int:
    return call(thread, "openat", dirfd, put(thread, path + b"\0"), flags, 0o600)


def contents(thread: Thread, path: bytes) -> bytes:
    fd = openat(thread, path)
    assert fd >= 0, (path, os.strerror(-fd))
    data = b""
    while (got := call(thread, "read", fd, BUFFER, 4096)) > 0:
        data += thread.memory.read(BUFFER, got)
    assert call(thread, "close", fd) == 0
    return data


def test_names_and_sizes(thread: Thread) -> None:
    thread.memory.map(0x200000, 0x3000, PAGE_READ | PAGE_EXEC, "/prog")
    thread.memory.map(0x300000, 0x5000, PAGE_READ | PAGE_WRITE, "[stack]")
    assert contents(thread, b"/proc/self/comm") == b"a (name)\n"
    head, _, rest = contents(thread, b"/proc/self/stat").rpartition(b") ")
    assert head == b"%d (a (name)" % os.getpid()
    fields = rest.split()
    assert len(fields) == 50
    assert (fields[0], fields[1]) == (b"R", b"%d" % os.getppid())
    assert fields[17] == b"1"
    assert fields[20] == b"%d" % (0x10000 + 0x8000)
    assert [field for field in fields[23:28] if field != b"0"] == [b"%d" % 0x3FFFFF0000]
    status = dict(line.split(b":", 1) for line in contents(thread, b"/proc/%d/status" % os.getpid()).splitlines())
    assert status[b"Name"].strip() == b"a (name)"
    assert status[b"VmSize"].split() == [b"%d" % (0x18000 >> 10), b"kB"]
    assert status[b"VmStk"].split()[0] == b"20"
    assert status[b"VmExe"].split()[0] == b"12"
    assert status[b"Threads"].strip() == b"1"
    statm = contents(thread, b"/proc/thread-self/statm").split()
    assert (statm[0], statm[3], statm[5]) == (b"24", b"3", b"21")


def test_signals_in_status(thread: Thread) -> None:
    layout = thread.process.abi.struct("sigaction")
    for number, handler in ((10, 0x1234), (12, 1)):
        action = put(thread, layout.pack({"handler": handler}))
        assert call(thread, "rt_sigaction", number, action, 0, 8) == 0
    thread.blocked = 1 << 14
    lines = contents(thread, b"/proc/self/status").splitlines()
    masks = dict(line.split(b":\t") for line in lines if line.startswith(b"Sig"))
    assert masks[b"SigCgt"] == b"%016x" % (1 << 9)
    assert masks[b"SigIgn"] == b"%016x" % (1 << 11)
    assert masks[b"SigBlk"] == b"%016x" % (1 << 14)


def test_limits(thread: Thread) -> None:
    assert call(thread, "prlimit64", 0, 7, put(thread, (100).to_bytes(8, "little") * 2), 0) == 0
    lines = contents(thread, b"/proc/self/limits").decode().splitlines()
    assert lines[0].split() == ["Limit", "Soft", "Limit", "Hard", "Limit", "Units"]
    assert next(line for line in lines if line.startswith("Max open files")).split()[3:] == ["100", "100", "files"]
    assert len(lines) == 17


def test_maps_name_files(thread: Thread) -> None:
    Path("file").write_bytes(b"x" * 5000)
    fd = openat(thread, b"file")
    address = call(thread, "mmap", 0, 4096, 1, 2, fd, 4096)
    line = contents(thread, b"/proc/self/maps").decode().splitlines()[-1]
    status = os.stat("file")
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    assert line.split() == [
        f"{address:08x}-{address + 4096:08x}",
        "r--p",
        "00001000",
        device,
        str(status.st_ino),
        str(Path("file").resolve()),
    ]


def names_in(thread: Thread, fd: int, room: int) -> list[bytes]:
    found = []
    while (got := call(thread, "getdents64", fd, BUFFER, room)) > 0:
        data = thread.memory.read(BUFFER, got)
        while data:
            length = int.from_bytes(data[16:18], "little")
            found.append(data[19:length].split(b"\0")[0])
            data = data[length:]
    assert got == 0
    return found


def test_the_directory_of_descriptors(thread: Thread) -> None:
    """The guest's numbers, in pieces as small as the buffer; what they name is found through it."""
    Path("file").write_bytes(b"contents")
    secret = os.open("file", os.O_RDONLY)
    try:
        file = openat(thread, b"file")
        assert call(thread, "dup3", file, 9, 0) == 9
        fd = openat(thread, b"/proc/self/fd", 0o200000)
        assert (file, fd) == (3, 4)
        wanted = [b".", b"..", b"0", b"1", b"2", b"3", b"4", b"9"]
        assert names_in(thread, fd, 48) == wanted
        assert call(thread, "lseek", fd, 0, 0) == 0
        assert names_in(thread, fd, 4096) == wanted
        assert call(thread, "lseek", fd, 0, 0) == 0
        assert call(thread, "getdents64", fd, BUFFER, 10) == -errno.EINVAL
        assert call(thread, "newfstatat", AT_FDCWD, put(thread, b"/proc/self/fd\0"), BUFFER, 0) == 0
        length = call(thread, "readlinkat", fd, put(thread, b"9\0"), BUFFER, 100)
        assert thread.memory.read(BUFFER, length) == os.fsencode(Path("file").resolve())
        assert call(thread, "newfstatat", fd, put(thread, b"9\0"), BUFFER, NOFOLLOW) == 0
        assert call(thread, "newfstatat", fd, put(thread, b"%d\0" % secret), BUFFER, NOFOLLOW) == -errno.ENOENT
        assert openat(thread, b"9", dirfd=fd) == 5
        assert openat(thread, b"%d" % secret, dirfd=fd) == -errno.ENOENT
        proc = openat(thread, b"/proc")
        assert openat(thread, b"self/fd/%d" % secret, dirfd=proc) == -errno.ENOENT
        assert call(thread, "chdir", put(thread, b"/proc/self/fd\0")) == -errno.EACCES
    finally:
        os.close(secret)
