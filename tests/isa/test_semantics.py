"""Every `test "…" when … then …` line of the specs: one instruction, run by the translator and by the engine."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from gen import model, python_emitter, state, syntax_tables, tree
from gen.bodies import BodyPrinter
from gen.elaborate import check
from gen.guests import guests
from gen.python_emitter import ModulePrinter
from runtime.core.cpu import Isa, load_isa
from runtime.core.env import ENV, GUEST_STATE, PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.memory import PAGE_SIZE, GuestMemory
from runtime.syntax.assemble import assemble_one
from runtime.syntax.encode import Encoder
from runtime.tcg.builder import Builder, Value
from runtime.tcg.ir import Function
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from runtime.tcg.reference import Machine
from tests.conftest import ROOT
from tests.stepping import OneInstruction, helpers
from tests.tools import require_build

SPECS = ROOT / "specs"
GUESTS = [path.stem for path in guests(SPECS)]
#: where an instruction stands unless its test says where
ADDRESS = 0x1000
#: guest memory of a test; its last pages hold no code
SIZE = 0x10000
_FLAGS = slice(ENV["flags"], ENV["flags"] + 8)


class Bench:
    """One ISA's tests: the spec, its generated modules, and state to run them in."""

    def __init__(self, spec: model.Spec, folder: Path) -> None:
        self.spec = spec
        self.isa: Isa = load_isa(folder)
        self.layout = self.isa.layout
        self.translate: ModuleType = self.isa.module("translate")
        self.encoder = Encoder(self.isa.module("syntax").SYNTAX)
        self.context = ModulePrinter(self.spec).context
        self.helpers = helpers(self.isa)

    def emitter(
        self, statements: tuple[model.Stmt, ...], results: tuple[int, ...], pos: tree.Pos
    ) -> Callable[[Builder], Value]:
        """A function from statements of a test, printed and loaded as the generator does."""
        printer = BodyPrinter(self.context, pos)
        printer.function(statements, results)
        names = dict(vars(self.translate))
        exec("def emitter(b):\n" + "\n".join(printer.lines or ["    pass"]), names)
        found: Callable[[Builder], Value] = names["emitter"]
        return found

    def machine(self, env: bytearray, memory: bytearray) -> Machine:
        everything = bytearray([PAGE_READ | PAGE_WRITE]) * (SIZE // PAGE_SIZE)
        return Machine(env, memory, everything, helpers=self.helpers)

    def builder(self, pc: int, env: bytearray) -> OneInstruction:
        """A builder for one instruction at pc that knows the modes."""
        builder = OneInstruction(self.layout, Function("test"), self.translate.HOOKS["badaddr"].body)
        flags = int.from_bytes(env[_FLAGS], "little")
        for mode in self.layout.modes:
            builder.modes[mode.name] = flags >> mode.shift & (1 << mode.width) - 1
        return builder

    def prepare(self, test: model.Test, env: bytearray, memory: bytearray) -> int:
        """Does what stands behind `when`; the pc."""
        env[ENV["exclusive_address"] : ENV["exclusive_address"] + 8] = b"\xff" * 8
        builder = self.builder(ADDRESS, env)
        builder.begin_instruction(ADDRESS, ADDRESS, 0)
        self.emitter(test.given, (), test.pos)(builder)
        builder.end_instruction()
        return self.machine(env, memory).run(builder.function).values[0]

    def holds(self, test: model.Test, env: bytearray, memory: bytearray, pc: int) -> bool:
        """Whether what stands behind `then` is so."""
        assert test.then is not None
        builder = self.builder(pc, env)
        builder.begin_instruction(pc, pc, 0)
        value = self.emitter((model.Return((test.then,), test.pos),), (1,), test.pos)(builder)
        builder.goto(builder.zext(value, 1, self.layout.pc_width))
        builder.end_instruction()
        return bool(self.machine(env, memory).run(builder.function).values[0])

    def translated(self, env: bytearray, memory: bytearray, pc: int) -> int:
        """One instruction by the translator; the next pc."""
        builder = self.builder(pc, env)
        length = self.layout.max_bytes
        decoded = self.translate.decode(int.from_bytes(memory[pc : pc + length], "little"), length, builder)
        assert decoded is not None
        builder.begin_instruction(pc, pc + decoded.length, 0)
        decoded.emit(builder, decoded.fields)
        builder.end_instruction()
        machine = self.machine(env, memory)
        outcome = machine.run(builder.function)
        assert outcome.reason == Exit.BUDGET, outcome.reason
        fold = Function("fold")
        Builder(self.layout, fold).sync_state()
        machine.run(fold)
        return outcome.values[0]

    def native(self, env: bytearray, memory: bytearray, pc: int) -> int:
        """One instruction by the engine; the next pc."""
        guest = GuestMemory(self.layout.memories[0].address_width)
        guest.map(0, SIZE, PAGE_READ | PAGE_WRITE | PAGE_EXEC)
        guest.write(0, bytes(memory))
        tcg = Tcg(self.isa, guest)
        vcpu = TcgVcpu(tcg)
        vcpu.octets[GUEST_STATE : self.layout.size] = bytes(env[GUEST_STATE:])
        vcpu.octets[_FLAGS] = bytes(env[_FLAGS])
        vcpu.pc = pc
        assert cpu_exec(vcpu, 1) == Exit.BUDGET
        env[GUEST_STATE:] = bytes(vcpu.octets[GUEST_STATE : self.layout.size])
        env[_FLAGS] = bytes(vcpu.octets[_FLAGS])
        memory[:] = guest.read(0, SIZE)
        after = vcpu.pc
        vcpu.close()
        tcg.close()
        guest.close()
        return after

    def run(self, test: model.Test, step: Callable[[bytearray, bytearray, int], int]) -> str:
        """What is wrong, or ""."""
        env, memory = bytearray(self.layout.size), bytearray(SIZE)
        pc = self.prepare(test, env, memory)
        code = assemble_one(self.encoder, test.asm, pc)
        memory[pc : pc + len(code)] = code
        after = step(env, memory, pc)
        return "" if self.holds(test, env, memory, after) else f"{Path(test.pos.file).name}:{test.pos.line}: {test.asm}"


@cache
def bench(name: str) -> Bench:
    """The bench of a guest, made once."""
    return Bench(check(SPECS / f"{name}.isa", [SPECS]), ROOT / "build" / name)


@pytest.fixture(params=GUESTS)
def guest(request: pytest.FixtureRequest) -> Bench:
    require_build(request.param)
    return bench(request.param)


@pytest.mark.parametrize("way", ["translated", "native"])
def test_lines_hold(guest: Bench, way: str) -> None:
    lines = [test for test in guest.spec.tests if test.then is not None]
    assert lines
    step = guest.translated if way == "translated" else guest.native
    wrong = [found for test in lines if (found := guest.run(test, step))]
    assert not wrong, "\n".join(wrong)


def test_the_example_of_a_custom_instruction(tmp_path: Path) -> None:
    """The lines of examples/custom_instruction.isa hold; its modules are printed here, without native code."""
    spec = check(ROOT / "examples" / "custom_instruction.isa", [SPECS])
    for name, text in {
        "state.py": state.source(state.layout_of(spec)),
        "translate.py": python_emitter.module_source(spec),
        "syntax.py": syntax_tables.module_source(spec),
    }.items():
        (tmp_path / name).write_text(text)
    made = Bench(spec, tmp_path)
    lines = [test for test in spec.tests if test.asm.startswith("mac ")]
    assert [test.word for test in lines] == [0x02C5F50B, None]
    assert made.run(lines[1], made.translated) == ""


def test_a_false_line_is_caught(guest: Bench) -> None:
    """The control: a line whose `then` is turned round does not hold."""
    line = next(test for test in guest.spec.tests if test.then is not None)
    assert line.then is not None
    turned = model.Test(line.asm, None, line.given, model.Unary(1, "not", line.then), line.pos)
    assert guest.run(line, guest.translated) == ""
    assert guest.run(turned, guest.translated)


def test_every_instruction_has_a_line(guest: Bench) -> None:
    """Each mnemonic is the subject of at least one line of either kind."""
    decoder = guest.encoder.decoder
    seen = set()
    for test in guest.spec.tests:
        decoded = decoder.decode(assemble_one(guest.encoder, test.asm, ADDRESS), ADDRESS)
        assert decoded is not None, test.asm
        seen.add(decoded.form.name.partition("__")[0])
    assert not {instruction.mnemonic for instruction in guest.spec.instructions} - seen
