"""Functions made lane by lane become vector instructions, and compute what they did."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.tcg import llvm
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function, Value, plain_function
from runtime.tcg.lanes import gather_lanes, gather_parts
from runtime.tcg.lower import lower_module
from runtime.tcg.reference import Machine
from runtime.tcg.verify import verify
from tests.ir.native import LAYOUT, Program

Lane = Callable[[Builder, int, Value, Value], Value]
#: what is done to a lane -> its width, how wide the result is, what LLVM makes of it
LANES: dict[str, tuple[Lane, int, int, str]] = {
    "equal": (lambda b, w, x, y: b.select(w, b.eq(w, x, y), (1 << w) - 1, 0), 8, 8, "pcmpeqb"),
    "sum": (lambda b, w, x, y: b.add(w, x, y), 16, 16, "paddw"),
    "least": (lambda b, w, x, y: b.select(w, b.ult(w, x, y), x, y), 8, 8, "pminub"),
    "signs": (lambda b, w, x, y: b.slice(x, w, w - 1, 1), 8, 1, "pmovmskb"),
    "difference": (lambda b, w, x, y: b.sub(w, x, y), 32, 32, "psubd"),
}


def made(name: str, lanes: int) -> Function:
    """The result put together as specs do it."""
    work, width, part, _ = LANES[name]
    whole, total = lanes * width, lanes * part
    function = plain_function(name, (whole, whole), (total,))
    b = Builder(LAYOUT, function)
    x, y = function.parameters
    result: Value = 0
    for lane in range(lanes):
        done = work(b, width, b.slice(x, whole, lane * width, width), b.slice(y, whole, lane * width, width))
        result = b.or_(total, result, b.shl(total, b.zext(done, part, total), lane * part, 8))
    b.ret((result,))
    return function


@pytest.mark.parametrize("name", LANES)
def test_one_instruction_and_the_same_result(name: str, tmp_path: Path) -> None:
    _, width, part, instruction = LANES[name]
    lanes = 128 // width
    plain, gathered = made(name, lanes), made(name, lanes)
    gather_lanes(gathered)
    assert gathered.lanes
    assert instruction in llvm.assembly(lower_module([gathered]))
    assert instruction not in llvm.assembly(lower_module([plain]))

    # Python passes 64 bits at most.
    caller = plain_function("caller", (64, 64, 64, 64, 64), (64,))
    b = Builder(LAYOUT, caller)
    a, c, d, e, high = caller.parameters
    whole, total = lanes * width, lanes * part
    found = b.call(name, ((b.cat(((a, 64), (c, 64))), whole), (b.cat(((d, 64), (e, 64))), whole)), (total,))
    assert not isinstance(found, tuple)
    wide = b.zext(found, total, 128)
    b.ret((b.select(64, b.ne(64, high, 0), b.slice(wide, 128, 64, 64), b.slice(wide, 128, 0, 64)),))
    program = Program([verify(caller), verify(gathered)], tmp_path / "lanes.blob", 2)
    chance = random.Random(1)
    for _ in range(200):
        words = [chance.choice((chance.getrandbits(64), 0, (1 << 64) - 1, 0x80 << 56)) for _ in range(4)]
        if chance.random() < 0.5:
            words[2:] = [words[0], words[1] ^ 0xFF00]
        values = (words[0] << 64 | words[1], words[2] << 64 | words[3])
        (expected,) = Machine(bytearray()).run(plain, *values).values
        assert program.call("caller", *words, 1) << 64 | program.call("caller", *words, 0) == expected


def test_what_is_no_vector_stays() -> None:
    """Lanes that overlap, that leave a gap, or that are of several widths."""
    for places in ((0, 8, 8), (0, 16), (0, 8, 16, 24)):
        function = plain_function("f", (8, 16), (128,))
        b = Builder(LAYOUT, function)
        narrow, wide = function.parameters
        result = b.zext(wide, 16, 128)
        for place in places:
            result = b.or_(128, result, b.shl(128, b.zext(narrow, 8, 128), place, 8))
        b.ret((result,))
        gather_lanes(function)
        assert not function.lanes


def _shuffled(choices: list[int]) -> Function:
    """Words of two vectors, by twos, as specs choose them: by a shift of the whole."""
    function = plain_function("f", (128, 128), (128,))
    b = Builder(LAYOUT, function)
    halves = []
    for vector, pair in zip(function.parameters, (choices[:2], choices[2:]), strict=True):
        words = [b.slice(b.lshr(128, vector, 32 * choice, 8), 128, 0, 32) for choice in pair]
        halves.append(b.cat(((words[0], 32), (words[1], 32))))
    b.ret((b.cat(((halves[0], 64), (halves[1], 64))),))
    return verify(function)


def test_parts_in_parts_are_one_shuffle() -> None:
    chance = random.Random(2)
    for choices in ([3, 2, 1, 0], [1, 1, 2, 3], [0, 3, 3, 0]):
        plain, gathered = _shuffled(choices), _shuffled(choices)
        gather_parts(gathered)
        assert gathered.lanes
        verify(gathered)
        for _ in range(20):
            values = chance.getrandbits(128), chance.getrandbits(128)
            assert Machine(bytearray()).run(gathered, *values).values == Machine(bytearray()).run(plain, *values).values
        assert "shufflevector" in llvm.optimized_ir(lower_module([gathered]))
