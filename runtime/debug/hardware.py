"""A program on KVM under a debugger: breakpoints are INT3 instructions, steps the processor's own trap flag.

The instructions are in memory only while the program runs.  Whoever looks while it stands still sees its own code.
"""

from __future__ import annotations

from runtime.core.env import Exit
from runtime.debug.breakpoints import LimitedBreakpoints
from runtime.debug.execution import Hit
from runtime.debug.stop import DebugError
from runtime.debug.x86_64 import USER_DESCRIPTION
from runtime.kvm.user import UserVcpu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.cpu import Vcpu
    from runtime.core.memory import GuestMemory
    from runtime.debug.breakpoints import Breakpoints
    from runtime.debug.execution import Execution
    from runtime.debug.history import History

    Ranges = list[tuple[int, int]]

_INT3 = b"\xcc"
#: exceptions by vector: a step is done, an INT3 was executed
_DEBUG, _BREAKPOINT = 1, 3
_TRAP_FLAG = 0x100
_NOWHERE = (-1, -1)


class PatchedCode:
    """INT3 at the addresses wanted, in the memory or out of it; the place of a Watch's marks (breakpoints.py)."""

    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory
        self._wanted: list[int] = []
        self._under: dict[int, bytes] = {}  # what stands where there is an INT3 now
        self._laid: set[int] = set()  # where there ever was one

    def set_ranges(self, loads: Ranges, stores: Ranges, code: Ranges) -> None:
        """Have these instructions, and no others, stop the program when it runs."""
        self._wanted = [start for start, _ in code]

    def lay(self) -> None:
        """Put them in.  Not into memory that is a file's, or another process's: they would see it."""
        for address in self._wanted:
            region = self._memory.region_at(address) if address < self._memory.size else None
            if (
                address in self._under
                or region is None
                or region.shared
                or not region.start <= address < region.data_end
            ):
                continue
            self.lay_one(address)

    def lift(self) -> None:
        """Take them out; what the program has overwritten or unmapped meanwhile stays as it is."""
        for address in list(self._under):
            self.lift_one(address)

    def lift_one(self, address: int) -> None:
        """Take out that at one address."""
        before = self._under.pop(address, None)
        region = None if before is None else self._memory.region_at(address)
        if before is None or region is None or address >= region.data_end:
            return
        if bytes(self._memory.view[address : address + 1]) == _INT3:
            self._memory.write(address, before, need=0)

    def lay_one(self, address: int) -> None:
        """Put in one."""
        self._under[address] = bytes(self._memory.view[address : address + 1])
        self._laid.add(address)
        self._memory.write(address, _INT3, need=0)

    def covers(self, address: int) -> bool:
        """Whether there is one."""
        return address in self._under

    def goes_back(self, vcpu: UserVcpu, reason: Exit) -> bool:
        """Whether a vCPU left for an INT3 that is none of the program's; it stands before it then.

        The INT3 may be out of memory by now: an exception that waits inside of KVM is told when the vCPU runs again.
        """
        if reason != Exit.EXCEPTION or vcpu.exception != _BREAKPOINT:
            return False
        address = vcpu.pc - 1
        ours = address in self._under or (
            address in self._laid and bytes(self._memory.view[address : address + 1]) != _INT3
        )
        if ours:
            vcpu.pc = address
        return ours


class HardwareExecution:
    """Runs one vCPU; see Executor for what its methods say.

    passed   (pc, entries so far) where a breakpoint was reported: from there the program goes on
    """

    def __init__(self, vcpu: UserVcpu, breakpoints: Breakpoints, code: PatchedCode) -> None:
        self.vcpu = vcpu
        self.breakpoints = breakpoints
        self.passed = _NOWHERE
        self._code = code
        self._entries = 0

    def close(self) -> None:
        """There is nothing of its own."""

    @property
    def place(self) -> tuple[int, int]:
        """Where the program is."""
        return self.vcpu.pc, self._entries

    def run(self, end: int | None = None) -> Exit | Hit:
        """Run on, up to a breakpoint, an exception or a signal."""
        vcpu = self.vcpu
        if vcpu.pc in self.breakpoints.code:
            if self.place != self.passed:
                return Hit()
            reason = self.step()
            if reason != Exit.BUDGET or vcpu.stop_requested or vcpu.attention[0]:
                return Exit.BUDGET if reason == Exit.NONE else reason
            if vcpu.pc in self.breakpoints.code:
                return Hit()
        return self._enter()

    def step(self) -> Exit | Hit:
        """Run one instruction, breakpoint or not; BUDGET when it is done, NONE if a signal came before it."""
        vcpu = self.vcpu
        here = vcpu.pc
        lifted = self._code.covers(here)
        if lifted:  # only this thread runs while gdb steps over a breakpoint
            self._code.lift_one(here)
        flags = vcpu.get("RFLAGS")
        vcpu.set("RFLAGS", flags | _TRAP_FLAG)
        reason = self._enter()
        if reason == Exit.BUDGET:
            reason = Exit.NONE
        if not flags & _TRAP_FLAG:
            vcpu.set("RFLAGS", vcpu.get("RFLAGS") & ~_TRAP_FLAG)
            if reason == Exit.EXCEPTION and vcpu.exception == _DEBUG:
                reason = Exit.BUDGET
        if lifted:
            self._code.lay_one(here)
        return reason

    def _enter(self) -> Exit | Hit:
        while True:
            self._entries += 1
            reason = self.vcpu.execute()
            if not self._code.goes_back(self.vcpu, reason):
                return reason
            if self.vcpu.pc in self.breakpoints.code:
                return Hit()  # else the debugger has removed it meanwhile: the instruction itself is to be executed


class HardwareWay:
    """KVM's."""

    native = True
    description = USER_DESCRIPTION

    def __init__(self, vcpu: Vcpu) -> None:
        self._code = PatchedCode(vcpu.memory)

    @property
    def marks(self) -> PatchedCode:
        return self._code

    def breakpoints(self) -> LimitedBreakpoints:
        return LimitedBreakpoints(None, "a program on KVM has no watchpoints: use --accel tcg")

    def execution(self, vcpu: Vcpu, breakpoints: Breakpoints) -> HardwareExecution:
        assert isinstance(vcpu, UserVcpu)
        return HardwareExecution(vcpu, breakpoints, self._code)

    def plain(self, vcpu: Vcpu) -> Exit:
        assert isinstance(vcpu, UserVcpu)
        reason = vcpu.execute()
        while self._code.goes_back(vcpu, reason):
            reason = vcpu.execute()
        return reason

    def stands(self) -> None:
        self._code.lift()

    def goes_on(self) -> None:
        self._code.lay()

    def history(self, execution: Execution) -> History:
        raise DebugError("a program on KVM cannot be recorded: use --accel tcg")

    def close(self) -> None:
        self._code.set_ranges([], [], [])
        self._code.lift()
