"""A guest process without an engine: the registers of a made-up CPU, memory, and the Linux layer over them."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from runtime.core.cpu import Isa, Vcpu
from runtime.core.env import GUEST_STATE, PAGE_READ, PAGE_WRITE
from runtime.core.layout import Layout, ModeLayout, RegisterLayout
from runtime.core.memory import GuestMemory
from runtime.core.views import StateView
from runtime.linux.abi import load
from runtime.linux.abi.model import Abi
from runtime.linux.process import Process, Thread

#: where the tests keep what they hand to system calls
SCRATCH = 0x100000
SCRATCH_BYTES = 0x10000


def make_layout(abi: Abi) -> Layout:
    """A layout with the registers and exceptions that the ABI's table names."""
    word = abi.long_bytes
    at = GUEST_STATE
    registers = []
    for name, count, width in (("X", 32, 8 * word), ("F", 32, 64), ("FFLAGS", 1, 8)):
        stride = width // 8
        registers.append(
            RegisterLayout(
                name, width, at, stride, count, 0 if name == "X" else None, is_file=count > 1, names=_names(name, count)
            )
        )
        at += -(-stride * count // 64) * 64
    return Layout(
        isa=abi.isa,
        pc_name="PC",
        pc_width=8 * word,
        registers=tuple(registers),
        modes=(ModeLayout("FRM", 3, 0, 0),),
        memories=(),
        inputs=(),
        exceptions=tuple((name, code) for code, name in enumerate(abi.exceptions)),
        sticky=None,
        unit_bytes=2,
        max_bytes=4,
        size=at,
    )


def _names(name: str, count: int) -> tuple[tuple[str, ...], ...]:
    return tuple((f"{name.lower()}{index}",) for index in range(count)) if count > 1 else ()


def make_isa(abi: Abi) -> Isa:
    """What load_isa would give for it."""
    state = ModuleType("state")
    layout = make_layout(abi)
    state.LAYOUT = layout
    state.CPUState = StateView
    return Isa(abi.isa, "nowhere", layout, state)


def make_thread(abi_name: str = "riscv64", inherit: bool = True) -> Thread:
    """A thread of a fresh process with SCRATCH_BYTES of memory at SCRATCH and nothing else."""
    abi = load(abi_name)
    memory = GuestMemory(abi.bits)
    process = Process(abi, memory)
    if inherit:
        process.descriptors.inherit()
    memory.map(SCRATCH, SCRATCH_BYTES, PAGE_READ | PAGE_WRITE)
    return process.add_thread(Vcpu(make_isa(abi), memory))


def call(thread: Thread, name: str, *arguments: int) -> int:
    """Make a system call through the registers, as a guest does; its result as a signed number."""
    abi = thread.process.abi
    return call_number(thread, abi.numbers[name], arguments)


def call_number(thread: Thread, number: int, arguments: Sequence[int]) -> int:
    """The same by number."""
    abi = thread.process.abi
    thread.set(abi.number, number)
    for register, value in zip(abi.arguments, (*arguments, *(0,) * 6), strict=False):
        thread.set(register, value)
    thread.process.answer(thread)
    result = thread.get(abi.result)
    sign = 1 << abi.bits - 1
    return (result ^ sign) - sign


def put(thread: Thread, data: bytes, at: int = SCRATCH) -> int:
    """Store bytes in guest memory; their address."""
    thread.memory.write(at, data)
    return at
