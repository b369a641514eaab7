"""What the host does when an access is refused: resume compiled guest code where its tables say, or open the page.

There is one for a process, as signal handlers are: every machine in it enters its memory and its compiled code here.
The handler is machine code (faults_x86_64.s), for it runs while guest code does, without Python.
"""

from __future__ import annotations

import mmap
import os

from runtime.core import faults_x86_64 as machine
from runtime.core import foreign
from runtime.core.buffer import HOST_PAGE, HostBuffer
from runtime.core.light import host_signals

_libc = foreign.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (foreign.c_void_p, foreign.c_size_t, foreign.c_int)
_libc.syscall.argtypes = (foreign.c_long, foreign.c_long, foreign.c_void_p, foreign.c_void_p, foreign.c_long)
_libc.syscall.restype = foreign.c_long

_RT_SIGACTION = 13
_SA_SIGINFO, _SA_NODEFER, _SA_RESTORER = 4, 0x40000000, 0x04000000
_RECORD_WORDS = 4
#: compiled pieces of code, and guarded memories, a process can have at a time
MOST_TABLES, MOST_MEMORIES = 1 << 16, 1 << 10
#: pages whose opening is noted one by one (faults_x86_64.s knows this number)
MOST_OPENED = 511


def protect(address: int, size: int, protection: int) -> None:
    """mprotect; OSError on failure."""
    if _libc.mprotect(address, size, protection):
        error = foreign.get_errno()
        raise OSError(error, os.strerror(error))


class _Table:
    """An array of four-word records for the handler: a slot that is free holds an empty range."""

    def __init__(self, words: memoryview, most: int) -> None:
        self._head = words  # {count, address}
        self._buffer = HostBuffer(most * _RECORD_WORDS * 8, sparse=True)
        self._words = memoryview(self._buffer.memory).cast("Q")
        self._free: list[int] = []
        self._most = most
        words[1] = self._buffer.address

    def add(self, start: int, end: int, third: int, fourth: int = 0) -> int:
        """Enter a range; the number to remove it by."""
        if self._free:
            index = self._free.pop()
        elif self._head[0] < self._most:
            index = self._head[0]
            self._head[0] += 1  # the new record is empty still
        else:
            raise MemoryError(f"more than {self._most} pieces of guarded memory or code in one process")
        at = index * _RECORD_WORDS
        # The end last: until then no address is in the range.
        self._words[at], self._words[at + 2], self._words[at + 3] = start, third, fourth
        self._words[at + 1] = end
        return index

    def remove(self, index: int) -> None:
        """Forget a range."""
        self._words[index * _RECORD_WORDS + 1] = 0
        self._free.append(index)


class HostFaults:
    """The process's handler of SIGSEGV and SIGBUS, installed when it is made."""

    def __init__(self) -> None:
        self._pages = HostBuffer(2 * machine.CODE_BYTES)
        self._pages.memory[: len(machine.CODE)] = machine.CODE
        base = self._pages.address
        protect(base, machine.CODE_BYTES, mmap.PROT_READ | mmap.PROT_EXEC)
        view = memoryview(self._pages.memory)
        self._before = {
            int(host_signals.SIGSEGV): view[machine.BEFORE_SEGV : machine.BEFORE_SEGV + 8].cast("Q"),
            int(host_signals.SIGBUS): view[machine.BEFORE_BUS : machine.BEFORE_BUS + 8].cast("Q"),
        }
        self._tables = _Table(view[machine.TABLES : machine.TABLES + 16].cast("Q"), MOST_TABLES)
        self._memories = _Table(view[machine.GUARDED : machine.GUARDED + 16].cast("Q"), MOST_MEMORIES)
        flags = _SA_SIGINFO | _SA_NODEFER | _SA_RESTORER
        fields = (base + machine.HANDLER, flags, base + machine.RESTORER, 0)
        action = foreign.create_string_buffer(b"".join(field.to_bytes(8, "little") for field in fields), 32)
        old = foreign.create_string_buffer(32)
        for number, before in self._before.items():
            if _libc.syscall(_RT_SIGACTION, number, foreign.addressof(action), foreign.addressof(old), 8):
                raise OSError(foreign.get_errno(), "rt_sigaction")
            before[0] = int.from_bytes(old.raw[:8], "little")

    def set_next(self, number: int, handler: int) -> None:
        """Who gets SIGSEGV or SIGBUS when it is nobody's here: a handler's address, or 0 for the default."""
        self._before[number][0] = handler

    def add_code(self, start: int, end: int, entries: int, count: int) -> int:
        """Host code at [start, end) whose accesses may fault.

        entries: address of `count` pairs {access - place of the pair, landing - place of this word} of 32 bits.
        """
        return self._tables.add(start, end, entries, count)

    def remove_code(self, index: int) -> None:
        """Nothing runs there any more."""
        self._tables.remove(index)

    def add_memory(self, start: int, end: int, opened: int) -> int:
        """Host memory whose pages are opened when the emulator itself touches them; `opened`: {count, pages ...}."""
        return self._memories.add(start, end, opened)

    def remove_memory(self, index: int) -> None:
        """It is about to be freed."""
        self._memories.remove(index)


_host_faults: HostFaults | None = None


def host_faults() -> HostFaults:
    """The one of this process."""
    global _host_faults
    if _host_faults is None:
        _host_faults = HostFaults()
    return _host_faults


OPENED_BYTES = (MOST_OPENED + 1) * 8
assert HOST_PAGE == OPENED_BYTES, "the note of opened pages fills a page"
