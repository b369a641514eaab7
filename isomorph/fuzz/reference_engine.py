"""The reference runs a case: translate.py's emitters with known fields, their TCG run in Python."""

from __future__ import annotations

from typing import Any

from isomorph.coverage import ran
from isomorph.fuzz.case import Case
from isomorph.fuzz.engine import ENDLESS, LIMIT, Result, terminator
from isomorph.fuzz.native_engine import illegal_exception, unpack
from isomorph.fuzz.state import CODE, CODE_SIZE, WINDOW, WINDOW_SIZE, State
from isomorph.spec_tests import OneInstruction, bad_address, helpers
from runtime.core.cpu import Isa
from runtime.core.env import ENV, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.memory import PAGE_SIZE
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function
from runtime.tcg.reference import Machine

_EXCLUSIVE = ENV["exclusive_address"]
_FLAGS = slice(ENV["flags"], ENV["flags"] + 8)
_FETCH = 2  # what `on badaddr` is told for an instruction fetch


class ReferenceEngine:
    """One instruction at a time."""

    precise = True
    name = "reference"

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.translate: Any = isa.module("translate")
        self.size = WINDOW + WINDOW_SIZE
        self.permissions = bytearray(self.size // PAGE_SIZE)
        for page in range(CODE // PAGE_SIZE, (CODE + CODE_SIZE) // PAGE_SIZE):
            self.permissions[page] = PAGE_READ
        for page in range(WINDOW // PAGE_SIZE, self.size // PAGE_SIZE):
            self.permissions[page] = PAGE_READ | PAGE_WRITE
        self.helpers = helpers(isa)
        self.end = terminator(isa)
        self._mask = (1 << isa.layout.pc_width) - 1

    def close(self) -> None:
        pass

    def run(self, case: Case) -> Result:
        layout, state = self.isa.layout, case.state
        env, memory = bytearray(layout.size), bytearray(self.size)
        env[_EXCLUSIVE : _EXCLUSIVE + 8] = b"\xff" * 8
        for register in layout.registers:
            for number, value in enumerate(state.registers[register.name]):
                at = register.offset + number * register.stride
                env[at : at + register.stride] = value.to_bytes(register.stride, "little")
        env[_FLAGS] = sum(state.modes.get(mode.name, mode.reset) << mode.shift for mode in layout.modes).to_bytes(
            8, "little"
        )
        code = case.bytes + self.end
        memory[CODE : CODE + len(code)] = code
        memory[WINDOW:] = state.memory
        machine = Machine(env, memory, self.permissions, helpers=self.helpers)
        pc, raised, executed = state.pc, ENDLESS, 0
        while executed < LIMIT:
            if pc == case.end:
                raised = ""
                break
            following, raised = self._step(machine, pc)
            if raised:
                break
            pc, raised = following, ENDLESS
            executed += 1
        fold = Function("fold")
        Builder(layout, fold).sync_state()
        machine.run(fold)
        registers = {register.name: unpack(env, register) for register in layout.registers}
        return Result(State(pc, registers, self._modes(env), bytes(memory[WINDOW:])), raised, executed)

    def _modes(self, env: bytearray) -> dict[str, int]:
        flags = int.from_bytes(env[_FLAGS], "little")
        return {mode.name: flags >> mode.shift & (1 << mode.width) - 1 for mode in self.isa.layout.modes}

    def _step(self, machine: Machine, pc: int) -> tuple[int, str]:
        """The next pc, and the exception raised."""
        layout = self.isa.layout
        builder = OneInstruction(layout, Function("step"), bad_address(self.isa))
        builder.modes.update(self._modes(machine.env))
        if not CODE <= pc <= CODE + CODE_SIZE - layout.unit_bytes:
            return pc, self._fetch_fault(machine, builder, pc)
        size = min(layout.max_bytes, CODE + CODE_SIZE - pc)
        decoded = self.translate.decode(int.from_bytes(machine.memory[pc : pc + size], "little"), size, builder)
        if decoded is None:
            return pc, illegal_exception(self.isa.path)
        following = pc + decoded.length & self._mask
        builder.begin_instruction(pc, following, 0, decoded.name)
        decoded.emit(builder, decoded.fields)
        builder.end_instruction()
        outcome = machine.run(builder.function)
        if outcome.reason == Exit.EXCEPTION:
            return pc, self._raised(machine)
        ran(layout.isa, decoded.instruction.mnemonic)
        return outcome.values[0], ""

    def _fetch_fault(self, machine: Machine, builder: OneInstruction, pc: int) -> str:
        """What the spec's `on badaddr` raises for a fetch."""
        builder.begin_instruction(pc, pc, 0, "fetch")
        hook = bad_address(self.isa)
        if hook is not None:
            hook(builder, _FETCH, pc)
        builder.end_instruction()
        machine.run(builder.function)
        return self._raised(machine)

    def _raised(self, machine: Machine) -> str:
        at = ENV["exception"]
        return self.isa.layout.exception_name(int.from_bytes(machine.env[at : at + 8], "little"))
