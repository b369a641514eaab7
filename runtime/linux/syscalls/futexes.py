"""System calls on futexes, and what a thread that ends does to those it holds.

They are the host's own futexes, on the host's memory: threads, and processes that share memory, wait for each other
there.  Thread numbers are the host's, so even its futexes with priority inheritance serve.
"""

from __future__ import annotations

import errno

from runtime.core.light import suppress
from runtime.core.memory import GuestFault
from runtime.linux.host import ERESTARTNOHAND, ERESTARTSYS, Bytes
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Process, Thread

FUTEX_WAIT, FUTEX_WAKE, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP = 0, 1, 3, 4, 5
FUTEX_LOCK_PI, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET = 6, 7, 8, 9, 10
FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI, FUTEX_LOCK_PI2 = 11, 12, 13
FUTEX_PRIVATE, FUTEX_CLOCK_REALTIME = 128, 256
#: those with a time-out, which the kernel gets as a pointer; it is a number for the others
_WAITING = frozenset((FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_WAIT_REQUEUE_PI))
#: those with a second futex
_TWO = frozenset((FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI))
_ONE = frozenset((FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI))
_PLAIN = frozenset((FUTEX_WAIT, FUTEX_WAKE, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET))

# A robust futex (Documentation/locking/robust-futex-ABI.rst).
_TID_MASK, _OWNER_DIED, _WAITERS = 0x3FFFFFFF, 0x40000000, 0x80000000
_MOST_ROBUST = 2048


@system_call("pointer int unsigned pointer pointer unsigned", "futex", "futex_time64")
def futex(thread: Thread, address: int, operation: int, value: int, timeout: int, second: int, mask: int) -> int:
    process = thread.process
    command = operation & ~(FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME)
    memory, swapped = process.memory, process.abi.big_endian
    if command not in _WAITING | _TWO | _ONE or (swapped and command not in _PLAIN):
        raise fail(errno.ENOSYS)  # the host would read thread numbers in its own byte order
    if address & 3:
        raise fail(errno.EINVAL)
    memory.readable(address, 4)
    if command in _TWO:
        memory.readable(second, 4)
    place, other = memory.base + address, memory.base + second
    if command not in _WAITING:
        if swapped and command == FUTEX_CMP_REQUEUE:
            mask = _swap(mask)
        return process.host.do("futex", place, operation, value, timeout, other, mask)
    if command == FUTEX_WAIT_BITSET and not mask:
        raise fail(errno.EINVAL)
    until = None
    if timeout:
        seconds, nanoseconds = divmod(thread.read_timespec(timeout), 1_000_000_000)
        until = Bytes(seconds.to_bytes(8, "little") + nanoseconds.to_bytes(8, "little"))
    restart = ERESTARTNOHAND if until is not None and command in (FUTEX_WAIT, FUTEX_WAIT_BITSET) else ERESTARTSYS
    return process.host.wait(
        "futex",
        place,
        operation,
        _swap(value) if swapped else value,
        0 if until is None else until.address,
        other,
        mask,
        restart=restart,
    )


def _swap(value: int) -> int:
    return int.from_bytes(value.to_bytes(4, "little"), "big")


@system_call("pointer size")
def set_robust_list(thread: Thread, head: int, size: int) -> int:
    if size != 3 * thread.process.abi.long_bytes:
        raise fail(errno.EINVAL)
    thread.robust_list = head
    return 0


@system_call("int pointer pointer")
def get_robust_list(thread: Thread, tid: int, head: int, size: int) -> int:
    process = thread.process
    one = thread if tid == 0 else process.thread(tid)
    if one is None:
        raise fail(errno.ESRCH)
    word, order = process.abi.long_bytes, process.abi.byte_order
    process.memory.write(head, one.robust_list.to_bytes(word, order))
    process.memory.write(size, (3 * word).to_bytes(word, order))
    return 0


@system_call("pointer")
def set_tid_address(thread: Thread, address: int) -> int:
    thread.clear_child_tid = address
    return thread.tid


# ------------------------------------------------------------ the end of a thread


def leave(thread: Thread) -> None:
    """What the kernel does to a thread's futexes when it ends: robust ones it holds, and the one others join it by."""
    process = thread.process
    if thread.robust_list:
        with suppress(GuestFault):
            _give_up(thread, thread.robust_list)
        thread.robust_list = 0
    if thread.clear_child_tid and process.group is not None:
        with suppress(GuestFault):
            process.memory.write(thread.clear_child_tid, bytes(4))
            _wake(process, thread.clear_child_tid)
        thread.clear_child_tid = 0


def _give_up(thread: Thread, head: int) -> None:
    """exit_robust_list of kernel/futex."""
    abi, memory = thread.process.abi, thread.memory
    word = abi.long_bytes

    def pointer(at: int) -> int:
        return int.from_bytes(memory.read(at, word), abi.byte_order)

    entry, offset, waiting = pointer(head), pointer(head + word), pointer(head + 2 * word)
    if offset >> abi.bits - 1:
        offset -= 1 << abi.bits
    for _ in range(_MOST_ROBUST):
        if entry & ~1 == head:
            break
        if entry & ~1 != waiting & ~1:
            _owner_died(thread, (entry & ~1) + offset, False)
        entry = pointer(entry & ~1)
    if waiting:
        _owner_died(thread, (waiting & ~1) + offset, True)


def _owner_died(thread: Thread, address: int, waiting: bool) -> None:
    process, order = thread.process, thread.process.abi.byte_order
    value = int.from_bytes(process.memory.read(address, 4), order)
    if value & _TID_MASK == thread.tid:
        process.memory.write(address, (value & _WAITERS | _OWNER_DIED).to_bytes(4, order))
    elif not waiting or value:
        return
    # Whether anybody waits or not: somebody may have begun to since we looked.
    _wake(process, address)


def _wake(process: Process, address: int) -> None:
    with suppress(OSError):
        process.host.do("futex", process.memory.base + address, FUTEX_WAKE, 1, 0, 0, 0)
