"""-L: which host file an absolute path of the guest means."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from runtime.linux.process import Thread
from runtime.linux.sysroot import Sysroot
from tests.linux.guest import SCRATCH, call, make_thread, put

AT_FDCWD = -100 & ((1 << 64) - 1)
BUFFER = SCRATCH + 0x8000


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with some files and links, beside a directory `host` with others."""
    root = tmp_path.resolve() / "root"
    for name in ("usr/lib/inner", "etc", "work", "dev", str(tmp_path.resolve())[1:] + "/both"):
        (root / name).mkdir(parents=True)
    (root / "usr/lib/libx.so.1.2").write_bytes(b"the root's")
    (root / "usr/lib/libx.so").symlink_to("libx.so.1.2")
    (root / "lib").symlink_to("/usr/lib")
    (root / "etc/absolute").symlink_to("/lib/libx.so")
    (root / "etc/up").symlink_to("../../../../usr/lib/libx.so")
    (root / "etc/loop").symlink_to("/etc/loop")
    (root / "etc/outside").symlink_to(f"{tmp_path.resolve()}/host/file")
    (root / "etc/broken").symlink_to("/nowhere/at/all")
    (root / "dev/null").write_bytes(b"not the host's")
    host = tmp_path / "host"
    host.mkdir()
    (host / "file").write_bytes(b"the host's")
    monkeypatch.chdir(host)
    return root


@pytest.fixture
def thread(root: Path) -> Thread:
    thread = make_thread()
    thread.process.sysroot = Sysroot(os.fsencode(root))
    return thread


def openat(thread: Thread, path: bytes, flags: int = 0, dirfd: int = AT_FDCWD) -> int:
    return call(thread, "openat", dirfd, put(thread, path + b"\0"), flags, 0o600)


def contents(thread: Thread, path: bytes, dirfd: int = AT_FDCWD) -> bytes:
    fd = openat(thread, path, dirfd=dirfd)
    assert fd >= 0, os.strerror(-fd)
    got = call(thread, "read", fd, BUFFER, 100)
    call(thread, "close", fd)
    return thread.memory.read(BUFFER, got)


def link(thread: Thread, path: bytes) -> bytes:
    length = call(thread, "readlinkat", AT_FDCWD, put(thread, path + b"\0"), BUFFER, 4096)
    assert length >= 0, os.strerror(-length)
    return thread.memory.read(BUFFER, length)


def test_paths(root: Path) -> None:
    sysroot = Sysroot(os.fsencode(root))
    inside, outside = os.fsencode(root), os.fsencode(root.parent / "host/file")
    for path, expected in (
        (b"/usr/lib/libx.so", inside + b"/usr/lib/libx.so.1.2"),
        (b"/lib/libx.so", inside + b"/usr/lib/libx.so.1.2"),
        (b"//lib/./inner/../libx.so.1.2", inside + b"/usr/lib/libx.so.1.2"),
        (b"/etc/absolute", inside + b"/usr/lib/libx.so.1.2"),
        (b"/etc/up", inside + b"/usr/lib/libx.so.1.2"),
        (b"/etc/outside", outside),
        (b"/..", inside),
        (b"/", inside),
        (b"/lib/", inside + b"/usr/lib/"),
        (b"/dev/null", b"/dev/null"),
        (b"/proc/self/maps", b"/proc/self/maps"),
        (outside, outside),
        (inside + b"/etc/absolute", inside + b"/usr/lib/libx.so.1.2"),
        (inside + b"/work/new", inside + b"/work/new"),
        (outside + b".new", outside + b".new"),  # the host has the directory
        (b"/usr/lib/inner/new", inside + b"/usr/lib/inner/new"),  # the root alone has it
        (b"/nowhere/at/all", b"/nowhere/at/all"),
    ):
        assert sysroot.host(path) == expected, path
    assert sysroot.host(b"/etc/absolute", follow=False) == inside + b"/etc/absolute"
    assert sysroot.host(b"/lib/libx.so", follow=False) == inside + b"/usr/lib/libx.so"
    with pytest.raises(OSError, match="Errno 40"):
        sysroot.host(b"/etc/loop")
    assert sysroot.guest(inside) == b"/"
    assert sysroot.guest(inside + b"/usr") == b"/usr"
    assert sysroot.guest(inside + b"x/usr") == inside + b"x/usr"


def test_calls(thread: Thread, root: Path) -> None:
    host = os.fsencode(root.parent / "host")
    assert contents(thread, b"/etc/absolute") == b"the root's"
    assert contents(thread, b"/etc/outside") == contents(thread, host + b"/file") == b"the host's"
    assert openat(thread, b"/etc/absolute", 0o400000) == -errno.ELOOP
    assert openat(thread, b"/etc/loop") == -errno.ELOOP
    assert openat(thread, b"/etc/broken") == -errno.ENOENT
    assert link(thread, b"/etc/absolute") == b"/lib/libx.so"
    assert call(thread, "faccessat", AT_FDCWD, put(thread, b"/etc/absolute\0"), 4) == 0
    assert call(thread, "newfstatat", AT_FDCWD, put(thread, b"/lib/libx.so\0"), BUFFER, 0) == 0
    assert call(thread, "unlinkat", AT_FDCWD, put(thread, b"/etc/up\0"), 0) == 0
    assert not (root / "etc/up").is_symlink()
    fd = openat(thread, b"/lib/libx.so")
    assert link(thread, b"/proc/self/fd/%d" % fd) == b"/usr/lib/libx.so.1.2"
    assert call(thread, "mmap", 0, 4096, 1, 2, fd, 0) > 0
    assert contents(thread, b"/proc/self/maps").splitlines()[0].startswith(b"00100000")
    thread.process.executable = os.fsencode(root / "usr/bin/prog")
    assert link(thread, b"/proc/self/exe") == b"/usr/bin/prog"


def test_directories_below_the_root(thread: Thread, root: Path) -> None:
    assert call(thread, "chdir", put(thread, b"/lib\0")) == 0
    length = call(thread, "getcwd", BUFFER, 4096)
    assert thread.memory.read(BUFFER, length) == b"/usr/lib\0"
    assert contents(thread, b"libx.so") == b"the root's"
    assert contents(thread, b"../../etc/absolute") == b"the root's"
    etc = openat(thread, b"/etc", 0o200000)
    assert contents(thread, b"absolute", etc) == b"the root's"
    new = openat(thread, b"new", 0o101)
    assert new > 0
    assert (root / "usr/lib/new").exists()
    host = os.fsencode(root.parent / "host")
    assert call(thread, "chdir", put(thread, host + b"\0")) == 0
    assert contents(thread, b"file") == b"the host's"
    made = openat(thread, host + b"/made", 0o101)
    assert made > 0
    assert Path("made").exists()
    assert not (root / str(host)[1:]).exists()
