"""System calls about the process itself: who it is, what it may use, how it ends, what it waits for."""

from __future__ import annotations

import errno
import os
import resource
import time as host_time

from runtime.linux.host import Bytes
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from runtime.linux.process import Thread

PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_NAME, PR_GET_NAME = 3, 4, 15, 16
PR_SET_FP_MODE, PR_GET_FP_MODE = 45, 46
RLIM_INFINITY = (1 << 64) - 1
#: bytes of a set of processors that are looked at
_MOST_CPU_BYTES = 1024
_MOST_PAIRS = 1 << 16
#: versions of capget and capset (linux/capability.h) -> words of 32 bits that each has
_CAPABILITY_WORDS = {0x19980330: 3, 0x20071026: 6, 0x20080522: 6}
_RANDOM_MOST = 33554431  # what one getrandom gives


class GuestExit(Exception):
    """The guest asked to end with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class GuestReplaced(Exception):
    """The guest executed another program: `successor` is what Process.replace made."""

    def __init__(self, successor: object) -> None:
        super().__init__()
        self.successor = successor


class ThreadExit(Exception):
    """A thread asked to end, alone."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@system_call("int")
def exit_group(thread: Thread, status: int) -> int:
    raise GuestExit(status & 0xFF)


@system_call("int")
def exit_(thread: Thread, status: int) -> int:
    if thread.process.group is None:
        raise GuestExit(status & 0xFF)
    raise ThreadExit(status & 0xFF)


@system_call()
def getpid(thread: Thread) -> int:
    return thread.process.pid


@system_call()
def gettid(thread: Thread) -> int:
    return thread.tid


@system_call()
def getppid(thread: Thread) -> int:
    return os.getppid()


@system_call("", "getuid", "getuid32")
def getuid(thread: Thread) -> int:
    return os.getuid()


@system_call("", "geteuid", "geteuid32")
def geteuid(thread: Thread) -> int:
    return os.geteuid()


@system_call("", "getgid", "getgid32")
def getgid(thread: Thread) -> int:
    return os.getgid()


@system_call("", "getegid", "getegid32")
def getegid(thread: Thread) -> int:
    return os.getegid()


def _write_ids(thread: Thread, addresses: tuple[int, int, int], ids: tuple[int, int, int]) -> int:
    for address, number in zip(addresses, ids, strict=True):
        thread.memory.write(address, number.to_bytes(4, thread.process.abi.byte_order))
    return 0


@system_call("pointer pointer pointer", "getresuid", "getresuid32")
def getresuid(thread: Thread, real: int, effective: int, saved: int) -> int:
    return _write_ids(thread, (real, effective, saved), os.getresuid())


@system_call("pointer pointer pointer", "getresgid", "getresgid32")
def getresgid(thread: Thread, real: int, effective: int, saved: int) -> int:
    return _write_ids(thread, (real, effective, saved), os.getresgid())


@system_call("int pointer", "getgroups", "getgroups32")
def getgroups(thread: Thread, count: int, address: int) -> int:
    groups = os.getgroups()
    if count < 0 or 0 < count < len(groups):
        raise fail(errno.EINVAL)
    if count:
        order = thread.process.abi.byte_order
        thread.memory.write(address, b"".join(group.to_bytes(4, order) for group in groups))
    return len(groups)


def _capabilities(thread: Thread, address: int) -> tuple[Bytes, int]:
    """The header of a call about capabilities, for the host, and how many bytes of them there are."""
    order = thread.process.abi.byte_order
    data = thread.memory.read(address, 8)
    header = b"".join(int.from_bytes(data[at : at + 4], order).to_bytes(4, "little") for at in (0, 4))
    words = _CAPABILITY_WORDS.get(int.from_bytes(header[:4], "little"), 0)
    if not words:  # the version there is, for who asked with another
        thread.memory.write(address, max(_CAPABILITY_WORDS).to_bytes(4, order))
    return Bytes(header), 4 * words


def _swapped(data: bytes, order: Literal["little", "big"]) -> bytes:
    """Words of 32 bits in the other order, if the guest's is not the host's."""
    return data if order == "little" else b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4))


@system_call("pointer pointer")
def capget(thread: Thread, header: int, address: int) -> int:
    given, size = _capabilities(thread, header)
    found = Bytes(size)
    if address and size:
        thread.process.host.do("capget", given.address, found.address)
        thread.memory.write(address, _swapped(found.raw[:size], thread.process.abi.byte_order))
    elif address:
        raise fail(errno.EINVAL)
    return 0


@system_call("pointer pointer")
def capset(thread: Thread, header: int, address: int) -> int:
    given, size = _capabilities(thread, header)
    if not size:
        raise fail(errno.EINVAL)
    wanted = Bytes(_swapped(thread.memory.read(address, size), thread.process.abi.byte_order))
    return thread.process.host.do("capset", given.address, wanted.address)


@system_call("int")
def getpgid(thread: Thread, pid: int) -> int:
    return os.getpgid(pid)


@system_call("int")
def getsid(thread: Thread, pid: int) -> int:
    return os.getsid(pid)


@system_call("int int")
def setpgid(thread: Thread, pid: int, group: int) -> int:
    os.setpgid(pid, group)
    return 0


@system_call()
def setsid(thread: Thread) -> int:
    os.setsid()
    return os.getsid(0)


@system_call("pointer")
def uname(thread: Thread, address: int) -> int:
    abi = thread.process.abi
    host = os.uname()
    fields = {
        "sysname": host.sysname.encode(),
        "nodename": host.nodename.encode()[:64],
        "release": host.release.encode()[:64],
        "version": host.version.encode()[:64],
        "machine": abi.uname_machine.encode(),
        "domainname": b"(none)",
    }
    thread.memory.write(address, abi.struct("utsname").pack(fields))
    return 0


@system_call("pointer")
def sysinfo(thread: Thread, address: int) -> int:
    page = os.sysconf("SC_PAGE_SIZE")
    total, free = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
    unit = 1 if thread.process.abi.bits == 64 else page
    fields: dict[str, int | bytes] = {
        "uptime": int(host_time.clock_gettime(host_time.CLOCK_BOOTTIME)),
        "totalram": total // unit,
        "freeram": free // unit,
        "procs": 1,
        "mem_unit": unit,
    }
    for name, load in zip(("load1", "load5", "load15"), os.getloadavg(), strict=True):
        fields[name] = int(load * 65536)
    thread.memory.write(address, thread.process.abi.struct("sysinfo").pack(fields))
    return 0


@system_call("output size flags")
def getrandom(thread: Thread, address: int, count: int, flags: int) -> int:
    if flags & ~7:
        raise fail(errno.EINVAL)
    count = min(count, _RANDOM_MOST)
    thread.memory.writable(address, count)
    for at in range(0, count, 65536):
        thread.memory.write(address + at, os.urandom(min(count - at, 65536)))
    return count


# ------------------------------------------------------------ limits


def _limit_name(thread: Thread, number: int) -> str:
    name = thread.process.limit_names.get(number)
    if name is None:
        raise fail(errno.EINVAL)
    return name


def _limit_fields(thread: Thread, number: int) -> dict[str, int]:
    soft, hard = thread.process.limits[_limit_name(thread, number)]
    return {"cur": soft, "max": hard}


def _set_limit(thread: Thread, number: int, soft: int, hard: int) -> None:
    name = _limit_name(thread, number)
    if soft > hard:
        raise fail(errno.EINVAL)
    if hard > thread.process.limits[name][1]:
        raise fail(errno.EPERM)
    thread.process.set_limit(name, soft, hard)


@system_call("int int pointer pointer")
def prlimit64(thread: Thread, pid: int, number: int, new: int, old: int) -> int:
    process = thread.process
    if pid not in (0, process.pid):
        raise fail(errno.ESRCH)
    layout = process.abi.struct("rlimit64")
    before = _limit_fields(thread, number)
    if new:
        fields = layout.unpack(process.memory.read(new, layout.size))
        _set_limit(thread, number, fields["cur"], fields["max"])
    if old:
        process.memory.write(old, layout.pack(before))
    return 0


@system_call("int pointer", "getrlimit", "ugetrlimit")
def getrlimit(thread: Thread, number: int, address: int) -> int:
    layout = thread.process.abi.struct("rlimit")
    thread.memory.write(address, layout.pack(_limit_fields(thread, number)))
    return 0


@system_call("int pointer")
def setrlimit(thread: Thread, number: int, address: int) -> int:
    layout = thread.process.abi.struct("rlimit")
    fields = layout.unpack(thread.memory.read(address, layout.size))
    _set_limit(thread, number, fields["cur"], fields["max"])
    return 0


def host_limits(names: dict[int, str]) -> dict[str, tuple[int, int]]:
    """The host's limits under Linux's names, infinity as all ones."""
    limits = {}
    for name in names.values():
        number = getattr(resource, name, None)
        pair = (-1, -1) if number is None else resource.getrlimit(number)
        soft, hard = (RLIM_INFINITY if value == resource.RLIM_INFINITY else value for value in pair)
        limits[name] = soft, hard
    return limits


# ------------------------------------------------------------ scheduling


@system_call()
def sched_yield(thread: Thread) -> int:
    os.sched_yield()
    return 0


@system_call("int size pointer")
def sched_getaffinity(thread: Thread, pid: int, size: int, address: int) -> int:
    process = thread.process
    long_bytes = process.abi.long_bytes
    mask = sum(1 << cpu for cpu in os.sched_getaffinity(0 if pid == thread.tid else pid))
    needed = -(-mask.bit_length() // (8 * long_bytes)) * long_bytes
    if size < needed or size % long_bytes:
        raise fail(errno.EINVAL)
    words = (mask >> shift & ((1 << 8 * long_bytes) - 1) for shift in range(0, 8 * needed, 8 * long_bytes))
    process.memory.write(address, b"".join(word.to_bytes(long_bytes, process.abi.byte_order) for word in words))
    return needed


@system_call("int size pointer")
def sched_setaffinity(thread: Thread, pid: int, size: int, address: int) -> int:
    process = thread.process
    size = min(size, _MOST_CPU_BYTES) // process.abi.long_bytes * process.abi.long_bytes
    data, word, order = process.memory.read(address, size), process.abi.long_bytes, process.abi.byte_order
    words = [int.from_bytes(data[at : at + word], order) for at in range(0, size, word)]
    mask = sum(bits << index * 8 * word for index, bits in enumerate(words))
    os.sched_setaffinity(0 if pid == thread.tid else pid, [cpu for cpu in range(8 * size) if mask >> cpu & 1])
    return 0


@system_call("int unsigned int")
def membarrier(thread: Thread, command: int, flags: int, cpu: int) -> int:
    """The host's: guest threads are its threads."""
    return thread.process.host.do("membarrier", command, flags, cpu)


@system_call("pointer pointer pointer")
def getcpu(thread: Thread, cpu: int, node: int, cache: int) -> int:
    for address in (cpu, node):
        if address:
            thread.memory.write(address, bytes(4))
    return 0


# ------------------------------------------------------------ the rest


@system_call("int word word word word")
def prctl(thread: Thread, option: int, first: int, second: int, third: int, fourth: int) -> int:
    process = thread.process
    if option == PR_SET_NAME:
        thread.comm = process.memory.read_string(first, 15)
        if thread.tid == process.pid:
            process.comm = thread.comm
        return 0
    if option == PR_GET_NAME:
        name = process.comm if thread.comm is None else thread.comm
        process.memory.write(first, name[:15].ljust(16, b"\0"))
        return 0
    if option in (PR_GET_DUMPABLE, PR_SET_DUMPABLE):
        return 1 if option == PR_GET_DUMPABLE else 0
    if option in (PR_GET_FP_MODE, PR_SET_FP_MODE) and process.abi.program_mode is not None:
        mode = thread.vcpu.get_mode(process.abi.program_mode.mode)
        if option == PR_SET_FP_MODE and first != mode:
            raise fail(errno.EOPNOTSUPP)  # it is the program's, from its start
        return mode if option == PR_GET_FP_MODE else 0
    raise fail(errno.EINVAL)


@system_call("pointer pointer flags")
def riscv_flush_icache(thread: Thread, start: int, end: int, flags: int) -> int:
    """Stores into translated code are caught as they happen: there is nothing left to flush."""
    return 0


@system_call("pointer size size pointer flags")
def riscv_hwprobe(thread: Thread, pairs: int, count: int, cpu_bytes: int, cpus: int, flags: int) -> int:
    """Fill in the values of the keys in an array of pairs; a key nobody knows becomes -1."""
    process = thread.process
    if count > _MOST_PAIRS or flags or (cpus == 0) != (cpu_bytes == 0):
        raise fail(errno.EINVAL)
    if cpus and not any(process.memory.read(cpus, min(cpu_bytes, _MOST_CPU_BYTES))):
        raise fail(errno.EINVAL)
    layout = process.abi.struct("riscv_hwprobe")
    for at in range(pairs, pairs + count * layout.size, layout.size):
        key = layout.unpack(process.memory.read(at, layout.size))["key"]
        value = process.abi.hardware_probe.get(key)
        pair = {"key": -1, "value": 0} if value is None else {"key": key, "value": value}
        process.memory.write(at, layout.pack(pair))
    return 0


@system_call("path unsigned")
def memfd_create(thread: Thread, name: int, flags: int) -> int:
    process = thread.process
    if flags & ~3:
        raise fail(errno.EINVAL)
    host = os.memfd_create(os.fsdecode(process.memory.read_string(name, 249)), flags | os.MFD_CLOEXEC)
    return process.descriptors.add(host, bool(flags & 1))
