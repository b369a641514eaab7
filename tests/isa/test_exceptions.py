"""The table riscv_exceptions.txt: what each instruction raises, with which arguments, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from isomorph.coverage import ran
from runtime.core.cpu import load_isa
from runtime.core.env import GUEST_STATE, PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.memory import GuestMemory
from runtime.syntax.assemble import assemble_one
from runtime.syntax.encode import Encoder
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from tests.conftest import ROOT
from tests.tools import require_build

_TABLE = Path(__file__).with_name("riscv_exceptions.txt")
_ADDRESS = 0x1000
_SIZE = 0x10000


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table; `line` is its number."""

    line: int
    widths: tuple[int, ...]
    instruction: str
    registers: dict[str, int]
    exception: str
    arguments: tuple[int, ...]


def table() -> list[Line]:
    """Every row."""
    found = []
    for number, text in enumerate(_TABLE.read_text().splitlines(), 1):
        if text and not text.startswith("#"):
            widths, instruction, registers, raised = (part.strip() for part in text.split("|"))
            given = dict(part.split("=") for part in registers.split())
            name, *arguments = raised.split()
            found.append(
                Line(
                    number,
                    tuple(map(int, widths.split())),
                    instruction,
                    {register: int(value, 0) for register, value in given.items()},
                    name,
                    tuple(int(argument, 0) for argument in arguments),
                )
            )
    return found


class Hart:
    """One vCPU with code at _ADDRESS."""

    def __init__(self, xlen: int) -> None:
        isa = load_isa(ROOT / "build" / f"riscv{xlen}")
        self.xlen = xlen
        self.memory = GuestMemory(xlen)
        self.memory.map(0, _SIZE, PAGE_READ | PAGE_WRITE | PAGE_EXEC)
        self.tcg = Tcg(isa, self.memory)
        self.vcpu = TcgVcpu(self.tcg)
        self.encoder = Encoder(isa.module("syntax").SYNTAX)

    def close(self) -> None:
        """Free everything."""
        self.vcpu.close()
        self.tcg.close()
        self.memory.close()

    def code(self, instruction: str) -> bytes:
        """The bytes of an instruction, or of a data directive."""
        directive, _, number = instruction.partition(" ")
        if directive in (".word", ".half"):
            return int(number, 16).to_bytes(4 if directive == ".word" else 2, "little")
        return assemble_one(self.encoder, instruction, _ADDRESS)

    def raises(self, line: Line) -> tuple[str, tuple[int, ...]]:
        """The exception and its arguments, after checking that the state is as it was."""
        vcpu = self.vcpu
        vcpu.reset()
        self.memory.write(_ADDRESS, self.code(line.instruction) + b"\x13\0\0\0")
        for name, value in line.registers.items():
            if name == "FRM":
                vcpu.set_mode(name, value)
            else:
                found = vcpu.find(name)
                assert found is not None, name
                vcpu.set(found[0].name, value, found[1])
        vcpu.pc = _ADDRESS
        before = bytes(vcpu.octets[GUEST_STATE : vcpu.layout.size])
        reason = cpu_exec(vcpu, 1)
        decoded = self.encoder.decoder.decode(self.code(line.instruction), _ADDRESS)
        if decoded is not None:
            ran(vcpu.layout.isa, decoded.form.name.partition("__")[0])
        assert reason == Exit.EXCEPTION, f"line {line.line}: {line.instruction} raises nothing"
        assert vcpu.pc == _ADDRESS
        assert bytes(vcpu.octets[GUEST_STATE : vcpu.layout.size]) == before
        return vcpu.layout.exception_name(vcpu.exception), vcpu.arguments[: len(line.arguments)]


@pytest.fixture(scope="module", params=(64, 32), ids=("rv64", "rv32"))
def hart(request: pytest.FixtureRequest) -> Iterator[Hart]:
    require_build(f"riscv{request.param}")
    made = Hart(request.param)
    yield made
    made.close()


def test_the_table_holds(hart: Hart) -> None:
    lines = [line for line in table() if hart.xlen in line.widths]
    assert len(lines) > 40
    for line in lines:
        assert hart.raises(line) == (line.exception, line.arguments), f"line {line.line}: {line.instruction}"


def test_a_wrong_line_is_caught(hart: Hart) -> None:
    """The control: the comparison tells exceptions and arguments apart."""
    fault = Line(0, (32, 64), "lw a0,0(a1)", {"a1": _SIZE}, "LoadFault", (_SIZE,))
    assert hart.raises(fault) == ("LoadFault", (_SIZE,))
    assert hart.raises(fault) != ("StoreFault", (_SIZE,))
    assert hart.raises(fault) != ("LoadFault", (_SIZE + 4,))
