"""A checked model of a six-instruction machine, built by hand: what the generator's own tests run on.

    addi  rd, rs, imm     jal  rd, target       lw  rd, imm(rs)       trap
    beq   rd, rs, target  sel  rd, rs, imm      sw  rd, imm(rs)

One little-endian 32-bit unit: opcode in bits 3:0, rd 7:4, rs 11:8, imm 31:16; imm counts bytes.
"""

from __future__ import annotations

from gen import model
from gen.tree import Pos

WIDTH = 32
SPACE = "T"


def pos(line: int) -> Pos:
    """A place in a file that does not exist."""
    return Pos("specs/toy.isa", line, 1, line, 2)


def layout(name: str, low: int, width: int) -> model.FieldLayout:
    return model.FieldLayout(name, width, (model.FieldSlice(0, low, width),))


RD, RS, IMM = layout("rd", 4, 4), layout("rs", 8, 4), layout("imm", 16, 16)
rd, rs, imm = model.FieldRef(4, "rd"), model.FieldRef(4, "rs"), model.FieldRef(16, "imm")
X_RD, X_RS = model.RegFileRead(WIDTH, "X", rd), model.RegFileRead(WIDTH, "X", rs)
SEXT_IMM = model.Extend(WIDTH, "sext", imm)


def binary(op: str, left: model.Expr, right: model.Expr, width: int = WIDTH) -> model.Expr:
    return model.Binary(width, op, left, right)


TARGET = binary("add", model.PcRead(WIDTH), SEXT_IMM)
ADDRESS = binary("add", X_RS, SEXT_IMM)


def set_rd(value: model.Expr, line: int) -> model.Stmt:
    return model.Assign(model.ToRegFile(WIDTH, "X", rd), value, pos(line))


def jump(target: model.Expr, line: int) -> model.Stmt:
    return model.Do(model.Call(0, "jump", (target,), ()), pos(line))


def instruction(
    name: str,
    opcode: int,
    fields: tuple[model.FieldLayout, ...],
    body: tuple[model.Stmt, ...],
    where: model.Expr | None = None,
) -> model.Instruction:
    mask = 0xF
    for low, width in ((4, 4), (8, 4), (12, 4), (16, 16)):
        if not any(piece.low == low for field in fields for piece in field.slices):
            mask |= ((1 << width) - 1) << low
    pattern = model.Pattern(32, mask, opcode, fields, name, pos(20 + opcode))
    return model.Instruction(
        name, name, "toy", SPACE, pattern, (), where, None, (), body, (), False, False, pos(20 + opcode)
    )


JUMP = model.Function(
    "jump",
    "jump",
    (("t", WIDTH),),
    (),
    (
        model.If(
            binary("ne", model.Slice(2, model.Local(WIDTH, "t", model.Time.R), 0), model.Const(2, 0), 1),
            (model.Raise("Misaligned", (model.Local(WIDTH, "t", model.Time.R),), pos(10)),),
            (),
            pos(10),
        ),
        model.Goto(model.Local(WIDTH, "t", model.Time.R), pos(11)),
    ),
    False,
    pos(9),
)

BITS = model.Function(
    "bits",
    "bits",
    (("a", WIDTH),),
    (WIDTH,),
    (
        model.Var("n", WIDTH, model.Const(WIDTH, 0), pos(13)),
        model.Var("x", WIDTH, model.Local(WIDTH, "a", model.Time.R), pos(14)),
        model.While(
            binary("ne", model.Local(WIDTH, "x", model.Time.R), model.Const(WIDTH, 0), 1),
            (
                model.Assign(
                    model.ToLocal(WIDTH, "n"),
                    binary("add", model.Local(WIDTH, "n", model.Time.R), model.Const(WIDTH, 1)),
                    pos(15),
                ),
                model.Assign(
                    model.ToLocal(WIDTH, "x"),
                    binary(
                        "and",
                        model.Local(WIDTH, "x", model.Time.R),
                        binary("sub", model.Local(WIDTH, "x", model.Time.R), model.Const(WIDTH, 1)),
                    ),
                    pos(16),
                ),
            ),
            pos(15),
        ),
        model.Return((model.Local(WIDTH, "n", model.Time.R),), pos(17)),
    ),
    True,
    pos(12),
)

BADADDR = model.HookFn(
    "badaddr",
    (("acc", 2), ("va", WIDTH)),
    (model.Raise("BadAddress", (model.Local(WIDTH, "va", model.Time.R),), pos(18)),),
    pos(18),
)

INSTRUCTIONS = (
    instruction("addi", 1, (RD, RS, IMM), (set_rd(binary("add", X_RS, SEXT_IMM), 21),)),
    instruction("jal", 2, (RD, IMM), (jump(TARGET, 22), set_rd(model.NextPc(WIDTH), 22))),
    instruction("beq", 3, (RD, RS, IMM), (model.If(binary("eq", X_RD, X_RS, 1), (jump(TARGET, 23),), (), pos(23)),)),
    instruction("lw", 4, (RD, RS, IMM), (set_rd(model.MemRead(WIDTH, "M", ADDRESS), 24),)),
    instruction("sw", 5, (RD, RS, IMM), (model.Assign(model.ToMem(WIDTH, "M", ADDRESS), X_RD, pos(25)),)),
    instruction(
        "sel",
        6,
        (RD, RS, IMM),
        (
            model.If(
                binary("eq", imm, model.Const(16, 0), 1),
                (set_rd(model.Call(WIDTH, "bits", (X_RS,), (WIDTH,)), 26),),
                (
                    set_rd(
                        model.Select(
                            WIDTH, binary("eq", X_RS, model.Const(WIDTH, 0), 1), SEXT_IMM, binary("xor", X_RD, SEXT_IMM)
                        ),
                        26,
                    ),
                ),
                pos(26),
            ),
        ),
        where=binary("ne", rd, model.Const(4, 0), 1),
    ),
    instruction("trap", 7, (IMM,), (model.Raise("Trap", (model.Extend(WIDTH, "zext", imm),), pos(27)),)),
)

SPEC = model.Spec(
    name="toy",
    modules=("toy",),
    sources=(),
    parameters={},
    pc=model.Pc("PC", WIDTH),
    registers=(model.Register("CC", 8, (model.RegField("Z", 0, 1),), 0, pos(3)),),
    files=(model.RegFile("X", WIDTH, 16, 0, (tuple(f"r{i}" for i in range(16)),), pos(2)),),
    modes=(),
    memories=(model.Memory("M", WIDTH, model.Const(1, 0), pos(4)),),
    inputs=(),
    sticky=None,
    spaces=(model.Space(SPACE, (32,), False, None, None, 4, pos(5)),),
    instructions=INSTRUCTIONS,
    prefixes=(),
    reserved=(),
    functions={"jump": JUMP, "bits": BITS},
    hooks={"badaddr": BADADDR},
    exceptions=tuple(
        model.ExceptionDef(name, code, pos(6))
        for code, name in enumerate(("Illegal", "Misaligned", "BadAddress", "Trap"))
    ),
    illegal="Illegal",
    sysregs=(),
    lazy=(),
    asm_aliases=(),
    tests=(),
)


def word(name: str, rd: int = 0, rs: int = 0, imm: int = 0) -> int:
    """An instruction as a fetch integer."""
    by_name = {entry.name: entry for entry in INSTRUCTIONS}
    return by_name[name].pattern.value | rd << 4 | rs << 8 | (imm & 0xFFFF) << 16


def program(*words: int) -> bytes:
    """Instructions as bytes."""
    return b"".join(w.to_bytes(4, "little") for w in words)
