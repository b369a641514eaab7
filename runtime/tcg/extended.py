"""Extended precision in exact integer arithmetic: the oracle for the ops whose names begin with `extended_`.

A pattern has 80 bits: sign, 15 of exponent, the integer bit, 63 of fraction (Intel's Software Developer's Manual,
volume 1, 4.2.2).  What has an exponent but no integer bit is no number, and counts as a NaN; what has an integer bit
and no exponent is the number that it would be with an exponent of 1.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from types import MappingProxyType

from runtime.tcg import floats
from runtime.tcg.ops import mask, signed

#: the same without the integer bit
_INNER = floats.Format(79, 63)
_SIGN = 1 << 79


def inner(x: int) -> int:
    """A pattern as one without the integer bit."""
    exponent, whole, fraction = x >> 64 & 0x7FFF, x >> 63 & 1, x & mask(63)
    if exponent and not whole:
        return _INNER.nan
    return x >> 79 << 78 | (exponent or whole) << 63 | fraction


def outer(x: int) -> int:
    """The other way round."""
    return x >> 63 << 64 | (x >> 63 & 0x7FFF != 0) << 63 | x & mask(63)


def is_nan(x: int) -> bool:
    """Whether the pattern is no number."""
    return floats.is_nan(_INNER, inner(x))


def _computed(operation: Callable[..., floats.Result]) -> Callable[..., int]:
    return lambda *values: outer(operation(_INNER, *map(inner, values))[0])


def _told(relation: Callable[..., floats.Result]) -> Callable[..., int]:
    return lambda *values: relation(_INNER, *map(inner, values))[0]


def _widened(width: int) -> Callable[..., int]:
    return lambda value: outer(floats.convert(floats.FORMATS[width], _INNER, value)[0])


def _narrowed(width: int) -> Callable[..., int]:
    return lambda value: floats.convert(_INNER, floats.FORMATS[width], inner(value))[0]


#: bits of the host's status word: its flags by those of runtime/tcg/floats.py, and what else is told
_FLAGS = ((floats.NV, 1), (floats.DZ, 4), (floats.OF, 8), (floats.UF, 16), (floats.NX, 32))
DENORMAL, AWAY = 2, 1 << 9
LESS, UNORDERED, EQUAL = 1 << 8, 0x4500, 1 << 14


def magnitude(x: int) -> Fraction:
    """The absolute value of a finite number."""
    return Fraction(x & mask(64)) * Fraction(2) ** (max(x >> 64 & 0x7FFF, 1) - 16446)


def _is_denormal(x: int) -> bool:
    return x >> 64 & 0x7FFF == 0 and x & mask(64) != 0


def _is_unsupported(x: int) -> bool:
    return x >> 64 & 0x7FFF != 0 and not x >> 63 & 1


def _status(operation: Callable[..., floats.Result], exact: Callable[..., Fraction]) -> Callable[..., int]:
    """exact: the magnitude of the result, of a root its square."""

    def status(*values: int) -> int:
        result, flags = operation(_INNER, *map(inner, values))
        told = sum(bit for flag, bit in _FLAGS if flags & flag) | int(any(map(_is_unsupported, values)))
        if any(map(_is_denormal, values)) and not any(map(is_nan, values)) and not told & 5:
            told |= DENORMAL
        if told == floats.NX << 5 and magnitude(outer(result)) ** (2 if operation is floats.sqrt else 1) > exact(
            *values
        ):
            told |= AWAY
        return told

    return status


def _signed(x: int) -> Fraction:
    return -magnitude(x) if x & _SIGN else magnitude(x)


def _compared(a: int, b: int) -> int:
    told = DENORMAL if _is_denormal(a) or _is_denormal(b) else 0
    if is_nan(a) or is_nan(b):
        loud = any(_is_unsupported(x) or (is_nan(x) and not x >> 62 & 1) for x in (a, b))
        return UNORDERED | int(loud)
    less, equal = _told(floats.less)(a, b), _told(floats.equal)(a, b)
    return told | LESS * less | EQUAL * equal


#: what each op makes of its operands
MEANINGS: MappingProxyType[str, Callable[..., int]] = MappingProxyType(
    {
        "extended_add": _computed(floats.add),
        "extended_sub": _computed(floats.sub),
        "extended_mul": _computed(floats.mul),
        "extended_div": _computed(floats.div),
        "extended_sqrt": _computed(floats.sqrt),
        "extended_add_status": _status(floats.add, lambda a, b: abs(_signed(a) + _signed(b))),
        "extended_sub_status": _status(floats.sub, lambda a, b: abs(_signed(a) - _signed(b))),
        "extended_mul_status": _status(floats.mul, lambda a, b: magnitude(a) * magnitude(b)),
        "extended_div_status": _status(floats.div, lambda a, b: magnitude(a) / magnitude(b)),
        "extended_sqrt_status": _status(floats.sqrt, magnitude),
        "extended_compare_status": _compared,
        "extended_neg": lambda value: value ^ _SIGN,
        "extended_abs": lambda value: value & ~_SIGN,
        "extended_eq": _told(floats.equal),
        "extended_lt": _told(floats.less),
        "extended_unordered": lambda *values: int(any(map(is_nan, values))),
        "extended_from_f32": _widened(32),
        "extended_from_f64": _widened(64),
        "extended_from_s": lambda value: outer(floats.from_integer(_INNER, signed(value, 64))[0]),
        "extended_to_f32": _narrowed(32),
        "extended_to_f64": _narrowed(64),
        "extended_to_s": lambda value: floats.to_integer(_INNER, inner(value))[0] & mask(64),
    }
)
