"""The host's system calls as the guest's: made by number, cut short by signals for the guest without ever losing one.

Python's own (os.read and the like) go on when a signal comes.  A guest's call must end with EINTR instead, or start
again, as the action of that signal says.  Python's signal handlers do not know who sent a signal, either.  So signals
for the guest have a handler in machine code here (host_x86_64.s).  It notes the first one in its thread's slot and
blocks all the others in that thread until Python takes it (`Host.take`); meanwhile no call that waits begins there.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from _thread import _local, get_native_id

from runtime.core import foreign
from runtime.core.buffer import HOST_PAGE, HostBuffer
from runtime.core.env import ENV
from runtime.core.host_faults import host_faults
from runtime.core.light import host_signals, nullcontext
from runtime.linux import host_x86_64 as machine
from runtime.linux.errors import fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from runtime.core.memory import GuestMemory

NUMBERS = machine.NUMBERS
SIGINFO_BYTES = 128
MASK_BYTES = 8
_ALL = (1 << 64) - 1
_SA_SIGINFO, _SA_RESTORER = 4, 0x04000000
_SIG_SETMASK = 2
#: never blocked and never ignored here, for the emulator's own accesses may cause them
_OF_ACCESSES = frozenset((int(host_signals.SIGSEGV), int(host_signals.SIGBUS)))
_BLOCKABLE = _ALL & ~sum(1 << number - 1 for number in _OF_ACCESSES)
_BUS_ADRERR = 2
_MOST_LOST = 64
_MREMAP_MAYMOVE, _MREMAP_FIXED, _MREMAP_DONTUNMAP = 1, 2, 4
_POLLFD = struct.Struct("<ihh")
_POLLIN, _POLLOUT = 1, 4
#: what calls wait for on the descriptor that is their first argument
_DIRECTIONS = {
    **dict.fromkeys(("read", "readv", "preadv2", "recvfrom", "recvmsg", "accept4", "splice", "tee"), _POLLIN),
    **dict.fromkeys(("write", "writev", "pwritev2", "sendto", "sendmsg", "sendfile"), _POLLOUT),
}

#: what a call that a signal cut short answers (include/linux/errno.h); the guest never sees them (signals.deliver)
ERESTARTSYS = 512  # begin again, or EINTR if the signal's handler was installed without SA_RESTART
ERESTARTNOINTR = 513  # begin again, whatever the handler says
ERESTARTNOHAND = 514  # EINTR after any handler
RESTARTS = {
    -ERESTARTSYS: "ERESTARTSYS (To be restarted if SA_RESTART is set)",
    -ERESTARTNOINTR: "ERESTARTNOINTR (To be restarted)",
    -ERESTARTNOHAND: "ERESTARTNOHAND (To be restarted if no handler)",
}

#: most host threads of one host process that run guests
MOST_SLOTS = 4096
#: the host's signal that ends a system call of a thread which is wanted elsewhere; a guest can have it all the same
KICK = 64

_Call = foreign.CFUNCTYPE(foreign.c_long, *(foreign.c_long,) * 8)
_Plain = foreign.CFUNCTYPE(foreign.c_long, *(foreign.c_long,) * 7)
_RT_SIGACTION = NUMBERS["rt_sigaction"]
_RT_SIGPROCMASK = NUMBERS["rt_sigprocmask"]


class Bytes:
    """Bytes at an address, for the host's kernel to read or fill in."""

    __slots__ = ("_buffer", "address", "size")

    def __init__(self, data: bytes | int) -> None:
        self._buffer = foreign.create_string_buffer(data or 1)  # of bytes: them and a NUL
        self.address = foreign.addressof(self._buffer)
        self.size = len(data) if isinstance(data, bytes) else data

    @property
    def raw(self) -> bytes:
        return self._buffer.raw


class Slot:
    """What machine code and Python both know of a host thread that runs a guest.

    pending   [0] is not 0 while a signal for the guest waits to be taken, or the thread has been kicked
    address   for Host.call
    """

    __slots__ = ("_flags", "_information", "_numbers", "address", "index", "pending")

    def __init__(self, view: memoryview, base: int, index: int) -> None:
        at = machine.SLOTS + index * machine.SLOT_BYTES
        self.index = index
        self.address = base + at
        self.pending = view[at : at + 4].cast("I")
        self._flags = view[at : at + 4]
        self._numbers = view[at + machine.TID : at + machine.NOTED + 4].cast("I")
        self._information = view[at + machine.SIGINFO : at + machine.SIGINFO + 2 * SIGINFO_BYTES]
        self.forget()

    @property
    def tid(self) -> int:
        """The host's number of the thread, 0 while there is none."""
        return self._numbers[0]

    @tid.setter
    def tid(self, number: int) -> None:
        self._numbers[0] = number

    def forget(self) -> None:
        """Drop what came: a new process has no pending signals."""
        self.pending[0] = self._numbers[1] = 0

    def take(self) -> bytes | None:
        """The siginfo of the signal that came, if one did."""
        data = None
        if self._numbers[1]:
            data = bytes(self._information[:SIGINFO_BYTES])
            self._information[:SIGINFO_BYTES] = self._information[SIGINFO_BYTES:]
            self._numbers[1] -= 1
        self._flags[0] = self._numbers[1] != 0
        return data

    def found_lost(self) -> bool:
        """Whether the thread itself came upon a page that is gone; only once."""
        found = bool(self._flags[machine.LOST_ONE])
        self._flags[machine.LOST_ONE] = 0
        return found

    def wake(self) -> None:
        """Have the thread look around before it goes on."""
        self._flags[1] = 1

    def is_awake(self) -> None:
        """It is about to look around."""
        self._flags[1] = 0


class Host:
    """The way to the host's kernel for one process."""

    def __init__(self) -> None:
        self._pages = HostBuffer(machine.SLOTS + MOST_SLOTS * machine.SLOT_BYTES, sparse=True)
        self._pages.memory[: len(machine.CODE)] = machine.CODE
        base = self._pages.address
        protect = foreign.CDLL(None, use_errno=True).mprotect
        protect.argtypes = (foreign.c_void_p, foreign.c_size_t, foreign.c_int)
        if protect(base, machine.CODE_BYTES, mmap.PROT_READ | mmap.PROT_EXEC):
            raise OSError(foreign.get_errno(), os.strerror(foreign.get_errno()))
        self._handler = base + machine.HANDLER
        self._restorer = base + machine.RESTORER
        self._view = view = memoryview(self._pages.memory)
        self._count = view[machine.COUNT : machine.COUNT + 4].cast("I")
        self._free: list[int] = []
        self._threads = _local()
        self._mapped = view[machine.MAPPED : machine.MAPPED + 24].cast("Q")
        self._handlers = view[machine.HANDLERS : machine.HANDLERS + 24].cast("Q")
        self._aside = view[machine.ASIDE : machine.ASIDE + 8].cast("Q")
        #: [0] is how many pages of mapped files turned out to be gone since the guest was told
        self.lost = view[machine.LOST : machine.LOST + 8].cast("Q")
        self._lost_pages = view[machine.LOST_PAGES : machine.LOST_PAGES + 8 * _MOST_LOST].cast("Q")
        self._lost_room: HostBuffer | None = None
        self._on_lost: Callable[[int], None] | None = None
        self._stopped: Callable[[], AbstractContextManager[object]] = nullcontext
        #: call(number, six arguments, slot): what Linux answers, or -512 at once when a signal is pending
        self.call: Callable[..., int] = _Call(base + machine.CALL)
        #: the same without a slot for calls that do not wait, pending or not
        self.plain: Callable[..., int] = _Plain(base + machine.PLAIN)
        #: of the guest's first thread
        self.first = self.slot()
        self.attach(self.first)

    # ------------------------------------------------------------ threads

    def slot(self) -> Slot:
        """A slot that is free; OSError if none is."""
        index = self._free.pop() if self._free else self._count[0]
        if index == MOST_SLOTS:
            raise fail(errno.EAGAIN)
        slot = Slot(self._view, self._pages.address, index)
        self._count[0] = max(self._count[0], index + 1)
        return slot

    def release(self, slot: Slot) -> None:
        """Its thread runs guests no more; all signals are blocked there."""
        slot.tid = 0
        self._free.append(slot.index)

    def attach(self, slot: Slot) -> None:
        """This host thread has that slot from now on."""
        slot.tid = get_native_id()
        self._threads.slot = slot

    def keep_only(self, slot: Slot) -> None:
        """After a fork: this is the only thread.  Its slot is the first from now on."""
        for index in range(self._count[0]):
            if index != slot.index:
                Slot(self._view, self._pages.address, index).tid = 0
        self._free = [index for index in range(self._count[0]) if index != slot.index]
        self.first = slot
        self.attach(slot)

    def kick(self, slot: Slot) -> None:
        """Have another thread look around: a system call that it waits in ends."""
        slot.wake()
        if slot.tid:
            pid = os.getpid()
            data = b"".join(
                number.to_bytes(4, "little", signed=True) for number in (KICK, 0, machine.KICK_CODE, 0, pid)
            )
            information = Bytes(data.ljust(SIGINFO_BYTES, b"\0"))
            self.plain(NUMBERS["rt_tgsigqueueinfo"], pid, slot.tid, KICK, information.address, 0, 0)

    # ------------------------------------------------------------ calls

    def do(self, name: str, *arguments: int) -> int:
        """A call that does not wait; OSError when it fails."""
        result = self.plain(NUMBERS[name], *arguments, *(0,) * (6 - len(arguments)))
        if result < 0:
            raise fail(-result)
        return result

    def wait(self, name: str, *arguments: int, restart: int = ERESTARTSYS) -> int:
        """A call that may wait.  A signal for the guest ends it: with OSError(`restart`).

        A signal may also come while the call is on its way here.  Linux would have completed what need not wait,
        such as writing to a file, and so that must not fail: the signal has come before the guest's instruction, which
        begins again after its handler (ERESTARTNOINTR).  What would wait now has waited: the guest may count on it
        that the signal ends it.
        """
        number = NUMBERS[name]
        padding = (0,) * (6 - len(arguments))
        slot: Slot = getattr(self._threads, "slot", self.first)
        while True:
            result = self.call(number, *arguments, *padding, slot.address)
            if result >= 0:
                return result
            if result != -errno.EINTR and result != -ERESTARTSYS:
                raise fail(-result)
            # Without a signal for the guest it was one of Python's, whose handlers have run by now.
            if slot.pending[0]:
                began = result != -ERESTARTSYS
                raise fail(
                    restart if began or restart != ERESTARTSYS or self._waits(name, arguments) else ERESTARTNOINTR
                )

    def _waits(self, name: str, arguments: tuple[int, ...]) -> bool:
        """Whether a call that has not begun would wait for what its descriptor has not got yet."""
        events = _DIRECTIONS.get(name)
        if events is None:
            return False
        asked = Bytes(_POLLFD.pack(arguments[0], events, 0))
        at_once = Bytes(16)  # a struct timespec
        return self.plain(NUMBERS["ppoll"], asked.address, 1, at_once.address, 0, MASK_BYTES, 0) == 0

    # ------------------------------------------------------------ signals, by the host's numbers

    def take(self, slot: Slot) -> bytes | None:
        """The siginfo of the signal that came to a thread, if one did.

        All are blocked there then: set the mask in the end.
        """
        if slot.found_lost() and self.lost[0]:
            return self._bus_error(self.take_lost())
        return slot.take()

    def set_mask(self, mask: int) -> None:
        """Block exactly the signals of a sigset in this thread."""
        data = Bytes((mask & _BLOCKABLE).to_bytes(MASK_BYTES, "little"))
        self.plain(_RT_SIGPROCMASK, _SIG_SETMASK, data.address, 0, MASK_BYTES, 0, 0)

    def mask(self) -> int:
        """The signals blocked in this thread now."""
        old = Bytes(MASK_BYTES)
        self.plain(_RT_SIGPROCMASK, 0, 0, old.address, MASK_BYTES, 0, 0)
        return int.from_bytes(old.raw, "little")

    def set_action(self, number: int, handler: int | None, flags: int = 0) -> None:
        """SIG_DFL (0), SIG_IGN (1), or with None have the guest told.  Linux refuses some, which is no matter."""
        if number in _OF_ACCESSES and handler != 0:
            host_faults().set_next(number, self._handler)
            return
        if handler is None:
            fields = (self._handler, flags | _SA_SIGINFO | _SA_RESTORER, self._restorer, _ALL)
        else:
            fields = (handler, flags, 0, 0)
        data = Bytes(b"".join(field.to_bytes(8, "little") for field in fields))
        self.plain(_RT_SIGACTION, number, data.address, 0, MASK_BYTES, 0, 0)

    def action(self, number: int) -> int:
        """What happens at a signal (the process may have been started so): SIG_DFL, SIG_IGN, or a handler's address."""
        old = Bytes(32)
        self.plain(_RT_SIGACTION, number, 0, old.address, MASK_BYTES, 0, 0)
        return int.from_bytes(old.raw[:8], "little")

    def take_blocked(self, number: int) -> bytes | None:
        """The siginfo of a signal that is pending because this thread blocks it, which it is no more then."""
        wanted, found, at_once = Bytes((1 << number - 1).to_bytes(MASK_BYTES, "little")), Bytes(128), Bytes(16)
        result = self.plain(
            NUMBERS["rt_sigtimedwait"], wanted.address, found.address, at_once.address, MASK_BYTES, 0, 0
        )
        return found.raw[:SIGINFO_BYTES] if result == number else None

    # ------------------------------------------------------------ files cut short under their mappings

    def watch(
        self,
        memory: GuestMemory,
        handlers: tuple[int, int],
        on_lost: Callable[[int], None],
        stopped: Callable[[], AbstractContextManager[object]],
    ) -> None:
        """Survive accesses to pages of mapped files that are no more; `on_lost` is told the address of each page.

        Such an access reads zeros, and the guest's block of instructions ends before the signal.  `handlers` is where
        the native code of instructions lies.  `with stopped():` no other thread can be about to find such a page.
        """
        if self._lost_room is None:
            self._lost_room = HostBuffer(_MOST_LOST * HOST_PAGE)
            self._aside[0] = self._lost_room.address
        self._on_lost = on_lost
        self._stopped = stopped
        self._mapped[0], self._mapped[2] = memory.base, memory.permissions
        self._mapped[1] = memory.size
        self._handlers[0], self._handlers[2] = handlers[0], ENV["budget_base"]
        self._handlers[1] = max(handlers[1] - handlers[0], 0)
        host_faults().set_next(host_signals.SIGBUS, self._handler)

    def take_lost(self) -> int:
        """Put the pages that accesses found gone back to where they were, unreachable now; the first such access."""
        assert self._lost_room is not None
        assert self._on_lost is not None
        with self._stopped():
            return self._take_lost(self._lost_room, self._on_lost)

    def _take_lost(self, room: HostBuffer, on_lost: Callable[[int], None]) -> int:
        first = self._lost_pages[0]
        for index in range(self.lost[0]):
            page = self._lost_pages[index] & -HOST_PAGE
            kept, place = index * HOST_PAGE, self._mapped[0] + page
            flags = _MREMAP_MAYMOVE | _MREMAP_FIXED | _MREMAP_DONTUNMAP  # a hole might be filled by another thread
            self.do("mremap", room.address + kept, HOST_PAGE, HOST_PAGE, flags, place)
            room.renew(kept, HOST_PAGE)
            on_lost(page)
        self.lost[0] = 0
        return first

    def _bus_error(self, address: int) -> bytes:
        words = (int(host_signals.SIGBUS), 0, _BUS_ADRERR, 0)
        data = b"".join(word.to_bytes(4, "little") for word in words) + address.to_bytes(8, "little")
        return data.ljust(SIGINFO_BYTES, b"\0")

    def requeue(self, information: bytes, own: bool) -> bool:
        """Send a signal that was taken too early back to this process, or to this thread, as it was.

        False where Linux does not let us: only the first thread may write any si_code to its process.
        """
        data = Bytes(information)
        number, pid, tid = int.from_bytes(information[:4], "little"), os.getpid(), get_native_id()
        if own:
            return self.plain(NUMBERS["rt_tgsigqueueinfo"], pid, tid, number, data.address, 0, 0) == 0
        return self.plain(NUMBERS["rt_sigqueueinfo"], pid, number, data.address, 0, 0, 0) == 0
