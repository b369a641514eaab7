"""The pieces of reference pages: bit diagrams, colours, roles of fields, the opcode map."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from gen import model, names
from gen.elaborate import check_module
from gen.guests import guests
from gen.names import Module
from gen.pages.diagram import Cell, cells, text_diagram
from gen.pages.entries import Entry, entries
from gen.pages.excerpts import Sources
from gen.pages.highlight import LANGUAGES, highlight
from gen.pages.opcode_map import opcode_maps
from runtime.core.cpu import load_isa
from runtime.syntax.decode import Decoder
from tests.conftest import ROOT
from tests.isa.test_semantics import SOME_LINES
from tests.tools import require_build

PASS = sorted(
    path
    for path in (ROOT / "tests" / "specs" / "pass").glob("*.isa")
    if path.stem != "extension"  # extends one of a folder beside
)
SPECS = [*guests(ROOT / "specs"), *PASS]
named = pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)


@cache
def read(path: Path) -> tuple[Module, model.Spec, list[Entry]]:
    module = names.load(path, (path.parent, ROOT / "specs"))
    spec = check_module(module)
    return module, spec, entries(spec, Sources(module))


def entry(spec: str, name: str) -> Entry:
    return next(e for e in read(ROOT / spec)[2] if e.name == name)


@named
def test_a_diagram_shows_every_bit_once_with_its_value(path: Path) -> None:
    module, spec, _ = read(path)
    spaces = {space.name: space for space in spec.spaces}
    for insn in spec.instructions:
        pattern, space = insn.pattern, spaces[insn.space]
        rows = cells(pattern, space, {}, module.spaces[space.name].msb0, pattern.value)
        assert sum(cell.width for row in rows for cell in row) == pattern.length
        bits = "".join(cell.value for row in rows for cell in row)
        if space.big or space.units[0] == 8:  # as the bytes lie in memory
            assert int(bits, 2).to_bytes(pattern.length // 8, "big") == pattern.value.to_bytes(
                pattern.length // 8, "little"
            )
        elif len(rows) == 1:
            assert int(bits, 2) == pattern.value
        for row in rows:
            assert {cell.high_number for cell in row} | {cell.low_number for cell in row} >= {0}
        for layout in pattern.fields:
            shown = sum(cell.width for row in rows for cell in row if cell.name == layout.name)
            assert shown == sum(part.width for part in layout.slices)


def test_cells_of_a_scattered_field() -> None:
    (row,) = entry("specs/riscv64.isa", "beq").rows
    assert [(cell.text, cell.high_number, cell.low_number) for cell in row] == [
        ("imm[12]", 31, 31),
        ("imm[10:5]", 30, 25),
        ("rs2", 24, 20),
        ("rs1", 19, 15),
        ("000", 14, 12),
        ("imm[4:1]", 11, 8),
        ("imm[11]", 7, 7),
        ("1100011", 6, 0),
    ]


def test_bits_counted_from_the_left_are_numbered_so() -> None:
    first = read(ROOT / "tests/specs/pass/ppc.isa")[2][0].rows[0]
    assert (first[0].high_number, first[-1].low_number) == (0, 31)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_text_diagram_keeps_to_its_width(width: int) -> None:
    (row,) = entry("specs/riscv64.isa", "beq").rows
    blocks = text_diagram(row, width)
    lines = ["".join(text for _, text in line) for block in blocks for line in block]
    assert max(map(len, lines)) <= width
    assert all(any(cell.text in line for line in lines) for cell in row)
    assert (len(blocks) == 1) == (width > 60)


def test_wide_cells_fit_their_numbers() -> None:
    cell = Cell("fixed", "", "1", 100, 1, 100, 100)
    ((numbers, *_),) = text_diagram([cell], 80)
    assert "".join(text for _, text in numbers).strip() == "100"


# ---------------------------------------------------------------- colours


@named
def test_colouring_changes_no_text(path: Path) -> None:
    module, _, _ = read(path)
    known = Sources(module).names
    for text in module.sources.values():
        assert "".join(token.text for token in highlight(text, "isa", known)) == text


@pytest.mark.parametrize("language", LANGUAGES)
def test_colours_of(language: str) -> None:
    samples = {
        "isa": ("let x = 0x1f # so", {"keyword": "let", "number": "0x1f", "comment": "# so"}),
        "tcg": ("  t1:64 = ld_env offset=0x10\nL2:", {"function": "ld_env", "number": "0x10", "label": "L2"}),
        "llvm": (" %a = add i64 %b, 3 ; c", {"value": "%a", "type": "i64", "keyword": "add", "comment": "; c"}),
        "assembly": ("f:\n    addq $16, %r12\n", {"label": "f:", "number": "$16", "value": "%r12"}),
    }
    text, expected = samples[language]
    tokens = highlight(text, language)
    assert "".join(token.text for token in tokens) == text
    for kind, piece in expected.items():
        assert any(token.kind == kind and token.text.strip() == piece for token in tokens), (kind, tokens)


# ---------------------------------------------------------------- what is said of an instruction


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("add", {"rd": "field-dst", "rs1": "field-src", "rs2": "field-src"}),
        ("sd", {"rs1": "field-src", "rs2": "field-src", "imm": "field-imm"}),
        ("beq", {"rs1": "field-src", "rs2": "field-src", "imm": "field-adr"}),
        ("fadd_s", {"fd": "field-dst", "fs1": "field-src", "fs2": "field-src", "rm": "field-opt"}),
        ("csrrw", {"rd": "field-dst", "rs1": "field-src", "csr": "field-sys"}),
        ("c_addw", {"rdc": "field-dst", "rs2c": "field-src"}),
        ("fence", {"pred": "field-opt", "succ": "field-opt", "fm": "field-hid", "rd": "field-hid", "rs1": "field-hid"}),
    ],
)
def test_fields_are_for(name: str, kinds: dict[str, str]) -> None:
    assert entry("specs/riscv64.isa", name).kinds == kinds


def test_what_an_instruction_does_besides() -> None:
    touched = entry("specs/riscv64.isa", "fadd_s").touched
    assert (list(touched.reads), list(touched.writes)) == (["FS", "FRM"], ["FS", "FFLAGS"])
    assert list(touched.raises) == ["Illegal"]
    assert list(entry("specs/riscv64.isa", "c_jalr").touched.writes) == ["ra"]
    assert entry("specs/riscv64.isa", "c_jalr").touched.jumps
    assert list(entry("specs/riscv64.isa", "lh").touched.loads) == ["16 bits"]
    assert entry("specs/riscv64.isa", "c_add").conditions == ("rs2 != 0",)


def test_an_excerpt_is_the_table_with_only_the_row_meant() -> None:
    source = entry("specs/riscv64.isa", "sub").source
    lines = [line.text.strip().split()[0] for line in source.lines]
    assert lines == ["insns", "sub", "do"]
    text = (ROOT / "specs" / "riscv_i.isa").read_text().split("\n")
    assert all(text[line.number - 1].rstrip() == line.text for line in source.lines)
    assert source.place.endswith(f"riscv_i.isa:{source.lines[1].number}")


def test_every_test_line_is_shown_with_an_instruction() -> None:
    for path in guests(ROOT / "specs"):
        _, spec, made = read(path)
        shown = {line.number for e in made for line in e.tests}
        assert {test.pos.line for test in spec.tests} <= shown
        assert path.stem in SOME_LINES or all(e.tests for e in made), "an instruction without a test"


def test_pseudo_instructions_stand_with_what_they_are() -> None:
    aliases = {line.syntax for line in entry("specs/riscv64.isa", "addi").aliases}
    assert {"nop", "mv rd,rs1", "li rd,imm"} <= aliases


# ---------------------------------------------------------------- the opcode map


def test_the_map_counts_what_decodes() -> None:
    """Every 16-bit word that begins no longer instruction, by the generated decoder."""
    decoder = Decoder(load_isa(require_build("riscv64")).module("syntax").SYNTAX)
    _, spec, _ = read(ROOT / "specs" / "riscv64.isa")
    short, long = opcode_maps(spec, spec.spaces[0])
    squares = {
        int(row + column, 2): square
        for row, found in short.rows
        for column, square in zip(short.columns, found, strict=True)
    }
    taken = dict.fromkeys(squares, 0)
    total = dict.fromkeys(squares, 0)
    for word in range(1 << 16):
        key = word >> 13 << 2 | word & 3
        total[key] += 1
        taken[key] += decoder.decode(word.to_bytes(2, "little"), 0) is not None
    for key, square in squares.items():
        assert square.longer == (key & 3 == 3)
        assert square.share == pytest.approx(taken[key] / total[key]), square
    assert 0 < long.share < 1
    assert {name for _, found in long.rows for square in found for name in square.names} >= {"add", "lui", "fence_tso"}


@named
def test_every_instruction_is_somewhere_in_the_map(path: Path) -> None:
    module, spec, made = read(path)
    for space in spec.spaces:
        grids = opcode_maps(spec, space, module.spaces[space.name].msb0)
        shown = {name for grid in grids for _, row in grid.rows for square in row for name in square.names}
        assert {e.instruction.name for e in made if e.instruction.space == space.name} <= shown
