"""Lazy groups: put off, paid when somebody reads, and never to be seen: neither by Python between two instructions, nor
by an instruction that faults, nor by what only sets a part of the group."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from gen import emit
from gen.elaborate import check
from gen.lazy import lazy_rules
from runtime.core.env import Exit
from runtime.tcg.blobs import map_blob
from runtime.tcg.loop import cpu_exec
from tests.gen.vcpu import OneVcpu

SPEC = """
isa owing
pc     PC : bits(32)
regs   X[4] : bits(32)
reg    C, Z : bit
memory M : bits(32)  endian little
exception Fault = 2
on badaddr(acc : bits(2), va : bits(32)) : raise Fault(va)
decode D : 32 little
field  rd, rs : X
field  imm : signed
lazy F (C, Z)
    rule sum(a : bits(n), b : bits(n))
        let r = a + b
        C = r <u a; Z = r == 0
    rule given(r : bits(8), c : bit)
        C = c; Z = r == 0
    rule zero(r : bits(n)) keeps C
        Z = r == 0
insn adds  "imm:16 0000 rs rd 00000001" "adds {rd}, {rs}, {imm}"
    F = sum(X[rd], X[rs])
    X[rd] = X[rd] + X[rs]
insn addb  "imm:16 0000 rs rd 00000010" "addb {rd}, {rs}, {imm}"
    let r = (0b0 ++ X[rd][7:0]) + (0b0 ++ X[rs][7:0])
    X[rd][7:0] = r[7:0]
    F = given(r[7:0], r[8])
insn dec   "imm:16 0000 rs rd 00000011" "dec {rd}, {rs}, {imm}"
    X[rd] = X[rd] - 1
    F = zero(X[rd])
insn setc  "imm:16 0000 rs rd 00000100" "setc {rd}, {rs}, {imm}" : X[rd] = zext(C)
insn putc  "imm:16 0000 rs rd 00000101" "putc {rd}, {rs}, {imm}" : C = X[rs][0]
insn both  "imm:16 0000 rs rd 00000110" "both {rd}, {rs}, {imm}"
    F = sum(X[rd], X[rs])
    if Z: X[rd] = 7
insn maybe "imm:16 0000 rs rd 00000111" "maybe {rd}, {rs}, {imm}"
    if X[rs][0]: F = sum(X[rd], X[rs])
insn load  "imm:16 0000 rs rd 00001000" "load {rd}, {rs}, {imm}"
    F = sum(X[rd], X[rs])
    X[rd] = M[zext(imm), 32]
insn bz    "imm:16 0000 rs rd 00001001" "bz {rd}, {rs}, {imm}" : if Z: goto PC + 8
insn bc    "imm:16 0000 rs rd 00001010" "bc {rd}, {rs}, {imm}" : if C: goto PC + 8
"""
FUSE = "fuse adds, addb, maybe, load then bz, bc, setc, adds\n"
OPERATIONS = ("adds", "addb", "dec", "setc", "putc", "both", "maybe", "load", "bz", "bc")
CODE = 0x10000
MASK = 0xFFFF_FFFF
Word = tuple[str, int, int, int]


class Model:
    """What the spec says, by hand: flags at once."""

    def __init__(self, x: list[int]) -> None:
        self.x, self.c, self.z, self.at = list(x), 0, 0, 0

    def _sum(self, rd: int, rs: int) -> int:
        total = self.x[rd] + self.x[rs]
        self.c, self.z = total >> 32, int(not total & MASK)
        return total & MASK

    def step(self, word: Word) -> bool:
        """False if it faults."""
        name, rd, rs, imm = word
        following = self.at + 1
        x = self.x
        match name:
            case "adds":
                x[rd] = self._sum(rd, rs)
            case "addb":
                total = (x[rd] & 255) + (x[rs] & 255)
                x[rd] = x[rd] & ~255 | total & 255
                self.c, self.z = total >> 8, int(not total & 255)
            case "dec":
                x[rd] = x[rd] - 1 & MASK
                self.z = int(not x[rd])
            case "setc":
                x[rd] = self.c
            case "putc":
                self.c = x[rs] & 1
            case "both":
                self._sum(rd, rs)
                x[rd] = 7 if self.z else x[rd]
            case "maybe":
                if x[rs] & 1:
                    self._sum(rd, rs)
            case "load":
                if imm:
                    return False
                self._sum(rd, rs)
                x[rd] = 0x55
            case "bz":
                following += self.z
            case "bc":
                following += self.c
        self.at = following
        return True


def code(word: Word) -> bytes:
    name, rd, rs, imm = word
    return (imm << 16 | rs << 10 | rd << 8 | OPERATIONS.index(name) + 1).to_bytes(4, "little")


@pytest.fixture(scope="module", params=["", FUSE], ids=["single", "fused"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without fused handlers and with some: nothing but speed may differ."""
    out = tmp_path_factory.mktemp("build") / "owing"
    out.mkdir()
    (out / "owing.isa").write_text(SPEC + request.param)
    emit.generate(check(out / "owing.isa"), out)
    return out


class Machine(OneVcpu):
    """A vCPU with two pages of code, and 0x55 at address 0."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 32, {CODE: (0x2000, 7), 0: (0x1000, 3)})
        self.memory.write(0, b"\x55")

    def state(self) -> tuple[int, ...]:
        cpu = self.cpu
        return (*(cpu.get("X", index) for index in range(4)), cpu.get("C"), cpu.get("Z"), (cpu.pc - CODE) // 4)


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    made = Machine(folder)
    yield made
    made.close()


def test_which_rules_can_wait(tmp_path: Path) -> None:
    """Those that set the whole group; one that keeps a register is run at once."""
    (tmp_path / "owing.isa").write_text(SPEC)
    assert lazy_rules(check(tmp_path / "owing.isa")) == {"F_sum_32": 1, "F_given": 2}


def test_a_pair_whose_rule_is_known_asks_nobody(folder: Path) -> None:
    names = {name for name in map_blob(folder / "native.blob").symbols if "__h_" in name}
    if FUSE in (folder / "owing.isa").read_text():
        assert {"h_adds_0__h_bz_0", "h_addb_0__h_setc_0", "h_maybe_0__h_bc_0"} <= names
    else:
        assert not names


def test_at_any_instruction_registers_are_what_they_should_be(machine: Machine) -> None:
    """Random programs, stopped after each number of instructions, and run on from there."""
    chance = random.Random(6)
    faults = 0
    for _ in range(60):
        words: list[Word] = [
            (chance.choice(OPERATIONS), chance.randrange(4), chance.randrange(4), 0)
            for _ in range(chance.randrange(2, 14))
        ]
        if chance.random() < 0.3:
            words[-1] = ("load", 1, 2, 0x5000)  # not mapped
        x = [chance.choice((0, 1, 255, 0x80, MASK, 0x8000_0000, chance.getrandbits(32))) for _ in range(4)]
        machine.memory.write(CODE, b"".join(map(code, words)) + code(("adds", 0, 0, 0)) * 2)
        model = Model(x)
        machine.cpu.reset()
        machine.cpu.pc = CODE
        for index, value in enumerate(x):
            machine.cpu.set("X", value, index)
        while model.at < len(words):
            count = chance.randrange(1, 5)
            reason = Exit(cpu_exec(machine.cpu, count))
            done = [model.step(words[model.at]) for _ in range(count) if model.at < len(words)]
            if not all(done):
                assert (reason, machine.cpu.arguments[0]) == (Exit.EXCEPTION, 0x5000)
                faults += 1
                break
            if len(done) == count:
                assert reason == Exit.BUDGET
                assert machine.state() == (*model.x, model.c, model.z, model.at), words
        if model.at < len(words):
            assert machine.state() == (*model.x, model.c, model.z, model.at), words
    assert faults > 5
