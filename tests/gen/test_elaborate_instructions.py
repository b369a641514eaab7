"""Encodings, tables, split values, operands, prefixes, syntax formats, and the state a spec declares."""

from __future__ import annotations

from gen import model
from tests.gen.checking import FRAME, HEAD, errors, instruction, spec
from tests.gen.model_text import body, expression, template


def guard(expr: model.Expr | None) -> str:
    return "" if expr is None else expression(expr)


def test_state() -> None:
    checked = spec(f"""
        reg    a, b : bits(8) {{ LOW 3:0, TOP 7 in 0|1 }} = 0x81
        regs   F[4] : bits(64)  names "fa f1-2 fz"
        mode   E : bit = 1
        mode   ONCE : bits(3) next if ONCE == 7 then 0 else ONCE + 1
        memory PM : bits(40)  endian if E then big else little
        input  IRQ, NMI : bit
        {FRAME}
            X[rd] = 0
    """)
    low = (model.RegField("LOW", 0, 4), model.RegField("TOP", 7, 1, (0, 1)))
    assert [(found.name, found.width, found.fields, found.reset) for found in checked.registers] == [
        ("a", 8, low, 0x81),
        ("b", 8, low, 0x81),
    ]
    x, f = checked.files
    assert (x.name, x.width, x.count, x.zero) == ("X", 32, 32, 0)
    assert [names[:3] for names in x.names] == [("zero", "x1", "x2"), ("r0", "r1", "r2")]
    assert f.names == (("fa", "f1", "f2", "fz"),)
    assert [(found.name, found.reset, guard(found.next)) for found in checked.modes] == [
        ("E", 1, ""),
        ("ONCE", 0, "((@ONCE eq 7'3) ? 0'3 : (@ONCE add 1'3))"),
    ]
    assert [(found.name, found.address_width, expression(found.big)) for found in checked.memories] == [
        ("M", 32, "0'1"),
        ("PM", 40, "(@E ? 1'1 : 0'1)"),
    ]
    assert [found.name for found in checked.inputs] == ["IRQ", "NMI"]
    assert checked.pc == model.Pc("PC", 32)
    assert [(found.name, found.code) for found in checked.exceptions] == [("Illegal", 2), ("Fault", 5)]
    assert (checked.illegal, checked.parameters, checked.warnings) == ("Illegal", {"SIZE": 32}, ())


def test_many_bits_of_modes_are_a_warning() -> None:
    (warning,) = spec(f"mode WIDE : bits(40)\n{FRAME}\n    X[rd] = 0\n").warnings
    assert "40 bits" in warning


def test_the_illegal_exception() -> None:
    """The one of that name, else the first; a spec without exceptions gets one."""
    text = f"{FRAME}\n    X[rd] = 0\n"
    declared = "exception Illegal = 2, Fault = 5\n"
    assert spec(text, head=HEAD.replace(declared, "exception Odd = 9, Even = 3\n")).illegal == "Odd"
    without = spec(text, head=HEAD.replace(declared, ""))
    assert without.illegal == "Illegal"
    assert [found.name for found in without.exceptions] == ["Illegal"]


def test_one_operation_several_encodings() -> None:
    checked = spec("""
        decode C : 16 little
        insn ADD.x (d : bits(5), s : bits(5), k : bits(32))
            enc A "imm[11:0] s:5 000 d:5 0010011" "add {d:X}, {s:X}, {k}"  where d != 0  with k = sext(imm)
            enc A "imm[31:12] d:5 0010111"        "addh {d:X}, {k:x}"      with s = d, k = imm
            enc C "000 i d:3 0000000 01"          "c.add {d:X}"            with s = 0b01 ++ d[2:0], k = zext(i)
            X[d] = X[s] + k
    """)
    first, second, third = checked.instructions
    assert [found.name for found in checked.instructions] == ["ADD_x__A", "ADD_x__A__2", "ADD_x__C"]
    assert {found.mnemonic for found in checked.instructions} == {"ADD.x"}
    assert [found.space for found in checked.instructions] == ["A", "A", "C"]
    assert guard(first.where) == "(<d> ne 0'5)"
    assert body(first.body) == "X[<d>] = (X[<s>] add sext(<imm>, 32))"
    assert template(first.syntax) == "add {<d>:file}, {<s>:file}, {sext(<imm>, 32):number}"
    assert body(second.body) == "X[<d>] = (X[<d>] add <imm>)"
    assert body(third.body) == "X[zext(<d>, 5)] = (X[(1'2 ++ <d>)] add zext(<i>, 32))"
    assert template(third.syntax) == "c.add {zext(<d>, 5):file}"
    assert [space.max_bytes for space in checked.spaces] == [4, 2]


def test_bound_values_are_computed_once() -> None:
    checked = spec("""
        fn scale(a : bits(12)) -> word = if a[0] then sext(a) else zext(a) << 1
        insn a "imm[11:0] rs1 000 rd 0010011" "a {rd}, {k}" with k = scale(imm) : X[rd] = X[rs1] + k * k
    """)
    (a,) = checked.instructions
    assert body(a.body) == "let k = scale(<imm>)\nX[<rd>] = (X[<rs1>] add (k mul k))"
    assert template(a.syntax) == "a {<rd>:file}, {scale(<imm>):number}"


def test_split_values_clone() -> None:
    """Once for each value where a body, or what it calls, reads the split; guards say which clone is meant."""
    checked = spec("""
        mode   W : bits(2)
        split  size : {8, 16, 32} = 8 << W
        split  wide : {0, 1} = s
        fn     low(a : word) -> word = zext(a[size-1:0])
        insn a "imm[10:0] s rs1 000 rd 0010011" "a {rd}" when W != 3 : X[rd] = low(X[rs1])
        insn b "imm[10:0] s rs1 001 rd 0010011" "b {rd}" where rd != 0
            X[rd] = if wide == 1 then X[rs1] else 5
        insn c "imm[10:0] s rs1 010 rd 0010011" "c {rd}" : X[rd] = X[rs1]
        insn d "imm[10:0] s rs1 011 rd 0010011" "d {rd}" where s : X[rd] = if wide == 1 then X[rs1] else 5
    """)
    assert [(found.name, guard(found.where), guard(found.when)) for found in checked.instructions] == [
        ("a__size_8", "", "((@W ne 3'2) ? ((8'32 shl @W) eq 8'32) : 0'1)"),
        ("a__size_16", "", "((@W ne 3'2) ? ((8'32 shl @W) eq 16'32) : 0'1)"),
        ("a__size_32", "", "((@W ne 3'2) ? ((8'32 shl @W) eq 32'32) : 0'1)"),
        ("b__wide_0", "((<rd> ne 0'5) ? (<s> eq 0'1) : 0'1)", ""),
        ("b__wide_1", "((<rd> ne 0'5) ? (<s> eq 1'1) : 0'1)", ""),
        ("c", "", ""),
        ("d__wide_1", "(<s> ? (<s> eq 1'1) : 0'1)", ""),
    ]
    assert sorted(checked.functions) == ["low_16", "low_32", "low_8"]
    assert body(instruction(checked, "a__size_16").body) == "X[<rd>] = low_16(X[<rs1>])"
    assert body(instruction(checked, "b__wide_1").body) == "X[<rd>] = X[<rs1>]"


def test_options() -> None:
    checked = spec("""
        mode SLOT : bit next 0
        insn base.a "imm[11:0] rs1 000 rd 0010011" "base {rd}" delayed : annul
        insn b "imm[11:0] 00000 000 rd 0010011" "b {rd}" restartable overrides base.a : X[rd] = 0
    """)
    a, b = checked.instructions
    assert (a.name, a.mnemonic, a.delayed, a.restartable, a.overrides) == ("base_a", "base.a", True, False, ())
    assert (b.delayed, b.restartable, b.overrides, b.isa) == (False, True, ("base.a",), "tiny")


OPERANDS = """
    decode B : 16 big
    regs   D[8] : word  names "d0-7"
    operand imm16(w) -> bits(w)
        "/ 00000000 k:8"  "#{k}"  where w == 8   = k
        "/ k:16"          "#{k}"  where w == 16  = k
    operand index(base : word) -> word
        "/ n:3 0000000000000"  "{n:D}"  = base + D[n]
    operand ea(w, m : bits(2), r : bits(3)) -> bits(w)
        "00 n:3"       "{n:D}"        = D[n][w-1:0]
        "01 n:3"       "({n:D})+"     : let a = D[n]; D[n] = a + w / 8  => M[a, w]
        "10 n:3"       "{x}"          : let x = index(D[n])  => M[x, w]
        "11 000"       "{k}"          : let k = imm16(w)  => k
    insns (op, w) "{op} dm:2 dn:3 sm:2 sn:3" "{name:.} {s}, {d}" in B with s = ea(w, sm, sn), d = ea(w, dm, dn)
        mov_b 000001 8
        mov_w 000010 16
        do d = s + 1
"""


def test_operands() -> None:
    checked = spec(OPERANDS)
    mov = instruction(checked, "mov_w")
    source, destination = mov.operands
    assert (source.name, source.width, [expression(arg) for arg in source.args]) == ("s", 16, ["<sm>", "<sn>"])
    assert (destination.name, destination.before) == ("d", ())
    assert body(mov.body) == "&d = (&s add 1'16)"
    assert template(mov.syntax) == "mov.w {&s:operand}, {&d:operand}"
    direct, increment, indexed, immediate = source.alternatives
    assert (direct.head.mask, direct.head.value, direct.pattern.length) == (0b11000, 0, 0)
    assert expression(direct.value) == "D[<s_n>][0+16]"
    assert direct.place is None
    assert body(direct.write) == "D[<s_n>] = (D[<s_n>][16+16] ++ new)"
    assert body(increment.before) == "let a = D[<s_n>]\nD[<s_n>] = (a add 2'32)"
    assert increment.place == model.ToMem(16, "M", model.Local(32, "a", model.Time.R))
    (inner,) = indexed.operands
    assert (inner.name, inner.args, body(inner.before)) == ("s_x", (), "let x_base = D[<s_n>]")
    assert expression(inner.alternatives[0].value) == "(x_base add D[<s_x_n>])"
    assert inner.alternatives[0].pattern.length == 16
    assert body(indexed.before) == "let address = &s_x"
    assert expression(indexed.value) == "M[address, 16]"
    (constant,) = immediate.operands
    assert [(row.pattern.length, expression(row.value)) for row in constant.alternatives] == [(16, "<s_k_k>")]
    assert body(immediate.write) == "&s_k = new"
    names = [layout.name for row in destination.alternatives for layout in row.head.fields]
    assert names == ["d_n", "d_n", "d_n"]
    assert {space.name: space.max_bytes for space in checked.spaces}["B"] == 6


def test_writable_operand_rows_write_what_they_read() -> None:
    """An alias with an accessor is no plain place, but it can be written."""
    checked = spec("""
        alias  G[i : 5, w] : bits(w)
            get = X[i][w-1:0]
            set v: X[i][w-1:0] = v
        operand e(r : bits(5)) -> bits(8)
            "r:5"  "{r:X}"  = G[r, 8]
        insn a "imm[11:0] r:5 000 00000 0010011" "a {v}" with v = e(r) : v = v + 1
    """)
    (row,) = checked.instructions[0].operands[0].alternatives
    assert (expression(row.value), row.place, body(row.write)) == ("get_G_8(<v_r>)", None, "do set_G_8(<v_r>, new)")


def test_prefixes_and_reserved_words() -> None:
    checked = spec(
        """
        prefixes p66 : bit, rex : bits(5)
        mode   LONG : bit
        decode V : 8 little  max 15
        prefix "0x66"                   : p66 = 1
        prefix "0100 W R X2:1 B" when LONG : rex = 0b1 ++ W ++ R ++ X2 ++ B
        reserved "0xFF"
        split  w : {8, 32} = if p66 then 32 else 8
        insn add "0x01 r:5 000" "add {r:X}" : X[r] = zext(X[r][w-1:0]) + 1
    """,
        head=HEAD.replace("decode A : 32 little\n", ""),
    )
    assert [(found.name, found.prefix) for found in checked.modes] == [("LONG", False), ("p66", True), ("rex", True)]
    first, second = checked.prefixes
    assert (first.pattern.value, first.when, body(first.body)) == (0x66, None, "@p66 = 1'1")
    assert guard(second.when) == "@LONG"
    assert body(second.body) == "@rex = (1'1 ++ <W> ++ <R> ++ <X2> ++ <B>)"
    assert [(found.name, guard(found.when)) for found in checked.instructions] == [
        ("add__w_8", "((@p66 ? 32'32 : 8'32) eq 8'32)"),
        ("add__w_32", "((@p66 ? 32'32 : 8'32) eq 32'32)"),
    ]
    assert [found.pattern.value for found in checked.reserved] == [0xFF]
    assert checked.spaces[0].max_bytes == 15


def test_spaces() -> None:
    checked = spec(
        """
        mode   T : bit
        reg    Z : bit
        field  cond : 4 names "eq ne _ _ _ _ _ _ _ _ _ _ _ _ al -"
        fn     holds(c : bits(4)) -> bit = if c == 0 then Z elif c == 1 then not Z else 1
        decode W : 32 little when T == 0  predicate holds(cond)
        decode H : 16|32 big when T == 1
        insn a "cond imm[11:0] 00000000 rd 100" "a{cond} {rd}" in W : X[rd] = zext(imm)
        insn b "imm[7:0] rd 100" "b {rd}" in H : X[rd] = zext(imm)
    """,
        head=HEAD.replace("decode A : 32 little\n", ""),
    )
    w, h = checked.spaces
    assert (w.units, w.big, guard(w.when), guard(w.predicate)) == ((32,), False, "(@T eq 0'1)", "holds(<cond>)")
    assert (h.units, h.big, guard(h.when), h.predicate) == ((16, 32), True, "(@T eq 1'1)", None)
    assert "holds" in checked.functions
    syntax = instruction(checked, "a").syntax
    slot = next(part for part in syntax if isinstance(part, model.Slot) and part.kind == "enum")
    assert slot.table[0][:3] == ("eq", "ne", "_")
    assert slot.table[0][-2:] == ("al", "")


def test_templates() -> None:
    checked = spec("""
        mode   T : bit
        regs   B[8] : word  names "b0-7"
        alias  R[i : 4] : word = if i == 15 then PC elif i[3] then X[0b1 ++ i] else B[i[2:0]]
        alias  BANKED[i : 3] : word = if T then B[i] else X[0b11 ++ i]
        field  s : 1
        insn a "imm[12|10:5] rs2 rs1 000 imm[4:1|11] 1100011" "a {rs1}, {rs2}, {PC + imm}" : X[1] = sext(imm)
        insn b "imm[31:12] rd 0110111" "b {rd}, {imm[31:12]:x}, {NEXT + imm}" : X[rd] = imm
        insn c "s i:4 k:3 0000 rs1 001 rd 0010011" "c{s?.} {i:R}, {k:BANKED}, {k + 1}, {rd:X}, {-k}" : X[rd] = X[rs1]
    """)
    a, b, c = checked.instructions
    assert template(a.syntax) == "a {<rs1>:file}, {<rs2>:file}, {(PC add sext(<imm>, 32)):address}"
    assert template(b.syntax) == "b {<rd>:file}, {<imm>[12+20]:hex}, {(NEXT add <imm>):address}"
    assert template(c.syntax) == (
        "c{<s>:optional} {<i>:file}, {<k>:file}, {(<k> add 1'3):number}, {<rd>:file}, {neg(<k>):number}"
    )
    slots = [part for part in c.syntax if isinstance(part, model.Slot)]
    assert slots[1].table == (
        ("b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "pc"),
    )
    assert slots[2].table == (tuple(f"BANKED{index}" for index in range(8)),)
    assert slots[4].table[0][:2] == ("zero", "x1")
    assert slots[5].signed


def test_errors_in_a_row_name_the_row() -> None:
    assert errors("""
        insns (f3, w) "imm[11:0] rs1 {f3} rd 0010011" "{name} {rd}"
            a 000 8
            b 001 64
            do X[rd] = zext(X[rs1][w-1:0])
    """) == ["bits(32) has bits 0 to 31"]


def test_an_operand_read_twice_on_one_path_is_a_warning() -> None:
    """Memory is read each time, and a device notices."""
    once = OPERANDS.replace("do d = s + 1", "do d = if s[0] then d else 5")
    assert spec(once).warnings == ()
    (first, second) = spec(OPERANDS.replace("do d = s + 1", "do d = s + s")).warnings
    assert "'mov_b' reads operand 's' more than once" in first
    assert "'mov_w'" in second
