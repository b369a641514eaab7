"""The host's system calls as the guest's: made by number, cut short by signals for the guest without ever losing one.

Python's own (os.read and the like) go on when a signal comes.  A guest's call must end with EINTR instead, or start
again, as the action of that signal says.  Python's signal handlers do not know who sent a signal, either.  So signals
for the guest have a handler in machine code here (host_x86_64.s).  It notes the first one and blocks all the others
until Python takes it (`take`); meanwhile no call that waits begins.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from contextlib import suppress

from runtime.core.buffer import HostBuffer
from runtime.linux import host_x86_64 as machine
from runtime.linux.syscalls.table import fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NUMBERS = machine.NUMBERS
SIGINFO_BYTES = 128
MASK_BYTES = 8
_ALL = (1 << 64) - 1
_SA_SIGINFO, _SA_RESTORER = 4, 0x04000000
_SIG_SETMASK = 2

#: what a call that a signal cut short answers (include/linux/errno.h); the guest never sees them (signals.deliver)
ERESTARTSYS = 512  # begin again, or EINTR if the signal's handler was installed without SA_RESTART
ERESTARTNOHAND = 514  # EINTR after any handler
RESTARTS = {
    -ERESTARTSYS: "ERESTARTSYS (To be restarted if SA_RESTART is set)",
    -ERESTARTNOHAND: "ERESTARTNOHAND (To be restarted if no handler)",
}

_Call = ctypes.CFUNCTYPE(ctypes.c_long, *(ctypes.c_long,) * 7)
_RT_SIGACTION = NUMBERS["rt_sigaction"]
_RT_SIGPROCMASK = NUMBERS["rt_sigprocmask"]


class Bytes:
    """Bytes at an address, for the host's kernel to read or fill in."""

    __slots__ = ("_buffer", "address", "size")

    def __init__(self, data: bytes | int) -> None:
        self._buffer = ctypes.create_string_buffer(data or 1)  # of bytes: them and a NUL
        self.address = ctypes.addressof(self._buffer)
        self.size = len(data) if isinstance(data, bytes) else data

    @property
    def raw(self) -> bytes:
        return self._buffer.raw


class Host:
    """The way to the host's kernel for one process.

    pending   [0] is not 0 while a signal for the guest waits to be taken
    """

    def __init__(self) -> None:
        self._pages = HostBuffer(2 * machine.CODE_BYTES)
        self._pages.memory[: len(machine.CODE)] = machine.CODE
        base = self._pages.address
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        if protect(base, machine.CODE_BYTES, mmap.PROT_READ | mmap.PROT_EXEC):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._handler = base + machine.HANDLER
        self._restorer = base + machine.RESTORER
        view = memoryview(self._pages.memory)
        self.pending = view[machine.PENDING : machine.PENDING + 4].cast("I")
        self._information = view[machine.INFORMATION : machine.INFORMATION + SIGINFO_BYTES]
        #: call(number, six arguments): what Linux answers, or -512 at once when a signal is pending
        self.call: Callable[..., int] = _Call(base + machine.CALL)
        #: the same for calls that do not wait, pending or not
        self.plain: Callable[..., int] = _Call(base + machine.PLAIN)
        self._mask = Bytes(MASK_BYTES)
        self._mask_view = memoryview(self._mask._buffer).cast("B")

    def do(self, name: str, *arguments: int) -> int:
        """A call that does not wait; OSError when it fails."""
        result = self.plain(NUMBERS[name], *arguments, *(0,) * (6 - len(arguments)))
        if result < 0:
            raise fail(-result)
        return result

    def wait(self, name: str, *arguments: int, restart: int = ERESTARTSYS) -> int:
        """A call that may wait.  A signal for the guest ends it: with OSError(`restart`)."""
        number = NUMBERS[name]
        padding = (0,) * (6 - len(arguments))
        while True:
            result = self.call(number, *arguments, *padding)
            if result >= 0:
                return result
            if result != -errno.EINTR and result != -ERESTARTSYS:
                raise fail(-result)
            # Without a signal for the guest it was one of Python's, whose handlers have run by now.
            if self.pending[0]:
                raise fail(restart)

    # ------------------------------------------------------------ signals, by the host's numbers

    def take(self) -> bytes | None:
        """The siginfo of the signal that came, if one did.  All are blocked then: set the mask in the end."""
        if not self.pending[0]:
            return None
        data = bytes(self._information)
        self.pending[0] = 0
        return data

    def forget(self) -> None:
        """Drop what came: a new process has no pending signals."""
        self.pending[0] = 0

    def set_mask(self, mask: int) -> None:
        """Block exactly the signals of a sigset."""
        self._mask_view[:] = (mask & _ALL).to_bytes(MASK_BYTES, "little")
        self.plain(_RT_SIGPROCMASK, _SIG_SETMASK, self._mask.address, 0, MASK_BYTES, 0, 0)

    def mask(self) -> int:
        """The signals blocked now."""
        old = Bytes(MASK_BYTES)
        self.plain(_RT_SIGPROCMASK, 0, 0, old.address, MASK_BYTES, 0, 0)
        return int.from_bytes(old.raw, "little")

    def set_action(self, number: int, handler: int | None, flags: int = 0) -> None:
        """SIG_DFL (0), SIG_IGN (1), or with None have the guest told.  Linux refuses some, which is no matter."""
        if handler is None:
            fields = (self._handler, flags | _SA_SIGINFO | _SA_RESTORER, self._restorer, _ALL)
        else:
            fields = (handler, flags, 0, 0)
        data = Bytes(b"".join(field.to_bytes(8, "little") for field in fields))
        self.plain(_RT_SIGACTION, number, data.address, 0, MASK_BYTES, 0, 0)

    def ignored(self, number: int) -> bool:
        """Whether the process ignores a signal (it may have been started so)."""
        old = Bytes(32)
        self.plain(_RT_SIGACTION, number, 0, old.address, MASK_BYTES, 0, 0)
        return int.from_bytes(old.raw[:8], "little") == 1

    def requeue(self, information: bytes) -> None:
        """Send a signal that was taken too early back to this process, as it was."""
        data = Bytes(information)
        with suppress(OSError):
            self.do("rt_sigqueueinfo", os.getpid(), int.from_bytes(information[:4], "little"), data.address)
