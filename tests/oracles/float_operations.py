"""RISC-V's rounding floating-point instructions, and what Berkeley SoftFloat (softfloatpy) says they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import softfloatpy as soft

from tests.oracles.subject import BOX

MODES = ("rne", "rtz", "rdn", "rup", "rmm")
INVALID = 16
_NAN = {"s": BOX | 0x7FC00000, "d": 0x7FF8000000000000}
_SIGN = {"s": 1 << 31, "d": 1 << 63}
_FLOAT: dict[str, Any] = {"s": soft.Float32, "d": soft.Float64}
_INTEGER: dict[str, Any] = {"w": soft.Int32, "u": soft.UInt32, "l": soft.Int64, "v": soft.UInt64}
_RANGE = {
    "w": (-(1 << 31), (1 << 31) - 1),
    "u": (0, (1 << 32) - 1),
    "l": (-(1 << 63), (1 << 63) - 1),
    "v": (0, (1 << 64) - 1),
}
#: our letter, the manual's letters, SoftFloat's name
_INTEGER_NAMES = (("w", "w", "i32"), ("u", "wu", "ui32"), ("l", "l", "i64"), ("v", "lu", "ui64"))


@dataclass(frozen=True, slots=True)
class Operation:
    """word: fa0 or a0 from fa1, fa2, fa3 or a1, with rm 0.  operands and result: s, d, or integers w, u (unsigned 32),
    l, v (unsigned 64); b is a truth value.  negated: operands whose sign is turned first."""

    name: str
    word: int
    operands: str
    result: str
    function: Callable[..., Any]
    negated: tuple[int, ...] = ()
    rounds: bool = True

    def expected(self, operands: tuple[int, ...], mode: int, xlen: int) -> tuple[int, int]:
        """The register written (sign-extended, boxed) and the flags raised."""
        numbers = [
            _number(kind, value ^ _SIGN[kind] if at in self.negated else value)
            for at, (kind, value) in enumerate(zip(self.operands, operands, strict=True))
        ]
        soft.set_rounding_mode(soft.RoundingMode(mode))
        soft.set_tininess_mode(soft.TininessMode.AFTER_ROUNDING)
        soft.set_exception_flags(0)
        result = self.function(*numbers)
        flags = int(soft.get_exception_flags())
        if self.result == "b":
            return int(bool(result)), flags
        if self.result in _FLOAT:
            return _register(self.result, result), flags
        if flags & INVALID:  # SoftFloat leaves the value open: table 11.4 of the manual
            low, high = _RANGE[self.result]
            negative = operands[0] & _SIGN[self.operands[0]] and not numbers[0].is_nan()
            value = low if negative else high
        else:
            value = result.to_int()
        if self.result == "u":  # 32-bit results are sign-extended, unsigned ones too
            value = value - (value >> 31 << 32)
        return value & (1 << xlen) - 1, flags


def _number(kind: str, value: int) -> Any:
    """A number of SoftFloat's from its bits."""
    if kind in _FLOAT:
        size = 4 if kind == "s" else 8
        return _FLOAT[kind].from_bytes((value & (1 << 8 * size) - 1).to_bytes(size, "big"))
    size = 4 if kind in "wu" else 8
    return _INTEGER[kind].from_bytes((value & (1 << 8 * size) - 1).to_bytes(size, "big"))


def _register(kind: str, number: Any) -> int:
    """How the register file holds it."""
    if number.is_nan():
        return _NAN[kind]
    value = int.from_bytes(number.to_bytes(), "big")
    return BOX | value if kind == "s" else value


def _to_integer(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a: function(a, soft.get_rounding_mode(), True)


def _arithmetic(kind: str, bits: int, at: int) -> list[Operation]:
    """The computations of one format; `at` is the format's place in the encodings."""

    def of(name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(soft, f"f{bits}_{name}")
        return found

    two, three = kind * 2, kind * 3
    made = [
        Operation(f"fadd.{kind}", 0x00C58553 | at, two, kind, of("add")),
        Operation(f"fsub.{kind}", 0x08C58553 | at, two, kind, of("sub")),
        Operation(f"fmul.{kind}", 0x10C58553 | at, two, kind, of("mul")),
        Operation(f"fdiv.{kind}", 0x18C58553 | at, two, kind, of("div")),
        Operation(f"fsqrt.{kind}", 0x58058553 | at, kind, kind, of("sqrt")),
        Operation(f"fmadd.{kind}", 0x68C58543 | at, three, kind, of("mul_add")),
        Operation(f"fmsub.{kind}", 0x68C58547 | at, three, kind, of("mul_add"), (2,)),
        Operation(f"fnmsub.{kind}", 0x68C5854B | at, three, kind, of("mul_add"), (0,)),
        Operation(f"fnmadd.{kind}", 0x68C5854F | at, three, kind, of("mul_add"), (0, 2)),
        Operation(f"feq.{kind}", 0xA0C5A553 | at, two, "b", of("eq"), (), False),
        Operation(f"flt.{kind}", 0xA0C59553 | at, two, "b", of("lt"), (), False),
        Operation(f"fle.{kind}", 0xA0C58553 | at, two, "b", of("le"), (), False),
    ]
    for place, (letter, name, other) in enumerate(_INTEGER_NAMES):
        to, back = 0xC0058553 | at | place << 20, 0xD0058553 | at | place << 20
        made.append(Operation(f"fcvt.{name}.{kind}", to, kind, letter, _to_integer(of(f"to_{other}"))))
        made.append(Operation(f"fcvt.{kind}.{name}", back, letter, kind, getattr(soft, f"{other}_to_f{bits}")))
    return made


OPERATIONS: tuple[Operation, ...] = (
    *_arithmetic("s", 32, 0),
    *_arithmetic("d", 64, 1 << 25),
    Operation("fcvt.s.d", 0x40158553, "d", "s", soft.f64_to_f32),
    Operation("fcvt.d.s", 0x42058553, "s", "d", soft.f32_to_f64),
)
