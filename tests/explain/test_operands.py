"""`explain` of instructions behind prefixes and with operands of sub-tables: it says what the native decoder does."""

from __future__ import annotations

from pathlib import Path

import pytest

from isomorph import Isa
from runtime.core.cpu import load_isa
from runtime.core.env import ENV, Exit
from runtime.tcg.loop import cpu_exec
from tests.conftest import ROOT
from tests.gen.vcpu import OneVcpu
from tests.tools import isomorph, run

CODE, DATA = 0x1000, 0x2000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = tmp_path_factory.mktemp("build")
    done = run(isomorph("gen", str(ROOT / "tests/gen/operands/ranged.isa"), "--build", str(build)))
    assert done.status == 0, done.stderr
    return build / "ranged"


@pytest.mark.parametrize(
    ("code", "text", "fields"),
    [
        ("4801d8", "add q0, q3", {"mod": 3, "reg": 3, "rm": 0}),
        ("664101d8", "add w8, w3", {"mod": 3, "reg": 3, "rm": 0}),
        ("48015f08", "add [q7+8], q3", {"mod": 1, "reg": 3, "rm": 7}),
        ("8b0437", "load d0, [q7+q6*0]", {"mod": 0, "reg": 0, "rm": 4}),
        ("66c7c03412cdab", "setw w0, 2882343476", {"mod": 3, "rm": 0}),
        ("7205", "carry 0x1007", {"d": 5}),
    ],
)
def test_the_record_is_the_native_decoders(folder: Path, code: str, text: str, fields: dict[str, int]) -> None:
    isa = Isa("ranged", _generated=load_isa(folder))
    explanation = isa.explain(bytes.fromhex(code), CODE)
    (report,) = explanation.instructions
    assert (report.bytes.hex(), report.text) == (code, text)
    assert report.handler.slots
    assert {name: report.fields[name] for name in fields} == fields
    slots = {(slot.offset, slot.bits // 8): slot.value for slot in report.handler.slots}
    records = native_records(folder, bytes.fromhex(code))
    places = range(0, len(records) - 7, 8)  # a computed operand has a record before the instruction's own
    assert any(
        all(int.from_bytes(records[at + low : at + low + size], "little") == slots[low, size] for low, size in slots)
        for at in places
    )
    assert explanation.translation.assembly
    assert str(explanation)


def native_records(folder: Path, code: bytes) -> bytes:
    """The op records of a block with one instruction and what ends it."""
    machine = OneVcpu(folder, 64, {CODE: (0x1000, 7), DATA: (0x1000, 3)})
    try:
        machine.memory.write(CODE, code + bytes.fromhex("0f0b"))
        machine.cpu.pc = CODE
        machine.cpu.set("g", DATA, 7)
        assert cpu_exec(machine.cpu) == Exit.EXCEPTION
        cache = machine.tcg.cache
        return bytes(cache.records(cache.block(cache.find(CODE, machine.cpu.words[ENV["flags"] // 8]))))
    finally:
        machine.close()
