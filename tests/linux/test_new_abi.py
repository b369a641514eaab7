"""The ABI of a machine new to Linux: structures, and signal handlers that come and go."""

from __future__ import annotations

import pytest

from runtime.core.cpu import Vcpu
from runtime.core.env import PAGE_READ, PAGE_WRITE
from runtime.core.memory import GuestMemory
from runtime.linux import signals
from runtime.linux.abi import generic
from runtime.linux.abi.model import Abi, Fault, SystemCall
from runtime.linux.abi.new import new_abi
from runtime.linux.process import Process, Thread
from runtime.linux.signals import Action, SignalInfo
from tests.linux import guest


def make_abi(bits: int, big_endian: bool = False, signal: str = "SIGILL") -> Abi:
    return new_abi(
        name="toy",
        bits=bits,
        big_endian=big_endian,
        number=("X", 17),
        result=("X", 10),
        stack=("X", 2),
        arguments=tuple(("X", index) for index in range(10, 16)),
        saved=(("X", 32, bits // 8), ("F", 32, 8), ("FFLAGS", 1, 1)),
        exceptions={"Ecall": SystemCall(length=4), "Illegal": Fault(signal, "ILL_ILLOPC")},
        link=("X", 1),
    )


def make_thread(abi: Abi) -> Thread:
    memory = GuestMemory(abi.bits)
    memory.map(guest.SCRATCH, guest.SCRATCH_BYTES, PAGE_READ | PAGE_WRITE)
    return Process(abi, memory).add_thread(Vcpu(guest.make_isa(abi), memory))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("bits", [32, 64])
def test_a_handler_gets_a_frame_and_gives_it_back(bits: int, big: bool) -> None:
    abi = make_abi(bits, big)
    thread = make_thread(abi)
    for index in range(1, 32):
        thread.set(("X", index), 0x1000 + index)
    thread.set(("F", 31), 0x123456789ABCDEF0)
    thread.set(("FFLAGS", 0), 21)
    thread.set(abi.stack, guest.SCRATCH + 0x8000)
    thread.vcpu.pc = 0x4444
    restorer = abi.constants["SA_RESTORER"]
    thread.process.set_action(4, Action(handler=0x5000, flags=restorer, restorer=0x6000))
    signals.force(thread, SignalInfo(4, 1, 0x4444))
    signals.deliver(thread)
    assert thread.vcpu.pc == 0x5000
    assert thread.get(("X", 1)) == 0x6000
    assert thread.get(("X", 10)) == 4
    for index in range(1, 32):
        if index != 2:
            thread.set(("X", index), 0)
    thread.set(("F", 31), 0)
    thread.set(("FFLAGS", 0), 0)
    signals.leave(thread)
    assert [thread.get(("X", index)) for index in range(32) if index != 2] == [
        0,
        *(0x1000 + index for index in range(1, 32) if index != 2),
    ]
    assert thread.get(("F", 31)) == 0x123456789ABCDEF0
    assert thread.get(("FFLAGS", 0)) == 21
    assert (thread.vcpu.pc, thread.get(abi.stack)) == (0x4444, guest.SCRATCH + 0x8000)


@pytest.mark.parametrize("bits", [32, 64])
def test_registers_of_a_frame_do_not_overlap(bits: int) -> None:
    frame = make_abi(bits).signal_frame
    at = frame.mask_offset + 128
    for _, offset, size, low, width in frame.registers:
        assert (offset % size, low, width) == (0, 0, 8 * size)
        assert offset >= at
        at = offset + size
    assert at == frame.context_bytes


def test_numbers_are_those_of_new_machines() -> None:
    assert make_abi(64).numbers is generic.NUMBERS
    assert make_abi(32).numbers is generic.NUMBERS_32


def test_unknown_signals() -> None:
    with pytest.raises(LookupError, match="exception Illegal: there is no signal SIGBOOM"):
        make_abi(64, signal="SIGBOOM")
