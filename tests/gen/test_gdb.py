"""The tables of gdb's names beside a spec: what they become, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from gen import gdb, stamp, state
from gen.elaborate import check
from gen.errors import SpecError
from runtime.debug.description import Description, read_register, write_register

SPEC = """\
isa toy
pc     PC : bits(32)
regs   R[4] : bits(32)  zero 0  names "r0-3"
regs   V[2] : bits(128)  names "v0-1"
reg    LOW : bits(5)
reg    STATUS : bits(16) { C 0, MODE 3:2 }
mode   HIGH : bits(3)
memory M : bits(32)  endian big
decode WORD : 32 big
exception Illegal = 0, Call = 1
insn call "00000000000000000000000000000001" "call" : raise Call
"""
TABLE = """\
architecture = "toy:{pc}"

[[feature]]
name      = "org.toy.core"
registers = ["R", { name = "pc", parts = ["PC"], type = "code_ptr" }]
types     = { r1 = "data_ptr" }

[[feature]]
name      = "org.toy.rest"
registers = ["V", "LOW", "STATUS", { name = "both", parts = ["HIGH", "LOW"] }]
type      = { 128 = "wide" }
group     = "rest"

[union.wide]
words = "words"
whole = "uint128"

[vector.words]
type  = "uint32"
count = 4
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "toy.isa").write_text(SPEC)
    (tmp_path / "more.isa").write_text("isa more extends toy\n")
    return tmp_path


def made(folder: Path, table: str | None, name: str = "toy") -> tuple[ElementTree.Element, Description]:
    if table is not None:
        (folder / "toy.gdb.toml").write_text(table)
    spec = check(folder / f"{name}.isa")
    values: dict[str, object] = {}
    exec(gdb.module_source(spec, state.layout_of(spec)), values)
    described = values["DESCRIPTION"]
    assert isinstance(described, Description)
    return ElementTree.fromstring(described.xml), described


@pytest.mark.parametrize("name", ["toy", "more"])
def test_tables_become_target_xml_and_the_registers_of_its_numbers(folder: Path, name: str) -> None:
    target, description = made(folder, TABLE, name)
    registers = target.findall("feature/reg")
    assert target.findtext("architecture") == "toy:32"
    assert [feature.get("name") for feature in target.findall("feature")] == ["org.toy.core", "org.toy.rest"]
    shown = [(register.get("name"), register.get("bitsize"), register.get("type")) for register in registers]
    assert shown == [
        ("r0", "32", "int32"),
        ("r1", "32", "data_ptr"),
        ("r2", "32", "int32"),
        ("r3", "32", "int32"),
        ("pc", "32", "code_ptr"),
        ("v0", "128", "wide"),
        ("v1", "128", "wide"),
        ("LOW", "8", "int8"),
        ("STATUS", "16", "STATUS_fields"),
        ("both", "8", "uint8"),
    ]
    assert {register.get("group") for register in registers[5:]} == {"rest"}
    rest = target.findall("feature")[1]
    assert [item.tag for item in rest][:3] == ["vector", "union", "flags"]  # what others are made of comes first
    wire = description.registers
    assert [register.name for register in wire] == [name for name, _, _ in shown]
    assert [part.name for part in wire[-1].parts] == ["LOW", "HIGH"]
    assert description.big_endian


def test_without_a_table_every_register_is_there(folder: Path) -> None:
    target, _ = made(folder, None)
    names = [register.get("name") for register in target.findall("feature/reg")]
    assert sorted(map(str, names)) == sorted(["r0", "r1", "r2", "r3", "v0", "v1", "LOW", "STATUS", "pc", "HIGH"])


def test_a_feature_named_again_goes_on_and_a_register_in_it_is_another(folder: Path) -> None:
    (folder / "more.gdb.toml").write_text(
        '[[feature]]\nname = "org.toy.core"\nregisters = ["LOW", { name = "pc", parts = ["PC"], type = "data_ptr" }]\n'
    )
    target, _ = made(folder, TABLE, "more")
    core, rest = target.findall("feature")
    assert [register.get("name") for register in core.findall("reg")] == ["r0", "r1", "r2", "r3", "pc", "LOW"]
    assert core.findall("reg")[4].get("type") == "data_ptr"
    assert len(rest.findall("reg")) == 5
    assert len(made(folder, TABLE, "toy")[0].findall("feature/reg")) == 10


class Registers:
    """Registers and modes by their names, as a processor has them; `layout` is what the toy declares of them."""

    def __init__(self, folder: Path) -> None:
        self.layout = state.layout_of(check(folder / "toy.isa"))
        self.pc = 0
        self.words: dict[tuple[str, int], int] = {}

    def get(self, name: str, index: int = 0) -> int:
        return self.words.get((name, index), 0)

    def set(self, name: str, value: int, index: int = 0) -> None:
        self.words[name, index] = value

    def get_mode(self, name: str) -> int:
        return self.get(name)

    def set_mode(self, name: str, value: int) -> None:
        self.set(name, value)


def test_bits_entries_of_a_stack_and_what_stands_twice(folder: Path) -> None:
    """A register of gdb's that is put together is read, and written where its bits are and nowhere else."""
    _, described = made(
        folder,
        """[[feature]]
name      = "org.toy.core"
registers = [
    { name = "status", parts = ["STATUS[15:4]", ["HIGH", "STATUS[2:0]"], { bits = 1, value = 1 }, "~STATUS[3]", 3] },
    { name = "s{}", count = 2, parts = ["V[HIGH + {}]"] },
    { name = "entry", parts = ["V[1]"] },
    { name = "twice{}", count = 2, parts = [["V[{}]", "V[0]"]] },
]
""",
    )
    status, first, second, entry, _, twice = described.registers
    assert [one.name for one in described.registers] == ["status", "s0", "s1", "entry", "twice0", "twice1"]
    registers = Registers(folder)
    registers.words = {("STATUS", 0): 0xABC8, ("HIGH", 0): 5, ("V", 0): 70, ("V", 1): 71}
    assert read_register(registers, status) == 0xABC << 8 | 5 << 5 | 1 << 4
    assert [read_register(registers, one) for one in (first, second, entry)] == [71, 70, 71]  # 5 + 0 is odd
    write_register(registers, status, 0x123 << 8 | 6 << 5 | 1 << 3)
    assert (registers.get("STATUS"), registers.get_mode("HIGH")) == (0x1236, 6)
    write_register(registers, second, 9)
    assert (registers.get("V", 0), registers.get("V", 1)) == (70, 9)
    assert read_register(registers, twice) == 9
    write_register(registers, twice, 8)
    assert (registers.get("V", 0), registers.get("V", 1)) == (8, 8)


def test_a_changed_table_makes_the_folder_stale(folder: Path) -> None:
    sources = [str(folder / "toy.isa")]
    before = stamp.spec_digest(sources, {})
    (folder / "toy.gdb.toml").write_text(TABLE)
    assert stamp.spec_digest(sources, {}) != before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"R", {', '"X", {', "toy.gdb.toml:5:15: error: the spec has no register 'X'"),
        ('["PC"]', '["PX"]', "error: the spec has no register 'PX'"),
        ('parts = ["PC"], ', "", "error: register 'pc' has no parts"),
        ('"code_ptr"', '"codeptr"', "toy.gdb.toml:5:58: error: there is no type 'codeptr'"),
        ("r1 = ", "q1 = ", "error: feature 'org.toy.core' has no register 'q1' to give a type to"),
        ('name      = "org.toy.core"', "", "error: a feature needs a name"),
        ('registers = ["R"', 'regs = ["R"', "toy.gdb.toml:5:1: error: a feature has no 'regs'"),
        ('"toy:{pc}"', '"toy {pc}"', "toy.gdb.toml:1:1: error: an architecture is what gdb's"),
        ("count = 4", "count = 0", "error: vector 'words' needs a type and a count"),
        ("[union.wide]", "[union]", "error: 'union' is a table of tables"),
        ('parts = ["PC"]', 'bits = 24, parts = ["PC"]', "error: register 'pc' has 32 bits: bits = 24 is not"),
        ('"HIGH", "LOW"', '"HIGH[3]", "LOW"', "error: 'HIGH' has 3 bits, and 'HIGH[3]' is none of them"),
        ('"HIGH", "LOW"', '"V", "LOW"', "error: 'V' has 2 entries, and 'V' is none"),
        ('"HIGH", "LOW"', '"V[2]", "LOW"', "error: 'V' has 2 entries, and 'V[2]' is none"),
        ('"HIGH", "LOW"', '"V[LOW + 1]", "LOW"', "error: the spec has no mode 'LOW'"),
        ('"HIGH", "LOW"', '"HIGH[", "LOW"', "error: 'HIGH[' is no part of a register"),
        ('"HIGH", "LOW"', '["HIGH", "LOW"]', "error: what stands in several places has the same width in all of them"),
        ('"HIGH", "LOW"', "{ bits = 1, value = 2 }", "is no part of a register"),
        ('name = "both", parts', 'name = "both", count = 2, parts', "error: registers with a count have a number in"),
        ("[[feature]]", "[[feature]", "error: this is not TOML"),
        ("[[feature]]", "[[features]]", "error: a table has no 'features'"),
    ],
)
def test_mistakes_are_told_with_their_place(folder: Path, old: str, new: str, message: str) -> None:
    assert old in TABLE
    with pytest.raises(SpecError) as caught:
        made(folder, TABLE.replace(old, new))
    assert message in str(caught.value)
