"""Reading patterns, and telling the encodings of a space apart."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen import model
from gen.encodings import check_space, parse_operand_pattern
from gen.model import Binary, Const, FieldLayout, FieldRef, FieldSlice, ModeRead
from tests.tools import lines_executed


def field(name: str, width: int, *slices: tuple[int, int, int]) -> FieldLayout:
    return FieldLayout(name, width, tuple(FieldSlice(*part) for part in slices))


def equals(name: str, width: int, value: int) -> model.Expr:
    return Binary(1, "eq", FieldRef(width, name), Const(width, value))


def differs(name: str, width: int, value: int) -> model.Expr:
    return Binary(1, "ne", FieldRef(width, name), Const(width, value))


# ---------------------------------------------------------------- patterns


def test_fixed_bits_and_fields(parts: Any) -> None:
    pattern = parts.pattern("32 little", "imm[11:0] rs1 000 rd 0010011")
    assert (pattern.length, pattern.mask, pattern.value) == (32, 0x707F, 0x0013)
    assert pattern.fields == (field("imm", 12, (0, 20, 12)), field("rs1", 5, (0, 15, 5)), field("rd", 5, (0, 7, 5)))


def test_scattered_field_with_low_bits_left_out(parts: Any) -> None:
    pattern = parts.pattern("32 little", "imm[12|10:5] rs2 rs1 {f3} imm[4:1|11] 1100011", {"f3": "001"})
    assert (pattern.mask, pattern.value) == (0x707F, 0x1063)
    assert pattern.fields[0] == field("imm", 13, (1, 8, 4), (5, 25, 6), (11, 7, 1), (12, 31, 1))
    assert pattern.text == "imm[12|10:5] rs2 rs1 001 imm[4:1|11] 1100011"


def test_several_lengths(parts: Any) -> None:
    assert parts.pattern("16|32 little", "000 imm[5] rd imm[4:0] 01").length == 16
    assert parts.pattern("16|32 little", "imm[31:12] rd 0110111").length == 32


def test_units_follow_each_other_in_fetch_order(parts: Any) -> None:
    pattern = parts.pattern("16 little", "11110 i 0 1000 S n:4 / 0 imm3:3 d:4 imm8:8")
    assert pattern.length == 32
    assert (pattern.value & 0xFFFF, pattern.mask & 0xFFFF) == (0xF100, 0xFBE0)
    assert pattern.mask >> 16 == 0x8000
    assert {layout.name: layout.slices[0].low for layout in pattern.fields} == {
        "i": 10,
        "S": 4,
        "n": 0,
        "imm3": 28,
        "d": 24,
        "imm8": 16,
    }


def test_big_endian_words_lie_in_memory_as_written(parts: Any) -> None:
    pattern = parts.pattern("32 big", "001100 rd ra:5 i:16")
    assert (pattern.mask, pattern.value) == (0xFC, 0x30)
    assert pattern.fields[0] == field("rd", 5, (0, 13, 3), (3, 0, 2))
    assert pattern.fields[2] == field("i", 16, (0, 24, 8), (8, 16, 8))
    assert parts.pattern("16|32|48 big", "0xE3 r1:4 x2:4 b2:4 dl:12 dh:8 0x04").value == 0x04 << 40 | 0xE3
    assert parts.pattern("16 big", "00000110 01 m:3 n:3 / k:16").length == 32


def test_byte_spaces_take_little_endian_immediates(parts: Any) -> None:
    pattern = parts.pattern("8 little", "0x69 mod:2 reg:3 rm:3 / i:32")
    assert (pattern.length, pattern.value) == (48, 0x69)
    assert pattern.fields[3] == field("i", 32, (0, 16, 32))
    assert pattern.fields[0] == field("mod", 2, (0, 14, 2))
    assert parts.pattern("8 little", "0100 W R X B").fields[0] == field("W", 1, (0, 3, 1))
    assert parts.pattern("8 little", "0xB8 i:16").fields == (field("i", 16, (0, 8, 16)),)


def test_decimal_constants_and_columns(parts: Any) -> None:
    pattern = parts.pattern("32 big", "31:6 a:10 {xo:10} 00000 {r}", {"xo": 266, "r": "1"})
    assert int.from_bytes(pattern.value.to_bytes(4, "little"), "big") == 31 << 26 | 266 << 6 | 1
    assert parts.pattern("32 big", "{op:6} a:26", {"op": "16"}).value == 16 << 2


def test_msb0_numbers_count_from_the_top(parts: Any) -> None:
    pattern = parts.pattern("32 big", "31:6 n[5:9] n[0:4] 0000 0000 0000 0000", msb0=True)
    (layout,) = pattern.fields
    assert layout.width == 10
    places = {part.field_low + bit: part.low + bit for part in layout.slices for bit in range(part.width)}
    # The first bits written are 5..9, the low half of the number: text bits 6..10, in bytes 0 and 1.
    assert [places[number] for number in range(4, -1, -1)] == [1, 0, 15, 14, 13]
    assert [places[number] for number in range(9, 4, -1)] == [12, 11, 10, 9, 8]


@pytest.mark.parametrize(
    ("space", "text", "message", "column"),
    [
        ("32 little", "imm[11:0] rs1 000 rd 001011", "the pattern has 31 bits; units of 'S' have 32", 1),
        ("16|32 little", "imm[11:0] rs1 000 rd 001011", "the pattern has 31 bits; units of 'S' have 16 or 32", 1),
        (
            "16 little",
            "11110 i 0 1000 S n:4 / 0 imm3:3 d:4 imm8:7",
            "a unit after '/' has 15 bits; units of 'S' have 16",
            1,
        ),
        ("32 little", "imm[12|10:5] rs2 rs1 000 imm[4:0|10] 1100011", "bit 10 of 'imm' is given twice", 27),
        ("32 little", "imm[12|10:6] rs2 rs1 000 imm[4:1|11] 1100011 0", "'imm' has 13 bits, but bit 5 is not given", 2),
        (
            "32 little",
            "imm[12|10:7] rs2 rs1 000 imm[4:1|11] 1100011 00",
            "'imm' has 13 bits, but bits 6:5 are not given",
            2,
        ),
        ("32 little", "immx rs1 000 rd 0010011", "unknown field 'immx'", 2),
        ("32 little", "imm rs1 000 rd 0010011", "the width of 'imm' is not known here", 2),
        ("32 little", "imm[11:0] rs1:4 0000 rd 0010011", "'rs1' is declared with 5 bits, here it has 4", 12),
        ("32 little", "imm[11:0] rs1[5:0] 00 rd 0010011", "'rs1' has 5 bits: there is no bit 5", 12),
        ("32 little", "imm[11:0] rs1 002 rd 0010011", "'2' is not part of a pattern", 18),
        ("32 little", "imm[11:0] rs1 000rd 0010011", "put a space before 'rd'", 19),
        ("32 little", "imm[11:0] rs1 {f3} rd 0010011", "{f3} is no column of this table", 16),
        ("32 little", "9:3 imm[28:0]", "9 does not fit 3 bits", 2),
        ("32 little", "imm[0:11] rs1 000 rd 0010011", "in a file of lsb0 order the range is written 11:0", 2),
        ("32 little", "imm[11-0] rs1 000 rd 0010011", "'11-0' is not a bit number or a range of them", 2),
        ("32 little", "imm[11:0] rs1 000 rd 001;0011", "';0011' is not part of a pattern", 26),
        ("32 little", "rd rd 00 000 00000 00000 0010011", "bits of 'rd' are given twice", 5),
    ],
)
def test_mistakes_are_reported_where_they_are(parts: Any, space: str, text: str, message: str, column: int) -> None:
    assert parts.pattern(space, text) is None
    found = parts.diagnostics.found[0]
    assert (found.message, found.pos.column) == (message, column)


def test_mistakes_in_a_substituted_text_are_reported_at_its_hole(parts: Any) -> None:
    assert parts.pattern("32 little", "imm[11:0] rs1 {f3} rd 0010011", {"f3": "0q0"}) is None
    assert {(found.pos.column, found.pos.end_column) for found in parts.diagnostics.found} == {(16, 20)}


def test_rows_of_an_operand(parts: Any) -> None:
    rows = parse_operand_pattern(
        parts.text("00 100 / s:2 x:3 101 / d:32"), parts.space("8 little"), 5, {}, parts.diagnostics, False
    )
    assert rows is not None
    head, rest = rows
    assert (head.length, head.mask, head.value, head.fields) == (5, 0b11111, 0b00100, ())
    assert (rest.length, rest.mask, rest.value) == (40, 0b111, 0b101)
    assert rest.fields[2] == field("d", 32, (0, 8, 32))
    rows = parse_operand_pattern(parts.text("mm:2 r:3"), parts.space("8 little"), 5, {}, parts.diagnostics, False)
    assert rows is not None
    assert rows[0].fields == (field("mm", 2, (0, 3, 2)), field("r", 3, (0, 0, 3)))
    assert rows[1].length == 0
    assert parse_operand_pattern(parts.text("r:3"), parts.space("8 little"), 5, {}, parts.diagnostics, False) is None
    assert "matches 3 bits" in parts.messages()[0]


# ---------------------------------------------------------------- encodings against each other

ADDI = "imm[11:0] rs1 000 rd 0010011"
LI = "imm[11:0] 00000 000 rd 0010011"


def check(parts: Any, *lines: tuple[Any, ...], space: str = "32 little", reserved: tuple[str, ...] = ()) -> list[str]:
    instructions = [parts.instruction(space, *line[:2], **(line[2] if len(line) > 2 else {})) for line in lines]
    words = [model.ReservedWord(parts.pattern(space, text)) for text in reserved]
    check_space(parts.space(space), instructions, parts.diagnostics, reserved=words)
    return [diagnostic.message for diagnostic in parts.diagnostics.found]


def test_overlap_shows_a_word_and_what_to_do(parts: Any) -> None:
    assert check(parts, ("addi", ADDI), ("li", LI)) == ["encoding of 'li' overlaps that of 'addi', e.g. 0x00000013"]
    found = parts.diagnostics.found[0]
    assert found.help == "'li' is the special case: add `overrides addi`"
    assert found.notes[0][1] == "'addi' is here"
    assert found.pos.line == 2


def test_overrides_allows_a_special_case(parts: Any) -> None:
    assert check(parts, ("addi", ADDI), ("li", LI, {"overrides": ["addi"]})) == []


def test_overrides_must_be_a_special_case(parts: Any) -> None:
    messages = check(parts, ("a", "imm:12 rs1 000 00000 0010011"), ("b", LI, {"overrides": ["a"]}))
    assert messages == ["'b' overrides 'a' but is no special case of it: 0x00000093 is a 'b' only"]


def test_overrides_of_nothing(parts: Any) -> None:
    assert check(parts, ("a", ADDI, {"overrides": ["nobody"]})) == [
        "'a' overrides 'nobody', but no encoding of 'S' has that name"
    ]


def test_overrides_without_overlap(parts: Any) -> None:
    assert check(parts, ("a", ADDI), ("b", "imm[11:0] rs1 001 rd 0010011", {"overrides": ["a"]})) == [
        "'b' overrides 'a', whose encoding it does not overlap"
    ]


def test_guards_prove_encodings_apart(parts: Any) -> None:
    assert (
        check(parts, ("foo", ADDI, {"where": differs("rd", 5, 0)}), ("bar", ADDI, {"where": equals("rd", 5, 0)})) == []
    )


def test_guards_that_do_not_exclude_each_other(parts: Any) -> None:
    messages = check(
        parts, ("foo", ADDI, {"where": differs("rd", 5, 0)}), ("bar", ADDI, {"where": differs("rs1", 5, 3)})
    )
    assert messages == ["encoding of 'bar' overlaps that of 'foo', e.g. 0x00000093"]


def test_modes_prove_encodings_apart(parts: Any) -> None:
    precise = Binary(1, "eq", ModeRead(1, "PR"), Const(1, 1))
    single = Binary(1, "eq", ModeRead(1, "PR"), Const(1, 0))
    assert check(parts, ("d", ADDI, {"when": precise}), ("s", ADDI, {"when": single})) == []
    messages = check(parts, ("d2", ADDI, {"when": precise}), ("x", ADDI))
    assert "encoding of 'd2' overlaps that of 'x', e.g. 0x00000013 when PR = 1" in messages


def test_a_guard_of_too_many_bits_says_so(parts: Any) -> None:
    wide = Binary(1, "eq", model.Cat(17, (FieldRef(12, "imm"), FieldRef(5, "rd"))), Const(17, 5))
    other = Binary(1, "eq", model.Cat(17, (FieldRef(12, "imm"), FieldRef(5, "rd"))), Const(17, 6))
    messages = check(parts, ("foo", ADDI, {"where": wide}), ("bar", ADDI, {"where": other}))
    assert messages == ["cannot tell 'bar' from 'foo': their guards read more than 16 bits"]


def test_encodings_that_can_never_match(parts: Any) -> None:
    messages = check(
        parts,
        ("a", "imm:12 00000 000 rd 001001 b:1"),
        ("b", "imm:12 00000 000 rd 0010010", {"overrides": ["a"]}),
        ("c", "imm:12 00000 000 rd 0010011", {"overrides": ["a"]}),
    )
    assert messages == ["'a' can never match: the encodings that override it take all its words"]
    assert [note[1] for note in parts.diagnostics.found[0].notes] == [
        "'b' takes some of its words",
        "'c' takes some of its words",
    ]


def test_a_guard_that_never_holds(parts: Any) -> None:
    never = Binary(1, "and", equals("rd", 5, 1), equals("rd", 5, 2))
    assert check(parts, ("a", ADDI, {"where": never})) == [
        "'a' can never match: its guards exclude every word of its encoding"
    ]


def test_different_lengths_overlap_too(parts: Any) -> None:
    messages = check(
        parts, ("short", "000 imm[5] rd imm[4:0] 01"), ("long", "imm:16 0000 rd 0000001"), space="16|32 little"
    )
    assert messages == ["encoding of 'long' overlaps that of 'short', e.g. 0x00000001"]


def test_reserved_words_may_not_be_taken(parts: Any) -> None:
    assert check(parts, ("addi", ADDI), reserved=("000000000000 rs1 000 rd 0010011",)) == [
        "encoding of 'addi' takes words that are reserved, e.g. 0x00000013"
    ]


def test_two_thousand_encodings_are_not_compared_each_with_each(parts: Any) -> None:
    """Eight times the encodings are hardly more than eight times the work, in lines; pairs would be 64 times."""
    lines = [
        (f"i{index}", f"imm:10 {index:011b} rd 001011" if index % 3 else f"imm:5 00000 {index:011b} rd 001011")
        for index in range(2000)
    ]
    instructions = [parts.instruction("32 little", *line) for line in lines]
    space = parts.space("32 little")
    few = lines_executed(check_space, space, instructions[:250], parts.diagnostics)
    many = lines_executed(check_space, space, instructions, parts.diagnostics)
    assert parts.messages() == []
    assert many < 12 * few


SMALL = st.lists(st.text("01x", min_size=6, max_size=6), min_size=2, max_size=8)


@settings(max_examples=150, deadline=None)
@given(SMALL)
def test_overlaps_are_those_an_enumeration_finds(new_parts: Callable[[], Any], texts: list[str]) -> None:
    parts = new_parts()
    instructions = []
    for index, text in enumerate(texts):
        bits = " ".join(f"v{at}:1" if bit == "x" else bit for at, bit in enumerate(text))
        instructions.append(parts.instruction("8 little", f"i{index}", bits + " 00"))
    check_space(parts.space("8 little"), instructions, parts.diagnostics)
    overlapping = sum(
        all("x" in pair or pair[0] == pair[1] for pair in map("".join, zip(one, other, strict=True)))
        for at, one in enumerate(texts)
        for other in texts[at + 1 :]
    )
    assert len(parts.messages()) == overlapping


@pytest.mark.parametrize("text", ["".join(bits) for bits in product("01x", repeat=3)])
def test_every_three_bit_pattern_reads_back(parts: Any, text: str) -> None:
    bits = " ".join(f"v{at}:1" if bit == "x" else bit for at, bit in enumerate(text))
    pattern = parts.pattern("8 little", f"00000 {bits}")
    for word in range(8):
        spelled = f"{word:03b}"
        matches = all(wanted in ("x", given) for wanted, given in zip(text, spelled, strict=True))
        assert (word & pattern.mask == pattern.value) == matches
