"""The tables of other emulators beside specs: joined from base to extension, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gen import oracles, stamp, state
from gen.elaborate import check
from gen.errors import SpecError
from isomorph.fuzz.description import Difference, Oracle

SPEC = """\
isa toy
pc     PC : bits(32)
mode   T : bit
regs   R[8] : bits(32)  zero 0  names "r0-7"
memory M : bits(32)  endian big
decode WORD : 32 big
field  rd : R
exception Illegal = 0
insn inc "000000000000000000000000000 00 rd" "inc {rd}" : R[rd] = R[rd] + 1
"""
MORE = """\
isa more extends toy
insn dec "000000000000000000000000000 01 rd" "dec {rd}" : R[rd] = R[rd] - 1
"""
TABLE = """\
[values]
R = ["word", "pointer"]
[unicorn]
arch = "UC_ARCH_TOY"
mode = "UC_MODE_32"
constants = "toy_const"
pc = "UC_TOY_REG_PC"
[unicorn.registers]
R = "UC_TOY_REG_R{}"
[[unicorn.differs]]
instructions = ["inc"]
fields = ["rd"]
equal = [0xff, 0]
why = "3.1: it counts to 255 only"
"""
MORE_TABLE = """\
[modes]
T = [0, 1]
[[unicorn.differs]]
instructions = ["d*"]
result = { rd = 0xffff }
why = "3.2: it has 16 bits"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "toy.isa").write_text(SPEC)
    (tmp_path / "more.isa").write_text(MORE)
    return tmp_path


def source(folder: Path, table: str, name: str = "toy") -> str | None:
    (folder / "toy.oracle.toml").write_text(table)
    spec = check(folder / f"{name}.isa")
    return oracles.module_source(spec, state.layout_of(spec))


def made(text: str | None) -> Oracle:
    assert text is not None
    names: dict[str, object] = {}
    exec(text, names)
    found = names["ORACLE"]
    assert isinstance(found, Oracle)
    return found


def test_tables_are_joined(folder: Path) -> None:
    assert made(source(folder, TABLE)).unicorn is not None
    (folder / "more.oracle.toml").write_text(MORE_TABLE)
    oracle = made(source(folder, TABLE, "more"))
    assert oracle.values == {"R": ("word", "pointer")}
    assert oracle.modes == {"T": (0, 1)}
    assert oracle.qemu is None
    assert oracle.unicorn is not None
    assert oracle.unicorn.registers == {"R": "UC_TOY_REG_R{}"}
    inc, dec = oracle.unicorn.differs
    assert inc == Difference(("inc",), "3.1: it counts to 255 only", ("rd",), equal=(0xFF, 0))
    assert dec.result == {"rd": 0xFFFF}
    assert dec.concerns("dec")
    assert not dec.concerns("inc")


def test_a_table_beside_what_is_included_counts(folder: Path) -> None:
    (folder / "part.isa").write_text('insn two "000000000000000000000000000 10 rd" "two {rd}" : R[rd] = 2\n')
    (folder / "part.oracle.toml").write_text('[unicorn]\nwithout = ["Illegal"]\n')
    (folder / "toy.isa").write_text(SPEC + 'include "part.isa"\n')
    oracle = made(source(folder, TABLE))
    assert oracle.unicorn is not None
    assert oracle.unicorn.without == ("Illegal",)


def test_without_tables_there_is_no_module(folder: Path) -> None:
    spec = check(folder / "toy.isa")
    assert oracles.module_source(spec, state.layout_of(spec)) is None


def test_a_condition_is_about_masked_values() -> None:
    row = Difference(("x",), "", ("a",), equal=(0xF0, 0x10), unequal=(0x0F, 0))
    assert row.holds_for(iter([0x20, 0x13]))
    assert not row.holds_for(iter([0x10, 0x23]))
    assert not row.holds_for(iter([]))
    assert Difference(("x",), "").holds_for(iter([]))


def test_a_condition_is_about_registers_that_fields_name() -> None:
    row = Difference(("*", "!ld*"), "", registers={"R": (7,)}, same=("d", "e"))
    assert row.concerns("add")
    assert not row.concerns("ldr")
    assert not row.always
    assert row.is_named({"d": ("R", 7)})
    assert row.is_named({"d": ("R", 3), "e": ("R", 3)})
    assert not row.is_named({"d": ("F", 7), "e": ("R", 3), "n": ("R", 3)})
    assert not row.holds_for(iter([7]))
    assert not Difference(("*",), "", ("n",), registers={"R": (7,)}).is_named({"d": ("R", 7), "n": ("R", 3)})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[values]", "[value]", "toy.oracle.toml:1:2: error: there is no section [value]"),
        ('R = ["word"', 'Q = ["word"', "toy.oracle.toml:2:1: error: the spec has no 'Q'"),
        ('["word", "pointer"]', '["wort"]', "toy.oracle.toml:2:1: error: 'R' holds what is not known here"),
        ('["word", "pointer"]', "[]", "toy.oracle.toml:2:1: error: 'R' is a list of what it may hold"),
        ("constants", "konstants", "toy.oracle.toml:6:1: error: [unicorn] has no 'konstants'"),
        ('"UC_ARCH_TOY"', "3", "toy.oracle.toml:4:1: error: 'arch' is text"),
        ('mode = "UC_MODE_32"\n', "", "toy.oracle.toml:3:2: error: [unicorn] does not say mode"),
        ('pc = ', 'without = ["Q"]\npc = ', "toy.oracle.toml:7:1: error: the spec has no register, mode or exc"),
        ("R = \"UC", "S = \"UC", "toy.oracle.toml:9:1: error: the spec has no register or mode 'S'"),
        ('["inc"]', '["inx"]', "toy.oracle.toml:11:1: error: no instruction of toy is called 'inx'"),
        ('["inc"]', '["*", "!inx"]', "toy.oracle.toml:11:1: error: no instruction of toy is called '!inx'"),
        ('fields = ["rd"]', "registers = { S = [1] }", "toy.oracle.toml:12:15: error: the spec has no register 'S'"),
        ("[0xff, 0]", "[0xff]", "toy.oracle.toml:13:1: error: 'equal' is a mask and what the value is under it"),
        ('why = "3.1: it counts to 255 only"', "", "toy.oracle.toml:10:11: error: a difference says which"),
        ("[values]", "[values", "toy.oracle.toml:1:8: error: this is not TOML"),
    ],
)  # fmt: skip
def test_mistakes(folder: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, message: str) -> None:
    monkeypatch.chdir(folder)
    assert old in TABLE
    with pytest.raises(SpecError) as caught:
        source(Path(), TABLE.replace(old, new, 1))
    found = [line for line in str(caught.value).splitlines() if ": error: " in line]
    assert len(found) == 1
    assert found[0].startswith(message)


def test_the_stamp_knows_the_tables(folder: Path) -> None:
    def digest() -> str | None:
        return stamp.spec_digest([str(folder / "toy.isa")], {})

    without = digest()
    (folder / "toy.oracle.toml").write_text(TABLE)
    assert digest() != without
