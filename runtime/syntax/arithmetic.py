"""Arithmetic on w-bit integers, for expressions that generated tables evaluate in Python.

Values are unsigned, 0 <= v < 2**w.  What other languages leave undefined is defined as in the rest of the project:
x / 0 = 0, x % 0 = x, over-long shifts give 0 or the sign.
"""

from __future__ import annotations

__all__ = [
    "ashr",
    "clz",
    "ctz",
    "dynslice",
    "lshr",
    "parity",
    "popcount",
    "rotl",
    "rotr",
    "sdiv",
    "sext",
    "shl",
    "signed",
    "srem",
    "udiv",
    "urem",
]


def signed(value: int, width: int) -> int:
    """The two's-complement number whose bits are `value`."""
    return value - (1 << width) if value >> (width - 1) else value


def sext(value: int, width: int, to: int) -> int:
    """Sign extension from `width` to `to` bits."""
    return signed(value, width) & ((1 << to) - 1)


def shl(value: int, amount: int, width: int) -> int:
    return (value << amount) & ((1 << width) - 1) if amount < width else 0


def lshr(value: int, amount: int, width: int) -> int:
    return value >> min(amount, width)


def ashr(value: int, amount: int, width: int) -> int:
    return (signed(value, width) >> min(amount, width)) & ((1 << width) - 1)


def rotl(value: int, amount: int, width: int) -> int:
    amount %= width
    return (value << amount | value >> (width - amount)) & ((1 << width) - 1)


def rotr(value: int, amount: int, width: int) -> int:
    return rotl(value, -amount, width)


def udiv(left: int, right: int) -> int:
    return left // right if right else 0


def urem(left: int, right: int) -> int:
    return left % right if right else left


def sdiv(left: int, right: int, width: int) -> int:
    """Truncates towards zero; the most negative number divided by -1 wraps."""
    a, b = signed(left, width), signed(right, width)
    if b == 0:
        return 0
    quotient = abs(a) // abs(b)
    return (quotient if (a < 0) == (b < 0) else -quotient) & ((1 << width) - 1)


def srem(left: int, right: int, width: int) -> int:
    """Has the sign of the dividend."""
    a, b = signed(left, width), signed(right, width)
    if b == 0:
        return left
    remainder = abs(a) % abs(b)
    return (-remainder if a < 0 else remainder) & ((1 << width) - 1)


def dynslice(value: int, low: int, width: int) -> int:
    return value >> low & ((1 << width) - 1)


def popcount(value: int) -> int:
    return value.bit_count()


def parity(value: int) -> int:
    return value.bit_count() & 1


def clz(value: int, width: int) -> int:
    return width - value.bit_length()


def ctz(value: int, width: int) -> int:
    return (value & -value).bit_length() - 1 if value else width
