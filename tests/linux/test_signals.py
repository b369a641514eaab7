"""Signals: actions and masks, default actions, and the frame of a handler."""

from __future__ import annotations

import errno

import pytest

from runtime.core.env import ENV, PAGE_READ, Exit
from runtime.linux import signals
from runtime.linux.process import Thread
from runtime.linux.signals import Action, GuestKilled, SignalInfo
from runtime.linux.strace import Strace
from tests.linux.guest import SCRATCH, SCRATCH_BYTES, call, make_thread, put

SIGILL, SIGABRT, SIGKILL, SIGUSR1, SIGSEGV, SIGCHLD = 4, 6, 9, 10, 11, 17
SIGINFO, ONSTACK, NODEFER, RESETHAND = 4, 0x08000000, 0x40000000, 0x80000000
HANDLER = 0x4000
BUFFER = SCRATCH + 0x1000
STACK = SCRATCH + SCRATCH_BYTES


@pytest.fixture(params=["riscv64", "riscv32"])
def thread(request: pytest.FixtureRequest) -> Thread:
    thread = make_thread(request.param)
    thread.set(thread.process.abi.stack, STACK)
    thread.process.trampoline = 0x5000
    return thread


def act(thread: Thread, number: int, handler: int, flags: int = SIGINFO, mask: int = 0) -> int:
    low = mask if thread.process.abi.bits == 64 else mask & 0xFFFFFFFF
    fields = {"handler": handler, "flags": flags, "mask": low, "mask_high": mask >> 32}
    address = put(thread, thread.process.abi.struct("sigaction").pack(fields))
    return call(thread, "rt_sigaction", number, address, 0, 8)


def raise_fault(thread: Thread, exception: str, address: int) -> None:
    """Let the engine report an exception, once; what comes of it is delivered before the guest goes on."""
    vcpu = thread.vcpu
    names = dict(vcpu.layout.exceptions)

    class Stop(Exception):
        pass

    entered = False

    def execute() -> Exit:
        nonlocal entered
        if entered:
            raise Stop
        entered = True
        vcpu.words[ENV["exception"] // 8] = names[exception]
        vcpu.words[ENV["arg0"] // 8] = address
        return Exit.EXCEPTION

    with pytest.raises(Stop):
        thread.process.run(thread, execute)


def test_actions(thread: Thread) -> None:
    assert act(thread, SIGUSR1, HANDLER, mask=1 << 33) == 0
    assert call(thread, "rt_sigaction", SIGUSR1, 0, BUFFER, 8) == 0
    layout = thread.process.abi.struct("sigaction")
    fields = layout.unpack(thread.memory.read(BUFFER, layout.size))
    assert (fields["handler"], fields["flags"]) == (HANDLER, SIGINFO)
    assert fields["mask"] | fields.get("mask_high", 0) << 32 == 1 << 33
    assert act(thread, SIGKILL, HANDLER) == -errno.EINVAL
    assert act(thread, 65, HANDLER) == -errno.EINVAL
    assert act(thread, 0, HANDLER) == -errno.EINVAL
    assert call(thread, "rt_sigaction", SIGUSR1, 0, 0, 16) == -errno.EINVAL
    assert call(thread, "rt_sigaction", SIGUSR1, 8, 0, 8) == -errno.EFAULT


def test_masks(thread: Thread) -> None:
    put(thread, (1 << SIGUSR1 - 1 | 1 << SIGKILL - 1).to_bytes(8, "little"))
    assert call(thread, "rt_sigprocmask", 0, SCRATCH, BUFFER, 8) == 0
    assert thread.blocked == 1 << SIGUSR1 - 1
    assert call(thread, "rt_sigprocmask", 1, SCRATCH, BUFFER, 8) == 0
    assert thread.memory.read(BUFFER, 8) == (1 << SIGUSR1 - 1).to_bytes(8, "little")
    assert thread.blocked == 0
    assert call(thread, "rt_sigprocmask", 7, SCRATCH, 0, 8) == -errno.EINVAL
    assert call(thread, "rt_sigprocmask", 0, 0, 0, 4) == -errno.EINVAL


def test_default_actions(thread: Thread) -> None:
    assert call(thread, "tgkill", thread.process.pid, thread.tid, SIGCHLD) == 0
    signals.deliver(thread)
    assert not thread.pending
    assert call(thread, "tkill", thread.tid, SIGABRT) == 0
    with pytest.raises(GuestKilled) as killed:
        signals.deliver(thread)
    assert (killed.value.info.number, killed.value.core) == (SIGABRT, True)
    assert call(thread, "kill", thread.process.pid, SIGUSR1) == 0
    with pytest.raises(GuestKilled) as killed:
        signals.deliver(thread)
    assert not killed.value.core
    assert call(thread, "tgkill", 1, thread.tid, SIGUSR1) == -errno.ESRCH
    assert call(thread, "tgkill", thread.process.pid, thread.tid, 0) == 0
    assert call(thread, "tgkill", thread.process.pid, thread.tid, 65) == -errno.EINVAL
    assert act(thread, SIGUSR1, signals.SIG_IGN) == 0
    assert call(thread, "kill", thread.process.pid, SIGUSR1) == 0
    assert not thread.pending


def test_a_handler_runs_and_returns(thread: Thread) -> None:
    """The frame holds every register; rt_sigreturn puts them back, changed ones included."""
    abi, vcpu = thread.process.abi, thread.vcpu
    act(thread, SIGSEGV, HANDLER)
    for number in range(1, 32):
        vcpu.set("X", 0x1000 + number, number)
        vcpu.set("F", (1 << 63) + number, number)
    vcpu.set("FFLAGS", 0x15)
    vcpu.set_mode("FRM", 3)
    thread.set(abi.stack, STACK)
    vcpu.pc = 0x1234
    raise_fault(thread, "LoadFault", 0x10)
    assert vcpu.pc == HANDLER
    number, info, context = (thread.get(register) for register in abi.signal_frame.arguments)
    assert number == SIGSEGV
    assert thread.get(abi.signal_frame.return_address or ("X", 0)) == 0x5000
    assert thread.get(abi.stack) == info
    assert info % 16 == 0
    data = thread.memory.read(info, 128)
    siginfo = abi.struct("siginfo_fault").unpack(data[: abi.struct("siginfo_fault").size])
    assert (siginfo["signo"], siginfo["code"], siginfo["address"]) == (SIGSEGV, 1, 0x10)
    word = abi.long_bytes
    saved = {register: offset for register, offset, *_ in abi.signal_frame.registers}
    assert thread.memory.read(context + saved["pc", 0], word) == (0x1234).to_bytes(word, "little")
    assert thread.memory.read(context + saved["X", 10], word) == (0x100A).to_bytes(word, "little")
    assert thread.memory.read(context + saved["FRM", 0], 4) == (3 << 5 | 0x15).to_bytes(4, "little")
    assert thread.blocked == 1 << SIGSEGV - 1
    thread.memory.write(context + saved["pc", 0], (0x1238).to_bytes(word, "little"))
    vcpu.set("F", 0, 5)
    vcpu.set("FFLAGS", 0)
    vcpu.set_mode("FRM", 0)
    call(thread, "rt_sigreturn")
    assert vcpu.pc == 0x1238
    assert [vcpu.get("X", number) for number in (1, 10, 17, 31)] == [0x1001, 0x100A, 0x1011, 0x101F]
    assert thread.get(abi.stack) == STACK
    assert (vcpu.get("F", 5), vcpu.get("FFLAGS"), vcpu.get_mode("FRM")) == ((1 << 63) + 5, 0x15, 3)
    assert thread.blocked == 0


def test_a_blocked_fault_kills(thread: Thread) -> None:
    act(thread, SIGSEGV, HANDLER)
    thread.blocked = 1 << SIGSEGV - 1
    with pytest.raises(GuestKilled):
        raise_fault(thread, "StoreFault", 0x10)
    act(thread, SIGILL, signals.SIG_IGN)
    with pytest.raises(GuestKilled) as killed:
        raise_fault(thread, "Illegal", 0)
    assert killed.value.info.number == SIGILL


def test_no_room_for_a_frame(thread: Thread) -> None:
    act(thread, SIGUSR1, HANDLER)
    thread.set(thread.process.abi.stack, 0x100)
    call(thread, "kill", thread.process.pid, SIGUSR1)
    with pytest.raises(GuestKilled) as killed:
        signals.deliver(thread)
    assert killed.value.info.number == SIGSEGV
    thread.set(thread.process.abi.stack, 0x100)
    with pytest.raises(GuestKilled):
        signals.leave(thread)


def test_codes(thread: Thread) -> None:
    thread.memory.map(0x700000, 4096, PAGE_READ)
    thread.vcpu.pc = 0x42
    for exception, address, expected in (
        ("StoreFault", 0x700010, (SIGSEGV, 2, 0x700010)),
        ("FetchFault", 0x800000, (SIGSEGV, 1, 0x800000)),
        ("Illegal", 7, (SIGILL, 1, 0x42)),
        ("Breakpoint", 7, (5, 1, 0x42)),
        ("LoadMisaligned", 7, (7, 1, 7)),
    ):
        with pytest.raises(GuestKilled) as killed:
            raise_fault(thread, exception, address)
        info = killed.value.info
        assert (info.number, info.code, info.address) == expected


def test_alternate_stack(thread: Thread) -> None:
    layout = thread.process.abi.struct("stack")
    low = SCRATCH + 0x4000
    assert call(thread, "sigaltstack", put(thread, layout.pack({"sp": low, "size": 0x2000})), 0) == 0
    assert call(thread, "sigaltstack", put(thread, layout.pack({"sp": low, "size": 100})), 0) == -errno.ENOMEM
    assert (
        call(thread, "sigaltstack", put(thread, layout.pack({"sp": low, "flags": 8, "size": 9999})), 0) == -errno.EINVAL
    )
    act(thread, SIGUSR1, HANDLER, SIGINFO | ONSTACK | NODEFER)
    call(thread, "kill", thread.process.pid, SIGUSR1)
    signals.deliver(thread)
    first = thread.get(thread.process.abi.stack)
    assert low < first < low + 0x2000
    assert thread.blocked == 0
    assert call(thread, "sigaltstack", SCRATCH, BUFFER) == -errno.EPERM
    call(thread, "kill", thread.process.pid, SIGUSR1)
    signals.deliver(thread)
    assert low < thread.get(thread.process.abi.stack) < first
    call(thread, "rt_sigreturn")
    call(thread, "rt_sigreturn")
    assert thread.get(thread.process.abi.stack) == STACK
    assert call(thread, "sigaltstack", 0, BUFFER) == 0
    assert layout.unpack(thread.memory.read(BUFFER, layout.size)) == {"sp": low, "flags": 0, "size": 0x2000}


def test_pending_until_unblocked(thread: Thread) -> None:
    act(thread, SIGUSR1, HANDLER, SIGINFO | RESETHAND)
    thread.blocked = 1 << SIGUSR1 - 1
    call(thread, "kill", thread.process.pid, SIGUSR1)
    signals.deliver(thread)
    assert call(thread, "rt_sigpending", BUFFER, 8) == 0
    assert thread.memory.read(BUFFER, 8) == (1 << SIGUSR1 - 1).to_bytes(8, "little")
    thread.blocked = 0
    signals.deliver(thread)
    assert thread.vcpu.pc == HANDLER
    assert thread.process.signals.actions[SIGUSR1].handler == signals.SIG_DFL


def test_strace_tells_of_signals(thread: Thread) -> None:
    lines: list[str] = []
    process = thread.process
    process.strace = Strace(process, lines.append)
    act(thread, SIGSEGV, HANDLER)
    process.signals.actions[SIGUSR1] = Action(HANDLER)
    lines.clear()
    signals.force(thread, SignalInfo(SIGSEGV, 1, 0x10))
    signals.post(thread, SignalInfo(SIGUSR1, 0, None, 1, 2))
    signals.deliver(thread)
    assert lines == [
        "--- SIGUSR1 {si_signo=SIGUSR1, si_pid=1, si_uid=2} ---\n",
        "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x10} ---\n",
    ]
