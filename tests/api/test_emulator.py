"""Emulator: memory, registers, and runs that stop where and when they are told to."""

from __future__ import annotations

import _thread
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from isomorph import (
    Emulator,
    InstructionError,
    Isa,
    IsomorphError,
    MemoryAccessError,
    MemoryMapError,
    Process,
    RegisterError,
    RunError,
    StopKind,
)
from tests.api.guest import CODE, DATA, FLOATING, PROGRAM, SELF_MODIFYING, emulator, state
from tests.tools import require_build

LOOP = "1: addi a0, a0, 1\n j 1b"


def test_memory_slices_and_integers() -> None:
    with Emulator("riscv64") as guest:
        guest.mem.map(0x1000, 0x2000, "rw")
        guest.mem[0x1FFE:] = b"abcd"
        assert guest.mem[0x1FFE:0x2002] == b"abcd"
        assert guest.mem[0x1FFF] == ord("b")
        guest.mem[0x1FFF] = 7
        assert guest.mem.read_int(0x1FFE, 4) == int.from_bytes(b"a\7cd", "little")
        guest.mem.write_int(0x1000, -2, 8)
        assert guest.mem.read_int(0x1000, 8, signed=True) == -2
        assert guest.mem.read_string(0x1FFE) == b"a\7cd"
        guest.mem.protect(0x1000, 0x1000, "r")
        guest.mem[0x1000:0x1002] = b"xy"  # Python may
        assert len(guest.mem[0x1000:]) == 0x1000


@pytest.mark.parametrize(
    ("action", "error", "says"),
    [
        (lambda g: g.mem.read(0x5000, 4), MemoryAccessError, "0x5000 is not mapped"),
        (lambda g: g.mem.write(DATA + 0x1FFF, b"ab"), MemoryAccessError, "0x42000 is not mapped"),
        (lambda g: g.mem.map(0x123, 0x1000), MemoryMapError, "use 0x0"),
        (lambda g: g.mem.map(DATA, 0x1000), MemoryMapError, "is mapped"),
        (lambda g: g.mem.unmap(0x90000, 0x1000), MemoryMapError, "0x90000 is not mapped"),
        (lambda g: g.mem.map(0x90000, 0x1000, "rq"), MemoryMapError, "letters"),
        (lambda g: g.mem.map(1 << 50, 0x1000), MemoryMapError, "addresses end"),
        (lambda g: g.mem.map(0x90000, 0x1000, 7), TypeError, "permissions are letters, as in 'rw' or 'r-x', not 7"),
        (lambda g: Process("/bin/true", "one"), TypeError, "args are several: \\['one'\\]"),
        (lambda g: g.regs.a9, RegisterError, "no register 'a9'"),
        (lambda g: g.regs.__setitem__("a0", 1 << 64), RegisterError, "has 64 bits"),
        (lambda g: g.run(count=-1), RunError, "count=-1"),
    ],
)
def test_errors_say_what_is_wrong(action: Callable[[Emulator], object], error: type[Exception], says: str) -> None:
    with emulator() as guest, pytest.raises(error, match=says) as raised:
        action(guest)
    assert isinstance(raised.value, IsomorphError | TypeError)  # Python's own, for what is of the wrong type


def test_registers_by_every_name() -> None:
    with emulator() as guest:
        guest.regs.a0 = -1
        assert guest.regs["x10"] == guest.regs["A0"] == (1 << 64) - 1
        guest.regs.zero = 5
        assert guest.regs.x0 == 0
        guest.regs.fa0 = 0x3FF0000000000000
        assert guest.regs.file("f")[10] == 0x3FF0000000000000
        guest.regs.fflags, guest.regs.frm = 3, 2
        assert guest.regs.as_dict()["frm"] == 2
        assert "a0" in guest.regs
        assert guest.regs.width("fflags") == 5


@pytest.mark.parametrize("text", [PROGRAM, SELF_MODIFYING, FLOATING], ids=["program", "self-modifying", "floating"])
def test_stopping_at_every_instruction_gives_the_state_of_stepping(text: str) -> None:
    with emulator(text) as stepped, emulator(text) as fresh:
        start = fresh.snapshot()
        total = emulator(text).run().instructions
        for count in range(total + 1):
            fresh.restore(start)
            reason = fresh.run(count=count)
            assert (reason.kind, reason.instructions) == (StopKind.COUNT, count)
            assert state(fresh) == state(stepped), count
            stepped.step()


def test_until_is_exact_in_the_middle_of_a_block() -> None:
    with emulator() as guest, emulator() as stepped:
        guest.run()  # everything is translated
        visited = []
        while stepped.step().kind is StopKind.COUNT:
            visited.append(stepped.regs.pc)
        for address in sorted(set(visited)):
            guest.regs.pc, guest.regs.x8 = CODE, 0
            reason = guest.run(until=address)
            assert (reason.kind, reason.pc) == (StopKind.UNTIL, address)
            assert reason.instructions == visited.index(address) + 1
        assert guest.run(until=guest.regs.pc).instructions == 0
        assert guest.run(CODE, until={CODE + 8, CODE + 4}).pc == CODE + 4


def test_until_where_nothing_is_mapped() -> None:
    with emulator("li a0, 0x90000\n jr a0") as guest:
        assert guest.run(until=0x90000).kind is StopKind.UNTIL
        assert guest.run().kind is StopKind.UNMAPPED


def test_reasons() -> None:
    with emulator(f"li a0, {DATA}\n sd a0, 0(a0)\n .word 0") as guest:
        reason = guest.run()
        assert (reason.kind, reason.pc) == (StopKind.EXCEPTION, guest.regs.pc)
        assert reason.exception is not None
        assert reason.exception.name == "Illegal"
        guest.mem.protect(DATA, 0x1000, "r")
        reason = guest.run(CODE)
        assert (reason.kind, reason.address, reason.size) == (StopKind.PROTECTED, DATA, 8)
        assert "write of 8 bytes at 0x40000" in str(reason)
        guest.mem.unmap(DATA, 0x2000)
        assert guest.run(CODE).kind is StopKind.UNMAPPED


@contextmanager
def while_it_runs(guest: Emulator, act: Callable[[], None]) -> Iterator[None]:
    """Have another thread do something once a run is in progress."""

    def wait() -> None:
        while not guest.running:
            time.sleep(0.001)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_timeout_and_stop_from_another_thread() -> None:
    with emulator(LOOP) as guest:
        assert guest.run(timeout=0.05).kind is StopKind.TIMEOUT
        with while_it_runs(guest, guest.stop):
            reason = guest.run()
        assert reason.kind is StopKind.STOPPED


def test_keyboard_interrupt_passes_and_the_run_can_go_on() -> None:
    with emulator(LOOP) as guest:
        gc.disable()  # an interrupt that comes in what pytest's plugins have called back there is lost
        try:
            with pytest.raises(KeyboardInterrupt), while_it_runs(guest, _thread.interrupt_main):
                guest.run()
        finally:
            gc.enable()
        assert guest.run(count=1000).instructions == 1000


def test_emulators_in_threads_do_not_meet() -> None:
    found: dict[int, int] = {}

    def work(number: int) -> None:
        with emulator(f"li a1, {200000 + number}\n 1: addi a0, a0, 3\n addi a1, a1, -1\n bnez a1, 1b\n ecall") as guest:
            guest.hook.code(lambda emulator, *_: None, begin=CODE, end=CODE + 4)
            guest.run()
            found[number] = guest.regs.a0

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: 3 * (200000 + number) for number in range(4)}


def test_code_written_from_python_runs() -> None:
    with emulator("addi a0, zero, 1\n ecall") as guest:
        guest.run()
        guest.mem.write(CODE, guest.isa.assemble("addi a0, zero, 2", CODE))
        guest.run(CODE)
        assert guest.regs.a0 == 2


def test_self_modifying_code() -> None:
    with emulator(SELF_MODIFYING) as guest:
        guest.run()
        assert guest.regs.a0 == 1 + 2 + 3 + 4 + 5


def test_isa_objects() -> None:
    with emulator() as guest:
        code = guest.isa.assemble("addi a0, a1, -3\n beq a0, a1, 0x10010", 0x10004)
        first, second = guest.isa.disassemble(code, 0x10004)
        assert (first.address, first.mnemonic, first.op_str, first.size) == (0x10004, "addi", "a0,a1,-3", 4)
        assert second.op_str.endswith("0x10010")
        decoded = guest.isa.decode(code)
        assert decoded is not None
        assert (decoded.name, decoded.fields["rd"]) == ("addi", 10)
        assert guest.isa.decode(b"\xff" * 4) is None
        assert "add" in str(guest.isa.lift(code, 0x10004))
        with pytest.raises(IsomorphError, match="frobnicate"):
            guest.isa.assemble("frobnicate a0")


def test_modes_say_what_bytes_are() -> None:
    require_build("arm")
    arm = Isa("arm")
    code = bytes.fromhex("4ff0000b")
    assert [str(insn) for insn in arm.disassemble(code, modes={"T": 1})] == ["mov.w\tfp, #0"]
    assert [insn.mnemonic for insn in arm.disassemble(code)] == ["bleq"]
    decoded = arm.decode(code, modes={"T": 1})
    assert decoded is not None
    assert decoded.size == 4
    assert "t_mov_i" in str(arm.lift(code, 0, {"T": 1}))
    for modes, says in (({"X": 1}, "arm has no mode X; it has T, E"), ({"T": 2}, "mode T of arm has 1 bits")):
        for action in (arm.decode, arm.lift):
            with pytest.raises(InstructionError, match=says):
                action(code, 0, modes)


def test_state_of_the_decoder_is_no_register() -> None:
    """x86's prefixes are modes while an instruction is decoded; between instructions there are none."""
    require_build("x86_64")
    with Emulator("x86_64") as guest:
        assert {"rax", "pc", "df"} <= set(guest.regs)
        assert {"rex", "p66", "lock"}.isdisjoint(guest.regs)
        with pytest.raises(RegisterError, match="no register 'rex'"):
            guest.regs["rex"]


def test_parts_of_registers_by_the_names_of_the_spec() -> None:
    require_build("i386")
    with Emulator("i386") as guest:
        guest.regs.ebx = 0x11223344
        assert (guest.regs.bx, guest.regs.bl, guest.regs.bh) == (0x3344, 0x44, 0x33)
        guest.regs.bh = -1
        guest.regs["BL"] = 1
        assert guest.regs.ebx == 0x1122FF01
        guest.regs.fcw_round = 3
        assert guest.regs.fcw >> 10 & 3 == guest.regs.fcw_round == 3
        assert "bh" in guest.regs
        assert "bh" not in list(guest.regs)
        assert guest.regs.width("bh") == 8
        with pytest.raises(RegisterError, match="bh has 8 bits"):
            guest.regs.bh = 256
    require_build("arm")
    with Emulator("arm") as guest:
        guest.regs.d1 = 0
        guest.regs.s3 = 5
        assert (guest.regs.d1, guest.regs.s2) == (5 << 32, 0)


def test_a_closed_emulator_says_so() -> None:
    guest = emulator()
    guest.close()
    guest.close()
    with pytest.raises(RunError, match="closed"):
        guest.run()


def test_an_instruction_set_that_is_not_there() -> None:
    with pytest.raises(IsomorphError, match="no instruction set 'pdp10'"):
        Emulator("pdp10")
