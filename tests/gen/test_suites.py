"""The generated tables of encodings: what is in them, and that each check notices a row that is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gen import suites
from gen.elaborate import check
from isomorph.suites import Suite, read_table
from tests.tools import require_build

TOYS = Path(__file__).parent.parent / "syntax" / "specs"


def test_corners_of_every_field_are_there() -> None:
    """Numbers of an ISA that exists: its corners, by hand."""
    folder = require_build("riscv64") / "tests" / "encodings"
    addi = next(found for found in read_table(folder / "riscv_i.txt") if found.name == "addi")
    assert addi.source == "specs/riscv_i.isa:38"
    assert addi.fields == ("imm", "rs1", "rd")
    values = {word.fields for word in addi.words}
    assert {(0, 0, 0), (0x800, 0, 0), (0x7FF, 0, 0), (0xFFF, 0, 0), (0xFFF, 31, 31), (0x800, 16, 16)} <= values
    assert {"addi zero,zero,-2048", "addi t6,t6,-1"} <= {word.text for word in addi.words}
    # Ten fixed bits: each turned round is something else.
    words = {int(word.digits, 16) for word in addi.neighbours}
    assert words == {0xFFFF8F93 ^ 1 << bit for bit in (*range(7), 12, 13, 14)}
    assert {word.name for word in addi.neighbours} == {"", "auipc", "addiw", "lb", "slti", "xori", "c_mv", "c_sub"}
    c_addi4spn = next(found for found in read_table(folder / "riscv_c.txt") if found.name == "c_addi4spn")
    assert "0004" in {word.digits for word in c_addi4spn.neighbours if not word.name}  # its immediate may not be 0


def test_spaces_of_other_modes_have_their_tables(tmp_path: Path) -> None:
    suites.write(check(TOYS / "modes.isa", (TOYS,)), tmp_path)
    table = {found.name: found for found in read_table(tmp_path / "encodings" / "modes.txt")}
    assert table["nop"].modes == {"T": 1}
    assert [(word.digits, word.text) for word in table["nop"].words] == [("bf00", "nop")]
    assert table["slim"].modes == {}
    assert {word.text for word in table["slim"].words} >= {"slimeq", "slimnv", "slimne", "?"}  # "_" has no name
    assert all(word.fields[-1] != 0 for word in table["list"].words)  # its `where`


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A build folder of which the tables can be spoilt."""
    build = require_build("riscv64")
    folder = tmp_path / "riscv64"
    folder.mkdir()
    for name in ("STAMP", "state.py", "translate.py", "syntax.py", "native.blob"):
        shutil.copy(build / name, folder)
    shutil.copytree(build / "tests", folder / "tests")
    return folder / "tests"


@pytest.mark.parametrize(
    ("old", "new", "complaints"),
    [
        ("0041c0b3  1 3 4", "", ()),
        ("  add zero,zero,zero", "  add zero,zero,t0", ("printed", "assembled")),
        ("00000033  0 0 0  add ", "00000033  0 0 1  add ", ("translated",)),
        ("00000033  0 0 0  add ", "40000033  0 0 0  add ", ("translated", "native", "printed", "assembled")),
        ("=sub", "=add", ("translated", "native", "printed")),
        ("=sub", "=-", ("translated", "native", "printed")),
    ],
)
def test_a_row_that_is_wrong_is_noticed(copy: Path, old: str, new: str, complaints: tuple[str, ...]) -> None:
    table = copy / "encodings" / "riscv_i.txt"
    text = table.read_text()
    if complaints:
        assert old in text
        table.write_text(text.replace(old, new, 1))
    suite = Suite(copy)
    found = {name for name in ("translated", "native", "printed", "assembled") if list(getattr(suite, name)("riscv_i"))}
    assert found == set(complaints)


def test_lines_are_run_by_file() -> None:
    suite = Suite(require_build("riscv64") / "tests")
    assert "specs/riscv_m.isa" in suite.line_files
    assert not list(suite.lines("specs/riscv_m.isa", "native"))
    nothing_done = suite.spec_tests.failures(lambda env, memory, pc: pc, "specs/riscv_m.isa")
    assert {Path(found.pos.file).name for found in nothing_done} == {"riscv_m.isa"}
