"""The soft MMU: whatever pages are mapped, changed, flushed and crossed, accesses do what the page tables say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.core.accelerator import Running
from runtime.core.cpu import Isa
from tests.machine.bench import (
    DEVICE,
    FETCH_FAULT,
    FETCH_PAGE,
    LOAD_FAULT,
    LOAD_PAGE,
    PAGE,
    PRIV_U,
    RAM,
    ROM,
    STORE_FAULT,
    STORE_PAGE,
    A,
    Bench,
    D,
    R,
    U,
    W,
    X,
)
from tests.machine.fuzz import run

Make = Callable[..., Bench]
CODE, DATA = RAM + 0x2000, RAM + 0x8000
VA, DATA_VA = 0x7000_0000, 0x1_0000
ALL = R | W | X | A | D


@pytest.mark.parametrize("seed", range(40))
def test_random_page_tables_accesses_and_flushes(tiny: Isa, seed: int) -> None:
    run(tiny, seed, 300)


def paged(bench: Make, text: str, privilege: int = 1) -> Bench:
    """`text` at VA in supervisor mode, two pages of data at DATA_VA."""
    made = bench()
    made.load(text, CODE)
    bits = ALL | (U if privilege == PRIV_U else 0)
    made.map(VA, CODE, bits)
    made.map(VA + PAGE, CODE + PAGE, bits)
    for page in (0, PAGE):
        made.map(DATA_VA + page, DATA + page, (R | W | A | D) | (bits & U))
    made.paging(VA, privilege)
    made.cpu.set("X", DATA_VA, 11)
    return made


def test_accessed_and_dirty_bits_are_set_when_a_page_is_first_read_and_written(bench: Make) -> None:
    made = paged(bench, "ld a0, 0(a1)\n sd a0, 0(a1)\n")
    entry = made.entry(DATA_VA)
    made.map(DATA_VA, DATA, R | W)
    made.cpu.run(1)
    assert made.read(entry) & (A | D) == A
    made.cpu.run(1)
    assert made.read(entry) & (A | D) == A | D


def test_a_mode_that_decides_about_permission_is_part_of_the_key(bench: Make) -> None:
    """SUM: a supervisor reads a user's page or not, without a flush in between."""
    made = paged(bench, "ld a0, 0(a1)\n ld a0, 0(a1)\n ld a0, 0(a1)\n")
    made.map(DATA_VA, DATA, R | U | A)
    made.cpu.run(1)
    assert made.trapped() == (LOAD_PAGE, DATA_VA, VA)
    made.cpu.pc = VA
    made.cpu.set_register("mstatus", 1 << 18)
    made.put(DATA, 77)
    made.cpu.run(1)
    assert made.trapped() is None
    assert made.x(10) == 77


def test_a_change_of_satp_takes_effect_at_the_next_fetch(bench: Make) -> None:
    """The instruction behind it, in the same block if it were one, is fetched as the new tables say."""
    made = bench(
        """
        addi t0, zero, 1
        csrrw zero, satp, a2
        addi t0, zero, 2
        addi t0, zero, 3
        """
    )
    made.load("addi t1, zero, 5\n addi t1, zero, 6\n", RAM + 0x3000 + 8)
    made.map(RAM, RAM + 0x3000, ALL)
    made.cpu.set_register("mtvec", RAM + 0xFF0)
    made.cpu.set_register("PRIV", 1)
    made.cpu.set("X", 0, 12)
    # A supervisor's `csrrw satp` is legal; translation is off before it and on after it.
    made.cpu.set("X", (8 << 60) | (RAM + 0x40000) >> 12, 12)
    made.cpu.run(3)
    assert made.x(5) == 1
    assert made.x(6) == 5
    assert made.cpu.pc == RAM + 12


@pytest.mark.parametrize(("size", "load", "store"), [(8, "ld", "sd"), (4, "lw", "sw"), (2, "lh", "sh")])
def test_an_access_that_crosses_into_a_page_that_is_not_there_does_nothing(
    bench: Make, size: int, load: str, store: str
) -> None:
    made = paged(bench, f"{load} a0, 0(a1)\n {store} a2, 0(a1)\n")
    made.map(DATA_VA + PAGE, 0, 0)
    made.put(made.entry(DATA_VA + PAGE), 0)
    made.write(DATA, bytes(range(256)) * 16)
    before = bytes(made.bus.memory.memory[0x8000:0x9000])
    for offset in range(PAGE - size + 1, PAGE):
        made.cpu.set("X", DATA_VA + offset, 11)
        made.cpu.set("X", 0x1234, 10)
        for cause, at in ((LOAD_PAGE, VA), (STORE_PAGE, VA + 4)):
            made.cpu.pc = at
            made.cpu.run(1)
            assert made.trapped() == (cause, DATA_VA + PAGE, at)
            assert made.x(10) == 0x1234
    assert bytes(made.bus.memory.memory[0x8000:0x9000]) == before


def test_code_that_straddles_pages_which_are_not_neighbours_in_ram(bench: Make) -> None:
    made = bench()
    made.load("addi a0, a0, 1\n addi a0, a0, 2\n", CODE)
    words = bytes(made.bus.memory.memory[0x2000:0x2008])
    # The first instruction's halves lie at the end of one page and the start of another.
    made.write(RAM + 0x5FFE, words[:2])
    made.write(RAM + 0x3000, words[2:])
    made.map(VA, RAM + 0x5000, X | A)
    made.map(VA + PAGE, RAM + 0x3000, X | A)
    made.paging(VA + 0xFFE)
    for turn in range(1, 4):
        made.cpu.pc = VA + 0xFFE
        made.cpu.run(2)
        assert made.x(10) == 3 * turn
    # Another page behind it, with another second half (addi a0, a0, 0x41) and another instruction.
    made.load("addi a0, a0, 0x41\n addi a0, a0, 4\n", CODE)
    other = bytes(made.bus.memory.memory[0x2000:0x2008])
    made.write(RAM + 0x4000, other[2:])
    made.map(VA + PAGE, RAM + 0x4000, X | A)
    made.cpu.forget_translations()
    made.cpu.pc = VA + 0xFFE
    made.cpu.run(2)
    assert made.x(10) == 9 + 0x41 + 4
    # And none at all: the fault is at the second page, the instruction where it begins.
    made.put(made.entry(VA + PAGE), 0)
    made.cpu.forget_translations()
    made.cpu.pc = VA + 0xFFE
    made.cpu.run(1)
    assert made.trapped() == (FETCH_PAGE, VA + PAGE, VA + 0xFFE)


@pytest.mark.parametrize(
    ("target", "cause"),
    [(0x3000_0000, FETCH_PAGE), (DATA_VA, FETCH_PAGE), (0x6000_0000, FETCH_FAULT)],
)
def test_a_jump_to_where_there_is_no_code_faults_at_the_target(bench: Make, target: int, cause: int) -> None:
    """No page, a page without permission, and a page of a device's registers."""
    made = paged(bench, "jalr zero, 0(a1)\n")
    made.map(0x6000_0000, DEVICE, R | W | X | A | D)
    made.cpu.set("X", target, 11)
    made.cpu.run(2)
    assert made.trapped() == (cause, target, target)


def test_large_pages_go_as_a_whole(bench: Make) -> None:
    made = paged(bench, "ld a0, 0(a1)\n ld a0, 0(a2)\n sfence.va a3\n ld a0, 0(a1)\n ld a0, 0(a2)\n")
    large = 0x4000_0000
    entry = made.entry(large, 1)
    made.map(large, RAM, R | A, 1)
    for index, offset in ((11, 0x8000), (12, 0x9000), (13, 0x20000)):
        made.cpu.set("X", large + offset, index)
    made.cpu.run(2)
    assert made.trapped() is None
    made.put(entry, 0)
    made.cpu.run(2)
    assert made.trapped() == (LOAD_PAGE, large + 0x8000, VA + 12)
    made.cpu.pc = VA + 16
    made.cpu.run(1)
    assert made.trapped() == (LOAD_PAGE, large + 0x9000, VA + 16)


def test_addresses_of_no_memory(bench: Make) -> None:
    made = bench("ld a0, 0(a1)\n sd a0, 0(a1)\n amoadd.d a0, a2, (a1)\n")
    made.load("stay: jal zero, stay", RAM + 0xFF0)
    made.cpu.set_register("mtvec", RAM + 0xFF0)
    for address, store in ((0x2000_0000, STORE_FAULT), ((1 << 64) - 8, STORE_FAULT), (RAM - 8, STORE_FAULT)):
        made.cpu.set("X", address, 11)
        for pc, cause in ((RAM, LOAD_FAULT), (RAM + 4, store), (RAM + 8, store)):
            made.cpu.pc = pc
            made.cpu.run(1)
            assert made.trapped() == (cause, address, pc)
    made.cpu.set("X", RAM + (1 << 20) - 4, 11)  # half of it is there
    before = made.read(RAM + (1 << 20) - 4, 4)
    for pc, cause in ((RAM, LOAD_FAULT), (RAM + 4, STORE_FAULT)):
        made.cpu.pc = pc
        made.cpu.run(1)
        assert made.trapped() == (cause, RAM + (1 << 20), pc)
    assert made.read(RAM + (1 << 20) - 4, 4) == before


def test_rom_is_read_as_memory_and_written_as_a_device(bench: Make) -> None:
    made = bench("ld a0, 0(a1)\n sd a0, 0(a1)\n")
    made.load("stay: jal zero, stay", RAM + 0xFF0)
    made.cpu.set_register("mtvec", RAM + 0xFF0)
    made.bus.rom.memory[:8] = (123).to_bytes(8, "little")
    made.cpu.set("X", ROM, 11)
    made.cpu.run(1)
    assert made.x(10) == 123
    made.cpu.run(1)
    assert made.trapped() == (STORE_FAULT, ROM, RAM + 4)


def test_reservations_and_atomics_go_through_translation(bench: Make) -> None:
    made = paged(bench, "lr.d a0, (a1)\n sc.d a3, a2, (a4)\n sc.d a3, a2, (a1)\n amoadd.d a5, a2, (a1)\n")
    made.put(DATA, 40)
    made.cpu.set("X", 2, 12)
    made.cpu.set("X", DATA_VA + 8, 14)
    assert made.cpu.run(2) == Running()
    assert made.x(10) == 40
    assert made.x(13) == 1
    assert made.read(DATA) == 40
    made.cpu.pc = VA
    made.cpu.run(1)
    made.cpu.pc = VA + 8
    made.cpu.run(2)
    assert made.x(13) == 0
    assert made.x(15) == 2
    assert made.read(DATA) == 4
    made.map(DATA_VA, DEVICE, R | W | A | D)  # a device has no atomics
    made.cpu.forget_translations()
    made.cpu.pc = VA + 12
    made.cpu.run(1)
    assert made.trapped() == (STORE_FAULT, DATA_VA, VA + 12)
    assert not made.bus.log
