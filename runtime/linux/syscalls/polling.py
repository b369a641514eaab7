"""System calls that wait for descriptors, and the descriptors made to be waited for: epoll, eventfd, timerfd, signalfd.

They are the host's own; numbers of descriptors and sets of signals are translated.
"""

from __future__ import annotations

import errno
import os

from runtime.core.env import PAGE_WRITE
from runtime.core.light import suppress
from runtime.core.memory import GuestFault
from runtime.linux.host import ERESTARTNOHAND, MASK_BYTES, Bytes
from runtime.linux.signals import read_mask
from runtime.linux.structs import Struct
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Thread

_POLLFD = Struct("fd:s32 events:s16 revents:s16", 8, False)
_TIMESPEC = Struct("sec:s64 nsec:s64", 8, False)
_ITIMERSPEC = Struct("interval:s64 interval_nsec:s64 value:s64 value_nsec:s64", 8, False)
_EPOLL_EVENT = Struct("events:u32 data:u64", 8, False, max_align=4)  # packed on x86-64
EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD = 1, 2, 3
_MOST_EVENTS = 4096
#: a descriptor that the host process never has: poll answers POLLNVAL for it
_CLOSED = 0x7FFFFFFF
#: FD_SETSIZE is the C library's: Linux takes as many descriptors as a process can have open
_MOST_SELECTED = 1 << 16
# asm-generic/poll.h
_POLLIN, _POLLPRI, _POLLOUT, _POLLERR, _POLLHUP = 1, 2, 4, 8, 16
_POLLRDNORM, _POLLRDBAND, _POLLWRNORM, _POLLWRBAND = 64, 128, 256, 512
#: what each of select's sets means to poll (fs/select.c)
_SETS = (
    _POLLIN | _POLLRDNORM | _POLLRDBAND | _POLLHUP | _POLLERR,
    _POLLOUT | _POLLWRNORM | _POLLWRBAND | _POLLERR,
    _POLLPRI,
)
_ASKED = (_POLLIN | _POLLRDNORM | _POLLRDBAND, _POLLOUT | _POLLWRNORM, _POLLPRI)


def wait_masked(thread: Thread, mask: int | None, name: str, *arguments: int) -> int:
    """A host's call that waits with another set of blocked signals, which ends when a handler has run."""
    host = thread.process.host
    try:
        return host.wait(name, *arguments, restart=ERESTARTNOHAND)
    except OSError as failure:
        if failure.errno == ERESTARTNOHAND and mask is not None:
            thread.saved_mask, thread.blocked = thread.blocked, mask & ~thread.process.signals.unblockable
        raise


def _mask(thread: Thread, address: int, size: int) -> tuple[int | None, Bytes | None]:
    """The guest's sigset at an address: as a number, and for the host."""
    if not address:
        return None, None
    process = thread.process
    if size != process.abi.struct("sigset").size:
        raise fail(errno.EINVAL)
    mask = read_mask(process, process.memory.read(address, size))
    return mask, Bytes(process.signals.host_mask(mask).to_bytes(8, "little"))


def _timeout(thread: Thread, address: int) -> Bytes | None:
    if not address:
        return None
    seconds, nanoseconds = divmod(thread.read_timespec(address), 1_000_000_000)
    return Bytes(_TIMESPEC.pack({"sec": min(seconds, 1 << 40), "nsec": nanoseconds}))


def span_of(nanoseconds: int) -> Bytes:
    """So much time for the host."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return Bytes(_TIMESPEC.pack({"sec": min(seconds, 1 << 40), "nsec": rest}))


def _tell_rest(thread: Thread, address: int, timeout: Bytes | None) -> None:
    """Linux leaves the time that was left in the guest's timespec; if it cannot, nobody is told."""
    if timeout is not None:
        rest = _TIMESPEC.unpack(timeout.raw[: _TIMESPEC.size])
        with suppress(GuestFault):
            thread.write_timespec(address, rest["sec"] * 1_000_000_000 + rest["nsec"])


def _address(data: Bytes | None) -> int:
    return 0 if data is None else data.address


# ------------------------------------------------------------ poll and select


def _poll(
    thread: Thread, wanted: list[tuple[int, int]], timeout: Bytes | None, mask: int | None, host_mask: Bytes | None
) -> list[int]:
    """Wait until one of the (host descriptor, events) is ready; what each one is."""
    table = Bytes(b"".join(_POLLFD.pack({"fd": host, "events": events}) for host, events in wanted))
    wait_masked(thread, mask, "ppoll", table.address, len(wanted), _address(timeout), _address(host_mask), MASK_BYTES)
    size = _POLLFD.size
    answer = table.raw
    return [_POLLFD.unpack(answer[at : at + size])["revents"] & 0xFFFF for at in range(0, size * len(wanted), size)]


@system_call("pointer unsigned pointer pointer size", "ppoll", "ppoll_time64")
def ppoll(thread: Thread, address: int, count: int, timeout: int, mask: int, mask_bytes: int) -> int:
    span = _timeout(thread, timeout)
    blocked, host_blocked = _mask(thread, mask, mask_bytes)
    try:
        return poll_table(thread, address, count, span, blocked, host_blocked)
    finally:
        _tell_rest(thread, timeout, span)


def poll_table(
    thread: Thread,
    address: int,
    count: int,
    span: Bytes | None,
    blocked: int | None = None,
    host_blocked: Bytes | None = None,
) -> int:
    """poll of the guest's table."""
    process, memory = thread.process, thread.memory
    if count > process.descriptors.limit:
        raise fail(errno.EINVAL)
    layout = process.abi.struct("pollfd")
    table = memory.read(address, layout.size * count)
    entries = [layout.unpack(table[at : at + layout.size]) for at in range(0, len(table), layout.size)]
    wanted = []
    for entry in entries:
        host = -1
        if entry["fd"] >= 0:
            try:
                host = process.descriptors.host(entry["fd"])
            except OSError:
                host = _CLOSED
        wanted.append((host, entry["events"]))
    ready = _poll(thread, wanted, span, blocked, host_blocked)
    for entry, happened in zip(entries, ready, strict=True):
        entry["revents"] = happened
    memory.write(address, b"".join(layout.pack(entry) for entry in entries))
    return sum(1 for happened in ready if happened)


@system_call("int pointer pointer pointer pointer pointer", "pselect6", "pselect6_time64")
def pselect6(thread: Thread, count: int, read: int, write: int, special: int, timeout: int, mask: int) -> int:
    memory, abi = thread.memory, thread.process.abi
    blocked, host_blocked = None, None
    if mask:
        pair = memory.read(mask, 2 * abi.long_bytes)
        pointer, mask_bytes = (
            int.from_bytes(pair[at : at + abi.long_bytes], abi.byte_order) for at in (0, abi.long_bytes)
        )
        blocked, host_blocked = _mask(thread, pointer, mask_bytes)
    span = _timeout(thread, timeout)
    try:
        return select_sets(thread, count, (read, write, special), span, blocked, host_blocked)
    finally:
        _tell_rest(thread, timeout, span)


def select_sets(
    thread: Thread,
    count: int,
    addresses: tuple[int, int, int],
    span: Bytes | None,
    blocked: int | None = None,
    host_blocked: Bytes | None = None,
) -> int:
    """select of the guest's three sets."""
    process, abi = thread.process, thread.process.abi
    if count < 0:
        raise fail(errno.EINVAL)
    count = min(count, _MOST_SELECTED, process.descriptors.limit)
    size = -(-count // abi.bits) * abi.long_bytes
    before = [_read_set(thread, address, size) for address in addresses]
    numbers = [number for number in range(count) if any(bits >> number & 1 for bits in before)]
    wanted = []
    for number in numbers:
        asked = sum(events for bits, events in zip(before, _ASKED, strict=True) if bits >> number & 1)
        wanted.append((process.descriptors.host(number), asked))
    ready = _poll(thread, wanted, span, blocked, host_blocked)
    after = [0, 0, 0]
    for number, happened in zip(numbers, ready, strict=True):
        for index, (bits, meaning) in enumerate(zip(before, _SETS, strict=True)):
            if bits >> number & 1 and happened & meaning:
                after[index] |= 1 << number
    for address, bits in zip(addresses, after, strict=True):
        _write_set(thread, address, bits, size)
    return sum(bits.bit_count() for bits in after)


def _read_set(thread: Thread, address: int, size: int) -> int:
    """An fd_set, an array of longs, as a number with bit n for descriptor n."""
    if not address:
        return 0
    abi = thread.process.abi
    data = thread.memory.read(address, size)
    words = [data[at : at + abi.long_bytes] for at in range(0, size, abi.long_bytes)]
    return sum(int.from_bytes(word, abi.byte_order) << index * abi.bits for index, word in enumerate(words))


def _write_set(thread: Thread, address: int, bits: int, size: int) -> None:
    if address:
        abi = thread.process.abi
        words = (bits >> at * 8 & ((1 << abi.bits) - 1) for at in range(0, size, abi.long_bytes))
        thread.memory.write(address, b"".join(word.to_bytes(abi.long_bytes, abi.byte_order) for word in words))


# ------------------------------------------------------------ epoll


@system_call("open_flags")
def epoll_create1(thread: Thread, flags: int) -> int:
    process = thread.process
    close_on_exec = process.abi.constants["O_CLOEXEC"]
    if flags & ~close_on_exec:
        raise fail(errno.EINVAL)
    host = process.host.do("epoll_create1", os.O_CLOEXEC)
    return process.descriptors.add(host, bool(flags & close_on_exec))


@system_call("fd int fd pointer")
def epoll_ctl(thread: Thread, fd: int, operation: int, target: int, address: int) -> int:
    process = thread.process
    layout = process.abi.struct("epoll_event")
    event = None
    if operation != EPOLL_CTL_DEL:
        event = Bytes(_EPOLL_EVENT.pack(layout.unpack(process.memory.read(address, layout.size))))
    hosts = process.descriptors.host(fd), process.descriptors.host(target)
    return process.host.do("epoll_ctl", hosts[0], operation, hosts[1], _address(event))


@system_call("fd pointer int int pointer size")
def epoll_pwait(thread: Thread, fd: int, address: int, count: int, timeout: int, mask: int, mask_bytes: int) -> int:
    process, memory = thread.process, thread.memory
    layout = process.abi.struct("epoll_event")
    host = process.descriptors.host(fd)
    if count <= 0 or count > (1 << 31) // layout.size:
        raise fail(errno.EINVAL)
    count = min(count, _MOST_EVENTS)
    bad = memory.check(address, count * layout.size, PAGE_WRITE)
    if bad is not None:
        raise GuestFault(bad, 1)
    blocked, host_blocked = _mask(thread, mask, mask_bytes)
    events = Bytes(_EPOLL_EVENT.size * count)
    found = wait_masked(
        thread, blocked, "epoll_pwait", host, events.address, count, timeout, _address(host_blocked), MASK_BYTES
    )
    data, size = events.raw, _EPOLL_EVENT.size
    memory.write(
        address, b"".join(layout.pack(_EPOLL_EVENT.unpack(data[at * size : at * size + size])) for at in range(found))
    )
    return found


# ------------------------------------------------------------ eventfd, timerfd, signalfd


def _file_flags(thread: Thread, flags: int, more: int = 0) -> int:
    """O_CLOEXEC and O_NONBLOCK, in which these calls' flags are written, as the host's; EINVAL for others."""
    constants = thread.process.abi.constants
    if flags & ~(constants["O_CLOEXEC"] | constants["O_NONBLOCK"] | more):
        raise fail(errno.EINVAL)
    return os.O_CLOEXEC | (os.O_NONBLOCK if flags & constants["O_NONBLOCK"] else 0) | flags & more


def _add(thread: Thread, host: int, flags: int) -> int:
    return thread.process.descriptors.add(host, bool(flags & thread.process.abi.constants["O_CLOEXEC"]))


@system_call("unsigned open_flags")
def eventfd2(thread: Thread, count: int, flags: int) -> int:
    return _add(thread, thread.process.host.do("eventfd2", count, _file_flags(thread, flags, 1)), flags)


@system_call("clock open_flags")
def timerfd_create(thread: Thread, clock: int, flags: int) -> int:
    return _add(thread, thread.process.host.do("timerfd_create", clock, _file_flags(thread, flags)), flags)


def read_itimerspec(thread: Thread, address: int) -> Bytes:
    """A guest's itimerspec for the host: two of its timespecs."""
    return Bytes(_ITIMERSPEC.pack(thread.read_times("itimerspec", address)))


def write_itimerspec(thread: Thread, address: int, data: Bytes) -> None:
    layout = thread.time_struct("itimerspec")
    thread.memory.write(address, layout.pack(_ITIMERSPEC.unpack(data.raw[: _ITIMERSPEC.size])))


@system_call("fd flags pointer pointer", "timerfd_settime", "timerfd_settime64")
def timerfd_settime(thread: Thread, fd: int, flags: int, new: int, old: int) -> int:
    process = thread.process
    wanted, before = read_itimerspec(thread, new), Bytes(_ITIMERSPEC.size)
    process.host.do("timerfd_settime", process.descriptors.host(fd), flags, wanted.address, before.address)
    if old:
        write_itimerspec(thread, old, before)
    return 0


@system_call("fd pointer", "timerfd_gettime", "timerfd_gettime64")
def timerfd_gettime(thread: Thread, fd: int, address: int) -> int:
    process = thread.process
    now = Bytes(_ITIMERSPEC.size)
    process.host.do("timerfd_gettime", process.descriptors.host(fd), now.address)
    write_itimerspec(thread, address, now)
    return 0


@system_call("fd pointer size open_flags")
def signalfd4(thread: Thread, fd: int, address: int, size: int, flags: int) -> int:
    """Its reader gets the host's numbers of signals, the same as the guest's wherever asm-generic's are used."""
    process = thread.process
    host_flags = _file_flags(thread, flags)
    _, mask = _mask(thread, address, size)
    if mask is None:
        raise GuestFault(address, 0)
    if fd != -1:
        process.host.do("signalfd4", process.descriptors.host(fd), mask.address, MASK_BYTES, host_flags)
        return fd
    return _add(thread, process.host.do("signalfd4", -1, mask.address, MASK_BYTES, host_flags), flags)
