"""`python -m tests.linux.fuzz SEED COUNT`: random system calls in a scratch directory; anything but an errno is a bug.

What would wait for ever, leave the scratch directory or signal other processes is stubbed out.
"""

from __future__ import annotations

import errno
import os
import random
import select
import sys
import time
from contextlib import suppress
from typing import NoReturn

from runtime.core.env import PAGE_READ, PAGE_WRITE
from runtime.linux import paths
from runtime.linux.host import Host
from runtime.linux.process import Process, Thread
from runtime.linux.signals import GuestKilled
from runtime.linux.syscalls import paths as path_calls
from runtime.linux.syscalls import watches
from runtime.linux.syscalls.process import GuestExit
from runtime.linux.syscalls.table import CALLS, import_all
from tests.linux.guest import SCRATCH, SCRATCH_BYTES, call_number, make_thread

PATHS = (
    b"a",
    b"b",
    b"d",
    b"d/x",
    b".",
    b"",
    b"none/x",
    b"/proc/self/maps",
    b"/proc/self/mem",
    b"/proc/self/fd/0",
    b"/proc/self/exe",
    b"x" * 300,
    b"\xff\xfe",
)
NOBODY = 65534
#: what would do harm outside, or has no end
LEFT_OUT = frozenset(
    (
        *("setsid", "setpgid", "fallocate", "sync", "memfd_create"),
        *("clone", "clone3", "execve", "execveat", "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
        *("pidfd_open", "pidfd_send_signal", "setitimer", "timer_create", "timer_settime", "epoll_ctl"),
        *("socket", "socketpair", "bind", "listen", "connect", "accept", "accept4", "sendto", "recvfrom", "sendmsg"),
        *("recvmsg", "sendmmsg", "recvmmsg", "shutdown", "setsockopt", "getsockopt", "getsockname", "getpeername"),
    )
)
INTERESTING: tuple[int, ...] = (
    *range(5),
    7,
    8,
    100,
    4095,
    4096,
    4097,
    *(1 << bit for bit in (24, 31, 32, 37, 38)),
    0x7FFFFFFF,
    0xFFFFFFFF,
)


def refuse(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.EPERM, "not in this test")


def interrupt(*_: object) -> NoReturn:
    raise OSError(errno.EINTR, "not in this test")


def wait(host: Host, name: str, *arguments: int, restart: int = 0) -> int:
    """Host.wait that never waits."""
    if name not in ("read", "write", "readv", "writev"):
        refuse()
    ready = select.poll()
    ready.register(arguments[0], select.POLLIN if name[0] == "r" else select.POLLOUT)
    if not ready.poll(0):
        interrupt()
    return host.do(name, *arguments)


real_locate = paths.locate


def stay(
    process: Process, dirfd: int, path: bytes, follow: bool = True, links: bool | None = None
) -> tuple[bytes, int | None]:
    """Refuse paths that lead out of the scratch directory: strings in memory become anything in the course of a run."""
    if b".." in path or (path.startswith(b"/") and path not in PATHS):
        refuse()
    return real_locate(process, dirfd, path, follow, links)


real_pipe2 = os.pipe2


def stub() -> None:
    """Take the teeth out of the host's calls."""
    for name in ("kill", "mknod", "chown", "fchown", "umask"):
        setattr(os, name, refuse)
    vars(path_calls)["locate"] = vars(watches)["locate"] = stay
    time.sleep = interrupt
    Host.wait = wait
    os.pipe2 = lambda flags: real_pipe2(flags | os.O_NONBLOCK)


def prepare(thread: Thread) -> list[int]:
    """Memory with paths, numbers and structures in it; addresses worth passing."""
    memory = thread.memory
    addresses = [0, 1, 4096, SCRATCH - 1, SCRATCH + SCRATCH_BYTES - 3, 1 << 38, (1 << 64) - 1, (1 << 64) - 4096]
    at = SCRATCH
    for path in PATHS:
        memory.write(at, path + b"\0")
        addresses.append(at)
        at += 512
    for value in INTERESTING:
        memory.write(at, value.to_bytes(8, "little") * 8)
        addresses.append(at)
        at += 64
    memory.write(at, b"".join(word.to_bytes(8, "little") for word in (SCRATCH, 64, at, 1 << 63, 0, 0)))
    addresses += [at, at + 16, at + 4096, at + 8192]
    memory.map(0x200000, 8192, PAGE_READ)
    memory.map(0x300000, 4096, PAGE_READ | PAGE_WRITE)
    return [*addresses, 0x200000, 0x300000]


def value(source: random.Random, addresses: list[int]) -> int:
    """An argument: a number with a meaning, an address, or anything."""
    kind = source.randrange(6)
    if kind == 0:
        return source.choice(INTERESTING)
    if kind == 1:
        return source.choice(addresses)
    if kind == 2:
        return source.randrange(32)
    if kind == 3:
        return -source.randrange(1, 200) & ((1 << 64) - 1)
    if kind == 4:
        return source.choice(addresses) + source.randrange(64)
    return source.getrandbits(64)


def confine() -> None:
    """See nothing but the scratch directory, and be nobody: root's calls could ruin the host."""
    if os.geteuid() == 0:
        os.chmod(".", 0o777)
        os.chroot(".")
        os.chdir("/")
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def run(thread: Thread, seed: int, count: int) -> int:
    """Make `count` calls; how many of them succeeded."""
    source = random.Random(seed)
    process = thread.process
    abi = process.abi
    addresses = prepare(thread)
    names = [name for name in CALLS if name in abi.numbers and name not in LEFT_OUT]
    numbers = [abi.numbers[name] for name in names]
    succeeded = 0
    for index in range(count):
        if index % 500 == 0:
            with suppress(OSError):  # no such file; EMFILE, when the guest set its limit to nothing
                os.chmod("a", 0o600)
            with suppress(OSError):
                process.descriptors.add(os.open("a", os.O_RDWR | os.O_CREAT))
        # Mostly numbers that exist; the arguments are whatever comes.
        number = source.choice(numbers) if source.randrange(20) else source.getrandbits(source.choice((9, 64)))
        arguments = [value(source, addresses) for _ in range(6)]
        try:
            result = call_number(thread, number, arguments)
        except (GuestExit, GuestKilled):
            continue
        name = process.calls.name(number)
        assert result > -4096 or name in ("rt_sigreturn", "brk", "mmap", "mmap2", "mremap"), (name, arguments, result)
        succeeded += result >= 0
        thread.pending.clear()
        if thread.memory.check(SCRATCH, SCRATCH_BYTES, PAGE_READ | PAGE_WRITE) is not None:
            # Unmapped, protected, or a file shorter than its mapping.
            thread.memory.map(SCRATCH, SCRATCH_BYTES, PAGE_READ | PAGE_WRITE)
            prepare(thread)
    return succeeded


if __name__ == "__main__":
    guest = make_thread(sys.argv[3], inherit=False)
    import_all()
    confine()
    stub()
    os.mkdir("d")
    print(run(guest, int(sys.argv[1]), int(sys.argv[2])))
