"""translate.py: what it prints for bodies, and that decoder and emitters work when loaded."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gen import model, state
from gen.bodies import BodyPrinter, Context
from gen.effects import Effects
from gen.loading import load_source
from gen.python_emitter import module_source
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function
from tests.gen import toy
from tests.gen.checking import spec

W = toy.WIDTH
R = model.Time.R


def const(value: int, width: int = W) -> model.Expr:
    return model.Const(width, value)


def local(name: str) -> model.Expr:
    return model.Local(W, name, R)


def call(function: str, *args: model.Expr) -> model.Expr:
    return model.Call(W, function, args, (W,))


def function(name: str, *body: model.Stmt, params: tuple[str, ...] = ("a",)) -> model.Function:
    return model.Function(name, name, tuple((p, W) for p in params), (W,), body, False, toy.pos(1))


#: writes register 1 and returns its argument
BUMP = function(
    "bump",
    model.Assign(model.ToRegFile(W, "X", const(1, 4)), local("a"), toy.pos(1)),
    model.Return((local("a"),), toy.pos(1)),
)
X1 = model.RegFileRead(W, "X", const(1, 4))
IS_ZERO = toy.binary("eq", X1, const(0), 1)


def printed(*body: model.Stmt, results: tuple[int, ...] = ()) -> str:
    """The lines of a function's body."""
    functions = {"bump": BUMP, "bits": toy.BITS}
    memories = {m.name: m for m in toy.SPEC.memories}
    context = Context(functions, memories, {"Trap": "TRAP"}, Effects(functions))
    printer = BodyPrinter(context, toy.pos(1), depth=0)
    printer.function(body, results)
    return "\n".join(printer.lines)


def assign(value: model.Expr) -> model.Stmt:
    return model.Assign(model.ToReg(W, "CC"), value, toy.pos(1))


# ---------------------------------------------------------------- bodies


def test_a_choice_without_effects_is_a_select() -> None:
    text = printed(assign(model.Select(W, IS_ZERO, const(1), X1)))
    assert text == 'b.set_reg("CC", b.select(32, b.eq(32, b.get_regfile("X", 1), 0), 1, b.get_regfile("X", 1)))'


def test_a_choice_with_effects_branches() -> None:
    text = printed(assign(model.Select(W, IS_ZERO, const(1), call("bump", X1))))
    assert text.splitlines() == [
        "v1 = b.var(32, 0)",
        'for taken in b.If(b.eq(32, b.get_regfile("X", 1), 0), v1):',
        "    if taken:",
        "        v1.set(1)",
        "    else:",
        '        v1.set(fn_bump(b, b.get_regfile("X", 1)))',
        'b.set_reg("CC", v1.get())',
    ]


def test_nested_choices_share_a_variable() -> None:
    inner = model.Select(W, IS_ZERO, call("bump", const(2)), const(3))
    text = printed(assign(model.Select(W, IS_ZERO, call("bump", const(1)), inner)))
    assert text.count("b.var") == 1
    assert text.count("for taken") == 2


def test_what_is_evaluated_first_is_named_before_a_branch() -> None:
    """X[1] must be read before the branch that may write it."""
    chosen = model.Select(W, IS_ZERO, call("bump", const(7)), const(3))
    lines = printed(assign(toy.binary("add", X1, chosen))).splitlines()
    assert lines[0] == 'v2 = b.get_regfile("X", 1)'
    assert lines[-1] == 'b.set_reg("CC", b.add(32, v2, v1.get()))'


def test_long_arguments_get_names_in_order() -> None:
    """The first operand is read first, however much has to be named after it."""
    long = call("bump", X1)
    for _ in range(4):
        long = toy.binary("add", long, call("bump", X1))
    lines = printed(assign(toy.binary("xor", X1, long))).splitlines()
    assert len(lines) > 2
    assert lines[0].endswith(' = b.get_regfile("X", 1)')
    assert all(len(line) <= 120 for line in lines)


def test_variables_of_both_arms_are_named_in_the_if() -> None:
    text = printed(
        model.Var("n", W, const(0), toy.pos(1)),
        model.If(IS_ZERO, (model.Assign(model.ToLocal(W, "n"), const(1), toy.pos(1)),), (), toy.pos(1)),
        assign(local("n")),
    )
    assert 'b.If(b.eq(32, b.get_regfile("X", 1), 0), n):' in text
    assert 'b.set_reg("CC", n.get())' in text


def test_early_returns_use_a_frame() -> None:
    text = printed(
        model.If(IS_ZERO, (model.Return((const(1),), toy.pos(1)),), (), toy.pos(1)),
        model.Return((X1,), toy.pos(1)),
        results=(W,),
    )
    assert text.splitlines()[0] == "frame = b.frame(32)"
    assert text.splitlines()[-1] == "return frame.results()[0]"
    assert text.count("frame.ret(") == 2


def test_names_python_has_taken() -> None:
    text = printed(
        model.Let(("lambda",), const(1), toy.pos(1)), model.Let(("b",), local("lambda"), toy.pos(1)), assign(local("b"))
    )
    assert text.splitlines() == ["lambda_ = 1", "b_ = lambda_", 'b.set_reg("CC", b_)']


# ---------------------------------------------------------------- the module


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("toy") / "translate.py"
    made.write_text(module_source(toy.SPEC))
    return made


@pytest.fixture(scope="module")
def translate(path: Path) -> ModuleType:
    return load_source(path)


@pytest.fixture
def builder() -> Builder:
    return Builder(state.layout_of(toy.SPEC), Function("test"))


def test_it_is_formatted(path: Path) -> None:
    command = [sys.executable, "-m", "ruff", "format", "--check", "--line-length", "120", "--isolated", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_decoding(translate: ModuleType, builder: Builder) -> None:
    found = translate.decode(toy.word("lw", 3, 4, -8), 4, builder)
    assert (found.name, found.length) == ("lw", 4)
    assert (found.fields.rd, found.fields.rs, found.fields.imm) == (3, 4, 0xFFF8)
    assert found.instruction.source == "specs/toy.isa:24"


@pytest.mark.parametrize(
    ("word", "length"),
    [(0xF, 4), (toy.word("addi") | 1 << 12, 4), (toy.word("addi", 1), 3), (toy.word("sel", 0, 1, 1), 4)],
    ids=["opcode", "fixed bits", "cut short", "guard"],
)
def test_what_does_not_decode(translate: ModuleType, builder: Builder, word: int, length: int) -> None:
    assert translate.decode(word, length, builder) is None


def test_known_fields_fold(translate: ModuleType, builder: Builder) -> None:
    found = translate.decode(toy.word("addi", 0, 0, 5), 4, builder)
    builder.begin_instruction(0x1000, 0x1004, 0)
    found.emit(builder, found.fields)
    builder.end_instruction()
    assert [op.name for op in builder.function.ops] == ["insn_start"]  # reads r0, writes r0: nothing is left


def test_a_known_jump_is_static(translate: ModuleType, builder: Builder) -> None:
    found = translate.decode(toy.word("jal", 0, 0, 8), 4, builder)
    builder.begin_instruction(0x1000, 0x1004, 0)
    found.emit(builder, found.fields)
    builder.end_instruction()
    assert builder.targets == [0x1008]


def test_each_emitter_names_its_line(translate: ModuleType) -> None:
    for entry in translate.INSTRUCTIONS.values():
        assert entry.emit.__doc__ == f"{entry.name}  {entry.source}"


def test_modes_with_a_next_value_change_in_every_instruction(builder: Builder, tmp_path: Path) -> None:
    later = model.Mode("slot", 1, 0, const(0, 1), False, toy.pos(7))
    setter = toy.instruction(
        "setter", 8, (toy.IMM,), (model.Assign(model.ToMode(1, "slot"), const(1, 1), toy.pos(28)),)
    )
    text = module_source(dataclasses.replace(toy.SPEC, modes=(later,), instructions=(*toy.INSTRUCTIONS, setter)))
    assert text.count('b.next_mode("slot", next_slot(b))') == len(toy.INSTRUCTIONS)
    assert text.count('b.set_mode("slot", 1)') == 1


def test_a_predicate_wraps_every_body() -> None:
    space = dataclasses.replace(toy.SPEC.spaces[0], predicate=toy.binary("ne", toy.rd, const(15, 4), 1))
    instructions = tuple(i for i in toy.INSTRUCTIONS if i.name == "addi")
    text = module_source(dataclasses.replace(toy.SPEC, spaces=(space,), instructions=instructions))
    assert "    return b.ne(4, f.rd, 0xF)\n" in text
    assert "    for _ in b.guarded(predicate_T_Rd, Rd(f.rd)):\n        b.set_regfile" in text


def test_a_guard_that_is_large_enough_to_be_compiled_folds(tmp_path: Path) -> None:
    """A decoder in Python has nothing compiled to call: what the guard asks has to become a number."""
    checked = spec("""
        fn many(a : bits(5)) -> bits(5)
            var n : bits(5) = 0
            for i in 0 ..< 5: n = n + zext(a[i])
            return n
        insn probe "0000000 rs2 rs1 000 rd 0010011" "probe {rd}, {rs1}, {rs2}" where many(rs1) == 2 : X[rd] = X[rs2]
    """)
    (helper,) = (function for function in checked.functions.values() if function.helper)
    assert helper.source == "many"
    path = tmp_path / "translate.py"
    path.write_text(module_source(checked))
    translate, builder = load_source(path), Builder(state.layout_of(checked), Function("test"))
    found = {rs1 for rs1 in range(32) if translate.decode(rs1 << 15 | 0x13, 4, builder) is not None}
    assert found == {rs1 for rs1 in range(32) if rs1.bit_count() == 2}
