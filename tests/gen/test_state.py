"""Layout of registers and modes in env, and the generated state.py."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import pytest

from gen import model, state
from gen.errors import SpecError
from gen.loading import load_source
from runtime.core.env import ENV, GUEST_STATE
from runtime.core.layout import Layout, storage_bytes
from tests.gen import toy


def spec(**changes: object) -> model.Spec:
    """The toy with something else about it."""
    return dataclasses.replace(toy.SPEC, **changes)


def mode(name: str, width: int, prefix: bool = False) -> model.Mode:
    return model.Mode(name, width, 0, None, prefix, toy.pos(7))


def places(layout: Layout) -> list[tuple[int, int]]:
    """(first, last + 1) byte of every register and input."""
    found = [(r.offset, r.offset + r.stride * r.count) for r in layout.registers]
    return sorted([*found, *((at, at + storage_bytes(width)) for _, width, at in layout.inputs)])


def test_registers_do_not_overlap_and_are_aligned() -> None:
    registers = tuple(model.Register(f"r{w}", w, (), 0, toy.pos(1)) for w in (1, 7, 8, 9, 16, 32, 33, 64, 80, 128, 300))
    inputs = (model.Input("line", 1, toy.pos(2)), model.Input("bus", 16, toy.pos(2)))
    layout = state.layout_of(spec(registers=registers, inputs=inputs))
    taken = places(layout)
    assert taken[0][0] >= GUEST_STATE
    assert taken[-1][1] <= layout.size
    assert layout.size % 64 == 0
    assert all(left[1] <= right[0] for left, right in pairwise(taken))
    assert all(r.offset % min(r.stride, 16) == 0 for r in layout.registers)


def test_what_instructions_use_most_comes_first() -> None:
    busy = model.Register("busy", 32, (), 0, toy.pos(1))
    idle = model.Register("idle", 32, (), 0, toy.pos(1))
    body = (model.Assign(model.ToReg(32, "busy"), model.RegRead(32, "busy"), toy.pos(20)),)
    layout = state.layout_of(
        spec(registers=(idle, busy), instructions=(toy.instruction("use", 1, (toy.IMM,), body), *toy.INSTRUCTIONS))
    )
    assert [r.name for r in layout.registers] == ["X", "busy", "idle"]


def test_modes_are_packed_and_prefixes_come_above_them() -> None:
    layout = state.layout_of(spec(modes=(mode("p", 3, prefix=True), mode("thumb", 1), mode("el", 2))))
    found = [(m.name, m.shift, m.prefix) for m in layout.modes]
    assert found == [("thumb", 0, False), ("el", 1, False), ("p", 3, True)]


def test_too_many_mode_bits_is_an_error() -> None:
    with pytest.raises(SpecError, match="65 bits"):
        state.layout_of(spec(modes=(mode("a", 40), mode("b", 25))))


def test_the_module_says_the_same(tmp_path: Path) -> None:
    layout = state.layout_of(spec(modes=(mode("thumb", 1),)))
    path = tmp_path / "state.py"
    path.write_text(state.source(layout))
    module = load_source(path)
    assert layout == module.LAYOUT
    assert state.debug_registers(layout) == module.DEBUG_REGISTERS

    env = bytearray(layout.size)
    cpu = module.CPUState(memoryview(env))
    cpu.pc = 0x1_2345_6789
    assert cpu.pc == 0x2345_6789
    cpu.X[3] = -1
    cpu.X[0] = 5
    assert list(cpu.X)[:4] == [0, 0, 0, 0xFFFF_FFFF]
    cpu.CC = 0xFE
    cpu.CC_Z = 1
    assert (cpu.CC, cpu.CC_Z) == (0xFF, 1)
    cpu.thumb = 1
    assert env[ENV["flags"]] == 1
    with pytest.raises(IndexError, match="16 entries"):
        cpu.X[16]


def test_debuggers_see_the_pc_after_the_first_file() -> None:
    names = [r.name for r in state.debug_registers(state.layout_of(toy.SPEC))]
    assert names == [*(f"r{i}" for i in range(16)), "PC", "CC"]
