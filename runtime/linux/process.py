"""A guest process: loaded from an executable, run until it exits, with a thread's registers as the kernel sees them."""

from __future__ import annotations

import errno
import os
from _thread import RLock

from runtime.core.cpu import Vcpu
from runtime.core.env import ENV, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.memory import GuestFault, GuestMemory, page_up
from runtime.linux import segments, signals, vfork
from runtime.linux.abi.model import Abi, Descriptor, Fault, FaultByCode, Register, SignalFrame, SystemCall
from runtime.linux.attention import attend, mirror
from runtime.linux.descriptors import DescriptorTable
from runtime.linux.host import KICK, RESTARTS, Host, Slot
from runtime.linux.mm import AddressSpace
from runtime.linux.signals import CODES, Action, SignalInfo, SignalTable
from runtime.linux.syscalls.futexes import leave
from runtime.linux.syscalls.process import RLIM_INFINITY, GuestExit, host_limits
from runtime.linux.syscalls.table import Bound, SystemCalls, fail
from runtime.tcg.loop import TcgVcpu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.linux.crew import Crew
    from runtime.linux.debugger import Debugger
    from runtime.linux.strace import Strace
    from runtime.linux.structs import Struct
    from runtime.linux.syscalls.children import Replace
    from runtime.linux.sysroot import Sysroot
    from runtime.linux.threads import Group

    #: runs a thread's vCPU until an exception, a wait or a stop: runtime.tcg.loop.cpu_exec of it
    Execute = Callable[[], Exit]

#: what F_GETFL answers for it on x86-64; Python says 0, for opening with it changes nothing there
_O_LARGEFILE = 0o100000

#: results from -1 down to this are errors (MAX_ERRNO)
_MOST_ERRORS = 4095
#: system calls that a crash report shows
_RECENT = 8
#: bytes that one access to memory has at most
_MOST_ACCESS = 64

Trap = SystemCall | Fault | FaultByCode | Descriptor
#: see SignalFrame.registers
Place = tuple[Register, int, int, int, int]


class Thread:
    """A guest thread: its vCPU and what the kernel keeps for it."""

    def __init__(self, process: Process, vcpu: Vcpu, tid: int, slot: Slot) -> None:
        self.process = process
        self.memory = process.memory
        self.vcpu = vcpu
        self.tid = tid
        self.slot = slot  # of the host thread that runs it
        self.over = False  # the first thread, after it ended before others did
        self.comm: bytes | None = None  # its name, if it is not the process's
        self.blocked = self.host_blocked = 0  # signals, as sigsets: for the guest, and those told to the host
        self.saved_mask: int | None = None  # to come back when the handler a call waited for returns
        self.call_pc = 0  # of the last system call
        self.registers_set = False  # by rt_sigreturn, whose result they hold
        self.cut_short: tuple[int, int, int] | None = None  # a call cut short: its pc, result register, how to go on
        self.pending: dict[int, SignalInfo] = {}
        self.alternate_stack = 0
        self.alternate_size = 0
        self.clear_child_tid = 0
        self.robust_list = 0
        self.narrow_time = False  # whether the system call being answered is one with 32-bit times
        # Views of the register files: reading seven registers by name for every system call would take half its time.
        files = {name: vcpu.file(name) for name, _ in (process.abi.number, *process.abi.arguments)}
        self._arguments = [(files[name], index) for name, index in process.abi.arguments]
        self._number = (files[process.abi.number[0]], process.abi.number[1])
        self._saved: dict[int, Sequence[Place]] = {}

    def get(self, register: Register) -> int:
        """A register the ABI's tables name."""
        name, index = register
        if name in self.vcpu.layout.by_name:
            return self.vcpu.get(name, index)
        return self.vcpu.pc if name == "pc" else self.vcpu.get_mode(name) >> index

    def set(self, register: Register, value: int) -> None:
        name, index = register
        if name in self.vcpu.layout.by_name:
            self.vcpu.set(name, value, index)
        elif name == "pc":
            self.vcpu.pc = value
        else:
            self.vcpu.set_mode(name, value << index | self.vcpu.get_mode(name) & (1 << index) - 1)

    def saved(self, frame: SignalFrame) -> Sequence[Place]:
        """What a signal frame saves, as far as this instruction set has it."""
        found = self._saved.get(id(frame))
        if found is None:
            layout = self.vcpu.layout
            names = {"pc", *layout.by_name, *(mode.name for mode in layout.modes)}
            found = self._saved[id(frame)] = [place for place in frame.registers if place[0][0] in names]
        return found

    def enter(self, address: int) -> None:
        """Go on at the address of a function: where it begins, or a signal handler."""
        abi = self.process.abi
        if abi.address_mode is not None:
            self.vcpu.set_mode(abi.address_mode, address & 1)
            address &= ~1
        layout = self.vcpu.layout
        for name, value in abi.entry_state.items():
            if name in layout.by_name or any(mode.name == name for mode in layout.modes):
                self.set((name, 0), value)
        segments.enter_own(self)
        self.vcpu.pc = address

    # ------------------------------------------------------------ times

    def read_timespec_fields(self, address: int) -> tuple[int, int]:
        """Seconds and nanoseconds of a guest's timespec, as they stand there."""
        fields = self.read_times("timespec", address)
        return fields["sec"], fields["nsec"]

    def read_times(self, name: str, address: int) -> dict[str, int]:
        """A guest's structure of times; a 32-bit program's nanoseconds have 32 bits, and padding up to 64."""
        layout = self.time_struct(name)
        fields = layout.unpack(self.memory.read(address, layout.size))
        if self.process.abi.bits == 64 or self.narrow_time:
            return fields
        return {field: value & 0xFFFFFFFF if field.endswith("nsec") else value for field, value in fields.items()}

    def read_timespec(self, address: int) -> int:
        """A guest's timespec in nanoseconds; EINVAL when it is no proper span of time."""
        seconds, nanoseconds = self.read_timespec_fields(address)
        if seconds < 0 or not 0 <= nanoseconds < 1_000_000_000:
            raise fail(errno.EINVAL)
        return seconds * 1_000_000_000 + nanoseconds

    def write_timespec(self, address: int, nanoseconds: int) -> None:
        seconds, rest = divmod(nanoseconds, 1_000_000_000)
        self.memory.write(address, self.time_struct("timespec").pack({"sec": seconds, "nsec": rest}))

    def time_struct(self, name: str) -> Struct:
        """A structure of times as the call that is being answered has it: with 32-bit seconds, or with 64-bit ones."""
        return self.process.abi.struct(f"{name}32" if self.narrow_time else name)

    def system_call(self) -> tuple[int, list[int]]:
        """Number and argument registers of the system call the thread asks for."""
        file, index = self._number
        arguments = [file[index] for file, index in self._arguments]
        offset, count = self.process.abi.stack_arguments
        if count:
            size = self.process.abi.long_bytes
            try:
                data = self.memory.read(self.get(self.process.abi.stack) + offset, count * size)
            except GuestFault:
                data = bytes(count * size)
            order = self.process.abi.byte_order
            arguments += [int.from_bytes(data[at : at + size], order) for at in range(0, len(data), size)]
        return file[index], arguments

    def set_result(self, result: int) -> None:
        """What a system call answers: its result, or -errno."""
        abi = self.process.abi
        if abi.error_flag is not None:
            failed = -_MOST_ERRORS <= result < 0
            self.set(abi.error_flag, int(failed))
            result = -result if failed else result
        self.set(abi.result, result)

    def succeed(self, old: Thread) -> None:
        """Take over what a thread keeps when it executes another program."""
        self.blocked, self.pending = old.blocked, dict(old.pending)
        self.host_blocked = -1

    def close(self) -> None:
        """Let go of the vCPU, which can be closed then."""
        for view in (self._number[0], *(file for file, _ in self._arguments)):
            view.release()

    def on_alternate_stack(self, stack: int) -> bool:
        """Whether a stack pointer lies in the alternate signal stack."""
        return 0 < stack - self.alternate_stack <= self.alternate_size


class Process:
    """A guest process; `load` (runtime/linux/loader.py) fills its memory, `run` runs it.

    own_signals   let the guest's signal actions become the host process's: for a process that is nothing but this guest
    """

    def __init__(
        self, abi: Abi, memory: GuestMemory, own_signals: bool = False, predecessor: Process | None = None
    ) -> None:
        self.abi = abi
        self.memory = memory
        self.own_signals = own_signals
        self.host: Host = Host() if predecessor is None else predecessor.host
        self.space = AddressSpace(memory, abi.address_top)
        self.space.on_file = self._watch_files
        self.signals = SignalTable(abi.constants)
        #: whether records that the host's kernel makes are other ones here (runtime/linux/records.py)
        self.translates_records = abi.big_endian or not self.signals.alike
        self.calls = SystemCalls(abi)
        self.limit_names = {number: name for name, number in abi.constants.items() if name.startswith("RLIMIT_")}
        self.limits = host_limits(self.limit_names)
        self.descriptors = DescriptorTable(min(self.limits["RLIMIT_NOFILE"][0], 1 << 16))
        self.pid = os.getpid()
        self.threads: list[Thread] = []
        self.sysroot: Sysroot | None = None  # where the guest's absolute paths are looked up first
        self.directory: int | None = None  # host descriptor of the working directory; None: the host process's own
        self.executable = b""
        self.comm = b""
        self.arguments: list[bytes] = []
        self.environment: list[bytes] = []
        self.auxiliary = b""
        self.stack_start = 0  # the stack pointer at the program's start
        self.trampoline = 0  # address of code that calls rt_sigreturn
        self.strace: Strace | None = None
        self.debugger: Debugger | None = None
        self.system_calls = 0
        self.recent: list[tuple[Bound, list[int], int]] = []  # the last calls, for a crash report
        self.ioctl_names = {number: name for name, number in abi.constants.items() if name[:2] in ("TC", "TI", "FI")}
        host_flags = {name: value for name, value in vars(os).items() if name.startswith("O_")}
        host_flags["O_LARGEFILE"] = _O_LARGEFILE
        self._open_flags = [
            (guest, host_flags.get(name, 0)) for name, guest in abi.constants.items() if name[:2] == "O_" and guest > 3
        ]
        self._access_mode = abi.constants["O_ACCMODE"]
        self._traps: dict[int, Trap] = {}
        self.replace: Replace | None = None
        self.flush: Callable[[], None] = _nothing  # writes out what a fork would make two of
        self.timers: set[int] = set()  # timer_create's, by the host's number
        self.waiting_parent: int | None = None  # write end of the pipe on which a parent in vfork waits
        self.lock = RLock()  # held by who changes what threads share: the memory map, signal actions
        self.pending: dict[int, SignalInfo] = {}  # signals for any thread, while all block them
        self.local_segments: dict[int, int] = {}  # modify_ldt's entries that are set
        self.crew: Crew | None = None  # what it takes to have more than one thread
        self.group: Group | None = None  # once there was more than one
        self.executing: Thread | None = None  # the thread that called execve
        self.executed_elsewhere = 0  # instructions, by threads that are over
        if predecessor is not None:
            self._succeed(predecessor)

    def _succeed(self, old: Process) -> None:
        """Take over what a process keeps when it executes another program (execve(2))."""
        self.sysroot, self.directory = old.sysroot, old.directory
        self.limits, self.descriptors = old.limits, old.descriptors
        self.system_calls, self.replace = old.system_calls, old.replace
        ignored = [name for number, name in old.signals.names.items() if old.signals.actions[number].handler == 1]
        for number, name in self.signals.names.items():
            if name in ignored:
                self.signals.actions[number] = Action(signals.SIG_IGN)

    # ------------------------------------------------------------ running

    def add_thread(self, vcpu: Vcpu) -> Thread:
        """The process's first thread, on `vcpu`."""
        thread = self.new_thread(vcpu, self.host.first)
        self.threads.append(thread)
        for name, code in vcpu.layout.exceptions:
            if name in self.abi.exceptions:
                self._traps[code] = self.abi.exceptions[name]
        return thread

    def share(self, crew: Crew) -> None:
        """Let the process have several threads."""
        self.crew = crew
        self.space.stopped = crew.world.stopped

    def new_thread(self, vcpu: Vcpu, slot: Slot) -> Thread:
        """A thread on `vcpu`, run by the host thread that has `slot`; not one of the process's threads yet."""
        vcpu.attention = slot.pending
        return Thread(self, vcpu, self.pid, slot)

    def thread(self, tid: int) -> Thread | None:
        """The thread of that number."""
        return next((thread for thread in list(self.threads) if thread.tid == tid), None)

    def run(self, thread: Thread, execute: Execute) -> None:
        """Run the process, with `thread` on this host thread, for ever: GuestExit or GuestKilled ends it."""
        self.host.attach(thread.slot)
        try:
            if self.group is not None:
                self.group.resume(thread)
            self.run_thread(thread, execute)
        except BaseException as reason:
            if self.group is not None:
                outcome = self.group.finish(thread, reason)
                if outcome is not reason:
                    raise outcome from None
            elif isinstance(reason, GuestExit | signals.GuestKilled):
                leave(thread)
            raise

    def run_thread(self, thread: Thread, execute: Execute) -> None:
        """Run one thread for ever."""
        vcpu, came = thread.vcpu, thread.slot.pending
        while True:
            if thread.pending or came[0] or thread.blocked != thread.host_blocked or thread.cut_short is not None:
                attend(thread)
            reason = execute()
            if reason == Exit.EXCEPTION:
                trap = self._traps.get(vcpu.exception)
                if isinstance(trap, SystemCall):
                    if came[0]:
                        continue  # the signal was there before the call
                    thread.call_pc = vcpu.pc
                    # First, for rt_sigreturn sets the pc.
                    vcpu.go_on_behind(trap.length)
                    self.answer(thread)
                elif isinstance(trap, Descriptor):
                    segments.describe(thread, vcpu.arguments[0])
                elif not self._try_again(thread, trap):
                    signal = self._signal(thread, trap)
                    if isinstance(trap, Fault) and trap.trap and vcpu.arguments[1]:
                        vcpu.go_on_behind(vcpu.arguments[1] - vcpu.pc)
                    signals.force(thread, signal)
            elif reason == Exit.BUDGET:
                vcpu.stop_requested = False

    def answer(self, thread: Thread) -> None:
        """Make the system call whose number and arguments stand in the thread's registers."""
        number, registers = thread.system_call()
        self.system_calls += 1
        bound = self.calls.find(number)
        if bound is None:
            result = -self.abi.errors.get(errno.ENOSYS, errno.ENOSYS)
            if self.strace is not None:
                self.strace.unknown(number, registers, result)
        else:
            arguments = bound.arguments(registers, self.abi)
            if self.strace is None:
                result = self.calls.answer(thread, bound, arguments)
            else:
                result = self.strace.traced(thread, bound, arguments)
            self.recent.append((bound, arguments, result))
            if len(self.recent) > _RECENT:
                del self.recent[0]
            if result in RESTARTS:
                thread.cut_short = thread.call_pc, thread.get(self.abi.result), -result
                return
        if thread.registers_set:
            thread.registers_set = False
        else:
            thread.set_result(result)

    def _try_again(self, thread: Thread, trap: Trap | None) -> bool:
        """Whether a fault was on a page of a mapped file that was behind its end, and is there by now."""
        if not isinstance(trap, Fault) or trap.code != "SEGV":
            return False
        if self.host.lost[0]:
            return True  # the guest is about to be told of it
        address = self._fault_address(thread, trap)
        if self.space.behind_data(address):
            return self.memory.look_again(address)
        # An access may straddle two pages.
        after = page_up(address + 1)
        return after - address < _MOST_ACCESS and self.memory.look_again(after)

    def _fault_address(self, thread: Thread, trap: Fault) -> int:
        """What si_addr is to say."""
        vcpu = thread.vcpu
        return vcpu.pc if trap.address == "pc" else vcpu.arguments[int(trap.address[3:])]

    def _first_refused(self, vcpu: Vcpu, address: int) -> int:
        """Of an access over two pages that began at an address, the byte that was refused: the second page's first."""
        if not isinstance(vcpu, TcgVcpu) or vcpu.words[ENV["fault_address"] // 8] != address:
            return address
        need = PAGE_WRITE if vcpu.words[ENV["fault_access"] // 8] else PAGE_READ
        first = self.memory.check(address, vcpu.words[ENV["fault_size"] // 8] % _MOST_ACCESS, need)
        return address if first is None else first

    def _signal(self, thread: Thread, trap: Trap | None) -> SignalInfo:
        """The signal an exception becomes; one the table does not name is an illegal instruction."""
        vcpu, constants = thread.vcpu, self.abi.constants
        if isinstance(trap, FaultByCode):
            trap = trap.codes.get(vcpu.arguments[0], trap.other)
        if not isinstance(trap, Fault):
            return SignalInfo(constants["SIGILL"], CODES["ILL_ILLTRP"], vcpu.pc)
        address = self._fault_address(thread, trap)
        code = trap.code
        if code == "SEGV":
            if self.space.behind_data(address):
                return SignalInfo(constants["SIGBUS"], CODES["BUS_ADRERR"], address)
            address = self._first_refused(vcpu, address)
            code = "SEGV_ACCERR" if self.memory.region_at(address) else "SEGV_MAPERR"
        return SignalInfo(constants[trap.signal], CODES[code], address)

    # ------------------------------------------------------------ children and successors

    def _watch_files(self) -> None:
        """The first file is about to be mapped: it may be cut short one day."""
        if self.own_signals:
            vcpu = self.threads[0].vcpu if self.threads else None
            handlers = vcpu.tcg.code.handlers if isinstance(vcpu, TcgVcpu) else (0, 0)
            self.host.watch(self.memory, handlers, self.space.lost, lambda: self.space.stopped())

    def become_child(self, thread: Thread) -> None:
        """This is the copy that fork made: of the threads it has only the one that called fork."""
        self.pid = thread.tid = os.getpid()
        thread.slot.forget()
        self.host.keep_only(thread.slot)
        if self.group is not None:
            self.group = None
            self.threads = [thread]
            self.signals.open_mask = 0
            mirror(self, self.signals.guest(KICK))
        thread.pending.clear()
        self.pending.clear()
        self.timers.clear()
        if self.waiting_parent is not None:  # our parent's, not ours
            os.close(self.waiting_parent)
            self.waiting_parent = None
        if self.strace is not None:
            self.strace.prefix = f"[{self.pid}] "
        if self.debugger is not None:
            self.debugger.forked(thread)

    def leave(self) -> None:
        """Another program takes this one's place: close what it shall not have."""
        for number in self.descriptors.numbers():
            if self.descriptors.get(number).close_on_exec:
                self.descriptors.close(number)
        for timer in self.timers:
            self.host.do("timer_delete", timer)
        self.release_parent()

    def release_parent(self) -> None:
        """Executing or ending: let a parent go on that waits in vfork."""
        if self.waiting_parent is not None:
            vfork.tell(self.waiting_parent, self.memory)
            self.waiting_parent = None

    # ------------------------------------------------------------ signals and limits

    def set_action(self, number: int, action: Action) -> None:
        """sigaction: remember what the guest wants, and have the host do the like when the process is the guest's."""
        with self.lock:
            self.signals.actions[number] = action
            if self.signals.ignored(number):
                for pending in (self.pending, *(thread.pending for thread in self.threads)):
                    pending.pop(number, None)
            if self.own_signals:
                mirror(self, number)

    def send(self, thread: Thread | None, info: SignalInfo) -> None:
        """Post a signal to a thread, or for None to one that does not block it."""
        if thread is None:
            mask = signals.bit(info.number)
            thread = next((one for one in list(self.threads) if not one.blocked & mask), None)
            if thread is None:
                self.pending.setdefault(info.number, info)
                return
        signals.post(thread, info)
        if self.group is not None:
            self.host.kick(thread.slot)

    def wake(self) -> None:
        """Get the first thread of several out of a system call it waits in; the call is made again later."""
        if self.group is not None:
            self.host.kick(self.host.first)

    def interrupt(self, number: int) -> None:
        """Somebody outside sent the process a signal."""
        self.send(None, SignalInfo(number, CODES["SI_USER"]))
        for thread in list(self.threads):
            thread.vcpu.stop_requested = True

    def host_signal(self, number: int) -> int:
        """The host's number of a guest signal; EINVAL when it has none."""
        host = self.signals.host(number)
        if not host:
            raise fail(errno.EINVAL)
        return host

    def set_limit(self, name: str, soft: int, hard: int) -> None:
        """setrlimit: limits are the guest's; those that matter here are obeyed here."""
        self.limits[name] = soft, hard
        if name == "RLIMIT_NOFILE":
            self.descriptors.set_limit(soft)
        elif name == "RLIMIT_DATA":
            self.space.heap_limit = None if soft == RLIM_INFINITY else soft

    # ------------------------------------------------------------ values in guest form

    def host_open_flags(self, flags: int) -> int:
        """O_* flags of the guest as the host numbers them; bits nobody knows are dropped, as open does."""
        found = flags & self._access_mode
        for guest, host in self._open_flags:
            if flags & guest == guest:
                found |= host
        return found

    def guest_open_flags(self, flags: int) -> int:
        """The opposite of host_open_flags."""
        found = flags & os.O_ACCMODE
        for guest, host in self._open_flags:
            if host and flags & host == host:
                found |= guest
        return found

    def change_directory(self, host: int) -> None:
        """chdir to an open directory, whose descriptor this takes over."""
        old, self.directory = self.directory, host
        if old is not None:
            os.close(old)


def _nothing() -> None:
    """What there is to flush unless somebody says so."""


def host_environment(settings: Sequence[str] = (), removals: Sequence[str] = ()) -> list[bytes]:
    """The host's environment for a guest: VAR=value of `settings` put in, the names in `removals` taken out."""
    environment = dict(os.environb)
    for name in removals:
        environment.pop(os.fsencode(name), None)
    for setting in settings:
        variable, _, value = setting.partition("=")
        environment[os.fsencode(variable)] = os.fsencode(value)
    return [variable + b"=" + value for variable, value in environment.items()]
