"""Decode values, variants, op records, and the toy's native code run by the engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from gen import emit, model, native, python_emitter, state
from gen.decode_values import FIELD, INDEX, PC, DecodeValue, Facts, Pool, replay
from gen.handlers import InstructionHandlers
from gen.loading import load_source
from runtime.core.env import ENV, Exit
from runtime.tcg.blobs import map_blob
from runtime.tcg.ir import Function
from runtime.tcg.loop import cpu_exec
from runtime.tcg.values import ValueBuilder
from tests.gen import toy
from tests.gen.vcpu import OneVcpu

# ---------------------------------------------------------------- decode values


@pytest.fixture
def pool() -> Pool:
    return Pool()


def leaf(pool: Pool, width: int = 5, name: str = "rd") -> DecodeValue:
    return pool.leaf(FIELD, width, name)


def op(pool: Pool, name: str, width: int, *args: object, widths: tuple[int, ...], offset: int = 0) -> DecodeValue:
    made = pool.op(name, width, args, widths, offset)
    assert isinstance(made, DecodeValue)
    return made


def test_equal_trees_are_one_object(pool: Pool) -> None:
    first = op(pool, "add", 5, leaf(pool), 1, widths=(5, 5))
    assert op(pool, "add", 5, 1, leaf(pool), widths=(5, 5)) is first
    assert op(pool, "add", 5, leaf(pool), 2, widths=(5, 5)) is not first


def test_obvious_simplifications(pool: Pool) -> None:
    rd = leaf(pool)
    wide = op(pool, "zext", 32, rd, widths=(5,))
    assert pool.op("slice", 5, (wide,), (32,), 0) is rd
    assert pool.op("slice", 8, (wide,), (32,), 8) == 0
    assert pool.op("zext", 64, (wide,), (32,)) is op(pool, "zext", 64, rd, widths=(5,))
    assert pool.op("sext", 64, (wide,), (32,)) is op(pool, "zext", 64, rd, widths=(5,))
    assert pool.op("eq", 1, (wide, 40), (32, 32)) == 0
    assert pool.op("ne", 1, (wide, 3), (32, 32)) is op(pool, "ne", 1, rd, 3, widths=(5, 5))
    below = op(pool, "ult", 1, rd, 3, widths=(5, 5))
    above = op(pool, "not", 1, below, widths=(1,))
    assert above.name == "uge"
    assert pool.op("not", 1, (above,), (1,)) is below
    pair = op(pool, "cat", 10, rd, leaf(pool, name="rs"), widths=(5, 5))
    assert pool.op("slice", 5, (pair,), (10,), 5) is rd
    index = pool.leaf(INDEX, 32)
    less = op(pool, "add", 32, index, (1 << 32) - 1, widths=(32, 32))
    assert pool.op("add", 32, (less, 1), (32, 32)) is index


def test_facts_follow_from_decisions(pool: Pool) -> None:
    rd = leaf(pool)
    facts = Facts()
    is_zero = op(pool, "eq", 1, rd, 0, widths=(5, 5))
    is_one = op(pool, "eq", 1, rd, 1, widths=(5, 5))
    facts.assume(is_zero, False)
    assert facts.value(op(pool, "ne", 1, rd, 0, widths=(5, 5))) == 1
    assert facts.value(is_one) is None
    facts.assume(is_one, True)
    assert facts.value(rd) == 1
    assert facts.value(op(pool, "add", 5, rd, 4, widths=(5, 5))) == 5
    assert facts.value(op(pool, "eq", 1, rd, 2, widths=(5, 5))) == 0


def test_a_field_excluded_everywhere_but_once_is_known(pool: Pool) -> None:
    field = leaf(pool, 1, "s")
    wide = leaf(pool, 2, "t")
    facts = Facts()
    facts.assume(field, False)
    for number in (0, 1, 3):
        facts.assume(op(pool, "eq", 1, wide, number, widths=(2, 2)), False)
    assert facts.value(field) == 0
    assert facts.value(wide) == 2


def test_conjunctions_are_taken_apart(pool: Pool) -> None:
    a, b = leaf(pool, 1, "a"), leaf(pool, 1, "b")
    facts = Facts()
    facts.assume(op(pool, "and", 1, a, op(pool, "not", 1, b, widths=(1,)), widths=(1, 1)), True)
    assert (facts.value(a), facts.value(b)) == (1, 0)


def test_replay_computes_the_same(pool: Pool) -> None:
    rd, pc = leaf(pool), pool.leaf(PC, 32)
    tree = op(pool, "add", 32, op(pool, "sext", 32, rd, widths=(5,)), pc, widths=(32, 32))
    given = {FIELD: 0b11111, PC: 0x1000}
    assert replay(tree, ValueBuilder(Function("fold")), lambda value: given[value.name], {}) == 0xFFF


# ---------------------------------------------------------------- variants and records


def handlers_of(instructions: tuple[model.Instruction, ...], folder: Path) -> list[InstructionHandlers]:
    """What the generator makes of these instructions."""
    spec = dataclasses.replace(toy.SPEC, instructions=instructions)
    path = folder / "translate.py"
    path.write_text(python_emitter.module_source(spec))
    return native._Native(spec, state.layout_of(spec), load_source(path)).instructions()


@pytest.fixture(scope="module")
def toy_handlers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, InstructionHandlers]:
    built = handlers_of(toy.INSTRUCTIONS, tmp_path_factory.mktemp("toy"))
    return {entry.name: entry for entry in built}


def test_registers_are_offsets_and_immediates_are_ready(toy_handlers: dict[str, InstructionHandlers]) -> None:
    (variant,) = toy_handlers["addi"].variants
    assert variant.record_bytes == 16  # handler, two offsets and an immediate of 16 bits each
    assert [slot.bits for slot in variant.slots] == [16, 16, 16]
    assert not variant.ends_block


def test_a_condition_on_fields_makes_variants(toy_handlers: dict[str, InstructionHandlers]) -> None:
    variants = toy_handlers["sel"].variants
    assert len(variants) == 2
    assert [variant.decisions[0][1] for variant in variants] == [True, False]
    assert all("eq(field(imm)" in repr(variant.decisions[0][0]) for variant in variants)


def test_a_guard_is_a_fact(toy_handlers: dict[str, InstructionHandlers]) -> None:
    """`where rd != 0`: no need to send writes of rd = 0 to the sink."""
    for variant in toy_handlers["sel"].variants:
        assert not any("select" in repr(slot.value) for slot in variant.slots)


def test_a_branch_has_a_jump_slot_and_goes_on_in_the_block(toy_handlers: dict[str, InstructionHandlers]) -> None:
    aligned = toy_handlers["beq"].variants[1]
    assert len(aligned.jump_targets) == 1
    assert not aligned.ends_block
    assert aligned.record_bytes == 8 + 48 + 8


def test_equal_handlers_are_one(tmp_path: Path) -> None:
    twin = dataclasses.replace(
        toy.INSTRUCTIONS[0], name="twin", pattern=dataclasses.replace(toy.INSTRUCTIONS[0].pattern, value=8)
    )
    built = handlers_of((toy.INSTRUCTIONS[0], twin), tmp_path)
    assert built[0].variants[0].handler == built[1].variants[0].handler


def test_too_many_ways_become_run_time_branches(tmp_path: Path) -> None:
    """Eight independent conditions would be 256 handlers."""
    body = tuple(
        model.If(
            model.Slice(1, toy.imm, bit), (toy.set_rd(toy.binary("add", toy.X_RD, toy.X_RS), 30),), (), toy.pos(30)
        )
        for bit in range(8)
    )
    (built,) = handlers_of((toy.instruction("many", 8, (toy.RD, toy.RS, toy.IMM), body),), tmp_path)
    assert 1 < len(built.variants) <= 8


def conditional_add(bit: int) -> model.If:
    added = (toy.set_rd(toy.binary("add", toy.X_RD, toy.X_RS), 30),)
    return model.If(model.Slice(1, toy.imm, bit), added, (), toy.pos(30))


def test_where_what_is_seldom_holds_there_is_one_handler(tmp_path: Path) -> None:
    """It is asked before what stands before it in the body, and nothing else is."""
    seldom = model.Intrinsic(1, "seldom", (toy.binary("eq", toy.rs, model.Const(toy.rs.width, 3), 1),), (1,))
    last = model.If(seldom, (toy.set_rd(toy.X_RS, 31),), (), toy.pos(31))
    body = (*map(conditional_add, range(3)), last)
    (built,) = handlers_of((toy.instruction("few", 8, (toy.RD, toy.RS, toy.IMM), body),), tmp_path)
    rare, *others = sorted(built.variants, key=lambda variant: len(variant.decisions))
    assert [truth for _, truth in rare.decisions] == [True]
    assert {len(variant.decisions) for variant in others} == {4}
    assert len(others) == 8
    assert all("eq(field(rs)" in repr(v.decisions[0][0]) and not v.decisions[0][1] for v in others)


def test_long_ways_count_for_more(tmp_path: Path) -> None:
    """A loop over the bits of a field: a way for each number of turns, but not for each of many long turns."""
    rest = model.Local(16, "rest", model.Time.T)
    less = toy.binary("and", rest, toy.binary("sub", rest, model.Const(16, 1)))
    turn = tuple(toy.set_rd(toy.binary("mul", toy.X_RD, toy.X_RS), 32) for _ in range(20))
    loop = model.While(
        toy.binary("ne", rest, model.Const(16, 0), 1),
        (*turn, model.Assign(model.ToLocal(16, "rest"), less, toy.pos(32))),
        toy.pos(32),
    )
    body = (model.Var("rest", 16, toy.imm, toy.pos(32)), loop)
    (built,) = handlers_of((toy.instruction("turns", 8, (toy.RD, toy.RS, toy.IMM), body),), tmp_path)
    assert 3 < len(built.variants) < 16


# ---------------------------------------------------------------- native


EVERY_PAIR = tuple((one.mnemonic, other.mnemonic) for one in toy.INSTRUCTIONS for other in toy.INSTRUCTIONS)


@pytest.fixture(scope="module", params=[(), EVERY_PAIR], ids=["single", "fused"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy's build, without fused handlers and with one for every pair: nothing but speed may differ."""
    out = tmp_path_factory.mktemp("build") / "toy"
    out.mkdir()
    emit.generate(dataclasses.replace(toy.SPEC, fused=request.param), out)
    return out


CODE, DATA = 0x10000, 0x20000


class Machine(OneVcpu):
    """A vCPU of the generated toy with a page of code and a page of data (at register 3)."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, toy.WIDTH, {CODE: (0x1000, 7), DATA: (0x1000, 3)})

    def run(self, *words: int, registers: dict[int, int] | None = None, count: int | None = None) -> Exit:
        self.memory.write(CODE, toy.program(*words))
        self.cpu.pc = CODE
        for index, value in {3: DATA, **(registers or {})}.items():
            self.cpu.set("X", value, index)
        return Exit(cpu_exec(self.cpu, count))

    def x(self, index: int) -> int:
        return self.cpu.get("X", index)


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    made = Machine(folder)
    yield made
    made.close()


def test_a_loop_with_memory_and_branches(machine: Machine) -> None:
    count = 1000
    reason = machine.run(
        toy.word("addi", 1, 0, count),
        toy.word("addi", 2, 2, 3),  # loop
        toy.word("sw", 2, 3, 8),
        toy.word("lw", 4, 3, 8),
        toy.word("addi", 1, 1, -1),
        toy.word("beq", 1, 0, 8),
        toy.word("jal", 0, 0, -20),
        toy.word("trap", imm=7),
    )
    assert reason == Exit.EXCEPTION
    assert (machine.cpu.exception, machine.cpu.arguments[0], machine.cpu.pc) == (3, 7, CODE + 28)
    assert (machine.x(2), machine.x(4), machine.x(0)) == (3 * count, 3 * count, 0)
    assert machine.cpu.executed == 1 + 6 * count - 1


def test_variants_are_chosen_by_the_decoder(machine: Machine) -> None:
    machine.run(
        toy.word("sel", 5, 2, 0), toy.word("sel", 6, 0, -5), toy.word("sel", 7, 2, 1), registers={2: 0xFF00, 7: 6}
    )
    assert (machine.x(5), machine.x(6), machine.x(7)) == (8, 0xFFFF_FFFB, 7)


def test_the_hard_wired_register_stays_zero(machine: Machine) -> None:
    machine.run(toy.word("addi", 0, 3, 5), toy.word("lw", 0, 3, 0), toy.word("addi", 1, 0, 9), toy.word("trap"))
    assert (machine.x(0), machine.x(1)) == (0, 9)


def test_a_bad_address_leaves_everything_as_it_was(machine: Machine) -> None:
    assert machine.run(toy.word("addi", 2, 2, 1), toy.word("lw", 3, 3, 0), registers={3: 0x5000_0000}) == Exit.EXCEPTION
    assert (machine.cpu.exception, machine.cpu.arguments[0], machine.cpu.pc) == (2, 0x5000_0000, CODE + 4)
    assert machine.x(3) == 0x5000_0000


def test_a_jump_to_a_misaligned_target_raises_at_the_jump(machine: Machine) -> None:
    assert machine.run(toy.word("jal", 5, 0, 6), registers={5: 1}) == Exit.EXCEPTION
    assert (machine.cpu.exception, machine.cpu.arguments[0], machine.cpu.pc) == (1, CODE + 6, CODE)
    assert machine.x(5) == 1


@pytest.mark.parametrize("word", [0, toy.word("sel", 0, 1, 1), 0xFFFF_FFFF], ids=["zero", "guard", "ones"])
def test_undecodable_words_raise(machine: Machine, word: int) -> None:
    assert machine.run(toy.word("addi", 1, 0, 1), word) == Exit.EXCEPTION
    assert (machine.cpu.exception, machine.cpu.pc, machine.x(1)) == (0, CODE + 4, 1)


def test_code_where_none_may_run(machine: Machine) -> None:
    machine.run(toy.word("trap"))
    machine.cpu.pc = DATA
    assert cpu_exec(machine.cpu) == Exit.EXCEPTION
    assert (machine.cpu.exception, machine.cpu.arguments[0], machine.cpu.pc) == (2, DATA, DATA)


def test_pairs_are_fused_where_the_first_goes_on(folder: Path) -> None:
    names = {name for name in map_blob(folder / "native.blob").symbols if "__h_" in name}
    if names:
        assert "h_addi_0__h_lw_0" in names
        assert "h_lw_0__h_beq_0" in names
        assert not [name for name in names if name.startswith(("h_jal", "h_trap"))]


def test_a_fault_in_the_second_of_two_keeps_what_the_first_did(machine: Machine) -> None:
    reason = machine.run(toy.word("addi", 4, 3, 4), toy.word("lw", 4, 5, 0), registers={5: 0x5000_0000})
    assert (reason, machine.cpu.exception, machine.cpu.pc) == (Exit.EXCEPTION, 2, CODE + 4)
    assert (machine.x(4), machine.cpu.executed) == (DATA + 4, 1)


def test_the_budget_stops_between_instructions(machine: Machine) -> None:
    for count in range(1, 8):
        machine.cpu.reset()
        assert machine.run(toy.word("addi", 1, 1, 1), toy.word("jal", 0, 0, -4), count=count) == Exit.BUDGET
        assert machine.cpu.pc == CODE + (4 if count % 2 else 0)
        assert machine.x(1) == (count + 1) // 2


def test_the_state_module_agrees(machine: Machine) -> None:
    machine.run(toy.word("addi", 1, 0, 9), toy.word("trap"))
    view = machine.isa.state.CPUState(machine.cpu.octets)
    assert (view.X[1], view.pc) == (9, CODE + 4)
    assert ENV["pc"] == 0
    view.env.release()
