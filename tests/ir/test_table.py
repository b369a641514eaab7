"""The op table is the single source: everything that handles ops knows every op, and folds as the table says."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from runtime.tcg import lower, lower_values, reference
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function, Temp
from runtime.tcg.ops import OPS, signed
from tests.ir.native import LAYOUT


def test_every_op_has_a_reference_and_a_lowering() -> None:
    assert set(OPS) == reference.KNOWN | reference.CONTROL
    host = {name for name in OPS if name.startswith("host_")} - {"host_time"}
    assert set(OPS) == set(lower._CONTROL) | set(lower_values._VALUES) | host


def test_every_op_is_documented() -> None:
    assert all(op.doc for op in OPS.values())


def _meaning(name: str, w: int, a: int, b: int) -> int:
    """The same meanings again, written another way."""
    ones = (1 << w) - 1
    sa, sb = signed(a, w), signed(b, w)
    bits_a = f"{a:0{w}b}"
    results: dict[str, Callable[[], int]] = {
        "add": lambda: (a + b) & ones,
        "sub": lambda: (a + (~b & ones) + 1) & ones,
        "mul": lambda: sum(b << i for i in range(w) if a >> i & 1) & ones,
        "udiv": lambda: int(a // b) if b else 0,
        "urem": lambda: a - b * (a // b) if b else a,
        "sdiv": lambda: (abs(sa) // abs(sb) * (1 if (sa < 0) == (sb < 0) else -1)) & ones if b else 0,
        "srem": lambda: (abs(sa) % abs(sb) * (-1 if sa < 0 else 1)) & ones if b else a,
        "and": lambda: a & b,
        "or": lambda: a | b,
        "xor": lambda: (a | b) - (a & b),
        "shl": lambda: int((bits_a + "0" * min(b, w))[-w:], 2),
        "lshr": lambda: int(("0" * min(b, w) + bits_a)[:w], 2),
        "ashr": lambda: int((bits_a[0] * min(b, w) + bits_a)[:w], 2),
        "rotl": lambda: int(bits_a[b % w :] + bits_a[: b % w], 2),
        "rotr": lambda: int(bits_a[w - b % w :] + bits_a[: w - b % w], 2),
        "eq": lambda: a == b,
        "ne": lambda: a != b,
        "ult": lambda: a < b,
        "ule": lambda: a <= b,
        "ugt": lambda: a > b,
        "uge": lambda: a >= b,
        "slt": lambda: sa < sb,
        "sle": lambda: sa <= sb,
        "sgt": lambda: sa > sb,
        "sge": lambda: sa >= sb,
        "not": lambda: ones - a,
        "neg": lambda: (ones - a + 1) & ones,
        "popcount": lambda: bits_a.count("1") & ones,
        "clz": lambda: (w - len(bits_a.lstrip("0"))) & ones,
        "ctz": lambda: (w - len(bits_a.rstrip("0"))) & ones,
        "parity": lambda: bits_a.count("1") % 2,
    }
    return int(results[name]())


_SHIFTS = ["shl", "lshr", "ashr", "rotl", "rotr"]
_UNARY = ["not", "neg", "popcount", "clz", "ctz", "parity"]
_BINARY = [name for name, op in OPS.items() if len(op.arguments) == 2 and op.evaluate and name != "dynslice"]


@pytest.mark.parametrize("name", _BINARY + _UNARY)
def test_evaluate_and_builder_agree_with_the_definition(name: str) -> None:
    rng = random.Random(name)
    builder = Builder(LAYOUT, Function("f"))
    for w in (1, 2, 3, 7, 8, 13, 32, 64, 65, 128, 200):
        edges = [0, 1, (1 << w) - 1, 1 << (w - 1)]
        for _ in range(30):
            a = rng.choice([*edges, rng.getrandbits(w)])
            b = rng.choice([*edges, rng.getrandbits(w), w, w - 1, rng.randrange(2 * w)]) & (1 << w) - 1
            expected = _meaning(name, w, a, b)
            method = getattr(builder, name + "_" if name in ("and", "or", "not") else name)
            if name in _UNARY:
                assert method(w, a) == expected
            elif name in _SHIFTS:
                assert method(w, a, b, w) == expected
            else:
                assert method(w, a, b) == expected
    assert not builder.ops, "known values must fold"


def test_widths_fold() -> None:
    b = Builder(LAYOUT, Function("f"))
    assert b.sext(0b1010, 4, 8) == 0b11111010
    assert b.zext(0b1010, 4, 8) == 0b1010
    assert b.slice(0xABCD, 16, 4, 8) == 0xBC
    assert b.dynslice(0xABCD, 16, 12, 8, 8) == 0xA
    assert b.dynslice(0xABCD, 16, 16, 8, 8) == 0
    assert b.cat(((0xA, 4), (0, 4), (0xBC, 8))) == 0xA0BC
    assert b.select(8, 1, 5, 6) == 5


def test_identities_fold() -> None:
    f = Function("f")
    b = Builder(LAYOUT, f)
    x = f.temp(8)
    for same in (
        b.add(8, x, 0),
        b.add(8, 0, x),
        b.sub(8, x, 0),
        b.mul(8, x, 1),
        b.and_(8, x, 255),
        b.or_(8, x, 0),
        b.xor(8, x, 0),
        b.shl(8, x, 0, 3),
        b.sext(x, 8, 8),
        b.slice(x, 8, 0, 8),
        b.select(8, f.temp(1), x, x),
        b.cat(((x, 8),)),
        b.udiv(8, x, 1),
        b.and_(8, x, x),
    ):
        assert same is x
    for zero in (b.sub(8, x, x), b.and_(8, x, 0), b.mul(8, 0, x), b.xor(8, x, x), b.urem(8, x, 1), b.ult(8, x, 0)):
        assert zero == 0
    assert b.or_(8, x, 255) == 255
    assert b.eq(8, x, x) == 1
    assert not b.ops
    assert isinstance(b.xor(8, x, 255), Temp)
    assert [op.name for op in b.ops] == ["not"]
