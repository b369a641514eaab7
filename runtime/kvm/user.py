"""A small machine whose user level is one Linux program: its code runs on the processor, its system calls come here.

Level 0 holds nothing but user_entry_x86_64.s.  A vCPU is a runtime.core.cpu.Vcpu, so that the Linux layer, which serves
the calls, sees no difference to TCG's; `UserVcpu.execute` takes the place of cpu_exec.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from _thread import RLock, get_ident
from ctypes import addressof, c_char
from fcntl import ioctl
from weakref import WeakSet

from runtime.core.cpu import Vcpu
from runtime.core.env import ENV, PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.memory import GuestMemory
from runtime.kvm import abi, user_state
from runtime.kvm import user_entry_x86_64 as entry
from runtime.kvm import user_pages as pages
from runtime.kvm.machine import Machine
from runtime.kvm.processor import Processor
from runtime.kvm.system import KvmError, System
from runtime.kvm.user_state import GENERAL, HEADER, IMAGE, IMAGE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PC = ENV["pc"] // 8
_EXIT_REASON = ENV["exit_reason"] // 8
_EXCEPTION = ENV["exception"] // 8
_ARGUMENTS = ENV["arg0"] // 8

# Places of registers in env, in words.
_R = GENERAL // 8
_RAX, _RCX, _RSP, _R11 = _R, _R + 1, _R + 4, _R + 11
_RFLAGS, _FSBASE, _GSBASE, _ERROR, _TRAP, _CR2 = range(_R + 16, _R + 22)

# Places in struct kvm_run, in words: where the general registers of SYNC_REGS begin, and the exit's fields.
_SYNC = abi.kvm_run.s.offset // 8
_SYNC_RSP, _SYNC_RIP, _SYNC_RFLAGS = _SYNC + 6, _SYNC + 16, _SYNC + 17
_DIRTY = abi.kvm_run.kvm_dirty_regs.offset // 8
_REASON = abi.kvm_run.exit_reason.offset // 4
_PORT = (abi.kvm_run.exit.offset + 2) // 2

_IOCTL = 16  # arch/x86/entry/syscalls/syscall_64.tbl
_RESTART = -512  # what the Linux layer's call answers when a signal came before it

#: CF PF AF ZF SF TF DF OF RF AC ID are a program's; interrupts are always on
_USER_FLAGS, _FIXED_FLAGS = 0x250DD5, 0x202
_TF, _DF = 0x100, 0x400
_CANONICAL = 1 << 47
_CALL_LENGTH = 2

# CR0: PE MP ET NE WP AM PG; CR4: PAE OSFXSR OSXMMEXCPT, and OSXSAVE where there is XSAVE; EFER: SCE LME LMA NXE.
_CR0, _CR4, _OSXSAVE, _EFER = 0x80050033, 0x620, 1 << 18, 0xD01
_STAR_MSR, _LSTAR_MSR, _FMASK_MSR = 0xC0000081, 0xC0000082, 0xC0000084
#: flags that SYSCALL clears, as Linux has it: TF DF IF NT AC and more
_FMASK = 0x47700
_XSAVE_BIT = 1 << 26

_FETCH, _STORE = 16, 2  # of a page fault's error code
#: a fault of a page that grants the access is tried again so often: each time something must have been filled in
_MOST_SPURIOUS = 1000

_GENERAL_PROTECTION, _PAGE_FAULT, _X87, _SIMD = 13, 14, 16, 19
#: IE, ZE, OE, DE, UE, PE: which of several status bits is told (fpu__exception_code of the kernel's)
_STATUS_ORDER = (1, 4, 8, 2, 16, 32)

_machines: WeakSet[UserMachine] = WeakSet()
_REQUIRED = ("USER_MEMORY", "SYNC_REGS", "XSAVE")


class UserMachine:
    """The virtual machine of one process."""

    def __init__(self, memory: GuestMemory) -> None:
        self.memory = memory
        self.isa = user_state.user_isa()
        self.pages = pages.PageTables(memory)
        self.world = UserWorld(self)
        self.vcpus: list[UserVcpu] = []
        #: the Linux layer's way to make a system call that a signal for the guest ends (Host.call)
        self.call: Callable[..., int] | None = None
        #: whether this KVM leaves the level at 3 when a program executes SYSCALL; None: not known yet
        self.stays_in_user: bool | None = None
        self.exits = self.faults = 0
        self._free: list[Processor] = []
        self._made = 0
        self._open()
        _machines.add(self)

    def _open(self) -> None:
        self.system = System()
        try:
            self.system.require(*_REQUIRED)
            self.cpuid = self.system.supported_cpuid()
            self.machine = Machine(self.system)
            self.pages.attach(self.machine)
        except KvmError:
            self.system.close()
            raise

    def make_vcpu(self) -> UserVcpu:
        """Another vCPU."""
        return UserVcpu(self)

    def sibling(self, parent: UserVcpu) -> UserVcpu:
        """A vCPU in the same state as another, which is not running; ValueError if there can be no more."""
        made = UserVcpu(self)
        try:
            made.obtain()
        except KvmError as error:
            made.close()
            raise ValueError(str(error)) from None
        parent.fetch()
        made.octets[GENERAL:] = parent.octets[GENERAL:]
        made.pc = parent.pc
        made.changed()
        return made

    def processor(self) -> Processor:
        """A vCPU of KVM's: one that is not used any more, for they are never really gone, or a new one."""
        with self.world.lock:
            if self._free:
                return self._free.pop()
            if self._made == pages.MOST_PROCESSORS:
                raise KvmError(f"a machine has at most {pages.MOST_PROCESSORS} virtual CPUs")
            made = Processor(self.machine, self._made)
            self._made += 1
            self._prepare(made)
            return made

    def release(self, processor: Processor) -> None:
        """A vCPU of KVM's is not used any more."""
        self._free.append(processor)

    def _prepare(self, processor: Processor) -> None:
        processor.set_cpuid(self.cpuid)
        task, _ = self.pages.task(processor.number)
        control = processor.sregs()
        control.cr0, control.cr3, control.cr4, control.efer = _CR0, self.pages.root, _CR4, _EFER
        features = next((leaf.ecx for leaf in self.cpuid if leaf.function == 1), 0)
        if features & _XSAVE_BIT:
            control.cr4 |= _OSXSAVE
        control.gdt.base, control.gdt.limit = self.pages.gdt, pages.GDT_LIMIT
        control.idt.base, control.idt.limit = self.pages.idt, pages.IDT_LIMIT
        control.tr = abi.kvm_segment(task, pages.TSS_LIMIT, 0x30, 11, 1, 0, 0, 0, 0, 0, 0, 0, 0)
        control.ldt = abi.kvm_segment(unusable=1)
        processor.set_sregs(control)
        if features & _XSAVE_BIT:
            self._enable_states(processor)
        refused = processor.set_msrs(
            {_STAR_MSR: pages.STAR, _LSTAR_MSR: self.pages.linear(entry.CALL), _FMASK_MSR: _FMASK}
        )
        if refused:
            raise KvmError(f"this KVM refuses model-specific register {refused[0]:#x}: use --accel tcg")
        processor.run.kvm_valid_regs = abi.SYNC_X86_REGS

    def _enable_states(self, processor: Processor) -> None:
        """Let the program have the vector registers that CPUID promises (XCR0)."""
        states = next((leaf.eax for leaf in self.cpuid if leaf.function == 0xD and leaf.index == 0), 3)
        control = abi.kvm_xcrs(nr_xcrs=1)
        control.xcrs[0].value = states
        processor.set_xcrs(control)

    def close(self) -> None:
        """Free it; the memory is its maker's."""
        _machines.discard(self)
        for vcpu in list(self.vcpus):
            vcpu.close()
        self._close_kernel()
        self.pages.close()

    def _close_kernel(self) -> None:
        for processor in self._free:
            processor.close()
        self._free.clear()
        self.machine.close()
        self.system.close()

    # ------------------------------------------------------------ fork

    def before_fork(self) -> None:
        """A copy of this process is about to be made, which can do nothing with this machine of the kernel's."""
        for vcpu in self.vcpus:
            if vcpu.owner == get_ident():
                vcpu.fetch()

    def after_fork(self) -> None:
        """This is that copy: make the machine anew, when a vCPU is to run."""
        for vcpu in self.vcpus:
            vcpu.forget_processor()
        self._close_kernel()
        self._made = 0
        self._open()


class UserWorld:
    """The vCPUs of one machine, as the Linux layer's threads see them (runtime/linux/crew.py).

    Nobody need be stopped while memory is taken away: what the page tables refuse, vCPUs lose at once.
    """

    def __init__(self, machine: UserMachine) -> None:
        self._machine = machine
        self.lock = machine.pages.lock

    def stopped(self, env: int = 0) -> RLock:
        """`with world.stopped():` the page tables stay as they are."""
        return self.lock

    def keep_only(self, env: int) -> None:
        """After a fork: the other vCPUs' threads are not in this process."""
        for vcpu in list(self._machine.vcpus):
            if vcpu.address != env:
                self._machine.vcpus.remove(vcpu)


class UserVcpu(Vcpu):
    """A virtual CPU that runs a program's code at user level."""

    def __init__(self, machine: UserMachine) -> None:
        super().__init__(machine.isa, machine.memory, len(machine.vcpus))
        self.machine = machine
        self.owner = 0  # the thread that ran it last
        self._processor: Processor | None = None
        self._attention_seen: memoryview | None = None
        self._slot = 0
        self._spurious = (0, 0)
        self._fetched = True
        self.changed()
        machine.vcpus.append(self)

    def close(self) -> None:
        if self in self.machine.vcpus:
            self.machine.vcpus.remove(self)
        if self._processor is not None:
            self._run_words.release()
            self._run_halves.release()
            self._run_quarters.release()
            self.machine.release(self._processor)
            self._processor = None
        super().close()

    # ------------------------------------------------------------ registers

    def get(self, name: str, index: int = 0) -> int:
        if not self._fetched and self.layout.by_name[name].offset >= IMAGE:
            self.fetch()
        return super().get(name, index)

    def set(self, name: str, value: int, index: int = 0) -> None:
        if self.layout.by_name[name].offset >= IMAGE:
            self.fetch()
            self._image_changed = True
        elif name in ("FSBASE", "GSBASE"):
            self._bases_changed = True
        super().set(name, value, index)

    def set_mode(self, name: str, value: int) -> None:
        """The direction flag, which a signal handler begins without: no mode here."""
        if name != "DF" or value:
            super().set_mode(name, value)
        self.words[_RFLAGS] &= ~_DF

    def fetch(self) -> None:
        """Have the vector and floating-point registers in env."""
        if not self._fetched and self._processor is not None:
            self.octets[IMAGE : IMAGE + IMAGE_BYTES] = bytes(self._processor.xsave())
        self._fetched = True

    def changed(self) -> None:
        """All of env is new."""
        self._fetched = self._image_changed = self._bases_changed = True
        self._in_kernel = self._after_call = False
        header = (IMAGE + HEADER) // 8
        self.words[header] |= user_state.COMPONENTS

    def forget_processor(self) -> None:
        """The kernel's vCPU is another process's."""
        if self._processor is not None:
            self._run_words.release()
            self._run_halves.release()
            self._run_quarters.release()
            self._processor.close()
            self._processor = None
        self.changed()

    # ------------------------------------------------------------ running

    def execute(self) -> Exit:
        """Run until an exception, or a signal for whoever runs it: BUDGET."""
        processor = self._processor or self.obtain()
        self.owner = get_ident()
        if self.attention is not self._attention_seen:
            self._find_slot()
        if self.words[_PC] >= _CANONICAL:
            return self._raise(_GENERAL_PROTECTION, 0, 0)
        self._load(processor)
        call, descriptor, halves, quarters = (
            self.machine.call,
            processor.descriptor,
            self._run_halves,
            self._run_quarters,
        )
        while True:
            self.machine.exits += 1
            if call is not None and self._slot:
                result = call(_IOCTL, descriptor, abi.KVM_RUN, 0, 0, 0, 0, self._slot)
            else:
                result = _plain(descriptor)
            if result == _RESTART:
                return Exit.BUDGET
            self._fetched = False
            if result < 0 and (result != -errno.EINTR or not self._interrupted(processor)):
                if result == -errno.EINTR:
                    return Exit.BUDGET
                return self._host_refused(processor, -result)
            if quarters[_REASON] != abi.EXIT_IO:
                raise KvmError(report(processor))
            port = halves[_PORT]
            if port == entry.CALL_PORT and self._at_entry():
                return self._called(processor)
            vector = port - entry.EXCEPTION_PORT
            if not 0 <= vector < 32 or not self._at_entry():
                return self._port_refused(processor)
            reason = self._excepted(processor, vector)
            if reason is not None:
                return reason
            self._load(processor)

    def obtain(self) -> Processor:
        """Have a vCPU of KVM's, at user level."""
        processor = self._processor = self.machine.processor()
        self._run_words = processor.octets.cast("Q")
        self._run_halves = processor.octets.cast("H")
        self._run_quarters = processor.octets.cast("I")
        _, self._stack = self.machine.pages.task(processor.number)
        control = processor.sregs()
        control.cs = abi.kvm_segment(0, 0xFFFFFFFF, pages.USER_CODE, 11, 1, 3, 0, 1, 1, 1, 0, 0, 0)
        data = abi.kvm_segment(0, 0xFFFFFFFF, pages.USER_STACK, 3, 1, 3, 1, 1, 0, 1, 0, 0, 0)
        control.ss = data
        for name in ("ds", "es", "fs", "gs"):
            setattr(control, name, abi.kvm_segment(0, 0xFFFFFFFF, 0, 3, 1, 3, 1, 1, 0, 1, 0, 0, 0))
        processor.set_sregs(control)
        self.changed()
        return processor

    def _find_slot(self) -> None:
        """Where the thread's slot is, at which a signal for the guest is noted."""
        self._attention_seen = self.attention
        self._slot = 0 if self.attention.readonly else addressof(c_char.from_buffer(self.attention))

    def _load(self, processor: Processor) -> None:
        """Give the kernel the registers, and say how the program goes on."""
        words, run = self.words, self._run_words
        if self._bases_changed:
            control = processor.sregs()
            control.fs.base, control.gs.base = words[_FSBASE], words[_GSBASE]
            processor.set_sregs(control)
            self._bases_changed = False
        if self._image_changed:
            self._load_image(processor)
        self._fetched = False
        flags = words[_RFLAGS] & _USER_FLAGS | _FIXED_FLAGS
        # struct kvm_regs: rax rbx rcx rdx rsi rdi rsp rbp; env has rax rcx rdx rbx rsp rbp rsi rdi
        run[_SYNC] = words[_R]
        run[_SYNC + 1] = words[_R + 3]
        run[_SYNC + 2 : _SYNC + 4] = words[_R + 1 : _R + 3]
        run[_SYNC + 4 : _SYNC + 6] = words[_R + 6 : _R + 8]
        run[_SYNC + 6 : _SYNC + 8] = words[_R + 4 : _R + 6]
        run[_SYNC + 8 : _SYNC + 16] = words[_R + 8 : _R + 16]
        if not self._in_kernel:
            run[_SYNC_RIP], run[_SYNC_RFLAGS] = words[_PC], flags
        elif self._after_call and words[_PC] == words[_RCX] and flags == words[_R11] and not flags & _TF:
            run[_SYNC_RIP], run[_SYNC_RFLAGS] = pages.OWN_LINEAR + entry.RETURN_CALL, 2
        else:
            frame = (words[_PC], pages.USER_CODE, flags, words[_RSP], pages.USER_STACK)
            struct.pack_into("<5Q", self.machine.pages.octets, self._stack - 40, *frame)
            run[_SYNC_RIP], run[_SYNC_RFLAGS] = pages.OWN_LINEAR + entry.RETURN_FRAME, 2
            run[_SYNC_RSP] = self.machine.pages.linear(self._stack - 40)
        run[_DIRTY] = abi.SYNC_X86_REGS

    def _load_image(self, processor: Processor) -> None:
        """Give the kernel the vector and floating-point registers; it takes no image with reserved bits set."""
        image = bytearray(self.octets[IMAGE : IMAGE + IMAGE_BYTES])
        now = bytes(processor.xsave())
        supported = int.from_bytes(now[HEADER - 48 : HEADER - 40], "little") | user_state.COMPONENTS
        components = int.from_bytes(image[HEADER : HEADER + 8], "little") & supported
        image[HEADER : HEADER + 64] = components.to_bytes(64, "little")
        control = int.from_bytes(image[24:28], "little") & 0xFFFF
        image[24:28] = control.to_bytes(4, "little")
        processor.set_xsave(abi.kvm_xsave.from_buffer(image))
        self._image_changed = False

    def _store(self) -> None:
        """Take the registers from the kernel."""
        words, run = self.words, self._run_words
        words[_R] = run[_SYNC]
        words[_R + 3] = run[_SYNC + 1]
        words[_R + 1 : _R + 3] = run[_SYNC + 2 : _SYNC + 4]
        words[_R + 6 : _R + 8] = run[_SYNC + 4 : _SYNC + 6]
        words[_R + 4 : _R + 6] = run[_SYNC + 6 : _SYNC + 8]
        words[_R + 8 : _R + 16] = run[_SYNC + 8 : _SYNC + 16]
        words[_PC], words[_RFLAGS] = run[_SYNC_RIP], run[_SYNC_RFLAGS]

    def _at_entry(self) -> bool:
        """Whether the vCPU is in the machine's own code, not in a program that executes OUT."""
        return 0 <= self._run_words[_SYNC_RIP] - pages.OWN_LINEAR <= entry.END

    def _interrupted(self, processor: Processor) -> bool:
        """A signal ended KVM_RUN: whether there is an exit to answer all the same."""
        at = self._run_words[_SYNC_RIP] - pages.OWN_LINEAR
        if not 0 <= at <= entry.END:
            self._store()
            self._in_kernel = False
            return False
        if at in (entry.RETURN_CALL, entry.RETURN_FRAME):
            return False  # it had not gone on yet: env is what it was
        # On its way out.  Nothing but the few instructions up to the OUT can come before the exit.
        while True:
            result = _plain(processor.descriptor)
            if result == 0:
                return True
            if result != -errno.EINTR:
                raise processor.failed(-result)

    def _port_refused(self, processor: Processor) -> Exit:
        """The program executed IN or OUT, and KVM did it: to Linux's programs that is forbidden."""
        self._finish(processor)
        self._store()
        self._in_kernel = False
        behind = self.words[_PC]
        length = 1
        if self.memory.check(behind - 2, 2, PAGE_READ) is None and 0xE4 <= self.memory.view[behind - 2] <= 0xE7:
            length = 2
        self.words[_PC] = behind - length
        return self._raise(_GENERAL_PROTECTION, 0, 0)

    def _finish(self, processor: Processor) -> None:
        """Have KVM finish the instruction that left, without going on; what it reads from a port is zeros."""
        io = processor.run.io
        data = io.data_offset
        processor.octets[data : data + io.size * io.count] = bytes(io.size * io.count)
        processor.run.immediate_exit = 1
        _plain(processor.descriptor)
        processor.run.immediate_exit = 0

    def _called(self, processor: Processor) -> Exit:
        """The program executed SYSCALL."""
        machine, words = self.machine, self.words
        if machine.stays_in_user is None:
            machine.stays_in_user = processor.sregs().cs.selector & 3 == 3
        self._store()
        self._in_kernel, self._after_call = not machine.stays_in_user, True
        # With the address of the instruction itself in pc, as every guest has it (SystemCall.length leads behind it).
        words[_PC] = (words[_RCX] - _CALL_LENGTH) & (1 << 64) - 1
        words[_RFLAGS] = words[_R11]
        words[_EXIT_REASON], words[_EXCEPTION] = Exit.EXCEPTION, user_state.SYSCALL
        return Exit.EXCEPTION

    def _excepted(self, processor: Processor, vector: int) -> Exit | None:
        """The program raised an exception; None if it was a page fault that is mended."""
        words, stack = self.words, self.machine.pages.octets
        self._store()
        self._in_kernel, self._after_call = True, False
        error, pc, code, flags, pointer, _ = struct.unpack_from("<6Q", stack, self._stack - 48)
        address = 0
        if vector == _PAGE_FAULT:
            address = words[_RAX]
            words[_RAX] = int.from_bytes(stack[self._stack - 56 : self._stack - 48], "little")
        if code & 3 != 3:
            # It happened at level 0: the way back was refused, for what the program had its registers set to.
            if pc - pages.OWN_LINEAR != entry.RETURN_FRAME:
                raise KvmError(f"exception {vector} at level 0, at {pc:#x}: " + report(processor))
            _, pc, _, flags, pointer = struct.unpack_from("<5Q", stack, self._stack - 40)
        words[_PC], words[_RFLAGS], words[_RSP] = pc, flags, pointer
        if vector == _PAGE_FAULT and self._mend(address, error):
            return None
        return self._raise(vector, address, error if vector in user_state.WITH_ERROR else 0)

    def _mend(self, address: int, error: int) -> bool:
        """Whether the page is there by now."""
        need = PAGE_EXEC if error & _FETCH else PAGE_WRITE if error & _STORE else PAGE_READ | PAGE_EXEC
        if not self.machine.pages.fill(address, need):
            return False
        self.machine.faults += 1
        place, count = self._spurious
        here = address ^ self.words[_PC] << 20
        self._spurious = (here, count + 1 if here == place else 0)
        if count > _MOST_SPURIOUS:
            raise KvmError(f"page fault at {address:#x} does not end, error code {error:#x}, pc {self.words[_PC]:#x}")
        return True

    def _raise(self, vector: int, address: int, error: int) -> Exit:
        """Exception `vector` is for the Linux layer."""
        words = self.words
        argument = address
        if vector in (_X87, _SIMD):
            self.fetch()
            argument = _status(self.octets, vector)
        words[_ARGUMENTS], words[_ARGUMENTS + 1], words[_ARGUMENTS + 2] = argument, error, 0
        words[_ERROR], words[_TRAP] = error, vector
        if vector == _PAGE_FAULT:
            words[_CR2] = address
        words[_EXIT_REASON], words[_EXCEPTION] = Exit.EXCEPTION, vector
        return Exit.EXCEPTION

    def _host_refused(self, processor: Processor, error: int) -> Exit:
        """KVM_RUN failed.  EFAULT: the host has no page where the program touched a mapped file."""
        if error != errno.EFAULT or not self._memory_was_cut():
            raise processor.failed(error)
        self._store()
        self._in_kernel = False
        return Exit.BUDGET

    def _memory_was_cut(self) -> bool:
        """Somebody else cut mapped files short: have the permission table refuse the pages that are no more."""
        found = False
        for region in self.memory.regions():
            if region.backing is None or region.backing.file is None or region.data_end <= region.start:
                continue
            try:
                size = os.stat(region.name).st_size
            except OSError:
                continue
            if region.offset + region.data_end - region.start >= size + mmap.PAGESIZE:
                self.memory.set_data_end(region.backing.file, size)
                found = True
        return found


def _status(octets: memoryview, vector: int) -> int:
    """Which unmasked floating-point exception it was, as its status bit."""
    control = int.from_bytes(octets[IMAGE : IMAGE + 2], "little")
    status = int.from_bytes(octets[IMAGE + 2 : IMAGE + 4], "little") & ~control
    if vector == _SIMD:
        status = int.from_bytes(octets[IMAGE + 24 : IMAGE + 28], "little")
        status &= ~(status >> 7)
    return next((bit for bit in _STATUS_ORDER if status & bit), 0)


def _plain(descriptor: int) -> int:
    """KVM_RUN: 0, or minus errno."""
    try:
        ioctl(descriptor, abi.KVM_RUN, 0)
    except OSError as failure:
        return -(failure.errno or errno.EIO)
    return 0


def report(processor: Processor) -> str:
    """What there is to say of an exit that should not be."""
    run, registers = processor.run, processor.regs()
    text = f"KVM left the program with {abi.EXITS.get(run.exit_reason, run.exit_reason)} at {registers.rip:#x}"
    if run.exit_reason == abi.EXIT_INTERNAL_ERROR:
        error = run.internal.suberror
        data = " ".join(f"{word:#x}" for word in run.internal.data[: min(run.internal.ndata, 16)])
        text += f": {abi.INTERNAL_ERRORS.get(error, error)} {data}"
    return text


def _before_fork() -> None:
    for machine in list(_machines):
        machine.before_fork()


def _after_fork() -> None:
    for machine in list(_machines):
        machine.after_fork()


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
