"""Blocks by physical page: code that is changed through any alias, by devices, or mapped elsewhere runs as it is."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from runtime.core.accelerator import Breakpoint, Idle, Running
from tests.machine.bench import PAGE, RAM, A, Bench, D, R, W, X

Make = Callable[..., Bench]
CODE, OTHER = RAM + 0x2000, RAM + 0x3000
VA, ALIAS = 0x7000_0000, 0x5000_0000
ALL = R | W | X | A | D


def word(made: Bench, text: str) -> int:
    made.load(text, RAM + 0x10000)
    return made.read(RAM + 0x10000, 4)


def test_a_store_through_another_mapping_changes_code(bench: Make) -> None:
    made = bench()
    made.load(
        """
        again:
          addi a0, a0, 1
          sw a2, 0(a1)
          fence.i
          addi t0, t0, -1
          bne t0, zero, again
        stay:
          jal zero, stay
        """,
        CODE,
    )
    made.map(VA, CODE, ALL)
    made.map(ALIAS, CODE, ALL)
    made.paging(VA)
    made.cpu.set("X", ALIAS, 11)
    made.cpu.set("X", word(made, "addi a0, a0, 100"), 12)
    made.cpu.set("X", 5, 5)
    made.cpu.run(100)
    assert made.trapped() is None
    assert made.x(10) == 1 + 4 * 100


def test_one_physical_page_at_two_addresses_is_two_sets_of_blocks(bench: Make) -> None:
    """Code that says where it is."""
    made = bench()
    made.load("jal a0, next\nnext: addi a3, a3, 1\n jalr zero, 0(a1)\n", CODE)
    made.map(VA, CODE, ALL)
    made.map(ALIAS, CODE, ALL)
    made.paging(VA)
    for turn, (here, there) in enumerate(((VA, ALIAS), (ALIAS, VA), (VA, ALIAS))):
        made.cpu.set("X", there, 11)
        made.cpu.run(3)
        assert made.x(10) == here + 4
        assert made.x(13) == turn + 1
        assert made.cpu.pc == there


def test_one_address_with_two_pages_in_turn_finds_each_ones_blocks(bench: Make) -> None:
    made = bench(icount=None)
    made.load("addi a0, a0, 1\n addi a0, a0, 1\n wfi\n", CODE)
    made.load("addi a0, a0, 10\n addi a0, a0, 10\n wfi\n", OTHER)
    made.map(VA, CODE, ALL)
    made.paging(VA)
    total = 0
    for turn in range(6):
        made.map(VA, (CODE, OTHER)[turn % 2], ALL)
        made.cpu.forget_translations()
        made.cpu.pc = VA
        assert made.cpu.run(1000) == Idle(None)
        total += (2, 20)[turn % 2]
        assert made.x(10) == total
    assert made.vm.cache.statistics()["generated"] == 2  # each page was translated once


def test_a_jump_to_the_next_page_is_not_chained(bench: Make) -> None:
    """The page at the target changes while the blocks before it stay."""
    made = bench()
    made.load("jal zero, there\n.balign 4096\nthere: addi a0, a0, 1\nstay: jal zero, stay\n", CODE)
    made.load("addi a0, a0, 100\n stay: jal zero, stay\n", RAM + 0x6000)
    made.map(VA, CODE, ALL)
    made.map(VA + PAGE, CODE + PAGE, ALL)
    made.paging(VA)
    for _ in range(3):
        made.cpu.pc = VA
        made.cpu.run(3)
    assert made.x(10) == 3
    made.map(VA + PAGE, RAM + 0x6000, ALL)
    made.cpu.forget_translations()
    made.cpu.pc = VA
    made.cpu.run(3)
    assert made.x(10) == 103


def test_a_device_that_writes_memory_changes_code(bench: Make) -> None:
    made = bench("addi a0, a0, 1\n addi a0, a0, 1\n")
    made.cpu.run(2)
    made.load("addi a0, a0, 50\n addi a0, a0, 50\n", RAM)  # tells memory_changed
    made.cpu.pc = RAM
    made.cpu.run(2)
    assert made.x(10) == 102


def test_a_block_that_changes_itself_runs_what_it_wrote(bench: Make) -> None:
    """The very next instruction, in the block that is running."""
    made = bench(
        """
        sw a2, 8(a1)
        addi a0, a0, 1
        addi a0, a0, 1
        addi a0, a0, 1
        """
    )
    made.cpu.set("X", RAM, 11)
    made.cpu.set("X", word(made, "addi a0, a0, 1000"), 12)
    made.cpu.run(4)
    assert made.x(10) == 1002


def test_data_beside_code_is_no_change_of_it(bench: Make) -> None:
    made = bench(
        """
        again:
          sd a0, 0(a1)
          addi a0, a0, 1
          bne a0, a2, again
        stay: jal zero, stay
        """
    )
    made.cpu.set("X", RAM + 0x800, 11)
    made.cpu.set("X", 1000, 12)
    made.cpu.run(3000)
    assert made.read(RAM + 0x800) == 999
    assert made.vm.cache.statistics()["invalidated"] == 0


def test_a_page_without_code_any_more_is_stored_to_inline_again(bench: Make) -> None:
    made = bench("sd a0, 0(a1)\n jalr zero, 0(a3)\n")
    made.load("jalr zero, 0(a4)\n", CODE)
    made.cpu.set("X", CODE, 13)
    made.cpu.set("X", RAM, 14)
    made.cpu.set("X", CODE, 11)
    made.cpu.set("X", word(made, "jalr zero, 0(a4)"), 10)
    made.cpu.run(3000)
    invalidated = made.vm.cache.statistics()["invalidated"]
    assert 900 < invalidated < 1100  # each turn the block is made anew, and nothing else


@pytest.mark.parametrize("seed", range(3))
def test_slices_of_any_length_add_up_to_the_same_run(bench: Make, seed: int) -> None:
    """With -icount a slice ends exactly where it should, whatever blocks there are."""
    text = """
      again:
        addi a0, a0, 3
        xor a1, a1, a0
        sd a1, 0(a2)
        bne a0, a3, skip
        add a0, a0, a1
      skip:
        ld a4, 8(a2)
        add a1, a1, a4
        jal zero, again
    """
    ends = []
    random_ = random.Random(seed)
    for slices in ([5000], [random_.randrange(1, 200) for _ in range(40)]):
        made = bench(text)
        made.cpu.set("X", RAM + 0x8000, 12)
        executed = 0
        for length in slices:
            assert made.cpu.run(length) == Running()
            executed += length
            assert made.cpu.executed == executed
        made.cpu.run(6000 - executed if len(slices) == 1 else 0)
        ends.append((executed, made.cpu.registers()))
        if len(slices) > 1:
            again = bench(text)
            again.cpu.set("X", RAM + 0x8000, 12)
            again.cpu.run(executed)
            assert again.cpu.registers() == made.cpu.registers()


def test_breakpoints_and_steps(bench: Make) -> None:
    made = bench("addi a0, a0, 1\n addi a0, a0, 1\n addi a0, a0, 1\nstay: jal zero, stay\n")
    made.vm.set_breakpoints([RAM + 8])
    assert made.cpu.run(100) == Breakpoint()
    assert made.cpu.pc == RAM + 8
    assert made.x(10) == 2
    assert made.cpu.run(100) == Breakpoint()  # it is still there
    made.cpu.step()
    assert made.cpu.pc == RAM + 12
    assert made.x(10) == 3
    assert made.cpu.run(100) == Running()
    made.vm.set_breakpoints([])
    made.cpu.pc = RAM
    assert made.cpu.run(4) == Running()
    assert made.x(10) == 6


def test_a_full_code_cache_is_refreshed(bench: Make) -> None:
    """More code than fits, several times over."""
    body = "\n".join(f"addi a0, a0, {number % 7}\n jal zero, l{number}\nl{number}:" for number in range(6000))
    made = bench(f"again:\n{body}\n addi a1, a1, 1\n lui t0, 0x80000\n slli t0, t0, 32\n" + "jalr zero, 0(a2)\n")
    made.cpu.set("X", RAM, 12)
    made.cpu.run(60000)
    assert made.x(11) == 4
    assert made.cpu.run(1) == Running()
    assert not isinstance(made.cpu.run(1), Idle)


def test_a_saved_processor_goes_on_elsewhere(bench: Make) -> None:
    text = "again: addi a0, a0, 1\n sd a0, 0(a2)\n jal zero, again\n"
    one, other = bench(text), bench(text)
    for made in (one, other):
        made.cpu.set("X", RAM + 0x8000, 12)
    one.cpu.run(100)
    other.cpu.load(one.cpu.save())
    assert other.cpu.registers() == one.cpu.registers()
    assert other.cpu.executed == 100
    one.cpu.run(50)
    other.cpu.run(50)
    assert other.cpu.save() == one.cpu.save()
    with pytest.raises(ValueError, match="another kind"):
        other.cpu.load(b"nothing")
