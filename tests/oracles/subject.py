"""What is tested: one hart of a generated RISC-V, given a state and code, run for some instructions, and looked at.

There is one for each binding time: the native handlers, and translate.py's emitters with known fields, whose TCG the
reference executor runs.
"""

from __future__ import annotations

from typing import Protocol

from isomorph.spec_tests import OneInstruction, helpers
from runtime.core.cpu import Isa, load_isa
from runtime.core.env import ENV, PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.memory import PAGE_SIZE, GuestMemory
from runtime.tcg.ir import Function
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from runtime.tcg.reference import Machine
from tests.conftest import ROOT
from tests.oracles.riscv_state import CODE, WINDOW, WINDOW_SIZE, State

_EXCLUSIVE = ENV["exclusive_address"]
_ENDLESS = 100_000


class Subject(Protocol):
    """Runs code in a state: what the oracles are compared with."""

    xlen: int

    def run(self, code: bytes, state: State, count: int | None = 1) -> tuple[State, str]:
        """The state after `count` instructions of `code`, and the name of the exception that cut them short, or "".

        Without a count it runs until an exception, in blocks as long as they come."""

    def close(self) -> None:
        """Free everything."""


def _isa(xlen: int) -> Isa:
    return load_isa(ROOT / "build" / f"riscv{xlen}")


class NativeSubject:
    """The native engine."""

    def __init__(self, xlen: int) -> None:
        isa = _isa(xlen)
        self.xlen = xlen
        self.memory = GuestMemory(xlen)
        self.memory.map(CODE, PAGE_SIZE, PAGE_READ | PAGE_EXEC)
        self.memory.map(WINDOW, WINDOW_SIZE, PAGE_READ | PAGE_WRITE)
        self.tcg = Tcg(isa, self.memory)
        self.vcpu = TcgVcpu(self.tcg)

    def close(self) -> None:
        self.vcpu.close()
        self.tcg.close()
        self.memory.close()

    def run(self, code: bytes, state: State, count: int | None = 1) -> tuple[State, str]:
        vcpu = self.vcpu
        vcpu.reset()
        self.memory.write(state.pc, code, 0)
        self.memory.write(WINDOW, state.memory)
        for number in range(32):
            vcpu.set("X", state.x[number], number)
            vcpu.set("F", state.f[number], number)
        vcpu.set_mode("FRM", state.frm)
        vcpu.set("FFLAGS", state.fflags)
        vcpu.pc = state.pc
        reason = cpu_exec(vcpu, count)
        raised = vcpu.layout.exception_name(vcpu.exception) if reason == Exit.EXCEPTION else ""
        assert raised or reason == Exit.BUDGET, reason
        after = State(
            self.xlen,
            vcpu.pc,
            tuple(vcpu.get("X", number) for number in range(32)),
            tuple(vcpu.get("F", number) for number in range(32)),
            vcpu.get_mode("FRM"),
            vcpu.get("FFLAGS"),
            self.memory.read(WINDOW, WINDOW_SIZE),
        )
        return after, raised


class TranslatedSubject:
    """The translator, an instruction at a time."""

    def __init__(self, xlen: int) -> None:
        self.xlen = xlen
        self.isa = _isa(xlen)
        self.translate = self.isa.module("translate")
        self.size = WINDOW + WINDOW_SIZE
        self.permissions = bytearray(self.size // PAGE_SIZE)
        self.permissions[CODE // PAGE_SIZE] = PAGE_READ
        for page in range(WINDOW // PAGE_SIZE, self.size // PAGE_SIZE):
            self.permissions[page] = PAGE_READ | PAGE_WRITE
        self.helpers = helpers(self.isa)

    def close(self) -> None:
        pass

    def run(self, code: bytes, state: State, count: int | None = 1) -> tuple[State, str]:
        env = bytearray(self.isa.layout.size)
        view = self.isa.state.CPUState(memoryview(env))
        env[_EXCLUSIVE : _EXCLUSIVE + 8] = b"\xff" * 8
        for number in range(32):
            view.X[number] = state.x[number]
            view.F[number] = state.f[number]
        view.FFLAGS = state.fflags
        memory = bytearray(self.size)
        memory[CODE : CODE + len(code)] = code
        memory[WINDOW:] = state.memory
        machine = Machine(env, memory, self.permissions, helpers=self.helpers)
        frm = self.isa.layout.mode("FRM")
        flags = ENV["flags"]
        env[flags : flags + 8] = (state.frm << frm.shift).to_bytes(8, "little")
        pc, raised = state.pc, ""
        for _ in range(count if count is not None else _ENDLESS):
            fetch = code[pc - state.pc : pc - state.pc + 4]
            now = int.from_bytes(env[flags : flags + 8], "little") >> frm.shift & 7
            pc, raised = self._step(machine, fetch, pc, now)
            if raised:
                break
        view.FFLAGS |= machine.fpflags
        after = State(
            self.xlen,
            pc,
            tuple(view.X),
            tuple(view.F),
            int.from_bytes(env[flags : flags + 8], "little") >> frm.shift & 7,
            view.FFLAGS,
            bytes(memory[WINDOW:]),
        )
        return after, raised

    def _step(self, machine: Machine, fetch: bytes, pc: int, frm: int) -> tuple[int, str]:
        """The next pc, and the exception raised."""
        builder = OneInstruction(self.isa.layout, Function("step"), self.translate.HOOKS["badaddr"].body)
        builder.modes["FRM"] = frm
        decoded = self.translate.decode(int.from_bytes(fetch, "little"), len(fetch), builder)
        if decoded is None:
            return pc, "Illegal"
        following = pc + decoded.length & (1 << self.xlen) - 1
        builder.begin_instruction(pc, following, 0, decoded.name)
        decoded.emit(builder, decoded.fields)
        builder.end_instruction()
        outcome = machine.run(builder.function)
        if outcome.reason == Exit.EXCEPTION:
            at = ENV["exception"]
            return pc, self.isa.layout.exception_name(int.from_bytes(machine.env[at : at + 8], "little"))
        return outcome.values[0], ""


#: by the name tests show
SUBJECTS: dict[str, type[NativeSubject] | type[TranslatedSubject]] = {
    "native": NativeSubject,
    "translated": TranslatedSubject,
}
ALL_SUBJECTS = [(xlen, name) for xlen in (64, 32) for name in SUBJECTS]
