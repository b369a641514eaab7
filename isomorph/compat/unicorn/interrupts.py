"""What is done when the guest raises: the hooks that are asked, and the error if none of them helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isomorph.compat.unicorn import unicorn_const as uc
from isomorph.compat.unicorn import x86_const as x86
from isomorph.compat.unicorn.architecture import Done, Input, Instruction, Interrupt, Invalid, Output
from isomorph.emulator import Emulator
from isomorph.hooks import Hook
from isomorph.stop import GuestException

if TYPE_CHECKING:
    from isomorph.compat.unicorn.engine import Uc

Callback = Callable[..., Any]


@dataclass(frozen=True)
class _Asked:
    """A hook: the kind of instruction it is for, 0 for those that are for none; and the addresses."""

    callback: Callback
    user_data: Any
    kind: int
    begin: int
    end: int

    def covers(self, pc: int) -> bool:
        return self.begin > self.end or self.begin <= pc <= self.end


class Interrupts:
    """The hooks UC_HOOK_INTR, UC_HOOK_INSN and UC_HOOK_INSN_INVALID of one machine."""

    def __init__(self, machine: Uc) -> None:
        self._machine = machine
        self._hooks: dict[int, dict[int, _Asked]] = {
            uc.UC_HOOK_INTR: {},
            uc.UC_HOOK_INSN: {},
            uc.UC_HOOK_INSN_INVALID: {},
        }
        self._watching: Hook[Any] | None = None
        #: (pc, instructions executed) of what hooks were asked about last: they are asked once
        self._asked: tuple[int, int] | None = None
        #: the number of the error that ends the run, and the pc to be seen then
        self.error: int | None = None
        self.pc = 0
        machine.emulator.hook.exception(self._exception)

    def begin(self) -> None:
        """A run begins."""
        self.error = self._asked = None

    def add(self, htype: int, handle: int, callback: Callback, user_data: Any, begin: int, end: int, kind: int) -> None:
        """Add a hook."""
        self._hooks[htype][handle] = _Asked(callback, user_data, kind, begin, end)
        self.watch()

    def remove(self, handle: int) -> bool:
        """Remove a hook, if it is one of these."""
        found = [hooks.pop(handle, None) for hooks in self._hooks.values()]
        self.watch()
        return any(hook is not None for hook in found)

    def watch(self) -> None:
        """Have quiet instructions looked for, if any hook is for them, behind the other code hooks."""
        if self._watching is not None:
            self._watching.remove()
            self._watching = None
        architecture = self._machine.architecture
        if any(architecture.is_quiet(hook.kind) for hook in self._hooks[uc.UC_HOOK_INSN].values()):
            self._watching = self._machine.emulator.hook.code(self._look)

    def _look(self, emulator: Emulator, address: int, size: int) -> None:
        """Before each instruction: is it one of the quiet ones?  A hook whose answer is true did its work."""
        architecture, bank = self._machine.architecture, self._machine.bank
        for hook in list(self._hooks[uc.UC_HOOK_INSN].values()):
            quiet = architecture.is_quiet(hook.kind) and hook.covers(address)
            if quiet and architecture.hooked_instruction(bank, hook.kind):
                if hook.callback(self._machine, hook.user_data) and emulator.regs.pc == address:
                    emulator.regs.pc = address + size
                    emulator.count_instruction()
                return

    def _of(self, htype: int, pc: int, kind: int = 0) -> list[_Asked]:
        return [hook for hook in self._hooks[htype].values() if hook.kind == kind and hook.covers(pc)]

    # ------------------------------------------------------------ what was raised

    def _exception(self, emulator: Emulator, exception: GuestException) -> bool:
        architecture = self._machine.architecture
        if exception.name in architecture.access_faults:
            return False
        outcome = architecture.outcome(self._machine.bank, exception)
        if isinstance(outcome, Interrupt):
            return self._interrupt(emulator, exception.pc, outcome)
        if isinstance(outcome, Invalid):
            return self._invalid(emulator, exception.pc)
        if isinstance(outcome, Done):
            if outcome.halt:
                emulator.stop()
            return self._passed(emulator, exception.pc, outcome.next)
        self._instruction(emulator, exception.pc, outcome)
        return self._passed(emulator, exception.pc, outcome.next)

    def _passed(self, emulator: Emulator, pc: int, following: int) -> bool:
        """An instruction has been done by somebody else, who may have gone elsewhere."""
        if emulator.regs.pc == pc:
            emulator.regs.pc = following
        emulator.count_instruction()
        return True

    def _interrupt(self, emulator: Emulator, pc: int, outcome: Interrupt) -> bool:
        hooks = self._of(uc.UC_HOOK_INTR, pc)
        if not hooks or self._again(emulator, pc):
            return self._fail(outcome.error or uc.UC_ERR_EXCEPTION, outcome.pc)
        emulator.regs.pc = outcome.pc
        if outcome.pc != pc:
            emulator.count_instruction()
        for hook in hooks:
            hook.callback(self._machine, outcome.number, hook.user_data)
        if outcome.error is None:
            return True
        emulator.regs.pc = pc
        return self._fail(outcome.error, outcome.pc)

    def _invalid(self, emulator: Emulator, pc: int) -> bool:
        hooks = self._of(uc.UC_HOOK_INSN_INVALID, pc)
        if not self._again(emulator, pc) and any(hook.callback(self._machine, hook.user_data) for hook in hooks):
            return True
        return self._fail(uc.UC_ERR_INSN_INVALID, pc)

    def _again(self, emulator: Emulator, pc: int) -> bool:
        """Whether this was raised just before, and asking did not help."""
        here = pc, emulator.instructions
        again, self._asked = self._asked == here, here
        return again

    def _fail(self, error: int, pc: int) -> bool:
        self.error, self.pc = error, pc
        return False

    def _instruction(self, emulator: Emulator, pc: int, outcome: Instruction | Input | Output) -> None:
        machine = self._machine
        if isinstance(outcome, Instruction):
            for hook in self._of(uc.UC_HOOK_INSN, pc, outcome.kind):
                hook.callback(machine, hook.user_data)
        elif isinstance(outcome, Input):
            value = 0
            for hook in self._of(uc.UC_HOOK_INSN, pc, x86.UC_X86_INS_IN):
                value = int(hook.callback(machine, outcome.port, outcome.size, hook.user_data) or 0)
            emulator.regs[outcome.name] = value & (1 << 8 * outcome.size) - 1
        else:
            for hook in self._of(uc.UC_HOOK_INSN, pc, x86.UC_X86_INS_OUT):
                hook.callback(machine, outcome.port, outcome.size, outcome.value, hook.user_data)
