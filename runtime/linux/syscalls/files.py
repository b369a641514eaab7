"""System calls on open files: read, write, seek, duplicate, control."""

from __future__ import annotations

import errno
import fcntl
import os

from runtime.core.env import PAGE_READ, PAGE_WRITE
from runtime.core.memory import GuestFault
from runtime.linux import records
from runtime.linux.host import Bytes
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Thread

#: Linux cuts every transfer to this (MAX_RW_COUNT), and a vector to UIO_MAXIOV parts
MAX_TRANSFER = 0x7FFFF000
MAX_VECTOR = 1024

F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_SETOWN, F_GETOWN = range(10)
F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS = range(1030, 1035)
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
#: F_GETLK, F_SETLK and F_SETLKW may be others for a host's Python than for its kernel; the rest are asm-generic's
_LOCKS = {
    F_GETLK: fcntl.F_GETLK,
    F_SETLK: fcntl.F_SETLK,
    F_SETLKW: fcntl.F_SETLKW,
    **{command: command for command in (F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW)},
}
FD_CLOEXEC = 1


def reachable(thread: Thread, address: int, count: int, need: int) -> int:
    """How many of `count` bytes at `address` the guest may touch; EFAULT when there is not one.

    Linux copies until it meets a bad page, so a buffer may be smaller than the count if the data ends before it.
    """
    if count < 0:
        raise fail(errno.EINVAL)
    count = min(count, MAX_TRANSFER)
    bad = thread.memory.check(address, count, need)
    if bad is None:
        return count
    if bad == address:
        raise GuestFault(address, need == PAGE_WRITE)
    return bad - address


def input_of(thread: Thread, address: int, count: int) -> memoryview:
    """The guest's bytes that a call is to send."""
    return thread.memory.readable(address, reachable(thread, address, count, PAGE_READ))


def output_of(thread: Thread, address: int, count: int) -> memoryview:
    """The guest's bytes that a call is to fill in."""
    return thread.memory.writable(address, reachable(thread, address, count, PAGE_WRITE))


def vector(thread: Thread, address: int, count: int, write: bool) -> list[memoryview]:
    """The buffers of an iovec array, cut where the guest may not touch them."""
    view = thread.memory.view
    return [view[base : base + size] for base, size in _parts(thread, address, count, write)]


def host_vector(thread: Thread, address: int, count: int, write: bool) -> tuple[Bytes, int]:
    """The same as an iovec array of the host's, and how many parts that has."""
    base, parts = thread.memory.base, _parts(thread, address, count, write)
    words = (word.to_bytes(8, "little") for start, size in parts for word in (base + start, size))
    return Bytes(b"".join(words)), len(parts)


def _parts(thread: Thread, address: int, count: int, write: bool) -> list[tuple[int, int]]:
    """Addresses and sizes of an iovec array's buffers."""
    if not 0 <= count <= MAX_VECTOR:
        raise fail(errno.EINVAL)
    layout = thread.process.abi.struct("iovec")
    table = thread.memory.read(address, layout.size * count)
    buffers: list[tuple[int, int]] = []
    room = MAX_TRANSFER
    longest = 1 << thread.process.abi.bits - 1
    for at in range(0, len(table), layout.size):
        part = layout.unpack(table[at : at + layout.size])
        if part["len"] >= longest:
            raise fail(errno.EINVAL)
        size = min(part["len"], room)
        if not size:
            continue
        try:
            found = len((output_of if write else input_of)(thread, part["base"], size))
        except GuestFault:
            if buffers:
                break
            raise
        buffers.append((part["base"], found))
        room -= size
        if found < size:
            break
    return buffers


def _offset(value: int) -> int:
    if value < 0:
        raise fail(errno.EINVAL)
    return value


@system_call("fd output size")
def read(thread: Thread, fd: int, address: int, count: int) -> int:
    process = thread.process
    descriptor = process.descriptors.get(fd)
    count = len(output_of(thread, address, count))
    done = process.host.wait("read", descriptor.host, process.memory.base + address, count)
    if process.translates_records and (kind := records.kind_of(descriptor)):
        process.memory.write(address, records.translated(process, kind, process.memory.read(address, done)))
    return done


@system_call("fd input size")
def write(thread: Thread, fd: int, address: int, count: int) -> int:
    process = thread.process
    descriptor = process.descriptors.get(fd)
    count = reachable(thread, address, count, PAGE_READ)
    if process.translates_records and (kind := records.kind_of(descriptor)):
        data = Bytes(records.translated(process, kind, process.memory.read(address, count)))
        return process.host.wait("write", descriptor.host, data.address, count)
    return process.host.wait("write", descriptor.host, process.memory.base + address, count)


@system_call("fd output size offset")
def pread64(thread: Thread, fd: int, address: int, count: int, offset: int) -> int:
    return os.preadv(thread.process.descriptors.host(fd), [output_of(thread, address, count)], _offset(offset))


@system_call("fd input size offset")
def pwrite64(thread: Thread, fd: int, address: int, count: int, offset: int) -> int:
    return os.pwrite(thread.process.descriptors.host(fd), input_of(thread, address, count), _offset(offset))


@system_call("fd pointer int")
def readv(thread: Thread, fd: int, address: int, count: int) -> int:
    process = thread.process
    done = _transfer(thread, "readv", fd, host_vector(thread, address, count, True))
    if process.translates_records and (kind := records.kind_of(process.descriptors.get(fd))):
        buffers = vector(thread, address, count, True)
        told = records.translated(process, kind, b"".join(buffers)[:done])
        for buffer in buffers:
            part, told = told[: len(buffer)], told[len(buffer) :]
            buffer[: len(part)] = part
    return done


@system_call("fd pointer int")
def writev(thread: Thread, fd: int, address: int, count: int) -> int:
    return _transfer(thread, "writev", fd, host_vector(thread, address, count, False))


def _transfer(thread: Thread, name: str, fd: int, parts: tuple[Bytes, int]) -> int:
    process = thread.process
    return process.host.wait(name, process.descriptors.host(fd), parts[0].address, parts[1])


# The kernel passes the position of preadv and pwritev as two longs on every guest, the low one first.
def _position(thread: Thread, low: int, high: int) -> int:
    bits = thread.process.abi.bits
    return _offset(low if bits == 64 else ((low | high << bits) ^ 1 << 63) - (1 << 63))


@system_call("fd pointer int word word")
def preadv(thread: Thread, fd: int, address: int, count: int, low: int, high: int) -> int:
    host = thread.process.descriptors.host(fd)
    return os.preadv(host, vector(thread, address, count, True), _position(thread, low, high))


@system_call("fd pointer int word word")
def pwritev(thread: Thread, fd: int, address: int, count: int, low: int, high: int) -> int:
    host = thread.process.descriptors.host(fd)
    return os.pwritev(host, vector(thread, address, count, False), _position(thread, low, high))


@system_call("fd long whence")
def lseek(thread: Thread, fd: int, offset: int, whence: int) -> int:
    host = thread.process.descriptors.host(fd)
    return os.lseek(host, thread.process.descriptors.positions.host(host, offset), whence)


@system_call("fd word word pointer whence", "_llseek")
def _llseek(thread: Thread, fd: int, high: int, low: int, result: int, whence: int) -> int:
    """A 32-bit guest's lseek: the offset in two words, the position through a pointer."""
    offset = ((high << 32 | low & 0xFFFFFFFF) ^ 1 << 63) - (1 << 63)
    host = thread.process.descriptors.host(fd)
    position = os.lseek(host, thread.process.descriptors.positions.host(host, offset), whence)
    thread.memory.write(result, position.to_bytes(8, thread.process.abi.byte_order))
    return 0


@system_call("fd fd pointer size")
def sendfile(thread: Thread, target: int, source: int, offset: int, count: int) -> int:
    """Where there is another call for 64-bit offsets, this one's is a long."""
    return _send_file(thread, target, source, offset, count, thread.process.abi.long_bytes)


@system_call("fd fd pointer size")
def sendfile64(thread: Thread, target: int, source: int, offset: int, count: int) -> int:
    return _send_file(thread, target, source, offset, count, 8)


def _send_file(thread: Thread, target: int, source: int, offset: int, count: int, offset_bytes: int) -> int:
    descriptors, order = thread.process.descriptors, thread.process.abi.byte_order
    hosts = descriptors.host(target), descriptors.host(source)
    count = min(count, MAX_TRANSFER)
    if not offset:
        return thread.process.host.wait("sendfile", *hosts, 0, count)
    position = int.from_bytes(thread.memory.read(offset, offset_bytes), order, signed=True)
    sent = os.sendfile(*hosts, _offset(position), count)
    thread.memory.write(offset, (position + sent).to_bytes(offset_bytes, order))
    return sent


@system_call("fd")
def close(thread: Thread, fd: int) -> int:
    thread.process.descriptors.close(fd)
    return 0


@system_call("unsigned unsigned flags")
def close_range(thread: Thread, first: int, last: int, flags: int) -> int:
    if first > last or flags & ~6:
        raise fail(errno.EINVAL)
    for number in thread.process.descriptors.numbers():
        if first <= number <= last:
            if flags & 4:  # CLOSE_RANGE_CLOEXEC
                thread.process.descriptors.get(number).close_on_exec = True
            else:
                thread.process.descriptors.close(number)
    return 0


@system_call("fd")
def dup(thread: Thread, fd: int) -> int:
    return thread.process.descriptors.duplicate(fd)


@system_call("fd fd open_flags")
def dup3(thread: Thread, fd: int, target: int, flags: int) -> int:
    close_on_exec = thread.process.abi.constants["O_CLOEXEC"]
    if fd == target or flags & ~close_on_exec:
        raise fail(errno.EINVAL)
    return thread.process.descriptors.replace(fd, target, bool(flags & close_on_exec))


@system_call("pointer open_flags")
def pipe2(thread: Thread, address: int, flags: int) -> int:
    thread.memory.writable(address, 8)
    first, second = new_pipe(thread, flags)
    order = thread.process.abi.byte_order
    thread.memory.write(address, first.to_bytes(4, order) + second.to_bytes(4, order))
    return 0


def new_pipe(thread: Thread, flags: int) -> tuple[int, int]:
    """Descriptors of a pipe's two ends."""
    process = thread.process
    constants = process.abi.constants
    if flags & ~(constants["O_CLOEXEC"] | constants["O_NONBLOCK"] | constants["O_DIRECT"]):
        raise fail(errno.EINVAL)
    close_on_exec = bool(flags & constants["O_CLOEXEC"])
    reader, writer = os.pipe2(process.host_open_flags(flags) | os.O_CLOEXEC)
    try:
        first = process.descriptors.add(reader, close_on_exec)
    except OSError:
        os.close(writer)
        raise
    try:
        second = process.descriptors.add(writer, close_on_exec)
    except OSError:
        process.descriptors.close(first)
        raise
    return first, second


@system_call("fd command word", "fcntl", "fcntl64")
def fcntl_(thread: Thread, fd: int, command: int, argument: int) -> int:
    process = thread.process
    descriptor = process.descriptors.get(fd)
    number = (argument & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
    command, structure = process.abi.fcntl_commands.get(command, (command, "flock"))
    if command in (F_DUPFD, F_DUPFD_CLOEXEC):
        return process.descriptors.duplicate(fd, number, command == F_DUPFD_CLOEXEC)
    if command == F_GETFD:
        return FD_CLOEXEC if descriptor.close_on_exec else 0
    if command == F_SETFD:
        descriptor.close_on_exec = bool(argument & FD_CLOEXEC)
        return 0
    if command == F_GETFL:
        return process.guest_open_flags(fcntl.fcntl(descriptor.host, fcntl.F_GETFL))
    if command == F_SETFL:
        fcntl.fcntl(descriptor.host, fcntl.F_SETFL, process.host_open_flags(number))
        return 0
    if command in _LOCKS:
        return _lock(thread, descriptor.host, command, argument, structure)
    if command in (F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS):
        return int(fcntl.fcntl(descriptor.host, command, number))
    if command == F_GETOWN:
        return 0
    raise fail(errno.EINVAL)


def _lock(thread: Thread, host: int, command: int, address: int, structure: str) -> int:
    """Record locks: struct flock, or flock64 of a 32-bit guest, which has offsets of 64 bits as well."""
    abi, memory = thread.process.abi, thread.memory
    layout = abi.struct(structure)
    fields = layout.unpack(memory.read(address, layout.size))
    host_layout = abi.host_struct("flock")
    lock = Bytes(host_layout.pack(fields))
    thread.process.host.wait("fcntl", host, _LOCKS[command], lock.address)
    if command in (F_GETLK, F_OFD_GETLK):
        memory.write(address, layout.pack(host_layout.unpack(lock.raw[: host_layout.size])))
    return 0


@system_call("fd int")
def flock(thread: Thread, fd: int, operation: int) -> int:
    process = thread.process
    return process.host.wait("flock", process.descriptors.host(fd), operation)


@system_call("fd long")
def ftruncate(thread: Thread, fd: int, length: int) -> int:
    return ftruncate64(thread, fd, length)


@system_call("fd offset")
def ftruncate64(thread: Thread, fd: int, length: int) -> int:
    host = thread.process.descriptors.host(fd)
    thread.process.space.resized(host, length)
    os.ftruncate(host, length)
    return 0


@system_call("fd int offset offset")
def fallocate(thread: Thread, fd: int, mode: int, offset: int, length: int) -> int:
    host = thread.process.descriptors.host(fd)
    if mode:
        raise fail(errno.EOPNOTSUPP)
    os.posix_fallocate(host, offset, length)
    return 0


@system_call("fd")
def fsync(thread: Thread, fd: int) -> int:
    os.fsync(thread.process.descriptors.host(fd))
    return 0


@system_call("fd")
def fdatasync(thread: Thread, fd: int) -> int:
    os.fdatasync(thread.process.descriptors.host(fd))
    return 0


@system_call()
def sync(thread: Thread) -> int:
    os.sync()
    return 0


@system_call("fd offset offset int", "fadvise64", "fadvise64_64")
def fadvise64(thread: Thread, fd: int, offset: int, length: int, advice: int) -> int:
    thread.process.descriptors.host(fd)
    return 0
