"""Prefixes and operands of sub-tables, from a small spec: both decoders, both tiers' emitters, the assembler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from gen import emit
from gen.elaborate import check
from gen.emit import prepare
from gen.errors import SpecError
from isomorph.fuzz.sequences import mnemonic
from isomorph.spec_tests import SpecTests
from runtime.core.cpu import load_isa
from runtime.core.env import Exit
from runtime.syntax.disassemble import Disassembler
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function
from runtime.tcg.loop import cpu_exec
from tests.gen.vcpu import OneVcpu

SPEC = Path(__file__).parent / "operands" / "ranged.isa"
CODE, DATA = 0x10000, 0x20000
UNDEFINED, BAD_ADDRESS = 6, 14


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "ranged"
    out.mkdir()
    emit.generate(check(SPEC), out)
    return out


class Machine(OneVcpu):
    """A vCPU with two pages of code and one of data, at register 7."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 64, {CODE: (0x1000, 7), DATA: (0x1000, 3)})

    def run(self, code: str, at: int = CODE, **registers: int) -> Exit:
        self.memory.write(at, bytes.fromhex(code))
        self.cpu.pc = at
        for name, value in {"r7": DATA, **registers}.items():
            self.cpu.set("g", value, int(name[1:]))
        return Exit(cpu_exec(self.cpu))


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    made = Machine(folder)
    yield made
    made.close()


def test_the_lines_of_the_spec_hold(folder: Path) -> None:
    spec = check(SPEC)
    tests = SpecTests(spec, load_isa(folder))
    assert len(spec.tests) > 20
    assert [str(failure.message) for failure in tests.failures()] == []
    assert [str(failure.message) for failure in tests.failures(tests.translated)] == []


def test_the_decoders_agree_on_random_bytes(folder: Path) -> None:
    """The translator's and the disassembler's; the lines of the spec run by the native one."""
    isa = load_isa(folder)
    translate, random = isa.module("translate"), Random(5)
    disassembler = Disassembler(isa.module("syntax").SYNTAX)
    builder = Builder(isa.layout, Function("decode"))
    starts = bytes.fromhex("66f04048494f018bc78d87720f0b")
    lengths = set()
    for _ in range(4000):
        data = bytes(random.choice(starts) if random.random() < 0.6 else random.getrandbits(8) for _ in range(11))
        found = translate.decode(int.from_bytes(data, "little"), len(data), builder)
        shown = disassembler.decoder.decode(data, 0)
        assert (found.length if found else None) == (shown.length if shown else None), data.hex()
        assert (found.instruction.mnemonic if found else "") == (mnemonic(shown.form) if shown else ""), data.hex()
        if found:
            lengths.add(found.length)
    assert lengths >= set(range(2, 10))


def test_a_prefix_may_stand_before_another(machine: Machine) -> None:
    # 66 cancels the 48 before it: a word is added.
    assert machine.run("48 66 01d8 0f0b", r0=0x1_FFFF, r3=1) == Exit.EXCEPTION
    assert (machine.cpu.get("g", 0), machine.cpu.pc, machine.cpu.exception) == (0x1_0000, CODE + 4, UNDEFINED)


@pytest.mark.parametrize("prefixes", [9, 10, 11, 12, 40])
def test_no_instruction_is_longer_than_its_space_allows(machine: Machine, prefixes: int) -> None:
    assert machine.run("66" * prefixes + "01d8 0f0b", r0=1, r3=1) == Exit.EXCEPTION
    done = prefixes + 2 <= 11
    assert machine.cpu.exception == UNDEFINED
    assert machine.cpu.get("g", 0) == (2 if done else 1)
    assert machine.cpu.pc == CODE + (prefixes + 2 if done else 0)


def test_a_guard_among_the_rows_makes_it_another_instruction(machine: Machine) -> None:
    assert machine.run("8dc0", r0=1) == Exit.EXCEPTION  # `where` with a register
    assert (machine.cpu.exception, machine.cpu.pc) == (UNDEFINED, CODE)


def test_a_fault_in_an_operand_is_precise(machine: Machine) -> None:
    assert machine.run("4801d8 480107", r0=5, r3=1, r7=0x5000_0000) == Exit.EXCEPTION
    assert (machine.cpu.exception, machine.cpu.arguments[0]) == (BAD_ADDRESS, 0x5000_0000)
    assert (machine.cpu.pc, machine.cpu.get("g", 0), machine.cpu.executed) == (CODE + 3, 6, 1)


def test_an_instruction_that_runs_out_of_its_page_faults_there(machine: Machine) -> None:
    """Whatever part of it is missing: its opcode, the operand's bytes, or the immediate behind them."""
    code = "f04066c7470102030405"
    for kept in range(1, 10):
        at = CODE + 0x1000 - kept
        assert machine.run(code[: 2 * kept], at) == Exit.EXCEPTION
        assert (machine.cpu.exception, machine.cpu.arguments[0], machine.cpu.pc) == (BAD_ADDRESS, CODE + 0x1000, at)
        machine.memory.write(at, b"\x0f\x0b".ljust(kept, b"\0")[:kept])


def test_rows_do_not_multiply_handlers(folder: Path) -> None:
    """Each of the address's rows has one record (two where an index is), and each instruction one for memory."""
    from runtime.tcg.blobs import map_blob

    handlers = [name for name in map_blob(folder / "native.blob").symbols if name.startswith("h_")]
    assert len([name for name in handlers if "_to_0" in name]) == 5
    assert len([name for name in handlers if name.startswith("h_load")]) <= 2 * 3


def test_a_row_that_is_a_plain_value_cannot_be_written(tmp_path: Path) -> None:
    """The error names the instruction and the row, and the mend is a guard."""
    text = """isa values
pc     PC : bits(16)
regs   R[4] : bits(8)  names "r0-3"
memory M : bits(16)  endian little
decode B : 8 little  max 2
operand place(m : bits(2)) -> bits(8)
    "00 r:2"    "{r:R}" = R[r]
    "01 / i:8"  "#{i}"  = i
insn clear "0000 m:2 00" "clear {e}" GUARD with e = place(m) : e = 0
""".replace('"00 r:2"    "{r:R}" = R[r]', '"00 / r:2 000000" "{r:R}" = R[r]')
    path = tmp_path / "values.isa"
    path.write_text(text.replace("GUARD ", ""))
    with pytest.raises(SpecError) as caught:
        prepare(path, (tmp_path,), {}, tmp_path / "out")
    assert [error.message for error in caught.value.diagnostics] == [
        "'clear' writes an operand that may be a plain value"
    ]
    (error,) = caught.value.diagnostics
    assert (error.pos.line, [(note and note.line, said) for note, said in error.notes]) == (
        9,
        [(8, "this row of 'e' is a plain value")],
    )
    path.write_text(text.replace("GUARD with e = place(m)", "with e = place(m) where m == 0"))
    prepare(path, (tmp_path,), {}, tmp_path / "out")
