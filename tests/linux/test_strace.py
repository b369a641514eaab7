"""-strace prints lines like strace's."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.linux.process import Thread
from runtime.linux.strace import Strace, quote
from runtime.linux.syscalls.process import GuestExit
from tests.linux.guest import SCRATCH, call, call_number, make_thread, put

AT_FDCWD = -100 & ((1 << 64) - 1)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> Thread:
    monkeypatch.chdir(tmp_path)
    thread = make_thread()
    thread.process.strace = Strace(thread.process, lines.append)
    return thread


def test_lines(thread: Thread, lines: list[str]) -> None:
    put(thread, b"a file\0")
    call(thread, "openat", AT_FDCWD, SCRATCH, 0o102 | 0o2000000, 0o644)
    call(thread, "openat", AT_FDCWD, put(thread, b"none\0"), 0, 0)
    call(thread, "write", 3, put(thread, b'say "hi"\n'), 9)
    call(thread, "lseek", 3, 0, 0)
    call(thread, "read", 3, SCRATCH + 100, 50)
    call(thread, "read", 3, 16, 50)
    call(thread, "openat", AT_FDCWD, 16, 0, 0)
    call(thread, "mmap", 0, 8192, 3, 0x22, (1 << 64) - 1, 0)
    call(thread, "mprotect", 0x3FFFFFE000, 4096, 0)
    call(thread, "clock_gettime", 1, 16)
    call(thread, "brk", 0)
    call_number(thread, 1000, (1, 2))
    with pytest.raises(GuestExit):
        call(thread, "exit_group", 3)
    assert [line.rstrip("\n") for line in lines] == [
        'openat(AT_FDCWD, "a file", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 3',
        'openat(AT_FDCWD, "none", O_RDONLY, 0) = -1 ENOENT (No such file or directory)',
        'write(3, "say \\"hi\\"\\n", 9) = 9',
        "lseek(3, 0, SEEK_SET) = 0",
        'read(3, "say \\"hi\\"\\n", 50) = 9',
        "read(3, 0x10, 50) = -1 EFAULT (Bad address)",
        "openat(AT_FDCWD, 0x10, O_RDONLY, 0) = -1 EFAULT (Bad address)",
        "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x3fffffe000",
        "mprotect(0x3fffffe000, 4096, PROT_NONE) = 0",
        "clock_gettime(CLOCK_MONOTONIC, 0x10) = -1 EFAULT (Bad address)",
        "brk(NULL) = 0x0",
        "syscall_0x3e8(0x1, 0x2, 0x0, 0x0, 0x0, 0x0) = -1 ENOSYS (Function not implemented)",
        "exit_group(3) = ?",
    ]


def test_what_the_call_changes_is_shown_as_it_was(thread: Thread, lines: list[str]) -> None:
    """A path is printed as given although the answer overwrites it."""
    put(thread, b"link\0")
    Path("link").symlink_to("target")
    call(thread, "readlinkat", AT_FDCWD, SCRATCH, SCRATCH + 64, 32)
    assert lines == ['readlinkat(AT_FDCWD, "link", "target", 32) = 6\n']


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", '""'),
        (b"\0", '"\\0"'),
        (b"\x001", '"\\0001"'),
        (b"\xff\\\t", '"\\377\\\\\\t"'),
        (b"x" * 33, '"' + "x" * 32 + '"...'),
    ],
)
def test_quoting(data: bytes, expected: str) -> None:
    assert quote(data, 32) == expected


def test_a_known_call_that_is_not_there(thread: Thread, lines: list[str]) -> None:
    call(thread, "clone", 17)
    assert lines[0].startswith("clone(0x11, ")
    assert lines[0].endswith(" = -1 ENOSYS (Function not implemented)\n")


def test_words_of_the_calls_that_move_data_and_watch(thread: Thread, lines: list[str]) -> None:
    put(thread, b"a file\0" + b"user.name\0")
    call(thread, "openat", AT_FDCWD, SCRATCH, 0o102, 0o644)
    call(thread, "pipe2", SCRATCH + 64, 0)
    call(thread, "write", 3, SCRATCH, 6)
    put(thread, (2).to_bytes(8, "little"), SCRATCH + 128)
    lines.clear()
    call(thread, "splice", 3, SCRATCH + 128, 5, 0, 3, 1 | 4)
    call(thread, "copy_file_range", 3, 0, 3, 16, 1, 0)
    call(thread, "inotify_init1", 0o2000000)
    call(thread, "inotify_add_watch", 6, SCRATCH, 0x2 | 0x100 | 0x80000000)
    call(thread, "getpriority", 0, 1 << 22)
    call(thread, "setreuid", (1 << 32) - 1, 5)
    call(thread, "sched_get_priority_max", 1)
    call(thread, "getxattr", SCRATCH, SCRATCH + 7, SCRATCH + 256, 0)
    call(thread, "preadv2", 3, 0, 0, 0, 0, 16)
    shown = [line.rstrip("\n") for line in lines]
    assert shown[:7] == [
        "splice(3, [2], 5, NULL, 3, SPLICE_F_MOVE|SPLICE_F_MORE) = 3",
        "copy_file_range(3, NULL, 3, 0x10, 1, 0) = -1 EFAULT (Bad address)",
        "inotify_init1(IN_CLOEXEC) = 6",
        'inotify_add_watch(6, "a file", IN_MODIFY|IN_CREATE|IN_ONESHOT) = 1',
        "getpriority(PRIO_PROCESS, 4194304) = -1 ESRCH (No such process)",
        "setreuid(-1, 5) = -1 EPERM (Operation not permitted)",
        "sched_get_priority_max(SCHED_FIFO) = 99",
    ]
    assert shown[7].startswith('getxattr("a file", "user.name", ')
    assert shown[8] == "preadv2(3, NULL, 0, 0, 0, RWF_APPEND) = 0"
