"""RISC-V's page walks and memory protection against a small model written from the manual (Volume II, 3.7 and 4.3.2).

Both executors of hooks are asked, so their answers are also compared with each other, bit by bit.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from gen.elaborate import check
from tests.gen.hook_machine import RAM, RAM_BYTES, Both, build

SPECS = Path(__file__).parent.parent.parent / "specs"
LOAD, STORE, FETCH = 0, 1, 2
ACCESS_FAULTS, PAGE_FAULTS = (5, 7, 1), (13, 15, 12)
V, R, W, X, U, G, A, D = (1 << bit for bit in range(8))
OFF, TOR, NA4, NAPOT = 0, 1, 2, 3


@dataclass(frozen=True)
class Shape:
    """4.3 to 4.6: how a mode's tables look."""

    spec: str
    mode: int  # satp.MODE
    levels: int
    entry: int  # bytes of an entry
    index: int  # bits of an address for each level

    @property
    def address_bits(self) -> int:
        return 12 + self.levels * self.index


SHAPES = {
    "Sv32": Shape("riscv32", 1, 2, 4, 10),
    "Sv39": Shape("riscv64", 8, 3, 8, 9),
    "Sv48": Shape("riscv64", 9, 4, 8, 9),
    "Sv57": Shape("riscv64", 10, 5, 8, 9),
}


class Fault(Exception):
    pass


@dataclass
class Model:
    """The state that translation depends on, and the algorithm."""

    shape: Shape
    memory: bytearray
    satp: int
    privilege: int
    data_privilege: int
    sum: int
    mxr: int
    protection: list[tuple[int, int]] = field(default_factory=list)  # configuration, address

    def entry(self, address: int, access: int) -> int:
        size = self.shape.entry
        self.protect(address, size, LOAD, 1, access)
        if not RAM <= address <= RAM + RAM_BYTES - size:
            raise Fault(ACCESS_FAULTS[access])
        return int.from_bytes(self.memory[address - RAM : address - RAM + size], "little")

    def protect(self, address: int, size: int, kind: int, privilege: int, access: int) -> None:
        """3.7.1: the first entry that matches any byte decides, and must match all."""
        below = 0
        for configuration, register in self.protection:
            start, end = below, register << 2
            below = end
            match configuration >> 3 & 3:
                case 0:
                    continue
                case 2:
                    start, end = register << 2, (register << 2) + 4
                case 3:
                    ones = (~register & register + 1).bit_length() - 1
                    start = register >> ones + 1 << ones + 3
                    end = start + (1 << ones + 3)
            if address + size <= start or end <= address:
                continue
            if not (start <= address and address + size <= end):
                raise Fault(ACCESS_FAULTS[access])
            if (privilege < 3 or configuration & 0x80) and not configuration >> kind & 1:
                raise Fault(ACCESS_FAULTS[access])
            return
        if privilege < 3:
            raise Fault(ACCESS_FAULTS[access])

    def translate(self, va: int, access: int) -> int:
        """4.3.2, for an access of one byte; sets the accessed and dirty bits."""
        shape = self.shape
        privilege = self.privilege if access == FETCH else self.data_privilege
        page_fault = Fault(PAGE_FAULTS[access])
        if privilege == 3 or not self.mode():
            if va >> 56:
                raise Fault(ACCESS_FAULTS[access])
            self.protect(va, 1, access, privilege, access)
            return va
        top = va >> shape.address_bits - 1
        if shape.address_bits > 32 and top not in (0, (1 << 65 - shape.address_bits) - 1):
            raise page_fault
        table = (self.satp & ((1 << 22) - 1 if shape.entry == 4 else (1 << 44) - 1)) << 12
        for level in range(shape.levels - 1, -1, -1):
            shift = 12 + level * shape.index
            at = table + (va >> shift & (1 << shape.index) - 1) * shape.entry
            entry = self.entry(at, access)
            if not entry & V or entry & (R | W) == W or (shape.entry == 8 and entry >> 54):
                raise page_fault
            frame = entry >> 10 & (1 << 44) - 1
            if not entry & (R | X):
                if entry & (A | D | U):
                    raise page_fault
                table = frame << 12
                continue
            needed = {LOAD: entry & R or (self.mxr and entry & X), STORE: entry & W, FETCH: entry & X}[access]
            if entry & U:
                allowed = privilege == 0 or (access != FETCH and self.sum)
            else:
                allowed = privilege == 1
            if not needed or not allowed or frame & (1 << level * shape.index) - 1:
                raise page_fault
            pa = frame << 12 | va & (1 << shift) - 1
            self.protect(pa, 1, access, privilege, access)
            marked = entry | A | (D if access == STORE else 0)
            if marked != entry:
                self.protect(at, shape.entry, STORE, 1, access)
                self.memory[at - RAM : at - RAM + shape.entry] = marked.to_bytes(shape.entry, "little")
            return pa
        raise page_fault

    def mode(self) -> int:
        return self.satp >> 31 if self.shape.entry == 4 else self.satp >> 60


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Both]:
    return cache(lambda name: build(check(SPECS / f"{name}.isa", (SPECS,)), tmp_path_factory.mktemp(name)))


def put(machine: Both, model: Model) -> None:
    """The model's state into the machine."""
    machine.call("hook_reset")
    for name, value in (
        ("satp", model.satp),
        ("PRIV", model.privilege),
        ("DATA", model.data_privilege),
        ("SUM", model.sum),
        ("MXR", model.mxr),
    ):
        machine.set(name, value)
    for number, (_, address) in enumerate(model.protection):
        machine.set("PMPADDR", address, number)
    machine.set("PMPCFG", sum(c << 8 * number for number, (c, _) in enumerate(model.protection)))
    machine.set("PMPCOUNT", len(model.protection))
    for executor in (machine.reference, machine.native):
        executor.ram.data[:] = model.memory


def compare(machine: Both, model: Model, va: int, access: int) -> str:
    """One translation by all three; says what came out."""
    put(machine, model)
    try:
        pa, code = model.translate(va, access), 0
    except Fault as fault:
        pa, code = 0, fault.args[0]
    refused = machine.call("hook_translate", va, access)
    if code:
        assert (refused, machine.get("exception"), machine.get("arg0")) == (1, code, va), hex(va)
        return f"fault {code}"
    bits, rights = machine.get("walk_bits"), machine.get("walk_permissions")
    assert refused == 0, (hex(va), machine.get("exception"))
    assert machine.get("walk_page") | va & (1 << bits) - 1 == pa
    assert machine.get("walk_page") % (1 << bits) == 0
    assert rights >> access & 1
    assert machine.reference.ram.data == model.memory  # accessed and dirty bits
    # What the TLB may keep: every byte of the page, every access it allows, needs nothing more of the walk.
    for other in (LOAD, STORE, FETCH):
        if rights >> other & 1:
            for offset in (0, (1 << bits) - 1):
                kept = bytes(model.memory)
                inside = va & ~((1 << bits) - 1) | offset
                assert model.translate(inside, other) == machine.get("walk_page") + offset
                assert model.memory == kept
    return f"page of 2**{bits}"


def random_tables(choose: random.Random, shape: Shape, model: Model) -> tuple[list[int], list[int]]:
    """Tables for some addresses, few of them flawless; the addresses, and those of the pages."""
    pages = iter(range(1, RAM_BYTES >> 12))
    found: list[int] = []
    reached = [RAM]
    for _ in range(5):
        va = choose.getrandbits(shape.address_bits - 1)
        if choose.random() < 0.5 and shape.address_bits > 32:
            va |= (1 << 64) - (1 << shape.address_bits - 1)
        elif shape.address_bits == 32:
            va |= choose.getrandbits(1) << 31
        found.append(va)
        table = RAM
        leaf_level = choose.choice((0, 0, 0, *range(shape.levels)))
        for level in range(shape.levels - 1, -1, -1):
            at = table + (va >> 12 + level * shape.index & (1 << shape.index) - 1) * shape.entry
            old = int.from_bytes(model.memory[at - RAM : at - RAM + shape.entry], "little")
            if old & (R | X):
                break
            if old & V and level > leaf_level:
                table = (old >> 10) << 12
                continue
            if level > leaf_level:
                page = next(pages, None)
                if page is None:
                    break
                table = RAM + (page << 12)
                entry = table >> 12 << 10 | V
                if choose.random() < 0.04:
                    entry |= choose.choice((U, A, D, G, W, 1 << 60 if shape.entry == 8 else W))
            else:
                frame = choose.getrandbits(44 if shape.entry == 8 else 22)
                if choose.random() < 0.95:
                    frame &= -1 << level * shape.index
                flags = choose.choice((R | X, R | W, R | W | X, X, R, R | W, W, 0)) | choose.getrandbits(4) << 4
                reached.append(frame << 12)
                entry = frame << 10 | flags | (V if choose.random() < 0.95 else 0)
                if choose.random() < 0.03 and shape.entry == 8:
                    entry |= 1 << choose.randrange(54, 64)
            model.memory[at - RAM : at - RAM + shape.entry] = entry.to_bytes(shape.entry, "little")
            if level <= leaf_level:
                break
    return found, reached


def random_protection(choose: random.Random, pages: list[int], most: int) -> list[tuple[int, int]]:
    """Entries about the tables, some pages and elsewhere; the last one allows everything, mostly."""
    made = []
    for _ in range(choose.choice((0, 1, 2, 4))):
        kind = choose.choice((OFF, TOR, NA4, NAPOT))
        page = choose.choice(pages)
        address = (
            choose.choice((page, page + 0x800, page + 0x800, page + 0x1000, RAM + choose.randrange(RAM_BYTES))) >> 2
        )
        if kind == NAPOT:
            ones = choose.randrange(16)
            address = address & (-1 << ones + 1) | (1 << ones) - 1
        rights = choose.choice((0, R >> 1, 3, 7, 4, 5))
        made.append((kind << 3 | rights | choose.choice((0, 0, 0x80)), address))
    if choose.random() < 0.9:
        made.append((NAPOT << 3 | 7, (1 << most) - 1))
    return made


@pytest.mark.parametrize("name", SHAPES)
def test_walks(machines: Callable[[str], Both], name: str) -> None:
    shape = SHAPES[name]
    machine = machines(shape.spec)
    choose = random.Random(name)
    seen: dict[str, int] = {}
    for _ in range(160):
        mode = 0 if choose.random() < 0.05 else shape.mode
        satp = mode << (31 if shape.entry == 4 else 60) | RAM >> 12
        privilege = choose.choice((0, 1, 1, 3))
        data = choose.choice((0, 1, 3)) if privilege == 3 else privilege
        memory = bytearray(RAM_BYTES)
        model = Model(shape, memory, satp, privilege, data, choose.getrandbits(1), choose.getrandbits(1))
        addresses, pages = random_tables(choose, shape, model)
        model.protection = random_protection(choose, pages, 54 if shape.entry == 8 else 32)
        for va in addresses:
            va ^= choose.choice((0, 0, choose.getrandbits(12), 1 << choose.randrange(shape.address_bits)))
            if choose.random() < 0.05 and shape.address_bits > 32:
                va ^= 1 << choose.randrange(shape.address_bits - 1, 64)
            outcome = compare(machine, model, va, choose.choice((LOAD, STORE, FETCH)))
            seen[outcome] = seen.get(outcome, 0) + 1
    assert {f"fault {code}" for code in (*ACCESS_FAULTS, *PAGE_FAULTS)} <= set(seen), seen
    assert seen["page of 2**12"] > 20, seen
    assert any(outcome in seen for outcome in ("page of 2**21", "page of 2**22")), seen
    assert "page of 2**2" in seen, seen
