"""Signals: their table, who handles them, and the frame a handler runs on.

A guest exception becomes a signal through the ABI's table; kill and raise post one.  A signal is delivered when the
guest is about to go on: its default action ends the process (GuestKilled), or a frame is pushed as Linux's
arch/*/kernel/signal.c does and the guest enters its handler.  Layouts are data (abi/model.py's SignalFrame).
"""

from __future__ import annotations

import errno

from runtime.core.light import host_signals
from runtime.core.memory import GuestFault
from runtime.linux import segments
from runtime.linux.errors import fail
from runtime.linux.host import ERESTARTNOINTR, ERESTARTSYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.linux.abi.model import SignalFrame
    from runtime.linux.process import Process, Thread

#: what each signal's default action is, by name (signal(7)); those not named end the process
_IGNORED = frozenset(("SIGCHLD", "SIGURG", "SIGWINCH"))
_STOPS = frozenset(("SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"))
_CORE = frozenset(
    ("SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGXCPU", "SIGXFSZ", "SIGSYS")
)

DESCRIPTIONS: dict[str, str] = {
    "SIGHUP": "Hangup",
    "SIGINT": "Interrupt",
    "SIGQUIT": "Quit",
    "SIGILL": "Illegal instruction",
    "SIGTRAP": "Trace/breakpoint trap",
    "SIGABRT": "Aborted",
    "SIGBUS": "Bus error",
    "SIGFPE": "Floating point exception",
    "SIGKILL": "Killed",
    "SIGSEGV": "Segmentation fault",
    "SIGPIPE": "Broken pipe",
    "SIGALRM": "Alarm clock",
    "SIGTERM": "Terminated",
    "SIGXCPU": "CPU time limit exceeded",
    "SIGXFSZ": "File size limit exceeded",
    "SIGSYS": "Bad system call",
}

#: si_code values (asm-generic/siginfo.h)
CODES: dict[str, int] = {
    "SI_USER": 0,
    "SI_KERNEL": 0x80,
    "SI_TKILL": -6,
    "ILL_ILLOPC": 1,
    "ILL_ILLOPN": 2,
    "ILL_ILLADR": 3,
    "ILL_ILLTRP": 4,
    "ILL_PRVOPC": 5,
    "FPE_INTDIV": 1,
    "FPE_INTOVF": 2,
    "FPE_FLTDIV": 3,
    "FPE_FLTOVF": 4,
    "FPE_FLTUND": 5,
    "FPE_FLTRES": 6,
    "FPE_FLTINV": 7,
    "SEGV_MAPERR": 1,
    "SEGV_ACCERR": 2,
    "BUS_ADRALN": 1,
    "BUS_ADRERR": 2,
    "TRAP_BRKPT": 1,
    "TRAP_TRACE": 2,
}

SIG_DFL, SIG_IGN = 0, 1
#: where the trampoline of handlers without SA_SIGINFO stands, from the other one
PLAIN_TRAMPOLINE = 64
LAST_SIGNAL = 64
SIGINFO_BYTES = 128
SS_ONSTACK, SS_DISABLE = 1, 2


class SignalInfo:
    """A signal on its way: siginfo_t as far as it is used."""

    __slots__ = ("address", "code", "fields", "layout", "number", "pid", "uid")

    def __init__(
        self,
        number: int,
        code: int,
        address: int | None = None,
        pid: int = 0,
        uid: int = 0,
        layout: str = "siginfo_kill",
        fields: Mapping[str, int] | None = None,
    ) -> None:
        self.number = number
        self.code = code
        self.address = address  # of a fault; None for a signal somebody sent
        self.pid = pid
        self.uid = uid
        self.layout = layout  # of what is in `fields`: value of a queued signal, status of a child ...
        self.fields = fields


class GuestKilled(Exception):
    """A signal ended the guest."""

    def __init__(self, info: SignalInfo, core: bool) -> None:
        super().__init__(info.number)
        self.info = info
        self.core = core  # one of those that dump core: worth a report
        self.thread: Thread | None = None  # where it was delivered


class Action:
    """What a guest wants done about a signal: struct sigaction."""

    __slots__ = ("flags", "handler", "mask", "restorer")

    def __init__(self, handler: int = SIG_DFL, flags: int = 0, mask: int = 0, restorer: int = 0) -> None:
        self.handler = handler
        self.flags = flags
        self.mask = mask
        self.restorer = restorer


class SignalTable:
    """The signals of one ABI by number, and a process's actions."""

    def __init__(self, constants: Mapping[str, int]) -> None:
        self.constants = constants
        self.names = {number: name for name, number in constants.items() if name[:3] == "SIG" and name[3:4] != "_"}
        self.actions = [Action() for _ in range(LAST_SIGNAL + 1)]
        self.unblockable = bit(constants["SIGKILL"]) | bit(constants["SIGSTOP"])
        self._to_host = [0] * 32 + list(range(32, LAST_SIGNAL + 1))
        for name, number in vars(host_signals).items():
            if name[:3] == "SIG" and name[3:4] != "_" and name in constants:
                self._to_host[constants[name]] = number
        self.alike = self._to_host[1:] == list(range(1, LAST_SIGNAL + 1))
        self.open_mask = 0  # the host's signals that it shall not block, whatever the guest does

    def host(self, number: int) -> int:
        """The host's number of a signal, 0 if it has none."""
        return self._to_host[number]

    def guest(self, number: int) -> int:
        """The guest's number of a host signal; SIGKILL, which cannot come, for one it does not have."""
        return self._to_host.index(number) if number in self._to_host else self.constants["SIGKILL"]

    def host_mask(self, mask: int) -> int:
        """A guest's sigset in the host's numbers."""
        if not self.alike:
            mask = sum(1 << host - 1 for number, host in enumerate(self._to_host) if host and mask & bit(number))
        return mask & ~self.open_mask

    def guest_mask(self, mask: int) -> int:
        """A host's sigset in the guest's numbers."""
        if self.alike:
            return mask
        return sum(bit(number) for number, host in enumerate(self._to_host) if host and mask >> host - 1 & 1)

    def stops(self, number: int) -> bool:
        """Whether the default action is to stop or to go on."""
        return self.name(number) in _STOPS | {"SIGCONT"}

    def name(self, number: int) -> str:
        """SIGSEGV, or SIGRT_3 as strace calls those without a name of their own."""
        return self.names.get(number) or (f"SIGRT_{number - 32}" if 32 <= number <= LAST_SIGNAL else f"SIG{number}")

    def describe(self, number: int) -> str:
        """What strsignal says."""
        name = self.name(number)
        return DESCRIPTIONS.get(name, name)

    def ignored(self, number: int) -> bool:
        """Whether posting the signal does nothing."""
        handler = self.actions[number].handler
        return handler == SIG_IGN or (handler == SIG_DFL and self.name(number) in _IGNORED | _STOPS | {"SIGCONT"})

    def dumps_core(self, number: int) -> bool:
        return self.name(number) in _CORE


def bit(number: int) -> int:
    """The signal's bit in a sigset."""
    return 1 << number - 1


def check(number: int) -> int:
    """A signal number that exists, or EINVAL."""
    if not 1 <= number <= LAST_SIGNAL:
        raise fail(errno.EINVAL)
    return number


def post(thread: Thread, info: SignalInfo) -> None:
    """Send a signal to a thread: it is delivered, unless blocked or ignored, before the guest goes on."""
    table = thread.process.signals
    if not table.ignored(info.number) or thread.blocked & bit(info.number):
        thread.pending.setdefault(info.number, info)


def force(thread: Thread, info: SignalInfo) -> None:
    """Send a fault of the thread's own making: where it is blocked or ignored it ends the process (force_sig_fault)."""
    action = thread.process.signals.actions[info.number]
    if thread.blocked & bit(info.number) or action.handler == SIG_IGN:
        action.handler = SIG_DFL
        thread.blocked &= ~bit(info.number)
    thread.pending[info.number] = info


def deliver(thread: Thread) -> None:
    """Deliver what is pending and not blocked: enter a handler, or raise GuestKilled.

    A system call that a signal cut short is made again after it, or has failed with EINTR (do_signal of the kernel).
    """
    process = thread.process
    for number in sorted({*thread.pending, *process.pending}):
        if thread.blocked & bit(number) & ~process.signals.unblockable:
            continue
        info = thread.pending.pop(number, None) or process.pending.pop(number, None)
        if info is None or process.signals.ignored(number):
            continue
        if process.debugger is not None:
            wanted = process.debugger.signal(thread, info)
            if wanted is None or process.signals.ignored(wanted.number):
                continue
            info, number = wanted, wanted.number
        action = process.signals.actions[number]
        if action.handler == SIG_DFL:
            killed = GuestKilled(info, process.signals.dumps_core(number))
            killed.thread = thread
            raise killed
        if process.strace is not None:
            process.strace.signal(thread, info)
        if thread.cut_short is not None:
            _resume(thread, action)
        _enter(thread, info, action)
    if thread.cut_short is not None:
        _resume(thread, None)
    if thread.saved_mask is not None:
        thread.blocked, thread.saved_mask = thread.saved_mask, None


def _resume(thread: Thread, action: Action | None) -> None:
    """Decide what a call that was cut short answers, before the handler of `action` (None: there is no handler)."""
    pc, register, restart = thread.cut_short or (0, 0, 0)
    thread.cut_short = None
    abi, constants = thread.process.abi, thread.process.signals.constants
    again = restart == ERESTARTNOINTR or (restart == ERESTARTSYS and action and action.flags & constants["SA_RESTART"])
    if action is None or again:
        thread.vcpu.pc = pc
        thread.set(abi.result, register)
    else:
        thread.set_result(-abi.errors.get(errno.EINTR, errno.EINTR))


def _enter(thread: Thread, info: SignalInfo, action: Action) -> None:
    """Push a frame and point the thread at its handler."""
    process = thread.process
    abi, frame, constants = process.abi, process.abi.signal_frame, process.signals.constants
    trampoline = process.trampoline
    if frame.plain is not None and not action.flags & constants["SA_SIGINFO"]:
        frame, trampoline = frame.plain, trampoline + PLAIN_TRAMPOLINE
    context_bytes = -(-frame.context_bytes // frame.align) * frame.align
    thread.vcpu.back_to_branch()
    stack = thread.get(abi.stack)
    switched = action.flags & constants["SA_ONSTACK"] and thread.alternate_size and not thread.on_alternate_stack(stack)
    stack = thread.alternate_stack + thread.alternate_size if switched else stack - frame.red_zone
    restorer = action.restorer if action.flags & constants.get("SA_RESTORER", 0) else trampoline
    if frame.info_offset is None:
        before = frame.head_bytes + _info_bytes(frame)
        base = (stack - context_bytes - before + frame.skew & -frame.align) - frame.skew
        info_at, context = base + frame.head_bytes, base + before
    else:
        context = (stack - context_bytes) & -frame.align
        base, info_at = context - frame.head_bytes, context + frame.info_offset
    data = bytearray(pack_context(thread, frame, context).ljust(context_bytes, b"\0"))
    if frame.info_offset is None:
        data[:0] = pack_info(process, info)[: _info_bytes(frame)]
    else:
        data[frame.info_offset : frame.info_offset + SIGINFO_BYTES] = pack_info(process, info)
    head = bytearray(frame.head_bytes)
    if frame.return_on_stack:
        head[: abi.long_bytes] = restorer.to_bytes(abi.long_bytes, abi.byte_order)
    for offset, value in zip(frame.stack_arguments, (info.number, info_at, context), strict=False):
        head[offset : offset + abi.long_bytes] = value.to_bytes(abi.long_bytes, abi.byte_order)
    try:
        process.memory.write(min(info_at, context), data)
        if frame.return_on_stack:
            process.memory.write(base, head)
    except GuestFault:
        # Nowhere to put the frame: Linux ends the process with SIGSEGV (force_sigsegv).
        number = constants["SIGSEGV"]
        raise GuestKilled(SignalInfo(number, CODES["SI_KERNEL"], base), True) from None
    thread.saved_mask = None  # the frame has it
    if action.flags & constants["SA_RESETHAND"]:
        process.set_action(info.number, Action(SIG_DFL, action.flags, action.mask, action.restorer))
    handled = action.mask | (0 if action.flags & constants["SA_NODEFER"] else bit(info.number))
    thread.blocked = (thread.blocked | handled) & ~process.signals.unblockable
    with_info = frame.stack_offset is not None
    values = (info.number, info_at if with_info else 0, context if with_info else 0)
    for register, value in zip(frame.arguments, values, strict=True):
        thread.set(register, value)
    if frame.return_address is not None:
        thread.set(frame.return_address, restorer)
    thread.set(abi.stack, base)
    if frame.handler is not None:
        thread.set(frame.handler, action.handler)
    thread.enter(action.handler)


def _info_bytes(frame: SignalFrame) -> int:
    """Bytes of siginfo before the context."""
    return SIGINFO_BYTES if frame.info_offset is None and frame.stack_offset is not None else 0


def leave(thread: Thread, plain: bool = False) -> None:
    """rt_sigreturn, or sigreturn: take registers and mask back from the frame at the stack pointer."""
    process = thread.process
    frame, order = process.abi.signal_frame, process.abi.byte_order
    if plain and frame.plain is not None:
        frame = frame.plain
    base = thread.get(process.abi.stack) - frame.popped
    try:
        context = process.memory.read(base + frame.head_bytes + _info_bytes(frame), frame.context_bytes)
    except GuestFault:
        number = process.signals.constants["SIGSEGV"]
        raise GuestKilled(SignalInfo(number, CODES["SI_KERNEL"], base), True) from None
    for register, offset, size, low, bits in thread.saved(frame):
        value = int.from_bytes(context[offset : offset + size], order)
        thread.set(register, value >> low & ((1 << bits) - 1))
    segments.reload(thread)
    if frame.stack_offset is not None:
        stack = process.abi.struct("stack")
        fields = stack.unpack(context[frame.stack_offset : frame.stack_offset + stack.size])
        disabled = fields["flags"] & SS_DISABLE
        thread.alternate_stack, thread.alternate_size = fields["sp"], 0 if disabled else fields["size"]
    if frame.mask_high_offset is None:
        mask = process.abi.struct("sigset")
        thread.blocked = read_mask(process, context[frame.mask_offset : frame.mask_offset + mask.size])
    else:
        halves = (context[at : at + 4] for at in (frame.mask_offset, frame.mask_high_offset))
        low_half, high_half = (int.from_bytes(half, order) for half in halves)
        thread.blocked = low_half | high_half << 32
    thread.blocked &= ~process.signals.unblockable


def pack_info(process: Process, info: SignalInfo) -> bytes:
    """siginfo_t, 128 bytes."""
    if info.address is not None:
        name, fields = "siginfo_fault", {"address": info.address}
    else:
        name, fields = info.layout, {"pid": info.pid, "uid": info.uid, **(info.fields or {})}
    data = process.abi.struct(name).pack({"signo": info.number, "code": info.code, **fields})
    return data.ljust(SIGINFO_BYTES, b"\0")


def pack_context(thread: Thread, frame: SignalFrame, address: int = 0) -> bytes:
    """The thread's state as the frame's context that is to stand at `address`."""
    process = thread.process
    order = process.abi.byte_order
    data = bytearray(frame.context_bytes)
    if frame.stack_offset is not None:
        stack = process.abi.struct("stack")
        fields = {"sp": thread.alternate_stack, "size": thread.alternate_size}
        fields["flags"] = 0 if thread.alternate_size else SS_DISABLE
        data[frame.stack_offset : frame.stack_offset + stack.size] = stack.pack(fields)
    blocked = thread.blocked if thread.saved_mask is None else thread.saved_mask
    if frame.mask_high_offset is None:
        mask = write_mask(process, blocked)
        data[frame.mask_offset : frame.mask_offset + len(mask)] = mask
    else:
        for at, half in ((frame.mask_offset, blocked & 0xFFFFFFFF), (frame.mask_high_offset, blocked >> 32)):
            data[at : at + 4] = half.to_bytes(4, order)
    for register, offset, size, low, bits in thread.saved(frame):
        value = int.from_bytes(data[offset : offset + size], order)
        known = segments.offset_of_pc(thread) if register[0] == "pc" else thread.get(register)
        value |= (known & (1 << bits) - 1) << low
        data[offset : offset + size] = value.to_bytes(size, order)
    words = dict(frame.words)
    needed, more = frame.words_with
    if needed in thread.vcpu.layout.by_name:
        words |= more
    for offset, value in (*words.items(), *((at, address + to) for at, to in frame.pointers.items())):
        data[offset : offset + process.abi.long_bytes] = value.to_bytes(process.abi.long_bytes, order)
    return bytes(data)


def read_mask(process: Process, data: bytes) -> int:
    """A sigset's bytes as an integer, signal n at bit n - 1."""
    fields = process.abi.struct("sigset").unpack(data)
    return fields["mask"] | fields.get("mask_high", 0) << 32


def write_mask(process: Process, mask: int) -> bytes:
    """The opposite of read_mask."""
    low = mask & 0xFFFFFFFF if process.abi.bits == 32 else mask
    return process.abi.struct("sigset").pack({"mask": low, "mask_high": mask >> 32})
