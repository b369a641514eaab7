"""The builder's pure operations: they fold when everything is known, and append an op otherwise.

Every method takes and gives Values: ints (known), Temps (run time) or Deferreds (the driver knows them later).  The
first argument of most is the width in bits.
"""

from __future__ import annotations

from runtime.tcg.ir import Deferred, Function, InternalError, Label, Local, Op, Operand, Temp, Value
from runtime.tcg.ops import OPS, mask


def same(a: Value, b: Value) -> bool:
    """Whether two values are certainly equal."""
    if a is b:
        return True
    if isinstance(a, Temp) or isinstance(b, Temp):
        return False
    return type(a) is type(b) and a == b


def width_of(value: Value, default: int) -> int:
    """The width a value carries; ints carry none."""
    return default if isinstance(value, int) else value.width


class ValueBuilder:
    """Appends ops to a function."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.ops: list[Op] = function.ops
        #: nothing reaches this point: ops are dropped until a label is bound
        self.dead = False

    # ------------------------------------------------------------ what drivers override

    def defer(
        self, name: str, width: int, args: tuple[Value, ...], widths: tuple[int, ...], offset: int
    ) -> Value | None:
        """A Deferred for a pure op none of whose arguments is a Temp, or None to compute it at run time."""
        return None

    def materialise(self, value: Deferred, width: int) -> Operand:
        """The run-time form of a deferred value, made here and now."""
        raise InternalError(f"no run-time form for {value!r}")

    def decide(self, condition: Deferred) -> bool | None:
        """What a deferred condition will be, if the driver chooses to know."""
        return None

    # ------------------------------------------------------------ appending

    def operand(self, value: Value, width: int) -> Operand:
        """`value` as an op's argument."""
        return self.materialise(value, width) if isinstance(value, Deferred) else value

    def emit(
        self,
        name: str,
        args: tuple[Value, ...] = (),
        widths: tuple[int, ...] = (),
        results: tuple[int, ...] = (),
        *,
        offset: int = 0,
        size: int = 0,
        symbol: str = "",
        flag: bool = False,
        labels: tuple[Label, ...] = (),
        local: Local | None = None,
    ) -> tuple[Temp, ...]:
        """Append an op and give its results; a terminator makes what follows dead."""
        temps = tuple([self.function.temp(width) for width in results])
        if self.dead:
            return temps
        operands = tuple([self.operand(value, width) for value, width in zip(args, widths, strict=True)])
        self.ops.append(Op(name, temps, operands, widths, offset, size, symbol, flag, labels, local))
        if OPS[name].terminator:
            self.dead = True
        return temps

    def emit1(
        self,
        name: str,
        args: tuple[Value, ...],
        widths: tuple[int, ...],
        width: int,
        *,
        offset: int = 0,
        size: int = 0,
        symbol: str = "",
        flag: bool = False,
        local: Local | None = None,
    ) -> Temp:
        """`emit` for an op with one result."""
        return self.emit(name, args, widths, (width,), offset=offset, size=size, symbol=symbol, flag=flag, local=local)[
            0
        ]

    def pure(self, name: str, width: int, args: tuple[Value, ...], widths: tuple[int, ...], offset: int = 0) -> Value:
        """A function of its arguments: folded, deferred or emitted."""
        known = True
        for value in args:
            if isinstance(value, Temp):
                break
            if not isinstance(value, int):
                known = False
        else:
            if known and (evaluate := OPS[name].evaluate) is not None:
                return evaluate(width, args, widths, offset)  # type: ignore[arg-type]  # all are ints here
            if not known and (deferred := self.defer(name, width, args, widths, offset)) is not None:
                return deferred
        return self.emit(name, args, widths, (width,), offset=offset)[0]

    # ------------------------------------------------------------ arithmetic

    def add(self, w: int, a: Value, b: Value) -> Value:
        """a + b."""
        if isinstance(b, int) and b == 0:
            return a
        if isinstance(a, int) and a == 0:
            return b
        return self.pure("add", w, (a, b), (w, w))

    def sub(self, w: int, a: Value, b: Value) -> Value:
        """a - b."""
        if isinstance(b, int) and b == 0:
            return a
        if same(a, b):
            return 0
        return self.pure("sub", w, (a, b), (w, w))

    def mul(self, w: int, a: Value, b: Value) -> Value:
        """Low half of a * b."""
        for x, y in ((a, b), (b, a)):
            if isinstance(y, int) and y <= 1:
                return x if y else 0
        return self.pure("mul", w, (a, b), (w, w))

    def udiv(self, w: int, a: Value, b: Value) -> Value:
        """Unsigned quotient."""
        if isinstance(b, int) and b <= 1:
            return a if b else 0
        return self.pure("udiv", w, (a, b), (w, w))

    def sdiv(self, w: int, a: Value, b: Value) -> Value:
        """Signed quotient."""
        if isinstance(b, int) and b == 0:
            return 0
        return self.pure("sdiv", w, (a, b), (w, w))

    def urem(self, w: int, a: Value, b: Value) -> Value:
        """Unsigned remainder."""
        if isinstance(b, int) and b <= 1:
            return 0 if b else a
        return self.pure("urem", w, (a, b), (w, w))

    def srem(self, w: int, a: Value, b: Value) -> Value:
        """Signed remainder."""
        if isinstance(b, int) and b == 0:
            return a
        return self.pure("srem", w, (a, b), (w, w))

    def neg(self, w: int, a: Value) -> Value:
        """0 - a."""
        return self.pure("neg", w, (a,), (w,))

    # ------------------------------------------------------------ bits

    def and_(self, w: int, a: Value, b: Value) -> Value:
        """a & b."""
        for x, y in ((a, b), (b, a)):
            if isinstance(y, int):
                if y == 0:
                    return 0
                if y == mask(w):
                    return x
        return a if same(a, b) else self.pure("and", w, (a, b), (w, w))

    def or_(self, w: int, a: Value, b: Value) -> Value:
        """a | b."""
        for x, y in ((a, b), (b, a)):
            if isinstance(y, int):
                if y == 0:
                    return x
                if y == mask(w):
                    return y
        return a if same(a, b) else self.pure("or", w, (a, b), (w, w))

    def xor(self, w: int, a: Value, b: Value) -> Value:
        """a ^ b."""
        for x, y in ((a, b), (b, a)):
            if isinstance(y, int):
                if y == 0:
                    return x
                if y == mask(w):
                    return self.not_(w, x)
        return 0 if same(a, b) else self.pure("xor", w, (a, b), (w, w))

    def not_(self, w: int, a: Value) -> Value:
        """~a."""
        return self.pure("not", w, (a,), (w,))

    def _shift(self, name: str, w: int, a: Value, n: Value, nw: int) -> Value:
        if (isinstance(n, int) and n == 0) or (isinstance(a, int) and a == 0):
            return a
        return self.pure(name, w, (a, n), (w, nw))

    def shl(self, w: int, a: Value, n: Value, nw: int) -> Value:
        """a << n; the amount has nw bits."""
        return self._shift("shl", w, a, n, nw)

    def lshr(self, w: int, a: Value, n: Value, nw: int) -> Value:
        """a >> n, unsigned."""
        return self._shift("lshr", w, a, n, nw)

    def ashr(self, w: int, a: Value, n: Value, nw: int) -> Value:
        """a >> n, signed."""
        return self._shift("ashr", w, a, n, nw)

    def rotl(self, w: int, a: Value, n: Value, nw: int) -> Value:
        """a rotated left by n modulo w."""
        return self._shift("rotl", w, a, n, nw)

    def rotr(self, w: int, a: Value, n: Value, nw: int) -> Value:
        """a rotated right by n modulo w."""
        return self._shift("rotr", w, a, n, nw)

    def popcount(self, w: int, a: Value) -> Value:
        """Number of ones, in w bits."""
        return self.pure("popcount", w, (a,), (w,))

    def clz(self, w: int, a: Value) -> Value:
        """Leading zeros, in w bits."""
        return self.pure("clz", w, (a,), (w,))

    def ctz(self, w: int, a: Value) -> Value:
        """Trailing zeros, in w bits."""
        return self.pure("ctz", w, (a,), (w,))

    def parity(self, w: int, a: Value) -> Value:
        """1 if the number of ones is odd."""
        return self.pure("parity", 1, (a,), (w,))

    # ------------------------------------------------------------ comparisons

    def eq(self, w: int, a: Value, b: Value) -> Value:
        """a == b."""
        if same(a, b):
            return 1
        if w == 1:
            for x, y in ((a, b), (b, a)):
                if isinstance(y, int):
                    return x if y else self.not_(1, x)
        return self.pure("eq", 1, (a, b), (w, w))

    def ne(self, w: int, a: Value, b: Value) -> Value:
        """a != b."""
        if same(a, b):
            return 0
        if w == 1:
            for x, y in ((a, b), (b, a)):
                if isinstance(y, int):
                    return self.not_(1, x) if y else x
        return self.pure("ne", 1, (a, b), (w, w))

    def ult(self, w: int, a: Value, b: Value) -> Value:
        """a < b, unsigned."""
        return 0 if same(a, b) or (isinstance(b, int) and b == 0) else self.pure("ult", 1, (a, b), (w, w))

    def ule(self, w: int, a: Value, b: Value) -> Value:
        """a <= b, unsigned."""
        return 1 if same(a, b) or (isinstance(a, int) and a == 0) else self.pure("ule", 1, (a, b), (w, w))

    def ugt(self, w: int, a: Value, b: Value) -> Value:
        """a > b, unsigned."""
        return 0 if same(a, b) or (isinstance(a, int) and a == 0) else self.pure("ugt", 1, (a, b), (w, w))

    def uge(self, w: int, a: Value, b: Value) -> Value:
        """a >= b, unsigned."""
        return 1 if same(a, b) or (isinstance(b, int) and b == 0) else self.pure("uge", 1, (a, b), (w, w))

    def slt(self, w: int, a: Value, b: Value) -> Value:
        """a < b, signed."""
        return 0 if same(a, b) else self.pure("slt", 1, (a, b), (w, w))

    def sle(self, w: int, a: Value, b: Value) -> Value:
        """a <= b, signed."""
        return 1 if same(a, b) else self.pure("sle", 1, (a, b), (w, w))

    def sgt(self, w: int, a: Value, b: Value) -> Value:
        """a > b, signed."""
        return 0 if same(a, b) else self.pure("sgt", 1, (a, b), (w, w))

    def sge(self, w: int, a: Value, b: Value) -> Value:
        """a >= b, signed."""
        return 1 if same(a, b) else self.pure("sge", 1, (a, b), (w, w))

    # ------------------------------------------------------------ widths

    def sext(self, a: Value, from_w: int, to_w: int) -> Value:
        """Sign-extend."""
        return a if from_w == to_w else self.pure("sext", to_w, (a,), (from_w,))

    def zext(self, a: Value, from_w: int, to_w: int) -> Value:
        """Zero-extend."""
        return a if from_w == to_w or isinstance(a, int) else self.pure("zext", to_w, (a,), (from_w,))

    def slice(self, a: Value, from_w: int, low: int, w: int) -> Value:
        """Bits low .. low+w-1."""
        return a if low == 0 and w == from_w else self.pure("slice", w, (a,), (from_w,), low)

    def dynslice(self, a: Value, from_w: int, low: Value, low_w: int, w: int) -> Value:
        """w bits from position `low` on; bits past the top read as 0."""
        if isinstance(low, int):
            if low >= from_w:
                return 0
            inside = min(w, from_w - low)
            return self.zext(self.slice(a, from_w, low, inside), inside, w)
        return self.pure("dynslice", w, (a, low), (from_w, low_w))

    def cat(self, parts: tuple[tuple[Value, int], ...]) -> Value:
        """Concatenation, first part most significant."""
        if len(parts) == 1:
            return parts[0][0]
        widths = tuple([width for _, width in parts])
        leading = parts[0][0]
        if isinstance(leading, int) and leading == 0:
            return self.zext(self.cat(parts[1:]), sum(widths[1:]), sum(widths))
        return self.pure("cat", sum(widths), tuple([value for value, _ in parts]), widths)

    def select(self, w: int, c: Value, a: Value, b: Value) -> Value:
        """a if c else b."""
        if isinstance(c, Deferred) and (decided := self.decide(c)) is not None:
            c = int(decided)
        if isinstance(c, int):
            return a if c else b
        if same(a, b):
            return a
        if w == 1 and isinstance(a, int) and isinstance(b, int):
            return c if a else self.not_(1, c)
        return self.pure("select", w, (c, a, b), (1, w, w))

    # ------------------------------------------------------------ floating point on the host's unit

    def host_add(self, w: int, a: Value, b: Value) -> Value:
        """IEEE sum, nearest even; flags accrue on the host."""
        return self.emit1("host_add", (a, b), (w, w), w)

    def host_sub(self, w: int, a: Value, b: Value) -> Value:
        """IEEE difference."""
        return self.emit1("host_sub", (a, b), (w, w), w)

    def host_mul(self, w: int, a: Value, b: Value) -> Value:
        """IEEE product."""
        return self.emit1("host_mul", (a, b), (w, w), w)

    def host_div(self, w: int, a: Value, b: Value) -> Value:
        """IEEE quotient."""
        return self.emit1("host_div", (a, b), (w, w), w)

    def host_sqrt(self, w: int, a: Value) -> Value:
        """IEEE square root."""
        return self.emit1("host_sqrt", (a,), (w,), w)

    def host_fma(self, w: int, a: Value, b: Value, c: Value) -> Value:
        """a * b + c rounded once."""
        return self.emit1("host_fma", (a, b, c), (w, w, w), w)

    def host_f32_to_f64(self, a: Value) -> Value:
        """Widen."""
        return self.emit1("host_f32_to_f64", (a,), (32,), 64)

    def host_f64_to_f32(self, a: Value) -> Value:
        """Narrow."""
        return self.emit1("host_f64_to_f32", (a,), (64,), 32)

    def host_from_s(self, w_from: int, a: Value, w_to: int) -> Value:
        """Signed integer to floating point."""
        return self.emit1("host_from_s", (a,), (w_from,), w_to)

    def host_from_u(self, w_from: int, a: Value, w_to: int) -> Value:
        """Unsigned integer to floating point."""
        return self.emit1("host_from_u", (a,), (w_from,), w_to)

    def host_to_s(self, w_from: int, a: Value, w_to: int) -> Value:
        """Truncate to a signed integer; it must fit."""
        return self.emit1("host_to_s", (a,), (w_from,), w_to)

    def host_eq(self, w: int, a: Value, b: Value) -> Value:
        """Equal as numbers."""
        return self.emit1("host_eq", (a, b), (w, w), 1)

    def host_lt(self, w: int, a: Value, b: Value) -> Value:
        """Less as numbers."""
        return self.emit1("host_lt", (a, b), (w, w), 1)

    def host_le(self, w: int, a: Value, b: Value) -> Value:
        """Less or equal as numbers."""
        return self.emit1("host_le", (a, b), (w, w), 1)

    def host_flags(self) -> Value:
        """The flags of host operations since they were last folded into the sticky register.

        They stay where they are, in the host's unit, and every read of the sticky register adds them, so as a value
        to accrue they are nothing: 0.
        """
        return 0

    # ------------------------------------------------------------ the host's extended precision

    def extended_add(self, a: Value, b: Value) -> Value:
        """Sum."""
        return self.emit1("extended_add", (a, b), (80, 80), 80)

    def extended_sub(self, a: Value, b: Value) -> Value:
        """Difference."""
        return self.emit1("extended_sub", (a, b), (80, 80), 80)

    def extended_mul(self, a: Value, b: Value) -> Value:
        """Product."""
        return self.emit1("extended_mul", (a, b), (80, 80), 80)

    def extended_div(self, a: Value, b: Value) -> Value:
        """Quotient."""
        return self.emit1("extended_div", (a, b), (80, 80), 80)

    def extended_sqrt(self, a: Value) -> Value:
        """Square root."""
        return self.emit1("extended_sqrt", (a,), (80,), 80)

    def extended_add_status(self, a: Value, b: Value) -> Value:
        """What the host's unit says of a sum."""
        return self.emit1("extended_add_status", (a, b), (80, 80), 16)

    def extended_sub_status(self, a: Value, b: Value) -> Value:
        """What the host's unit says of a difference."""
        return self.emit1("extended_sub_status", (a, b), (80, 80), 16)

    def extended_mul_status(self, a: Value, b: Value) -> Value:
        """What the host's unit says of a product."""
        return self.emit1("extended_mul_status", (a, b), (80, 80), 16)

    def extended_div_status(self, a: Value, b: Value) -> Value:
        """What the host's unit says of a quotient."""
        return self.emit1("extended_div_status", (a, b), (80, 80), 16)

    def extended_sqrt_status(self, a: Value) -> Value:
        """What the host's unit says of a square root."""
        return self.emit1("extended_sqrt_status", (a,), (80,), 16)

    def extended_compare_status(self, a: Value, b: Value) -> Value:
        """What the host's unit says of a comparison."""
        return self.emit1("extended_compare_status", (a, b), (80, 80), 16)

    def extended_neg(self, a: Value) -> Value:
        """The other sign."""
        return self.emit1("extended_neg", (a,), (80,), 80)

    def extended_abs(self, a: Value) -> Value:
        """Without the sign."""
        return self.emit1("extended_abs", (a,), (80,), 80)

    def extended_eq(self, a: Value, b: Value) -> Value:
        """Equal as numbers."""
        return self.emit1("extended_eq", (a, b), (80, 80), 1)

    def extended_lt(self, a: Value, b: Value) -> Value:
        """Less as numbers."""
        return self.emit1("extended_lt", (a, b), (80, 80), 1)

    def extended_unordered(self, a: Value, b: Value) -> Value:
        """Whether one is a NaN."""
        return self.emit1("extended_unordered", (a, b), (80, 80), 1)

    def extended_from_f32(self, a: Value) -> Value:
        """Widen."""
        return self.emit1("extended_from_f32", (a,), (32,), 80)

    def extended_from_f64(self, a: Value) -> Value:
        """Widen."""
        return self.emit1("extended_from_f64", (a,), (64,), 80)

    def extended_from_s(self, a: Value) -> Value:
        """Signed integer to extended precision."""
        return self.emit1("extended_from_s", (a,), (64,), 80)

    def extended_to_f32(self, a: Value) -> Value:
        """Narrow."""
        return self.emit1("extended_to_f32", (a,), (80,), 32)

    def extended_to_f64(self, a: Value) -> Value:
        """Narrow."""
        return self.emit1("extended_to_f64", (a,), (80,), 64)

    def extended_to_s(self, a: Value) -> Value:
        """Truncate to a signed integer; it must fit."""
        return self.emit1("extended_to_s", (a,), (80,), 64)
