"""IEEE 754 binary32 and binary64 in exact integer arithmetic, as the host's unit computes: the oracle for host FP ops.

Results are rounded to nearest, ties to even, with the flags of IEEE 754-2019 §7; tininess is detected after rounding,
as on x86.  A NaN result is the default one or a quieted operand; which, callers must not care.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

NX, UF, OF, DZ, NV = 1, 2, 4, 8, 16  # bit order of the op fpflags_get


@dataclass(frozen=True, slots=True)
class Format:
    """A binary interchange format."""

    width: int
    fraction: int  # bits of the stored fraction

    @property
    def bias(self) -> int:
        """Exponent bias."""
        return (1 << (self.width - self.fraction - 2)) - 1

    @property
    def top(self) -> int:
        """The exponent field of infinities and NaNs."""
        return (1 << (self.width - self.fraction - 1)) - 1

    @property
    def infinity(self) -> int:
        """The pattern of +infinity."""
        return self.top << self.fraction

    @property
    def nan(self) -> int:
        """The pattern of a default quiet NaN."""
        return self.infinity | 1 << (self.fraction - 1)

    @property
    def least(self) -> int:
        """The exponent of the least significant bit of subnormal numbers."""
        return 1 - self.bias - self.fraction


FORMATS = {32: Format(32, 23), 64: Format(64, 52)}

Result = tuple[int, int]  # pattern, flags


def _sign(f: Format, x: int) -> int:
    return x >> (f.width - 1)


def _magnitude(f: Format, x: int) -> int:
    return x & (1 << (f.width - 1)) - 1


def is_nan(f: Format, x: int) -> bool:
    """Whether the pattern is a NaN."""
    return _magnitude(f, x) > f.infinity


def _is_infinite(f: Format, x: int) -> bool:
    return _magnitude(f, x) == f.infinity


def _is_zero(f: Format, x: int) -> bool:
    return _magnitude(f, x) == 0


def _signed(f: Format, sign: int, magnitude: int) -> int:
    return sign << (f.width - 1) | magnitude


def _unpack(f: Format, x: int) -> tuple[int, int]:
    """A finite number as (integer with sign, exponent): value = integer * 2**exponent."""
    field, fraction = _magnitude(f, x) >> f.fraction, x & (1 << f.fraction) - 1
    number = fraction | 1 << f.fraction if field else fraction
    return -number if _sign(f, x) else number, f.least + max(field, 1) - 1


def _nans(f: Format, *operands: int) -> Result | None:
    """The result if an operand is a NaN."""
    quiet = 1 << (f.fraction - 1)
    found = [x for x in operands if is_nan(f, x)]
    if not found:
        return None
    return found[0] | quiet, NV if any(not x & quiet for x in found) else 0


def _halve(number: int, places: int, sticky: bool) -> tuple[int, bool]:
    """number / 2**places to nearest even, and whether that is inexact; `sticky`: there is a little more than number."""
    if places <= 0:
        return number << -places, sticky
    kept, rest, half = number >> places, number & (1 << places) - 1, 1 << (places - 1)
    up = rest > half or (rest == half and (sticky or bool(kept & 1)))
    return kept + up, bool(rest) or sticky


def round_to(f: Format, sign: int, number: int, exponent: int, sticky: bool = False) -> Result:
    """(-1)**sign * number * 2**exponent in the format; `sticky`: the magnitude is a little greater than that.

    With sticky, number must have at least two bits more than the format's precision.
    """
    if number == 0:
        return _signed(f, sign, 0), 0
    scale = number.bit_length() + exponent  # 2**(scale-1) <= value < 2**scale
    least = max(f.least, scale - f.fraction - 1)
    kept, inexact = _halve(number, least - exponent, sticky)
    # Tiny after rounding: below the least normal number when rounded with unbounded exponent range.
    unbounded, _ = _halve(number, scale - f.fraction - 1 - exponent, sticky)
    tiny = unbounded.bit_length() + scale - f.fraction - 1 < f.least + f.fraction + 1
    flags = NX if inexact else 0
    if inexact and tiny:
        flags |= UF
    field = least - f.least  # 0 for subnormal results; adding `kept` carries into the exponent by itself
    pattern = (field << f.fraction) + kept
    if pattern >= f.infinity:
        return _signed(f, sign, f.infinity), OF | NX
    return _signed(f, sign, pattern), flags


def add(f: Format, a: int, b: int) -> Result:
    """a + b."""
    if (result := _nans(f, a, b)) is not None:
        return result
    if _is_infinite(f, a) or _is_infinite(f, b):
        if _is_infinite(f, a) and _is_infinite(f, b) and a != b:
            return f.nan, NV
        return (a if _is_infinite(f, a) else b), 0
    return _sum(f, _unpack(f, a), _unpack(f, b), _sign(f, a) & _sign(f, b))


def _sum(f: Format, x: tuple[int, int], y: tuple[int, int], sign_of_zero: int) -> Result:
    exponent = min(x[1], y[1])
    total = (x[0] << (x[1] - exponent)) + (y[0] << (y[1] - exponent))
    if total == 0:
        return _signed(f, sign_of_zero, 0), 0
    return round_to(f, int(total < 0), abs(total), exponent)


def sub(f: Format, a: int, b: int) -> Result:
    """a - b."""
    return add(f, a, b if is_nan(f, b) else b ^ 1 << (f.width - 1))


def mul(f: Format, a: int, b: int) -> Result:
    """a * b."""
    if (result := _nans(f, a, b)) is not None:
        return result
    sign = _sign(f, a) ^ _sign(f, b)
    if _is_infinite(f, a) or _is_infinite(f, b):
        if _is_zero(f, a) or _is_zero(f, b):
            return f.nan, NV
        return _signed(f, sign, f.infinity), 0
    (x, i), (y, j) = _unpack(f, a), _unpack(f, b)
    return round_to(f, sign, abs(x * y), i + j)


def div(f: Format, a: int, b: int) -> Result:
    """a / b."""
    if (result := _nans(f, a, b)) is not None:
        return result
    sign = _sign(f, a) ^ _sign(f, b)
    if _is_infinite(f, a):
        return (f.nan, NV) if _is_infinite(f, b) else (_signed(f, sign, f.infinity), 0)
    if _is_infinite(f, b):
        return _signed(f, sign, 0), 0
    if _is_zero(f, b):
        return (f.nan, NV) if _is_zero(f, a) else (_signed(f, sign, f.infinity), DZ)
    (x, i), (y, j) = _unpack(f, a), _unpack(f, b)
    shift = 2 * f.width  # enough that the quotient has more bits than the format, whatever the operands
    quotient, rest = divmod(abs(x) << shift, abs(y))
    return round_to(f, sign, quotient, i - j - shift, rest != 0)


def sqrt(f: Format, a: int) -> Result:
    """Square root."""
    if (result := _nans(f, a)) is not None:
        return result
    if _is_zero(f, a):
        return a, 0
    if _sign(f, a):
        return f.nan, NV
    if _is_infinite(f, a):
        return a, 0
    number, exponent = _unpack(f, a)
    shift = 2 * f.width + (exponent & 1)
    root = isqrt(number << shift)
    return round_to(f, 0, root, (exponent - shift) // 2, root * root != number << shift)


def fma(f: Format, a: int, b: int, c: int) -> Result:
    """a * b + c, rounded once.  Infinity times zero is invalid unless c is a NaN, as on x86."""
    if (result := _nans(f, a, b, c)) is not None:
        return result
    sign = _sign(f, a) ^ _sign(f, b)
    if _is_infinite(f, a) or _is_infinite(f, b):
        if _is_zero(f, a) or _is_zero(f, b) or (_is_infinite(f, c) and _sign(f, c) != sign):
            return f.nan, NV
        return _signed(f, sign, f.infinity), 0
    if _is_infinite(f, c):
        return c, 0
    (x, i), (y, j) = _unpack(f, a), _unpack(f, b)
    return _sum(f, (x * y, i + j), _unpack(f, c), sign & _sign(f, c))


def convert(source: Format, target: Format, a: int) -> Result:
    """One format to the other."""
    if is_nan(source, a):
        quiet = 1 << (source.fraction - 1)
        moved = target.fraction - source.fraction
        fraction = a & (1 << source.fraction) - 1 | quiet
        fraction = fraction << moved if moved > 0 else fraction >> -moved
        return _signed(target, _sign(source, a), target.infinity | fraction), 0 if a & quiet else NV
    if _is_infinite(source, a):
        return _signed(target, _sign(source, a), target.infinity), 0
    number, exponent = _unpack(source, a)
    return round_to(target, _sign(source, a), abs(number), exponent)


def from_integer(f: Format, number: int) -> Result:
    """An integer of any sign."""
    return round_to(f, int(number < 0), abs(number), 0)


def to_integer(f: Format, a: int) -> Result:
    """Truncated; the result is an integer of any sign, meaningful when finite."""
    if is_nan(f, a) or _is_infinite(f, a):
        return 0, NV
    number, exponent = _unpack(f, a)
    if exponent >= 0:
        return number << exponent, 0
    whole, rest = divmod(abs(number), 1 << -exponent)
    return -whole if number < 0 else whole, NX if rest else 0


def less(f: Format, a: int, b: int) -> Result:
    """a < b; with a NaN it is false and invalid."""
    return (0, NV) if _nans(f, a, b) else (int(_order(f, a) < _order(f, b)), 0)


def less_or_equal(f: Format, a: int, b: int) -> Result:
    """a <= b; with a NaN it is false and invalid."""
    return (0, NV) if _nans(f, a, b) else (int(_order(f, a) <= _order(f, b)), 0)


def equal(f: Format, a: int, b: int) -> Result:
    """a == b; with a NaN it is false, and invalid if the NaN is a signalling one."""
    found = _nans(f, a, b)
    return (0, found[1]) if found else (int(_order(f, a) == _order(f, b)), 0)


def _order(f: Format, x: int) -> int:
    return -_magnitude(f, x) if _sign(f, x) else _magnitude(f, x)
