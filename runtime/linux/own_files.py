"""What the files of /proc/self say to a guest: maps, stat, status and others that would tell of the emulator.

Where a file mixes what is true of both (times, process numbers, states) with what is not (names, memory, signals), the
host's is taken and the latter replaced, as proc(5) lays them out.
"""

from __future__ import annotations

import os

from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE
from runtime.core.memory import PAGE_SIZE
from runtime.linux.signals import SIG_DFL, SIG_IGN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.linux.process import Process

#: fields of stat, counted from the one behind the name: threads and size, then addresses, of which the guest's
#: stack alone is known
_THREADS, _SIZE, _STACK = 17, 20, 25
_ADDRESSES = (*range(23, 28), *range(42, 49))


def answer(process: Process, name: bytes) -> bytes | None:
    """The contents of /proc/self/<name>, where they are the guest's and not the host's."""
    make = _FILES.get(name)
    return None if make is None else make(process)


def maps(process: Process) -> bytes:
    """/proc/self/maps: one line a region."""
    lines = []
    for region in process.memory.regions():
        permissions = "".join(
            letter if region.permissions & bit else "-"
            for letter, bit in (("r", PAGE_READ), ("w", PAGE_WRITE), ("x", PAGE_EXEC))
        )
        permissions += "s" if region.shared else "p"
        device, inode = "00:00", 0
        if region.backing is not None and region.backing.file is not None:
            number, inode = region.backing.file
            device = f"{os.major(number):02x}:{os.minor(number):02x}"
        line = f"{region.start:08x}-{region.end:08x} {permissions} {region.offset:08x} {device} {inode}"
        name = region.name
        if process.sysroot is not None:
            name = os.fsdecode(process.sysroot.guest(os.fsencode(name)))
        lines.append(f"{line:<73}{name}" if name else f"{line} ")
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _host(name: str) -> bytes:
    with open(f"/proc/self/{name}", "rb") as file:
        return file.read()


def _sizes(process: Process) -> dict[bytes, int]:
    """Bytes of address space, by what they are for."""
    sizes = {b"size": 0, b"data": 0, b"stack": 0, b"code": 0}
    for region in process.memory.regions():
        sizes[b"size"] += region.size
        if region.name == "[stack]":
            sizes[b"stack"] += region.size
        elif region.permissions & PAGE_WRITE and not region.shared:
            sizes[b"data"] += region.size
        elif region.permissions & PAGE_EXEC:
            sizes[b"code"] += region.size
    return sizes


def _stat(process: Process) -> bytes:
    before, _, after = _host("stat").rpartition(b")")
    fields = after.split()
    for index in _ADDRESSES:
        fields[index] = b"0"
    fields[_THREADS] = b"%d" % len(process.threads)
    fields[_SIZE] = b"%d" % _sizes(process)[b"size"]
    fields[_STACK] = b"%d" % process.stack_start
    return before.split(b" ")[0] + b" (" + process.comm + b") " + b" ".join(fields) + b"\n"


def _statm(process: Process) -> bytes:
    sizes = {name: size // PAGE_SIZE for name, size in _sizes(process).items()}
    fields = _host("statm").split()
    fields[0], fields[3], fields[5] = (
        b"%d" % number for number in (sizes[b"size"], sizes[b"code"], sizes[b"data"] + sizes[b"stack"])
    )
    return b" ".join(fields) + b"\n"


def _status(process: Process) -> bytes:
    sizes = {name: b"%8d kB" % (size >> 10) for name, size in _sizes(process).items()}
    thread, actions = process.threads[0], process.signals.actions
    ignored = sum(1 << number - 1 for number in range(1, len(actions)) if actions[number].handler == SIG_IGN)
    caught = sum(
        1 << number - 1 for number in range(1, len(actions)) if actions[number].handler not in (SIG_DFL, SIG_IGN)
    )
    values = {
        b"Name": process.comm,
        b"VmPeak": sizes[b"size"],
        b"VmSize": sizes[b"size"],
        b"VmData": sizes[b"data"],
        b"VmStk": sizes[b"stack"],
        b"VmExe": sizes[b"code"],
        b"VmLib": b"%8d kB" % 0,
        b"Threads": b"%d" % len(process.threads),
        b"SigBlk": b"%016x" % thread.blocked,
        b"SigIgn": b"%016x" % ignored,
        b"SigCgt": b"%016x" % caught,
    }
    lines = []
    for line in _host("status").splitlines():
        name = line.partition(b":")[0]
        lines.append(name + b":\t" + values[name] if name in values else line)
    return b"".join(line + b"\n" for line in lines)


def _limits(process: Process) -> bytes:
    """The host's table of limits with the guest's numbers: columns of 26, 21, 21 and 10 characters."""
    # fs/proc/base.c has them in the order of their numbers.
    order = [process.limits[name] for _, name in sorted(process.limit_names.items())]
    lines = _host("limits").splitlines()
    made = [lines[0]]
    for line, pair in zip(lines[1:], order, strict=False):
        soft, hard = (b"unlimited" if value == (1 << 64) - 1 else b"%d" % value for value in pair)
        made.append(line[:26] + soft.ljust(21) + hard.ljust(21) + line[68:])
    return b"".join(line + b"\n" for line in made)


_FILES: dict[bytes, Callable[[Process], bytes]] = {
    b"maps": maps,
    b"cmdline": lambda process: b"".join(word + b"\0" for word in process.arguments),
    b"environ": lambda process: b"".join(word + b"\0" for word in process.environment),
    b"auxv": lambda process: process.auxiliary,
    b"comm": lambda process: process.comm + b"\n",
    b"limits": _limits,
    b"stat": _stat,
    b"statm": _statm,
    b"status": _status,
}
