"""The native engine runs a case: in blocks as they come, one instruction at a time, or all of it compiled."""

from __future__ import annotations

from functools import cache

from isomorph.fuzz.case import Case
from isomorph.fuzz.engine import ENDLESS, LIMIT, Result, terminator
from isomorph.fuzz.state import CODE, CODE_SIZE, WINDOW, WINDOW_SIZE, State, empty_state
from runtime.core.cpu import Isa, load_isa
from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.layout import RegisterLayout
from runtime.core.memory import GuestMemory
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from runtime.tcg.tb import TB_MAX_INSTRUCTIONS
from runtime.tcg.tier_options import TierOptions


class NativeEngine:
    """The native engine: in blocks as they come, or one instruction at a time under the name "steps"."""

    precise = True

    def __init__(self, isa: Isa, name: str = "blocks") -> None:
        self.isa = isa
        self.name = name
        self._code = b""
        self.memory = GuestMemory(isa.layout.memories[0].address_width)
        self.memory.map(CODE, CODE_SIZE, PAGE_READ | PAGE_EXEC)
        self.memory.map(WINDOW, WINDOW_SIZE, PAGE_READ | PAGE_WRITE)
        self.tcg = Tcg(isa, self.memory)
        self.vcpu = TcgVcpu(self.tcg)
        self.end = terminator(isa)

    def close(self) -> None:
        self.vcpu.close()
        self.tcg.close()
        self.memory.close()

    def run(self, case: Case) -> Result:
        self.load(case.bytes + self.end, case.state)
        vcpu = self.vcpu
        before = vcpu.executed
        if self.name == "steps":
            reason = Exit.BUDGET
            for _ in range(LIMIT):
                reason = cpu_exec(vcpu, 1)
                if reason != Exit.BUDGET:
                    break
        else:  # the last instructions of a count are single steps: with some to spare, none of the case's are
            reason = cpu_exec(vcpu, LIMIT + TB_MAX_INSTRUCTIONS)
        executed = vcpu.executed - before
        return Result(self.state(), self.outcome(reason, case.end), executed)

    def load(self, code: bytes, state: State) -> None:
        """Code, rest of its page zeros, and the state."""
        vcpu, memory = self.vcpu, self.memory
        vcpu.reset()
        if code != self._code or not code:  # what is there may have been translated, and become hot
            memory.write(CODE, code.ljust(CODE_SIZE, b"\0"), 0)
            self._code = code
        memory.write(WINDOW, state.memory)
        for register in self.isa.layout.registers:
            size = register.stride
            packed = b"".join(value.to_bytes(size, "little") for value in state.registers[register.name])
            vcpu.octets[register.offset : register.offset + len(packed)] = packed
        for name, value in state.modes.items():
            vcpu.set_mode(name, value)
        vcpu.pc = state.pc

    def state(self) -> State:
        """The state now."""
        vcpu = self.vcpu
        registers = {register.name: unpack(vcpu.octets, register) for register in self.isa.layout.registers}
        modes = {mode.name: vcpu.get_mode(mode.name) for mode in self.isa.layout.modes}
        return State(vcpu.pc, registers, modes, self.memory.read(WINDOW, WINDOW_SIZE))

    def outcome(self, reason: Exit, end: int) -> str:
        """What stopped it, by name; "" for the end of the code."""
        if reason == Exit.EXCEPTION:
            return "" if self.vcpu.pc == end else self.isa.layout.exception_name(self.vcpu.exception)
        return ENDLESS if reason == Exit.BUDGET else reason.name


def unpack(octets: memoryview | bytearray, register: RegisterLayout) -> tuple[int, ...]:
    """A register's elements in a state."""
    size, start = register.stride, register.offset
    return tuple(
        int.from_bytes(octets[at : at + size], "little") for at in range(start, start + size * register.count, size)
    )


class CompiledEngine(NativeEngine):
    """Every block compiled as soon as it is entered; `compiled` counts the regions.

    Each case has a TCG of its own, for code that keeps changing in one place is left to tier 0 after a while.
    """

    def __init__(self, isa: Isa) -> None:
        super().__init__(isa, "compiled")
        self.compiled = 0

    def run(self, case: Case) -> Result:
        self.vcpu.close()
        self.tcg.close()
        self._code = b""
        self.tcg = Tcg(self.isa, self.memory, tier=TierOptions(threshold=1, workers=0))
        self.vcpu = TcgVcpu(self.tcg)
        result = super().run(case)
        tier = self.tcg.cache.tier
        if tier is not None:
            self.compiled += tier.statistics.compiled
        return result


@cache
def illegal_exception(folder: str) -> str:
    """What an instruction set raises for a word that is no instruction: the native engine says it."""
    engine = NativeEngine(load_isa(folder), "steps")
    try:
        engine.load(engine.end, empty_state(engine.isa.layout))
        return engine.outcome(cpu_exec(engine.vcpu, 1), -1)
    finally:
        engine.close()
