"""The rewrite rules of regions, each proved for all values of its operands, at several widths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import z3

from runtime.tcg.ir import Function, Op, Operand, Temp
from runtime.tcg.region_rules import RULES, Rule

_Width = tuple[int, int]
_WIDTHS: tuple[_Width, ...] = ((32, 64), (8, 32), (16, 64), (1, 8))


def _value(op: Op, given: list[z3.BitVecRef]) -> z3.BitVecRef:
    """What an op computes, as the table of ops says (runtime/tcg/ops.py)."""
    width = op.result.width
    match op.name:
        case "and":
            return given[0] & given[1]
        case "or":
            return given[0] | given[1]
        case "xor":
            return given[0] ^ given[1]
        case "add":
            return given[0] + given[1]
        case "sub":
            return given[0] - given[1]
        case "cat":
            return z3.Concat(*given)
        case "sext":
            return z3.SignExt(width - op.widths[0], given[0])
        case "zext":
            return z3.ZeroExt(width - op.widths[0], given[0])
        case "slice":
            return z3.Extract(op.offset + width - 1, op.offset, given[0])
        case "not":
            return ~given[0]
        case "select":
            return z3.If(given[0] == 1, given[1], given[2])
        case "eq" | "ne":
            return z3.If((given[0] == given[1]) == (op.name == "eq"), z3.BitVecVal(1, 1), z3.BitVecVal(0, 1))
    amount = op.args[1]
    assert isinstance(amount, int)
    assert amount < width
    match op.name:
        case "shl":
            return given[0] << amount
        case "lshr":
            return z3.LShR(given[0], amount)
        case "rotl":
            return z3.RotateLeft(given[0], amount)
    raise AssertionError(op.name)


def _result(ops: list[Op], inputs: dict[Temp, z3.BitVecRef]) -> z3.BitVecRef:
    values = dict(inputs)
    for op in ops:
        given = []
        for value, width in zip(op.args, op.widths, strict=True):
            given.append(values[value] if isinstance(value, Temp) else z3.BitVecVal(value, width))
        values[op.result] = _value(op, given)
    return values[ops[-1].result]


class _Maker:
    """Builds ops, and remembers what they were made of."""

    def __init__(self) -> None:
        self.function = Function("f")
        self.ops: list[Op] = []
        self.inputs: dict[Temp, z3.BitVecRef] = {}

    def free(self, width: int) -> Temp:
        """Any value."""
        temp = self.function.temp(width)
        self.inputs[temp] = z3.BitVec(f"t{temp.id}", width)
        return temp

    def op(self, name: str, width: int, args: tuple[Operand, ...], widths: tuple[int, ...], offset: int = 0) -> Temp:
        """Append an op."""
        temp = self.function.temp(width)
        self.ops.append(Op(name, (temp,), args, widths, offset=offset))
        return temp


def _cases() -> Iterator[_Maker]:
    """Every shape a rule looks for, and shapes next to them."""
    for narrow, wide in _WIDTHS:
        for how in ("sext", "zext"):
            for other in ("sext", "zext"):
                for name in ("and", "or", "xor"):
                    m = _Maker()
                    sides = [m.op(kind, wide, (m.free(narrow),), (narrow,)) for kind in (how, other)]
                    m.op(name, wide, (sides[0], sides[1]), (wide, wide))
                    yield m
                for middle in (narrow, wide):
                    m = _Maker()
                    m.op(other, 2 * wide, (m.op(how, wide, (m.free(middle),), (middle,)),), (wide,))
                    yield m
            for constant in (0, 1, (1 << narrow) - 1, 1 << narrow, (1 << wide) - 1, (1 << wide) - (1 << (narrow - 1))):
                for name in ("and", "or", "xor"):
                    for turned in (False, True):
                        m = _Maker()
                        side = m.op(how, wide, (m.free(narrow),), (narrow,))
                        m.op(name, wide, (constant, side) if turned else (side, constant), (wide, wide))
                        yield m
                for name in ("eq", "ne"):
                    m = _Maker()
                    m.op(name, 1, (m.op(how, wide, (m.free(narrow),), (narrow,)), constant), (wide, wide))
                    yield m
            for part in {1, narrow, max(1, narrow - 1), min(wide, narrow + 1), wide}:
                m = _Maker()
                m.op("slice", part, (m.op(how, wide, (m.free(narrow),), (narrow,)),), (wide,))
                yield m
        for one, other in ((1, 3), (3, 1), (1, 2), (5, 6)):
            m = _Maker()
            m.op("and", wide, (m.op("and", wide, (m.free(wide), one), (wide, wide)), other), (wide, wide))
            yield m
        for name in ("or", "xor", "add"):
            for amount in {0, 1, wide // 2, wide - 1}:
                for off in (0, 1):
                    other_amount = (wide - amount + off) % wide
                    m = _Maker()
                    x = m.free(wide)
                    left = m.op("shl", wide, (x, amount), (wide, 8))
                    right = m.op("lshr", wide, (x, other_amount), (wide, 8))
                    m.op(name, wide, (right, left) if off else (left, right), (wide, wide))
                    yield m

    for name in ("eq", "ne"):
        for constant in (0, 1):
            m = _Maker()
            m.op(name, 1, (m.free(1), constant), (1, 1))
            yield m
        for one, other in ((5, 6), (6, 5), (5, 5), (6, 6), (None, 5), (5, None)):
            m = _Maker()
            values = [m.free(64) if value is None else value for value in (one, other)]
            m.op(name, 1, (m.op("select", 64, (m.free(1), *values), (1, 64, 64)), 5), (64, 64))
            yield m
    for first, width in ((0, 8), (0, 3), (5, 3), (7, 2), (8, 16), (9, 4), (24, 8), (26, 1), (20, 12)):
        m = _Maker()
        whole = m.op("cat", 32, (m.free(4), 0xA5, m.free(12), m.free(8)), (4, 8, 12, 8))
        m.op("slice", width, (whole,), (32,), first)
        yield m
    for width in (32, 64):
        for wrong in (0, 1, 2):
            m = _Maker()
            numbers = [m.free(width), m.free(width)]
            places = range(width - 1 - (wrong == 1), 0, -8)
            bits = [m.op("slice", 1, (numbers[wrong == 2 and at < 8],), (width,), at) for at in places]
            filled = [m.op("sext", 8, (bit,), (1,)) for bit in bits]
            m.op("cat", width, tuple(filled), (8,) * len(filled))
            yield m


def _applications() -> Iterator[tuple[Rule, _Maker, list[Op]]]:
    for m in _cases():
        made: dict[Operand, Op] = {op.result: op for op in m.ops[:-1]}
        for rule in RULES[m.ops[-1].name]:
            rewritten = rule(m.function, m.ops[-1], made)
            if rewritten is not None:
                yield rule, m, rewritten


def test_rules_hold() -> None:
    """Old and new differ for no operands."""
    for rule, m, rewritten in _applications():
        solver = z3.Solver()
        solver.add(_result(m.ops, m.inputs) != _result([*m.ops[:-1], *rewritten], m.inputs))
        assert solver.check() == z3.unsat, (
            f"{rule.__name__}: {[str(op) for op in m.ops]} -> {list(map(str, rewritten))}"
        )


@pytest.mark.parametrize(
    "rule", dict.fromkeys(rule for rules in RULES.values() for rule in rules), ids=lambda rule: rule.__name__
)
def test_rules_apply(rule: Rule) -> None:
    """The cases reach every rule."""
    assert sum(found is rule for found, _, _ in _applications()) >= 2


def test_a_wrong_rewriting_is_noticed() -> None:
    """The control."""
    m = _Maker()
    x = m.free(8)
    m.op("sext", 32, (x,), (8,))
    wrong = [Op("zext", m.ops[0].results, (x,), (8,))]
    solver = z3.Solver()
    solver.add(_result(m.ops, m.inputs) != _result(wrong, m.inputs))
    assert solver.check() == z3.sat
