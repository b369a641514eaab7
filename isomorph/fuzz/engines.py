"""What runs a case: the reference executor, the native engine in its ways, and other emulators, all behind one face.

An engine is made by its name.  What else can run an instruction set is one more entry of ENGINES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Protocol

from isomorph.coverage import ran
from isomorph.errors import IsomorphError
from isomorph.fuzz.case import Case
from isomorph.fuzz.state import CODE, CODE_SIZE, WINDOW, WINDOW_SIZE, State, empty_state
from isomorph.spec_tests import OneInstruction, bad_address, helpers
from runtime.core.cpu import Isa, load_isa
from runtime.core.env import ENV, PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.layout import RegisterLayout
from runtime.core.memory import PAGE_SIZE, GuestMemory
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from runtime.tcg.reference import Machine
from runtime.tcg.tb import TB_MAX_INSTRUCTIONS
from runtime.tcg.tier_options import TierOptions

__all__ = ["ENDLESS", "ENGINES", "TIERS", "Engine", "Result", "make_engine", "terminator"]

_EXCLUSIVE = ENV["exclusive_address"]
_FLAGS = slice(ENV["flags"], ENV["flags"] + 8)
#: what an engine says of a case that does not come to its end
ENDLESS = "endless"
_FETCH = 2  # what `on badaddr` is told for an instruction fetch
#: instructions after which it does not
LIMIT = 400


@dataclass(frozen=True, slots=True)
class Result:
    """The state at the end, "" or the name of the exception that was raised before it, and instructions executed.

    An engine that does not know names says "raised"; a count of -1 is not known.
    """

    state: State
    raised: str
    executed: int = -1


class Engine(Protocol):
    """Runs cases."""

    name: str
    #: whether `raised` is the exception's name, and pc and state are those of the instruction that raised
    precise: bool

    def run(self, case: Case) -> Result:
        """Until the end of the case's code, an exception, or LIMIT instructions."""

    def close(self) -> None:
        """Free everything."""


class MissingEngine(IsomorphError):
    """An engine that cannot be had here; the message says why, and what to install."""


def terminator(isa: Isa) -> bytes:
    """A word that is no instruction: behind the last one of a case, it ends the block."""
    decoder = isa.module("translate")
    builder = Builder(isa.layout, Function("decode"))
    builder.modes.update({mode.name: mode.reset for mode in isa.layout.modes})
    size = isa.layout.max_bytes
    for number in (0, (1 << 8 * size) - 1, *range(1, 1 << 16)):
        if decoder.decode(number, size, builder) is None:
            return int(number).to_bytes(size, "little")
    raise MissingEngine(f"{isa.name} has no word that is no instruction: blocks would not end")


# ---------------------------------------------------------------- native code


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
        registers = {register.name: _unpack(vcpu.octets, register) for register in self.isa.layout.registers}
        modes = {mode.name: vcpu.get_mode(mode.name) for mode in self.isa.layout.modes}
        return State(vcpu.pc, registers, modes, self.memory.read(WINDOW, WINDOW_SIZE))

    def outcome(self, reason: Exit, end: int) -> str:
        """What stopped it, by name; "" for the end of the code."""
        if reason == Exit.EXCEPTION:
            return "" if self.vcpu.pc == end else self.isa.layout.exception_name(self.vcpu.exception)
        return ENDLESS if reason == Exit.BUDGET else reason.name


def _unpack(octets: memoryview | bytearray, register: RegisterLayout) -> tuple[int, ...]:
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


# ---------------------------------------------------------------- the reference


class ReferenceEngine:
    """translate.py's emitters with known fields, one instruction at a time, their TCG run in Python."""

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
        registers = {register.name: _unpack(env, register) for register in layout.registers}
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


# ---------------------------------------------------------------- by name


def _unicorn(isa: Isa) -> Engine:
    from isomorph.fuzz.unicorn_engine import UnicornEngine

    return UnicornEngine(isa)


def _qemu(isa: Isa) -> Engine:
    from isomorph.fuzz.qemu_engine import QemuEngine

    return QemuEngine(isa)


#: name -> how it is made
ENGINES: dict[str, Callable[[Isa], Engine]] = {
    "reference": ReferenceEngine,
    "steps": partial(NativeEngine, name="steps"),
    "blocks": NativeEngine,
    "compiled": CompiledEngine,
    "unicorn": _unicorn,
    "qemu": _qemu,
}
#: what `--against tiers` compares, the first with each other one
TIERS = ("blocks", "steps", "compiled", "reference")


def make_engine(name: str, isa: Isa) -> Engine:
    """An engine by its name."""
    if name not in ENGINES:
        raise MissingEngine(f"there is no engine {name!r}; engines: {', '.join(ENGINES)}")
    return ENGINES[name](isa)


def compare(case: Case, first: Engine, ours: Result, second: Engine, theirs: Result) -> list[str]:
    """What differs between two runs of a case; nothing if they cannot be compared."""
    if ENDLESS in (ours.raised, theirs.raised):
        # Limits differ a little: it counts only if one of them came to its end long before.
        done = theirs if ours.raised == ENDLESS else ours
        if done.raised == ENDLESS or not 0 <= done.executed < LIMIT // 2:
            return []
        return [f"end: {ours.raised or 'reached'} / {theirs.raised or 'reached'}"]
    if first.precise and second.precise:
        found = [] if ours.raised == theirs.raised else [f"raised: {ours.raised or '-'} / {theirs.raised or '-'}"]
        return found + list(ours.state.differences(theirs.state, case.masks))
    if bool(ours.raised) != bool(theirs.raised):
        return [f"raised: {ours.raised or '-'} / {theirs.raised or '-'}"]
    return [] if ours.raised else list(ours.state.differences(theirs.state, case.masks))


class Bench:
    """The engines of a comparison: the first runs every case, and then each of the others."""

    def __init__(self, isa: Isa, names: tuple[str, ...]) -> None:
        self.names = names
        self.engines: list[Engine] = []
        try:
            for name in names:
                self.engines.append(make_engine(name, isa))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Free everything."""
        for engine in self.engines:
            engine.close()

    def differences(self, case: Case) -> Iterator[str]:
        """What differs, each line with the names of the two engines."""
        first, *others = self.engines
        ours = first.run(case)
        for other in others:
            for line in compare(case, first, ours, other, other.run(case)):
                yield f"{first.name} / {other.name}: {line}"
