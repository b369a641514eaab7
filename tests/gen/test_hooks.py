"""The hooks of a spec as native code and in the reference executor: the same traps, interrupts and page walks."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gen.elaborate import check
from tests.gen.hook_machine import ALL_ONES, RAM, Both, build

SPECS = Path(__file__).parent.parent / "specs" / "pass"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return build(check(SPECS / "machine.isa"), tmp_path_factory.mktemp("hooks"))


@pytest.fixture(autouse=True)
def fresh(machine: Both) -> None:
    machine.call("hook_reset")


def test_what_hooks_read_is_derived(machine: Both) -> None:
    layout = machine.layout
    assert layout.translation == ("PRIV",)
    assert layout.translation_registers == ("mstatus", "satp")
    assert layout.interrupt == ("PRIV",)
    assert {"mie", "mstatus"} <= set(layout.interrupt_registers)
    assert "satp" not in layout.interrupt_registers


def test_reset(machine: Both) -> None:
    machine.set("mcause", 77)
    machine.set("PRIV", 0)
    machine.call("hook_reset")
    assert (machine.get("pc"), machine.get("mcause"), machine.get("PRIV")) == (0x8000_0000, 0, 3)
    assert ("flush", ALL_ONES) in machine.reference.ram.log


def test_exception(machine: Both) -> None:
    """The trap's registers are written, privilege is raised and control goes to the vector."""
    machine.set("mtvec", 0x8000_1000)
    machine.set("mstatus", 1 << 3)
    machine.set("PRIV", 1)
    machine.set("pc", 0x1234)
    machine.set("exception", 13)
    machine.set("arg0", 0xDEAD)
    machine.call("hook_exception")
    assert [machine.get(name) for name in ("mepc", "mcause", "mtval")] == [0x1234, 13, 0xDEAD]
    assert machine.get("mstatus") == 1 << 7 | 1 << 11
    assert (machine.get("pc"), machine.get("PRIV")) == (0x8000_1000, 3)
    assert ("flush", ALL_ONES) in machine.reference.ram.log  # mstatus is what `on translate` reads


@pytest.mark.parametrize(
    ("enabled", "wires", "priv", "taken"),
    [
        (0, {"MTIP": 1}, 0, 0),
        (1 << 7, {"MTIP": 1}, 0, 7),
        (1 << 7, {"MTIP": 0}, 0, 0),
        (0x888, {"MTIP": 1, "MEIP": 1}, 0, 11),
        (0x888, {"MTIP": 1, "MSIP": 1}, 0, 3),
        (1 << 7, {"MTIP": 1}, 3, 0),  # mstatus.MIE is clear
    ],
)
def test_interrupt(machine: Both, enabled: int, wires: dict[str, int], priv: int, taken: int) -> None:
    for name in ("MTIP", "MEIP", "MSIP"):
        machine.set(name, wires.get(name, 0))
    machine.set("mie", enabled)
    machine.set("mtvec", 0x9000_0001)
    machine.set("PRIV", priv)
    machine.set("pc", 0x4000)
    assert machine.call("hook_interrupt") == (1 if taken else 0)
    if taken:
        assert machine.get("mcause") == 1 << 63 | taken
        assert machine.get("pc") == 0x9000_0000 + 4 * taken
    else:
        assert machine.get("pc") == 0x4000


def test_sleep(machine: Both) -> None:
    """A wire wakes a vCPU that does not take the interrupt, and the deadline is what the spec says."""
    machine.set("mie", 1 << 7)
    machine.set("MTIP", 0)
    assert machine.call("hook_wake") == 0
    machine.set("MTIP", 1)
    assert (machine.call("hook_wake"), machine.call("hook_interrupt")) == (1, 0)
    machine.set("mtimecmp", 1234)
    assert machine.call("hook_deadline") == 1234
    machine.set("mie", 0)
    assert machine.call("hook_deadline") == ALL_ONES


def table(machine: Both, root: int, va: int, leaf: int, level: int) -> int:
    """Enter a leaf for va in a three-level table whose pages follow root; gives the leaf's address."""
    at = root
    for step in (2, 1, 0):
        place = at + (va >> 12 + 9 * step & 0x1FF) * 8
        if step == level:
            machine.store(place, leaf)
            return place
        at += 0x1000
        machine.store(place, at >> 12 << 10 | 1)
    raise AssertionError


def test_walk(machine: Both) -> None:
    """A page is found, accessed and dirty bits are set, and a clean page is not writable."""
    machine.set("PRIV", 0)
    machine.set("satp", 8 << 60 | RAM >> 12)
    va = 0x12_3456_7890
    place = table(machine, RAM, va, 0xABCD << 10 | 0x17, 0)
    assert machine.call("hook_translate", va, 0) == 0
    assert [machine.get(f"walk_{what}") for what in ("page", "bits", "permissions")] == [0xABCD000, 12, 1]
    assert machine.load(place) & 0xC0 == 0x40
    assert machine.call("hook_translate", va, 1) == 0
    assert machine.get("walk_permissions") == 3
    assert machine.load(place) & 0xC0 == 0xC0
    assert machine.call("hook_translate", va, 2) == 1
    assert (machine.get("exception"), machine.get("arg0")) == (12, va)


def test_large_page(machine: Both) -> None:
    machine.set("PRIV", 0)
    machine.set("satp", 8 << 60 | RAM >> 12)
    table(machine, RAM, 0x4123_4567, 0x4_0000 << 10 | 0x1F, 2)
    assert machine.call("hook_translate", 0x4123_4567, 0) == 0
    assert (machine.get("walk_page"), machine.get("walk_bits")) == (0x4000_0000, 30)


def test_table_outside_memory(machine: Both) -> None:
    """A walk that reaches nothing raises what `on badaddr` does for the access that was asked for."""
    machine.set("PRIV", 0)
    machine.set("satp", 8 << 60 | 0x10)
    for access, code in ((0, 5), (1, 7), (2, 1)):
        assert machine.call("hook_translate", 0x1000, access) == 1
        assert (machine.get("exception"), machine.get("arg0")) == (code, 0x1000)
    assert machine.get("phys_failed") == 0


def test_random_tables(machine: Both) -> None:
    """Native code and reference agree, faults and memory included, on tables made of noise."""
    choose = random.Random(7)
    for page in range(4):
        for entry in range(512):
            kind = choose.randrange(8)
            pointer = (RAM >> 12) + choose.randrange(4) << 10 | 1
            machine.store(RAM + page * 0x1000 + entry * 8, pointer if kind < 5 else choose.getrandbits(54 + kind % 2))
    machine.set("satp", 8 << 60 | RAM >> 12)
    faults = 0
    for _ in range(300):
        machine.set("PRIV", choose.choice((0, 1, 1)))
        machine.set("mstatus", choose.getrandbits(2) << 18)
        va = choose.getrandbits(39)
        va |= ((1 << 25) - 1 << 39) if va >> 38 else 0
        faults += machine.call("hook_translate", va, choose.randrange(3))
    assert 30 < faults < 300
