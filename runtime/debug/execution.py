"""Running one virtual CPU under a debugger's eyes: up to a breakpoint, a watched access, a count or an exit."""

from __future__ import annotations

from typing import Protocol

from runtime.core.env import ENV, PASS_CODE, PASS_MEMORY, Exit, FaultKind
from runtime.core.record import record
from runtime.tcg import invalidate
from runtime.tcg.loop import TcgVcpu, cpu_exec
from runtime.tcg.stepping import Stepper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.watch import Watch
    from runtime.debug.breakpoints import Breakpoints

_EXIT_REASON = ENV["exit_reason"] // 8
_FAULT_KIND = ENV["fault_kind"] // 8
_FAULT_ADDRESS = ENV["fault_address"] // 8
_FAULT_SIZE = ENV["fault_size"] // 8
_FAULT_ACCESS = ENV["fault_access"] // 8
_ARGUMENTS = ENV["arg0"] // 8
_NOWHERE = (-1, -1)


@record
class Hit:
    """A breakpoint at the pc (`word` is empty), or an access to `address` just made that is watched."""

    word: str = ""
    address: int = 0


class Execution(Protocol):
    """Runs one vCPU under a debugger's eyes; see Executor."""

    passed: tuple[int, int]

    @property
    def place(self) -> tuple[int, int]: ...
    def run(self, end: int | None = None) -> Exit | Hit: ...
    def step(self) -> Exit | Hit: ...
    def close(self) -> None: ...


class Executor:
    """Runs one vCPU.

    passed   (pc, instructions executed) where a breakpoint was reported: from there the guest goes on
    """

    def __init__(self, vcpu: TcgVcpu, breakpoints: Breakpoints, watch: Watch | None = None) -> None:
        self.vcpu = vcpu
        self.breakpoints = breakpoints
        self.stepper = Stepper(vcpu, watch)
        self.watch = self.stepper.watch
        self.passed = _NOWHERE

    def close(self) -> None:
        """Free what is the executor's own."""
        self.stepper.close()

    @property
    def place(self) -> tuple[int, int]:
        """Where the guest is."""
        return self.vcpu.pc, self.vcpu.executed

    def run(self, end: int | None = None) -> Exit | Hit:
        """Run on.  BUDGET: `end` instructions are executed in all, or somebody asked the vCPU to stop."""
        vcpu, watch = self.vcpu, self.watch
        while True:
            executed = vcpu.executed
            if end is not None and executed >= end:
                return Exit.BUDGET
            pc = vcpu.pc
            if watch.shows(pc):
                if pc in self.breakpoints.code and (pc, executed) != self.passed:
                    return Hit()
                reason = Exit(self.stepper.step(PASS_CODE))
            else:
                reason = cpu_exec(vcpu, None if end is None else end - executed)
            found = self._answer(reason)
            if found is not None:
                return found
            if vcpu.stop_requested or vcpu.attention[0]:
                return Exit.BUDGET

    def step(self) -> Exit | Hit:
        """Run one instruction, breakpoint or not; BUDGET when it is done."""
        while True:
            reason = Exit(self.stepper.step(PASS_CODE))
            if reason == Exit.BUDGET:
                return reason
            before = self.vcpu.executed
            found = self._answer(reason)
            if found is not None:
                return found
            if self.vcpu.executed != before:
                return Exit.BUDGET

    def _answer(self, reason: Exit) -> Exit | Hit | None:
        """What an exit is to the debugger; None when the guest just goes on."""
        vcpu = self.vcpu
        while reason == Exit.CODE_WRITE:
            with vcpu.world.stopped(vcpu.address):
                invalidate.code_written(vcpu, vcpu.tcg.cache)
                reason = Exit(self.stepper.step(PASS_CODE))
        if reason in (Exit.BUDGET, Exit.HOOK):
            return None
        if reason == Exit.CACHE_FULL:
            vcpu.tcg.cache.evict()
            return None
        if reason == Exit.CODE_PAGE:
            with vcpu.world.stopped(vcpu.address):
                found = vcpu.tcg.find(vcpu.address)
            return None if found is not None else self._answer(Exit(vcpu.words[_EXIT_REASON]))
        if reason == Exit.HOT:
            vcpu.tcg.attend()
            return None
        if reason == Exit.EXCEPTION:
            kind = vcpu.words[_FAULT_KIND]
            vcpu.words[_FAULT_KIND] = FaultKind.NONE
            if kind == FaultKind.HOOKED:
                return self._access()
        return reason

    def _access(self) -> Exit | Hit | None:
        """The instruction at pc accesses marked pages: have it done, and see whether it touches what is watched."""
        watch, words = self.watch, self.vcpu.words
        stored = words[_FAULT_ACCESS] == 1
        if stored and watch.tracking and watch.written(words[_FAULT_ADDRESS], words[_FAULT_SIZE]):
            return None  # only a snapshot's mark: it goes on
        words[_ARGUMENTS] = words[_ARGUMENTS + 1] = words[_ARGUMENTS + 2] = 0
        trial = self.stepper.trial()
        if trial.reason != Exit.BUDGET:
            # It raises something of its own: once more, for the guest.
            self.stepper.undo(trial)
            reason = Exit(self.stepper.step(PASS_CODE | PASS_MEMORY))
            words[_FAULT_KIND] = FaultKind.NONE
            return None if reason == Exit.BUDGET else reason
        found: Hit | None = None
        for access in trial.accesses:
            if access.store and watch.tracking:
                watch.written(access.address, access.size)
            hit = self.breakpoints.hit(access.address, access.size, access.store)
            if hit is not None and found is None:
                found = Hit(*hit)
        return found
