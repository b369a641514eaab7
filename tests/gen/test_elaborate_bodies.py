"""Expressions and statements: widths, literals, slices, places, control."""

from __future__ import annotations

import pytest

from gen import model
from gen.walk import nodes
from tests.gen.checking import HEAD, errors, instruction, probe, spec
from tests.gen.model_text import body


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("X[rs1] + sext(imm)", "(X[<rs1>] add sext(<imm>, 32))"),
        ("X[rs1] & ~1", "(X[<rs1>] and 4294967294'32)"),
        ("-X[rs1]", "neg(X[<rs1>])"),
        ("X[rs1] << 3", "(X[<rs1>] shl 3'2)"),
        ("X[rs1] >>s X[2][4:0]", "(X[<rs1>] ashr X[2'5][0+5])"),
        ("1 << rd", "(1'32 shl <rd>)"),
        ("X[rs1] rotl rd", "(X[<rs1>] rotl <rd>)"),
        ("zext(X[rs1] <u 5)", "zext((X[<rs1>] ult 5'32), 32)"),
        ("zext(imm[11])", "zext(<imm>[11+1], 32)"),
        ("zext(imm[rd])", "zext(<imm>[<rd> +: 1], 32)"),
        ("zext(X[rs1][8 +: 8])", "zext(X[<rs1>][8+8], 32)"),
        ("zext(X[rs1][rd +: 8])", "zext(X[<rs1>][<rd> +: 8], 32)"),
        ("imm ++ 0x0F ++ imm", "(<imm> ++ 15'8 ++ <imm>)"),
        ("0b1 ++ 0b0 ++ zext(imm, 30)", "(2'2 ++ zext(<imm>, 30))"),
        ("if rd == 0 then 0 else X[rs1]", "((<rd> eq 0'5) ? 0'32 : X[<rs1>])"),
        ("if rd == 0 then 1 elif rd == 1 then 7 else 2", "((<rd> eq 0'5) ? 1'32 : ((<rd> eq 1'5) ? 7'32 : 2'32))"),
        ("zext(rd == 0 and not rs1 == 0)", "zext(((<rd> eq 0'5) ? not((<rs1> eq 0'5)) : 0'1), 32)"),
        ("zext(rd == 0 or rs1 == 0)", "zext(((<rd> eq 0'5) ? 1'1 : (<rs1> eq 0'5)), 32)"),
        ("sext(M[X[rs1] + 4, 16])", "sext(M[(X[<rs1>] add 4'32), 16], 32)"),
        ("sext(X[rs1][7:0], 16) ++ 0x0000", "(sext(X[<rs1>][0+8], 16) ++ 0'16)"),
        ("PC + 8", "(PC add 8'32)"),
        ("NEXT", "NEXT"),
        ("popcount(X[rs1])", "popcount(X[<rs1>])"),
        ("zext(parity(X[rs1][7:0]))", "zext(parity(X[<rs1>][0+8]), 32)"),
        ("X[rs1] % 8", "(X[<rs1>] urem 8'32)"),
        ("(+)(X[rs1], X[2])", "(X[<rs1>] add X[2'5])"),
        ("SIZE + 0b11", "35'32"),
        ("zext(X[rs1][31:16][7:0])", "zext(X[<rs1>][16+8], 32)"),
        ("static(zext(rd))", "zext(<rd>, 32)"),
        ("INSTRET[31:0]", "INSTRET()[0+32]"),
    ],
)
def test_expressions(written: str, expected: str) -> None:
    assert probe(f"X[rd] = {written}") == f"X[<rd>] = {expected}"


def test_a_generation_time_condition_leaves_one_arm() -> None:
    """The other arm would not even have the right widths."""
    assert (
        probe("""
        if SIZE == 64: X[rd] = X[rs1][63:32]
        else: X[rd] = X[rs1]
        X[1] = if SIZE == 64 then X[rs1][63:32] else 5
        X[2] = zext(SIZE == 32 or X[rs1][40])
    """)
        == "X[<rd>] = X[<rs1>]\nX[1'5] = 5'32\nX[2'5] = 1'32"
    )


def test_parameters_change_widths() -> None:
    text = 'insn probe "imm[11:0] rs1 000 rd 0010011" "probe {rd}" : X[rd] = X[rs1][SIZE-1:0] + sext(imm)\n'
    assert body(spec(text).instructions[0].body) == "X[<rd>] = (X[<rs1>] add sext(<imm>, 32))"
    assert body(spec(text, {"SIZE": 64}).instructions[0].body) == "X[<rd>] = (X[<rs1>] add sext(<imm>, 64))"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("X[rd][7:0] = imm[7:0]", "X[<rd>] = (X[<rd>][8+24] ++ <imm>[0+8])"),
        ("X[rd][15:8] = 0xFF", "X[<rd>] = (X[<rd>][16+16] ++ 255'8 ++ X[<rd>][0+8])"),
        ("X[rd][rs1] = 1", "X[<rd>] = ((X[<rd>] and not((1'32 shl <rs1>))) or (1'32 shl <rs1>))"),
        ("status.MODE = 3", "$status = ($status[3+29] ++ 3'2 ++ $status[0+1])"),
        ("status.ON |= rd[0]", "$status = ($status[1+31] ++ ($status[0+1] or <rd>[0+1]))"),
        ("X[rd] += 4", "X[<rd>] = (X[<rd>] add 4'32)"),
        ("T = rd[0]", "@T = <rd>[0+1]"),
        ("M[X[rs1], 8] = X[rd][7:0]", "M[X[<rs1>], 8] = X[<rd>][0+8]"),
        ("goto X[rs1]", "goto X[<rs1>]"),
        ("fence(3, imm[3:0])", "do fence(3'4, <imm>[0+4])"),
        ("flags ++ T = imm[2:1]", "$flags = <imm>[2+1]\n@T = <imm>[1+1]"),
        ("flags ++ T = X[rd][2:1]", "let joined = X[<rd>][1+2]\n$flags = joined[1+1]\n@T = joined[0+1]"),
        (
            "(if rd == 0 then low else status) = X[rs1]",
            "let chosen = X[<rs1>]\nif (<rd> eq 0'5):\n  $low = chosen\nelse:\n  $status = chosen",
        ),
        ("low = status.MODE ++ zext(imm, 30)", "$low = ($status[1+2] ++ zext(<imm>, 30))"),
        ("sum |= imm[4:0]", "accrue sum+0 <imm>[0+5]"),
        ("sum = sum | imm[4:0]", "$sum = ($sum or <imm>[0+5])"),
    ],
)
def test_places(written: str, expected: str) -> None:
    assert (
        probe(
            written,
            """
        mode   T : bit
        reg    flags : bit
        reg    low, status : bits(32) { ON 0, MODE 2:1 }
        reg    sum : bits(5)
        sticky sum
    """,
        )
        == expected
    )


def test_the_index_of_a_partial_write_is_computed_once() -> None:
    assert probe("X[X[rs1][4:0]][7:0] = 5") == ("let index = X[<rs1>][0+5]\nX[index] = (X[index][8+24] ++ 5'8)")


def test_values_are_taken_before_what_they_read_changes_later() -> None:
    assert probe(
        """
        var a : bit = rd[0]
        a ++ T = imm[0] ++ a
        T ++ E = E ++ T
        X[1] = zext(a)
    """,
        "mode T, E : bit",
    ) == (
        "var a:1 = <rd>[0+1]\n"
        "let joined = (<imm>[0+1] ++ a)\n"
        "a = joined[1+1]\n"
        "@T = joined[0+1]\n"
        "let joined_2 = (@E ++ @T)\n"
        "@T = joined_2[1+1]\n"
        "@E = joined_2[0+1]\n"
        "X[1'5] = zext(a, 32)"
    )


def test_tuples_and_conditional_tuples() -> None:
    assert probe(
        """
        let (a, b) = both(X[rs1])
        let (c, _) = if rd == 0 then both(a) else (a, b)
        X[rd] = a + c + zext(b)
    """,
        """
        fn both(a : bits(n)) -> (bits(n), bit) = if a == 0 then (a, 1) else (a + 1, 0)
    """,
    ) == (
        "let a, b = both_32(X[<rs1>])\n"
        "var c:32 = 0'32\n"
        "var unused:1 = 0'1\n"
        "if (<rd> eq 0'5):\n"
        "  let c_value, unused_value = both_32(a)\n"
        "  c = c_value\n"
        "  unused = unused_value\n"
        "else:\n"
        "  c = a\n"
        "  unused = b\n"
        "X[<rd>] = ((a add c) add zext(b, 32))"
    )


def test_loops() -> None:
    """Loop indices have a range, no width: they adapt as literals do."""
    assert probe("""
        var sum : word = 0
        for i in 0 .. 3:
            let k = 3 - i
            sum = sum + X[i] + zext(imm[2*i +: 2] ++ imm[k])
            X[1] = i
        for i in rd ..< rs1: X[i] = 0
        while sum != 0:
            sum = sum - 1
            if sum == 5: break
        for i in 3 .. 1: X[i] = 1
    """) == (
        "var sum:32 = 0'32\n"
        "for i:2 = 0'2 .. 3'2:\n"
        "  let k = (3'2 sub i)\n"
        "  sum = ((sum add X[zext(i, 5)]) add zext((<imm>[(2'3 mul zext(i, 3)) +: 2] ++ <imm>[k +: 1]), 32))\n"
        "  X[1'5] = zext(i, 32)\n"
        "if (<rd> ult <rs1>):\n"
        "  for i_2:5 = <rd> .. (<rs1> sub 1'5):\n"
        "    X[i_2] = 0'32\n"
        "while (sum ne 0'32):\n"
        "  sum = (sum sub 1'32)\n"
        "  if (sum eq 5'32):\n"
        "    break"
    )


def test_match() -> None:
    assert probe("""
        match rd[1:0]:
            0 | 1: X[1] = 0
            2: X[2] = 0
            3: X[3] = 0
        match SIZE:
            32: X[4] = 0
            else: X[4] = X[5][63:32]
        match rs1:
            0: pass
            else: X[6] = 0
    """) == (
        "if ((<rd>[0+2] eq 0'2) or (<rd>[0+2] eq 1'2)):\n"
        "  X[1'5] = 0'32\n"
        "else:\n"
        "  if (<rd>[0+2] eq 2'2):\n"
        "    X[2'5] = 0'32\n"
        "  else:\n"
        "    X[3'5] = 0'32\n"
        "X[4'5] = 0'32\n"
        "if (<rs1> eq 0'5):\n"
        "else:\n"
        "  X[6'5] = 0'32"
    )


def test_a_match_of_many_numbers_is_searched_by_halves() -> None:
    order = [6, 1, 9, 4, 0, 3, 8]
    cases = "".join(f"            {number}: X[{number}] = 0\n" for number in order)
    text = probe(f"""
        match rs1:
{cases}            else: X[2] = 0
    """)
    first, *rest = (line.strip() for line in text.splitlines())
    assert first == "if (<rs1> ult 4'5):"
    assert rest.count("else:") == 8  # each half has an `else` of its own
    tests = [line for line in rest if " eq " in line]
    assert tests == [f"if (<rs1> eq {number}'5):" for number in (0, 1, 3, 4, 6, 8, 9)]


def test_raise() -> None:
    """`on exception` fixes what is raised with a code; missing values are 0."""
    assert probe(
        """
        if rd == 0: raise Illegal
        if rd == 1: raise Fault(X[rs1])
        if rd == 2: raise fault(X[rs1], rs1[0])
    """,
        """
        on exception(code : bits(5), value : word)
            X[1] = value + zext(code)
        fn fault(a : word, write : bit) -> exn
            let b = a + a
            if write: return Fault(b)
            return if a == 0 then Illegal else Fault(a)
    """,
    ) == (
        "if (<rd> eq 0'5):\n"
        "  raise Illegal(0'32)\n"
        "if (<rd> eq 1'5):\n"
        "  raise Fault(X[<rs1>])\n"
        "if (<rd> eq 2'5):\n"
        "  let a = X[<rs1>]\n"
        "  let b = (a add a)\n"
        "  if <rs1>[0+1]:\n"
        "    raise Fault(b)\n"
        "  if (a eq 0'32):\n"
        "    raise Illegal(0'32)\n"
        "  else:\n"
        "    raise Fault(a)"
    )


def test_atomic() -> None:
    assert probe("""
        let a = X[rs1]
        atomic:
            let old = M[a, 32]
            let new = old + X[2]
            if new != 0: M[a, 32] = new
        X[rd] = old
        atomic: M[a, 8] = M[a, 8] + 1
    """) == (
        "let a = X[<rs1>]\n"
        "atomic old = M[a, 32]:\n"
        "  let new = (old add X[2'5])\n"
        "  -> ((new ne 0'32) ? new : old)\n"
        "X[<rd>] = old\n"
        "atomic old_value = M[a, 8]:\n"
        "  -> (old_value add 1'8)"
    )


def test_atomic_if() -> None:
    """One step or plain statements; what was read is known behind both."""
    assert probe("""
        atomic if X[2][0]:
            let old = M[X[rs1], 32]
            M[X[rs1], 32] = old + X[2]
        X[rd] = old
        atomic if X[2][0]: M[X[rs1], 8] = ~M[X[rs1], 8]
        atomic if 1 == 2: M[X[rs1], 8] = M[X[rs1], 8] + 1
    """) == (
        "var old_3:32 = 0'32\n"
        "if X[2'5][0+1]:\n"
        "  atomic old = M[X[<rs1>], 32]:\n"
        "    -> (old add X[2'5])\n"
        "  old_3 = old\n"
        "else:\n"
        "  let old_2 = M[X[<rs1>], 32]\n"
        "  M[X[<rs1>], 32] = (old_2 add X[2'5])\n"
        "  old_3 = old_2\n"
        "X[<rd>] = old_3\n"
        "if X[2'5][0+1]:\n"
        "  atomic old_value = M[X[<rs1>], 8]:\n"
        "    -> not(old_value)\n"
        "else:\n"
        "  M[X[<rs1>], 8] = not(M[X[<rs1>], 8])\n"
        "M[X[<rs1>], 8] = (M[X[<rs1>], 8] add 1'8)"
    )


def test_joined() -> None:
    """The first value is the lowest, whatever its number; values may be single bits."""
    assert probe("""
        let swapped = for i in 1 .. 2: X[rs1][16*(2 - i) +: 16]
        var mirrored : bits(32) = for i in 0 ..< 32: X[rs1][31 - i]
        X[rd] = swapped ^ mirrored
    """) == (
        "var joined:32 = 0'32\n"
        "for i:2 = 1'2 .. 2'2:\n"
        "  joined = (joined or (zext(X[<rs1>][(16'5 mul zext((2'2 sub i)[0+1], 5)) +: 16], 32)"
        " shl (zext((i sub 1'2)[0+1], 5) mul 16'5)))\n"
        "let swapped = joined\n"
        "var joined_2:32 = 0'32\n"
        "for i_2:5 = 0'5 .. 31'5:\n"
        "  joined_2 = (joined_2 or (zext(X[<rs1>][(31'5 sub i_2) +: 1], 32) shl i_2))\n"
        "var mirrored:32 = joined_2\n"
        "X[<rd>] = (swapped xor mirrored)"
    )


def test_exclusives_probe_and_host_operations() -> None:
    assert probe("""
        X[rd] = load_exclusive(M, X[rs1], 32)
        X[1] = zext(store_exclusive(M, X[rs1], X[2][7:0]))
        probe(M, X[rs1], 16)
        X[2] = host_add(X[1], X[2])
        X[3] = host_from_s(X[1], 64)[31:0] + zext(host_flags()) + host_to_s(X[1], 32)
    """) == (
        "X[<rd>] = load_exclusive(M, X[<rs1>])\n"
        "X[1'5] = zext(store_exclusive(M, X[<rs1>], X[2'5][0+8]), 32)\n"
        "do probe(M, X[<rs1>], 16'32)\n"
        "X[2'5] = host_add(X[1'5], X[2'5])\n"
        "X[3'5] = ((host_from_s(X[1'5])[0+32] add zext(host_flags(), 32)) add host_to_s(X[1'5]))"
    )


def test_msb0() -> None:
    """Bit 0 is the most significant one in slices, indices and fields of such a file."""
    assert probe(
        """
        X[rd] = X[rs1][24:31] ++ 0x000000
        X[1] = zext(X[rs1][0] ++ X[rs1][rd])
        X[2] = zext(X[rs1][rd +: 4])
        X[3][0:7] = 1
        status.TOP = 1
    """,
        """
        bitorder msb0
        reg status : bits(32) { TOP 0, NEXT_TO 1:2 }
    """,
        'insn probe "imm[0:11] rs1 000 rd 0010011" "probe {rd}, {rs1}, {imm}"',
    ) == (
        "X[<rd>] = (X[<rs1>][0+8] ++ 0'24)\n"
        "X[1'5] = zext((X[<rs1>][31+1] ++ X[<rs1>][(31'6 sub zext(<rd>, 6)) +: 1]), 32)\n"
        "X[2'5] = zext(X[<rs1>][(28'6 sub zext(<rd>, 6)) +: 4], 32)\n"
        "X[3'5] = (1'8 ++ X[3'5][0+24])\n"
        "$status = (1'1 ++ $status[0+31])"
    )


def test_lanes() -> None:
    """A file as one array of lanes; fields in the index do not wrap."""
    found = probe(
        """
        X[rd] = zext(V.lanes(8)[rs1 * 4 + 1])
        V.lanes(16)[3] = imm[11:0] ++ 0x0
    """,
        "regs V[4] : bits(32)",
    )
    index = "((zext(<rs1>, 7) mul 4'7) add 1'7)"
    assert found == (
        f"X[<rd>] = zext(V[{index}[2+2]][(zext({index}[0+2], 6) mul 8'6) +: 8], 32)\n"
        "V[1'2] = (<imm> ++ 0'4 ++ V[1'2][0+16])"
    )


def test_several_errors_in_one_run() -> None:
    found = errors("""
        fn f(a : word) -> word = a + missing
        insn a "imm[11:0] rs1 000 rd 0010011" "a {rd}"
            let t = X[rs1] + imm
            X[rd] = t
            X[1] = t + unknown
        insn b "imm[11:0] rs1 001 rd 0010011" "b {rd}" : X[rd] = f(X[rs1]) == 1
    """)
    assert found == [
        "unknown name 'missing'",
        "'+': left side is bits(32), right side is bits(12)",
        "unknown name 'unknown'",
    ]


def test_one_error_for_a_body_used_at_many_widths() -> None:
    assert errors("""
        fn f(a : bits(n)) -> bits(n) = a + 0b1 ++ a
        insns (f3, w) "imm[11:0] rs1 {f3} rd 0010011" "{name} {rd}"
            a 000 8
            b 001 16
            do X[rd] = zext(f(X[rs1][w-1:0]))
    """) == ["the result is bits(8), the value is bits(16)"]


def test_deep_expressions() -> None:
    """As deep as the parser lets through."""
    deep = "(" * 60 + "X[rs1]" + " + 1)" * 60
    assert probe(f"X[rd] = {deep}").count("add 1'32") == 60


def test_times() -> None:
    checked = spec("""
        mode  T : bit
        fn    plain(a : word) -> word = a + 1
        fn    reads(a : word) -> word = a + X[1]
        insn probe "imm[11:0] rs1 000 rd 0010011" "probe {rd}"
            let a = imm ++ zext(T, 20)
            let b = plain(a)
            let c = reads(a)
            let d = PC + b
            X[rd] = a + b + c + d
    """)
    last = instruction(checked, "probe").body[-1]
    times = {node.name: node.time.name for node in nodes(last) if isinstance(node, model.Local)}
    assert times == {"a": "T", "b": "T", "c": "R", "d": "T"}


def test_missing_declarations() -> None:
    assert errors("", head="isa tiny\nregs X[4] : bits(32)\n") == [
        "the spec declares no pc",
        "the spec declares no instruction space",
    ]
    assert errors("", head=HEAD.replace("memory M : word  endian little\n", "")) == ["the spec declares no memory"]
