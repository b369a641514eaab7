"""A spec's own `test` lines, checked against what was generated from it: words, and what instructions do.

What stands behind `when` and `then` is printed as the generator prints bodies and run by the reference executor; the
instruction itself runs on the engine, or through the translator.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from gen import model, tree
from gen.bodies import BodyPrinter
from gen.errors import Diagnostic, SpecError
from gen.python_emitter import ModulePrinter
from isomorph.coverage import ran
from runtime.core.cpu import Isa
from runtime.core.env import ENV, GUEST_STATE, PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.memory import PAGE_SIZE, GuestMemory
from runtime.syntax.assemble import assemble_one
from runtime.syntax.encode import Encoder, Rejected
from runtime.tcg.builder import Builder, Value
from runtime.tcg.helpers import helper_function
from runtime.tcg.ir import Function
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from runtime.tcg.reference import Machine, Outcome

#: where an instruction stands unless its test says where
ADDRESS = 0x1000
#: guest memory of a test; its last pages hold no code
SIZE = 0x10000
_FLAGS = slice(ENV["flags"], ENV["flags"] + 8)
_NPC = slice(ENV["npc"], ENV["npc"] + 8)
_COMPARISONS = frozenset({"eq", "ne", "ult", "ule", "ugt", "uge", "slt", "sle", "sgt", "sge"})


class TestFailure(Exception):
    """Why a line does not hold."""

    __test__ = False  # for pytest, which takes the name for a test's


#: runs the instruction at a pc on state and memory, which it changes; the next pc
Step = Callable[[bytearray, bytearray, int], int]


class OneInstruction(Builder):
    """Wherever the instruction goes, it exits with that pc and Exit.BUDGET."""

    def finish_next(self) -> None:
        self.finish_goto_ptr(self.next_pc_value)

    def finish_goto(self, slot: int, target: Value) -> None:
        self.finish_goto_ptr(target)

    def finish_goto_ptr(self, target: Value) -> None:
        self.emit("exit", (target, 0), (self.layout.pc_width, 64), offset=Exit.BUDGET)


def helpers(isa: Isa) -> dict[str, Function]:
    """The spec's compiled functions, for the reference executor."""
    return {name: helper_function(isa.layout, helper) for name, helper in isa.module("translate").HELPERS.items()}


def bad_address(isa: Isa) -> Callable[..., None] | None:
    """What the spec's `on badaddr` does, if it has one."""
    hook = isa.module("translate").HOOKS.get("badaddr")
    return None if hook is None else hook.body


class SpecTests:
    """The test lines of one generated ISA, and state to run them in."""

    def __init__(self, spec: model.Spec, isa: Isa) -> None:
        self.spec = spec
        self.isa = isa
        self.layout = isa.layout
        self.translate: ModuleType = isa.module("translate")
        self.encoder = Encoder(isa.module("syntax").SYNTAX)
        self._context = ModulePrinter(spec).context
        self._helpers = helpers(isa)

    # ------------------------------------------------------------ lines

    def failures(self, step: Step | None = None, file: str = "") -> list[Diagnostic]:
        """What is wrong with each line that does not hold; instructions run on the engine unless `step` is given.

        `file`: only the lines of that file, named by the end of its path."""
        found = []
        for test in self.spec.tests:
            if not f"/{test.pos.file}".endswith(f"/{file}" if file else ""):
                continue
            try:
                self.check(test, step or self.native)
            except TestFailure as failure:
                message, *help = str(failure).split("\n")
                found.append(Diagnostic(test.pos, message, help="; ".join(help) or None))
            except SpecError as error:
                found += error.diagnostics
        return found

    def check(self, test: model.Test, step: Step) -> None:
        """Run one line; TestFailure if it does not hold."""
        if test.word is not None:
            word = self.encoder.decoder.space.word(self._assemble(test, ADDRESS))
            if word != test.word:
                raise TestFailure(f"'{test.asm}' assembles to {word:#x}, not to {test.word:#x}")
        if test.then is None:
            return
        env, memory = bytearray(self.layout.size), bytearray(SIZE)
        pc = self._prepare(test, env, memory)
        code = self._assemble(test, pc)
        memory[pc : pc + len(code)] = code
        decoded = self.encoder.decoder.decode(code, pc)
        pc = step(env, memory, pc)
        if decoded is not None:
            ran(self.layout.isa, decoded.form.name.partition("__")[0])
        if not self._evaluate(test.then, test, env, memory, pc):
            raise TestFailure(f"what stands behind `then` does not hold{self._sides(test.then, test, env, memory, pc)}")

    def _assemble(self, test: model.Test, pc: int) -> bytes:
        try:
            return assemble_one(self.encoder, test.asm, pc)
        except Rejected as error:
            notes = (note.removeprefix("help: ") for note in error.notes)
            raise TestFailure("\n".join((f"'{test.asm}': {error.message}", *notes))) from None

    # ------------------------------------------------------------ when and then

    def _prepare(self, test: model.Test, env: bytearray, memory: bytearray) -> int:
        """Does what stands behind `when`; the pc."""
        env[ENV["exclusive_address"] : ENV["exclusive_address"] + 8] = b"\xff" * 8
        # A program keeps the machine's modes as they were at the start.
        flags = sum(mode.reset << mode.shift for mode in self.layout.modes if mode.machine)
        env[_FLAGS] = flags.to_bytes(8, "little")
        builder = self._builder(ADDRESS, env)
        builder.begin_instruction(ADDRESS, ADDRESS, 0)
        self._emitter(test.given, (), test.pos)(builder)
        builder.end_instruction()
        pc = self._pc_after(self._machine(env, memory).run(builder.function), "what stands behind `when`")
        if pc + PAGE_SIZE > SIZE:
            raise TestFailure(f"the instruction is to stand at {pc:#x}; a test has memory up to {SIZE:#x}")
        return pc

    def _evaluate(self, value: model.Expr, test: model.Test, env: bytearray, memory: bytearray, pc: int) -> int:
        """A value after the instruction."""
        builder = self._builder(pc, env, (value.width,))
        builder.begin_instruction(pc, pc, 0)
        builder.ret((self._emitter((model.Return((value,), test.pos),), (value.width,), test.pos)(builder),))
        outcome = self._machine(env, memory).run(builder.function)
        if outcome.way != "ret":
            raise TestFailure("what stands behind `then` reads memory that a test does not have")
        return outcome.values[0]

    def _sides(self, then: model.Expr, test: model.Test, env: bytearray, memory: bytearray, pc: int) -> str:
        """What is compared, if `then` is one comparison."""
        if not isinstance(then, model.Binary) or then.op not in _COMPARISONS:
            return ""
        left, right = (self._evaluate(side, test, env, memory, pc) for side in (then.left, then.right))
        return f": left is {left:#x}, right is {right:#x}"

    def _emitter(
        self, statements: tuple[model.Stmt, ...], results: tuple[int, ...], pos: tree.Pos
    ) -> Callable[[Builder], Value]:
        """A function from statements of a test, printed and loaded as the generator does."""
        printer = BodyPrinter(self._context, pos)
        printer.function(statements, results)
        names = dict(vars(self.translate))
        exec("def emitter(b):\n" + "\n".join(printer.lines or ["    pass"]), names)
        found: Callable[[Builder], Value] = names["emitter"]
        return found

    def _machine(self, env: bytearray, memory: bytearray) -> Machine:
        everything = bytearray([PAGE_READ | PAGE_WRITE]) * (SIZE // PAGE_SIZE)
        return Machine(env, memory, everything, helpers=self._helpers)

    def _builder(self, pc: int, env: bytearray, results: tuple[int, ...] = ()) -> OneInstruction:
        """A builder for one instruction at pc that knows the modes."""
        builder = OneInstruction(self.layout, Function("test", results=results), bad_address(self.isa))
        flags = int.from_bytes(env[_FLAGS], "little")
        for mode in self.layout.modes:
            builder.modes[mode.name] = flags >> mode.shift & (1 << mode.width) - 1
        return builder

    def _pc_after(self, outcome: Outcome, what: str) -> int:
        """Where an instruction goes; TestFailure if it does something else."""
        if outcome.way == "exit" and outcome.reason == Exit.BUDGET:
            return outcome.values[0]
        raise TestFailure(f"{what} ends in an exception; a test has memory up to {SIZE:#x}")

    # ------------------------------------------------------------ the instruction

    def translated(self, env: bytearray, memory: bytearray, pc: int) -> int:
        """One instruction by the translator; the next pc."""
        builder = self._builder(pc, env)
        length = self.layout.max_bytes
        decoded = self.translate.decode(int.from_bytes(memory[pc : pc + length], "little"), length, builder)
        if decoded is None:
            raise TestFailure("the translator does not decode the instruction")
        builder.begin_instruction(pc, pc + decoded.length, 0)
        decoded.emit(builder, decoded.fields)
        builder.end_instruction()
        machine = self._machine(env, memory)
        after = self._pc_after(machine.run(builder.function), "the instruction")
        # What the host's flags stand for is moved to the register.
        fold = Function("fold")
        Builder(self.layout, fold).sync_state()
        machine.run(fold)
        return after

    def native(self, env: bytearray, memory: bytearray, pc: int) -> int:
        """One instruction by the engine; the next pc."""
        guest = GuestMemory(self.layout.memories[0].address_width)
        guest.map(0, SIZE, PAGE_READ | PAGE_WRITE | PAGE_EXEC)
        guest.write(0, bytes(memory))
        tcg = Tcg(self.isa, guest)
        vcpu = TcgVcpu(tcg)
        try:
            vcpu.octets[GUEST_STATE : self.layout.size] = bytes(env[GUEST_STATE:])
            vcpu.octets[_FLAGS] = bytes(env[_FLAGS])
            vcpu.octets[_NPC] = bytes(env[_NPC])
            vcpu.pc = pc
            reason = cpu_exec(vcpu, 1)
            if reason == Exit.EXCEPTION:
                arguments = ", ".join(f"{value:#x}" for value in vcpu.arguments)
                raise TestFailure(
                    f"the instruction raises {self.layout.exception_name(vcpu.exception)} (arguments {arguments})"
                )
            env[GUEST_STATE:] = bytes(vcpu.octets[GUEST_STATE : self.layout.size])
            env[_FLAGS] = bytes(vcpu.octets[_FLAGS])
            env[_NPC] = bytes(vcpu.octets[_NPC])
            memory[:] = guest.read(0, SIZE)
            return vcpu.pc
        finally:
            vcpu.close()
            tcg.close()
            guest.close()
