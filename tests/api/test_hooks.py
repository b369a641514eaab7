"""Hooks: they see everything in time, precisely, may change everything, and change nothing by being there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isomorph import Access, Emulator, GuestException, StopKind
from isomorph.errors import RunError
from isomorph.hooks import KINDS
from tests.api.guest import CODE, DATA, FLOATING, PROGRAM, SELF_MODIFYING, emulator, state


def plain(text: str) -> tuple[object, int]:
    """Final state without hooks, and instructions executed."""
    with emulator(text) as guest:
        count = guest.run().instructions
        return state(guest), count


@pytest.mark.parametrize("text", [PROGRAM, SELF_MODIFYING], ids=["program", "self-modifying"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_hooks_that_do_nothing_change_nothing(text: str, data: st.DataObject) -> None:
    expected, count = plain(text)
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    with emulator(text) as guest:
        guest.run(count=data.draw(st.integers(0, 40)))
        for kind in kinds:
            if kind in ("exception", "syscall"):
                guest.hook.add(kind, lambda *_: False)
                continue
            base = data.draw(st.sampled_from((CODE, DATA)))
            begin = base + data.draw(st.integers(0, 200))
            end = data.draw(st.one_of(st.none(), st.integers(begin + 1, begin + 300)))
            guest.hook.add(kind, lambda *_: None, begin, end)
        if data.draw(st.booleans()):
            guest.snapshot()
        while guest.run(count=data.draw(st.integers(1, 100))).kind is StopKind.COUNT:
            pass
        assert state(guest) == expected
        assert guest.instructions == count


@pytest.mark.parametrize("text", [PROGRAM, SELF_MODIFYING, FLOATING], ids=["program", "self-modifying", "floating"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_of_each_kind_changes_nothing_wherever_it_is_added(kind: str, text: str) -> None:
    """Added at every instruction of the program in turn, to everything it can be about, and taken away again later."""
    expected, count = plain(text)
    with emulator(text) as guest:
        start = guest.snapshot()
        for at in range(count + 1):
            guest.restore(start)
            guest.run(count=at)
            if kind in ("exception", "syscall"):
                hook = guest.hook.add(kind, lambda *_: False)
            else:
                hook = guest.hook.add(kind, lambda *_: None)
            guest.run(count=17)
            middle = (state(guest), guest.instructions)
            if at % 2:
                hook.remove()
            while guest.run(count=1000).kind is StopKind.COUNT:
                pass
            assert (state(guest), guest.instructions) == (expected, count), at
            hook.remove()
            if at % 10 == 0:
                guest.restore(start)
                guest.run(count=at)
                guest.run(count=17)
                assert (state(guest), guest.instructions) == middle, at


def test_code_hooks_see_every_instruction_and_its_registers() -> None:
    with emulator() as stepped, emulator() as guest:
        expected = []
        while True:
            expected.append((stepped.regs.pc, stepped.regs.a0, stepped.regs.s0))
            if stepped.step().kind is not StopKind.COUNT:
                break
        seen: list[tuple[int, int, int]] = []
        sizes = set()

        @guest.hook.code()
        def look(emulator: Emulator, address: int, size: int) -> None:
            assert emulator.regs.pc == address
            sizes.add(size)
            seen.append((address, emulator.regs.a0, emulator.regs.s0))

        guest.run()
        assert seen == expected
        assert sizes <= {2, 4}


def test_block_hooks_cover_every_instruction_once() -> None:
    with emulator() as guest:
        addresses: list[int] = []
        blocks: list[tuple[int, int]] = []
        guest.hook.code(lambda emulator, address, size: addresses.append(address))
        guest.hook.block(lambda emulator, address, size: blocks.append((address, size)))
        guest.run()
        covered: list[int] = []
        at = 0
        for start, size in blocks:
            while at < len(addresses) and start <= addresses[at] < start + size:
                covered.append(addresses[at])
                at += 1
                if at < len(addresses) and addresses[at] <= addresses[at - 1]:
                    break
        assert covered == addresses
    with emulator() as guest:
        alone: list[tuple[int, int]] = []
        guest.hook.block(lambda emulator, address, size: alone.append((address, size)))
        guest.run()
        assert alone == blocks


def test_memory_hooks_see_address_size_and_value_before_the_access() -> None:
    text = f"li a0, {DATA}\n li a1, 0x1234\n sh a1, 6(a0)\n lbu a2, 7(a0)\n sd a1, 2044(a0)\n ecall"
    with emulator(text) as guest:
        seen: list[tuple[str, int, int, int, int]] = []

        @guest.hook.mem_write(begin=DATA)
        def write(emulator: Emulator, address: int, size: int, value: int) -> None:
            assert emulator.mem.read_int(address, size) == 0
            seen.append(("w", address - DATA, size, value, emulator.regs.pc - CODE))

        guest.hook.mem_read(lambda e, a, s, v: seen.append(("r", a - DATA, s, v, e.regs.pc - CODE)), begin=DATA)
        guest.run()
        listing = guest.isa.disassemble(guest.mem.read(CODE, 40), CODE)
        accesses = [i.address - CODE for i in listing if i.mnemonic.removeprefix("c.") in ("sh", "lbu", "sd")]
        assert [entry[:4] for entry in seen] == [("w", 6, 2, 0x1234), ("r", 7, 1, 0x12), ("w", 2044, 8, 0x1234)]
        assert [entry[4] for entry in seen] == accesses


def test_a_read_hook_decides_what_is_read() -> None:
    with emulator(f"li a0, {DATA}\n ld a1, 8(a0)\n ecall") as guest:
        guest.hook.mem_read(lambda e, a, s, v: e.mem.write_int(a, 99, s), begin=DATA + 8, end=DATA + 9)
        guest.run()
        assert guest.regs.a1 == 99


def test_hooks_added_after_the_code_ran_fire_at_once_and_removed_ones_do_not() -> None:
    with emulator() as guest:
        guest.run()
        calls: list[int] = []
        hook = guest.hook.code(lambda e, a, s: calls.append(a), begin=CODE, end=CODE + 4)
        guest.run(CODE)
        assert calls == [CODE]
        hook.remove()
        hook.remove()
        guest.run(CODE)
        assert calls == [CODE]


def test_hooks_added_and_removed_inside_hooks() -> None:
    with emulator() as guest:
        seen: list[int] = []

        @guest.hook.code(begin=CODE, end=CODE + 1)
        def first(emulator: Emulator, address: int, size: int) -> None:
            first.remove()

            @emulator.hook.code(begin=address + size)
            def second(emulator: Emulator, address: int, size: int) -> None:
                seen.append(address)
                second.remove()

        guest.run()
        assert seen == [CODE + 4]


def test_changing_the_pc_in_hooks() -> None:
    text = f"li a0, 1\n li a0, 2\n li s0, {DATA}\n sd a0, 0(s0)\n ecall"
    with emulator(text) as guest:
        guest.hook.code(lambda e, a, s: setattr(e.regs, "pc", a + s), begin=CODE + 4, end=CODE + 5)
        store = next(i for i in guest.isa.disassemble(guest.mem.read(CODE, 32), CODE) if "sd" in i.mnemonic)
        guest.hook.mem_write(lambda e, a, s, v: setattr(e.regs, "pc", store.address + store.size), begin=DATA)
        guest.run()
        assert (guest.regs.a0, guest.mem[DATA]) == (1, 0)


def test_stop_in_a_hook_leaves_the_instruction_undone() -> None:
    with emulator() as guest:
        hook = guest.hook.code(lambda e, a, s: e.stop(), begin=CODE + 4, end=CODE + 5)
        reason = guest.run()
        assert (reason.kind, reason.pc, reason.instructions) == (StopKind.STOPPED, CODE + 4, 1)
        hook.remove()
        assert guest.run().kind is StopKind.EXCEPTION


@pytest.mark.parametrize("kind", KINDS)
def test_exceptions_of_hooks_pass_through_and_the_run_can_go_on(kind: str) -> None:
    text = f"li a0, {DATA}\n ld a1, 0(a0)\n sd a1, 8(a0)\n li a2, 0x90000\n ld a3, 0(a2)\n ecall"
    with emulator(text) as guest:
        if kind == "protected":
            guest.mem.protect(DATA, 0x1000, "r")
        if kind in ("exception", "syscall"):
            guest.mem.map(0x90000, 0x1000)
        wrong = ZeroDivisionError("of the hook")

        def fail(*_: Any) -> None:
            raise wrong

        hook = guest.hook.add(kind, fail)
        with pytest.raises(ZeroDivisionError) as raised:
            guest.run()
        assert raised.value is wrong
        assert not guest.running
        hook.remove()
        if not guest.mem.is_mapped(0x90000):
            guest.mem.map(0x90000, 0x1000)
        guest.mem.protect(DATA, 0x1000, "rw")
        reason = guest.run()
        assert reason.exception is not None
        assert reason.exception.name == "Ecall"


def test_an_unmapped_hook_maps_the_page() -> None:
    with emulator("li a0, 0x90ffc\n li a1, 0x1122334455667788\n sd a1, 0(a0)\n ld a2, 0(a0)\n ecall") as guest:
        seen: list[tuple[Access, int, int, int]] = []

        @guest.hook.unmapped()
        def lazily(emulator: Emulator, access: Access, address: int, size: int, value: int) -> bool:
            seen.append((access, address, size, value))
            emulator.mem.map(0x90000, 0x2000, "rw")
            return True

        assert guest.run().kind is StopKind.EXCEPTION
        assert guest.regs.a2 == 0x1122334455667788
        assert seen == [(Access.WRITE, 0x90FFC, 8, 0x1122334455667788)]


def test_an_unmapped_hook_that_mends_nothing_ends_the_run() -> None:
    with emulator("li a0, 0x90000\n ld a1, 0(a0)\n ecall") as guest:
        guest.hook.unmapped(lambda *_: True)
        assert guest.run().kind is StopKind.UNMAPPED


def test_exceptions_and_system_calls_are_dealt_with() -> None:
    with emulator("li a7, 64\n ecall\n addi a0, a0, 1\n .word 0\n addi a0, a0, 1\n ebreak") as guest:
        names: list[str] = []

        @guest.hook.syscall
        def call(emulator: Emulator) -> None:
            emulator.regs.a0 = emulator.regs.a7

        @guest.hook.exception
        def skip(emulator: Emulator, exception: GuestException) -> None:
            names.append(exception.name)
            if exception.name == "Illegal":
                emulator.regs.pc = exception.pc + 4

        reason = guest.run()
        assert (guest.regs.a0, names) == (66, ["Illegal", "Breakpoint"])
        assert reason.exception is not None
        assert reason.exception.name == "Breakpoint"


def test_self_modifying_code_under_hooks() -> None:
    with emulator(SELF_MODIFYING) as guest:
        written: list[int] = []
        guest.hook.mem_write(lambda e, a, s, v: written.append(v >> 20))
        guest.hook.block(lambda *_: None)
        guest.run()
        assert guest.regs.a0 == 15
        assert written == [1, 2, 3, 4, 5]


def test_run_inside_a_hook_is_refused() -> None:
    with emulator() as guest:
        guest.hook.code(lambda e, a, s: e.run(), begin=CODE, end=CODE + 1)
        with pytest.raises(RunError, match="hook returns first"):
            guest.run()


def test_a_decorated_hook_can_be_called_and_shows_itself() -> None:
    with emulator() as guest:

        @guest.hook.code(begin=CODE, end=CODE + 4)
        def named(emulator: Emulator, address: int, size: int) -> None:
            """Does nothing."""

        assert repr(named) == f"<code hook {CODE:#x}..{CODE + 4:#x}: named>"
        assert named.__doc__ == "Does nothing."
        guest.hook.clear()
        assert not named.active
        with pytest.raises(ValueError, match="empty range"):
            guest.hook.code(lambda *_: None, begin=8, end=8)
