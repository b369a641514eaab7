"""The run loop of an emulator: native code until it leaves, and then the hooks that wanted to see what comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from isomorph.errors import RunError
from isomorph.hooks import Hook, Hooks
from isomorph.stop import Access, GuestException, StopKind, StopReason
from runtime.core.env import ENV, PAGE_EXEC, PAGE_READ, PAGE_WRITE, PASS_CODE, PASS_MEMORY, Exit, FaultKind
from runtime.core.watch import Watch
from runtime.linux.abi.model import Abi, SystemCall
from runtime.tcg import invalidate
from runtime.tcg.loop import TcgVcpu, cpu_exec
from runtime.tcg.stepping import Access as MemoryAccess
from runtime.tcg.stepping import Stepper, Trial

if TYPE_CHECKING:
    from isomorph.emulator import Emulator

_FAULT_KIND = ENV["fault_kind"] // 8
_FAULT_ADDRESS = ENV["fault_address"] // 8
_FAULT_SIZE = ENV["fault_size"] // 8
_FAULT_ACCESS = ENV["fault_access"] // 8
_BUDGET_BASE = ENV["budget_base"] // 8
_ARGUMENTS = ENV["arg0"] // 8
_ACCESSES = (Access.READ, Access.WRITE, Access.FETCH)
_NEEDS = (PAGE_READ, PAGE_WRITE, PAGE_EXEC)
_NOWHERE = (-1, -1)
_NONE: list[Hook[Any]] = []


class Runner:
    """Runs one emulator's vCPU and calls its hooks.

    leader   for the vCPU of a further thread: the runner of the first, with whom it shares hooks and `until`
    """

    def __init__(
        self, emulator: Emulator, vcpu: TcgVcpu, abi: Abi | None, big_endian: bool, leader: Runner | None = None
    ) -> None:
        self.emulator = emulator
        self.vcpu = vcpu
        self.stepper = Stepper(vcpu, None if leader is None else leader.watch)
        self.watch: Watch = self.stepper.watch
        self.leader = self if leader is None else leader
        self.hooks: Hooks = Hooks(self._hooks_changed) if leader is None else leader.hooks
        self.running = False
        #: called when the run is asked to end, by whoever asks: gets the thread out of a system call it waits in
        self.on_stop: Callable[[], None] | None = None
        self._native = False
        self._stale = False
        self._asked: StopKind | None = None
        self._until: Collection[int] = ()
        self._end: int | None = None
        self._begin = 0
        #: (pc, executed) of the instruction whose code hooks have been called, and of the next one inside a block
        self._announced = _NOWHERE
        self._inside = _NOWHERE
        self._block_end = 0
        self._raised = False
        self._order: Literal["big", "little"] = "big" if big_endian else "little"
        self._calls: dict[int, SystemCall] = {}
        if abi is not None:
            self.serve(abi)

    def close(self) -> None:
        """Let go of the vCPU and its memory, which are about to be freed."""
        self.stepper.close()

    def serve(self, abi: Abi) -> None:
        """Take the exceptions that are system calls from this table."""
        calls = {name: trap for name, trap in abi.exceptions.items() if isinstance(trap, SystemCall)}
        self._calls = {code: calls[name] for name, code in self.vcpu.layout.exceptions if name in calls}

    # ------------------------------------------------------------ from outside

    def stop(self, kind: StopKind = StopKind.STOPPED) -> None:
        """Ask the run to end before its next instruction; from any thread."""
        if self._asked is None:
            self._asked = kind
        self.vcpu.stop_requested = True
        if self.on_stop is not None:
            self.on_stop()

    def stop_after_instruction(self) -> None:
        """Ask the run to end as soon as the instruction at pc is done; from a hook."""
        end = self.vcpu.executed + 1
        self._end = end if self._end is None else min(end, self._end)

    def count_instruction(self) -> None:
        """Somebody does the work of the instruction at pc, which raised: it counts."""
        self.vcpu.signed[_BUDGET_BASE] += 1

    def is_call(self) -> bool:
        """Whether the exception raised last is a system call."""
        return self.vcpu.exception in self._calls

    def forget(self, executed: int) -> None:
        """The state was replaced, and the number of instructions executed with it: a run in progress counts on."""
        shift = executed - self.vcpu.executed
        self.vcpu.signed[_BUDGET_BASE] += shift
        self._begin += shift
        if self._end is not None:
            self._end += shift
        self._announced = self._inside = _NOWHERE

    def run(self, until: Collection[int], count: int | None, timeout: float | None) -> StopReason:
        """Run until something ends it."""
        with self.session(until, count, timeout):
            return self.resume()

    @contextmanager
    def session(self, until: Collection[int], count: int | None, timeout: float | None) -> Iterator[None]:
        """A run, with these ends, in the course of which `resume` may be called several times."""
        if self.running:
            raise RunError("run() while this emulator runs: a hook returns first; another thread uses its own emulator")
        self._asked = None
        self.vcpu.stop_requested = False
        self._until = until
        self._begin = self.vcpu.executed
        self._end = None if count is None else self._begin + count
        self._announced = self._inside = _NOWHERE
        for address in until:
            self.watch.add_stop(address)
        timer = None if timeout is None else threading.Timer(max(timeout, 0), self.stop, (StopKind.TIMEOUT,))
        if timer is not None:
            timer.daemon = True
            timer.start()
        self.running = True  # whoever sees this can stop the run
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
            self._native = False
            for address in until:
                self.watch.remove_stop(address)
            self._until = ()
            self.running = False
            if self._stale:
                self._apply_hooks()

    # ------------------------------------------------------------ the loop

    def resume(self) -> StopReason:
        """Run until something ends it or wants an answer from the caller."""
        vcpu, watch = self.vcpu, self.watch
        while True:
            if self._stale:
                self._apply_hooks()
            if self._asked is not None:
                return self._stopped(self._asked)
            pc, executed = vcpu.pc, vcpu.executed
            if pc in self.leader._until:
                return self._stopped(StopKind.UNTIL)
            if self._end is not None and executed >= self._end:
                return self._stopped(StopKind.COUNT)
            if self._raised:
                # An exception with fewer arguments must not seem to have these.
                vcpu.words[_ARGUMENTS] = vcpu.words[_ARGUMENTS + 1] = vcpu.words[_ARGUMENTS + 2] = 0
                self._raised = False
            if watch.shows(pc):
                reason = self._run_hooked(pc, executed)
            else:
                self._native = True
                reason = int(cpu_exec(vcpu, None if self._end is None else self._end - executed))
                self._native = False
            if reason == Exit.BUDGET and vcpu.attention[0]:
                return self._stopped(StopKind.STOPPED)
            if reason == Exit.BUDGET or reason == Exit.HOOK:
                continue
            stop = self._answer(reason)
            if stop is not None:
                return stop

    def _answer(self, reason: int) -> StopReason | None:
        """What is to be done about an exit; the end of the run, if it is that."""
        words = self.vcpu.words
        if reason == Exit.EXCEPTION:
            self._raised = True
            kind = words[_FAULT_KIND]
            words[_FAULT_KIND] = FaultKind.NONE
            if kind == FaultKind.HOOKED:
                return self._access()
            if kind == FaultKind.DENIED:
                return self._fault(words[_FAULT_ADDRESS], words[_FAULT_SIZE], words[_FAULT_ACCESS])
            return self._exception()
        if reason == Exit.WAIT:
            return self._stopped(StopKind.WAIT)
        if reason == Exit.CACHE_FULL:
            self.vcpu.tcg.cache.evict()
        elif reason == Exit.CODE_WRITE:
            with self.vcpu.world.stopped(self.vcpu.address):
                invalidate.code_written(self.vcpu, self.vcpu.tcg.cache)
                reason = self._step(PASS_CODE)
            return None if reason == Exit.BUDGET else self._answer(reason)
        return None

    def _stopped(self, kind: StopKind) -> StopReason:
        return StopReason(kind, self.vcpu.pc, self.vcpu.executed - self._begin)

    def _interrupted(self, pc: int) -> bool:
        """Whether a hook wants something else than the instruction at `pc`."""
        if self.vcpu.pc != pc:
            self._inside = _NOWHERE
            return True
        return self._asked is not None

    # ------------------------------------------------------------ code

    def _run_hooked(self, pc: int, executed: int) -> int:
        """Call the hooks of an address, then run the instruction there, or all of its block if that is all the same."""
        here = (pc, executed)
        whole = 0
        if self._announced != here:
            blocks = _at(self.hooks.of("block"), pc)
            if blocks and here != self._inside:
                block = self.stepper.block()
                if block is None:
                    return self.vcpu.exit_reason
                self._block_end = executed + block.icount
                self._inside = here
                shown = min([block.size, *(address - pc for address in self.leader._until if address > pc)])
                for hook in blocks:
                    if hook.active:
                        hook.callback(self.emulator, pc, shown)
                    if self._interrupted(pc):
                        return Exit.HOOK
                whole = block.size if self._block_end == executed + block.icount else 0
            watchers = _at(self.hooks.of("code"), pc) + _at(self.hooks.of("mem_fetch"), pc)
            if watchers:
                size = self.stepper.size()
                if size is None:
                    return self.vcpu.exit_reason
                for hook in watchers:
                    if hook.active:
                        hook.callback(self.emulator, pc, size)
                    if self._interrupted(pc):
                        return Exit.HOOK
            self._announced = here
        if whole and self._runs_whole(pc, pc + whole):
            reason = self.stepper.run_block()
            self._stepped()
            return reason
        return self._step(PASS_CODE)

    def _runs_whole(self, begin: int, end: int) -> bool:
        """Whether nothing inside a block is to be seen."""
        if self._end is not None and self._block_end > self._end:
            return False
        return not (
            any(begin < address < end for address in self.leader._until)
            or _over(self.hooks.of("code"), begin, end)
            or _over(self.hooks.of("mem_fetch"), begin, end)
        )

    def _step(self, passing: int) -> int:
        reason = self.stepper.step(passing)
        self._stepped()
        return reason

    def _stepped(self) -> None:
        """Instructions may have been executed: note it if a block was left half done."""
        executed = self.vcpu.executed
        if executed < self._block_end:
            self._inside = (self.vcpu.pc, executed)

    # ------------------------------------------------------------ memory

    def _access(self) -> StopReason | None:
        """The instruction at pc accesses marked pages: find out what it does, call hooks, then have it done."""
        vcpu, watch = self.vcpu, self.watch
        pc = vcpu.pc
        address, size = vcpu.words[_FAULT_ADDRESS], vcpu.words[_FAULT_SIZE]
        if vcpu.words[_FAULT_ACCESS] and watch.tracking and watch.written(address, size):
            return None  # only the snapshot's mark: try again
        vcpu.words[_ARGUMENTS] = vcpu.words[_ARGUMENTS + 1] = vcpu.words[_ARGUMENTS + 2] = 0
        with vcpu.world.stopped(vcpu.address):  # others are not to see a store that is taken back
            calls, reason = self._try_access(vcpu)
        if reason is not None:
            return None
        for hook, access in calls:
            if hook.active:
                hook.callback(self.emulator, access.address, access.size, self._value(access))
            if self._interrupted(pc):
                return None
        if watch.tracking:
            trial = self.stepper.trial()
            reason = trial.reason
            self._note(trial)
            self._stepped()
        else:
            reason = self._step(PASS_CODE | PASS_MEMORY)
        return None if reason == Exit.BUDGET else self._answer(reason)

    def _try_access(self, vcpu: TcgVcpu) -> tuple[list[tuple[Hook[Any], MemoryAccess]], int | None]:
        """The hooks that want to see the accesses of the instruction at pc; BUDGET if none does, and it is done."""
        trial = self.stepper.trial()
        calls = [
            (hook, access)
            for access in trial.accesses
            for hook in _over(
                self.hooks.of("mem_write" if access.store else "mem_read"),
                access.address,
                access.address + access.size,
            )
        ]
        if not calls and trial.reason == Exit.BUDGET:
            self._note(trial)
            self._stepped()
            return calls, Exit.BUDGET
        self.stepper.undo(trial)
        return calls, None

    def _note(self, trial: Trial) -> None:
        """Tell the snapshots which pages were written to."""
        for access in trial.accesses:
            if access.store:
                self.watch.written(access.address, access.size)

    def _value(self, access: MemoryAccess) -> int:
        data = access.after if access.store else access.before
        return int.from_bytes(data, self._order)

    def _fault(self, address: int, size: int, access: int) -> StopReason | None:
        """An access that is not possible: the hooks may mend that."""
        vcpu = self.vcpu
        pc, memory = vcpu.pc, vcpu.memory
        if access == 2 and pc in self.leader._until:
            return None
        need = _NEEDS[access]
        bad = memory.check(address, size, need)
        if bad is None:  # a page boundary of a wider access
            bad = address
        unmapped = memory.region_at(bad) is None
        hooks = _over(self.hooks.of("unmapped" if unmapped else "protected"), address, address + size)
        if hooks:
            value = self._value_of_store(address) if access == 1 else 0
            for hook in hooks:
                answer = hook.callback(self.emulator, _ACCESSES[access], address, size, value) if hook.active else None
                if self._interrupted(pc) or (answer and memory.check(address, size, need) is None):
                    return None
        return self._exception(StopKind.UNMAPPED if unmapped else StopKind.PROTECTED, bad, _ACCESSES[access], size)

    def _value_of_store(self, address: int) -> int:
        """What the store at pc, which cannot be made, would leave at `address`; 0 if that is not to be found out."""
        with self.vcpu.world.stopped(self.vcpu.address):
            trial = self.stepper.trial(denied=True)
            self.stepper.undo(trial)
        return next((self._value(access) for access in trial.accesses if access.store and access.address == address), 0)

    # ------------------------------------------------------------ exceptions

    def _exception(
        self,
        kind: StopKind = StopKind.EXCEPTION,
        address: int | None = None,
        access: Access | None = None,
        size: int = 0,
    ) -> StopReason | None:
        """The guest raised an exception: hooks may deal with it."""
        vcpu = self.vcpu
        pc, code = vcpu.pc, vcpu.exception
        call = self._calls.get(code)
        if call is not None:
            for hook in self.hooks.of("syscall"):
                if hook.active and hook.callback(self.emulator) is not False:
                    if vcpu.pc == pc:
                        vcpu.pc = pc + call.length
                    self.count_instruction()
                    return None
                if self._interrupted(pc):
                    return None
        exception = GuestException(vcpu.layout.exception_name(code), code, pc, vcpu.arguments)
        for hook in self.hooks.of("exception"):
            handled = hook.callback(self.emulator, exception) if hook.active else None
            if handled or self._interrupted(pc):
                return None
        return StopReason(kind, pc, vcpu.executed - self._begin, exception, address, access, size)

    # ------------------------------------------------------------ marks

    def _hooks_changed(self, kind: str) -> None:
        if kind in ("exception", "syscall", "unmapped", "protected"):
            return
        world = self.vcpu.world
        if world.is_shared:
            with world.stopped():
                self._apply_hooks()
        elif self._native:
            # Another thread's doing: native code must not lose blocks under its feet.
            self._stale = True
            self.vcpu.stop_requested = True
        else:
            self._apply_hooks()

    def _apply_hooks(self) -> None:
        self._stale = False
        self.vcpu.stop_requested = self._asked is not None
        of = self.hooks.of
        self.watch.set_ranges(
            _ranges(of("mem_read")),
            _ranges(of("mem_write")),
            _ranges((*of("code"), *of("block"), *of("mem_fetch"))),
        )


def _ranges(hooks: tuple[Hook[Any], ...]) -> list[tuple[int, int]]:
    return sorted({(hook.begin, hook.end) for hook in hooks})


def _at(hooks: tuple[Hook[Any], ...], address: int) -> list[Hook[Any]]:
    if not hooks:
        return _NONE
    return [hook for hook in hooks if hook.begin <= address < hook.end]


def _over(hooks: tuple[Hook[Any], ...], begin: int, end: int) -> list[Hook[Any]]:
    return [hook for hook in hooks if hook.begin < end and begin < hook.end]
