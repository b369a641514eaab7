"""Lowers the ops that are functions of their arguments, integer and floating point, to LLVM IR.

LLVM leaves over-shifts and division by zero undefined where TCG defines them: guards make them total, and are left out
where the amount or divisor makes the case impossible.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from runtime.tcg.ir import Function, InternalError, Op, Operand, Temp
from runtime.tcg.lanes import is_element, is_vector
from runtime.tcg.ops import OPS, mask

_PLAIN = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
_COMPARE = ("eq", "ne", "ult", "ule", "ugt", "uge", "slt", "sle", "sgt", "sge")
_COUNTS = {"popcount": "ctpop", "clz": "ctlz", "ctz": "cttz"}
#: Quotient and remainder of iN numbers, the divisor not 0: one subtraction for each bit of the quotient.
_LONG_DIVISION = """define linkonce_odr hidden { iN, iN } @divide(iN %a, iN %b) noinline #2 {
  %both = or iN %a, %b
  %high = lshr iN %both, 64
  %short = icmp eq iN %high, 0
  br i1 %short, label %host, label %long
host:
  %a.low = trunc iN %a to i64
  %b.low = trunc iN %b to i64
  %q.low = udiv i64 %a.low, %b.low
  %r.low = urem i64 %a.low, %b.low
  %q.host = zext i64 %q.low to iN
  %r.host = zext i64 %r.low to iN
  br label %done
long:
  %less = icmp ult iN %a, %b
  br i1 %less, label %done, label %start
start:
  %a.zeros = call iN @llvm.ctlz.iN(iN %a, i1 true)
  %b.zeros = call iN @llvm.ctlz.iN(iN %b, i1 true)
  %steps = sub iN %b.zeros, %a.zeros
  %top = shl iN %b, %steps
  br label %loop
loop:
  %left = phi iN [ %steps, %start ], [ %left.next, %loop ]
  %r = phi iN [ %a, %start ], [ %r.next, %loop ]
  %q = phi iN [ 0, %start ], [ %q.next, %loop ]
  %d = phi iN [ %top, %start ], [ %d.next, %loop ]
  %fits = icmp uge iN %r, %d
  %rest = sub iN %r, %d
  %r.next = select i1 %fits, iN %rest, iN %r
  %bit = zext i1 %fits to iN
  %q.up = shl iN %q, 1
  %q.next = or iN %q.up, %bit
  %d.next = lshr iN %d, 1
  %left.next = sub iN %left, 1
  %last = icmp eq iN %left, 0
  br i1 %last, label %done, label %loop
done:
  %q.end = phi iN [ %q.host, %host ], [ 0, %long ], [ %q.next, %loop ]
  %r.end = phi iN [ %r.host, %host ], [ %a, %long ], [ %r.next, %loop ]
  %one = insertvalue { iN, iN } poison, iN %q.end, 0
  %pair = insertvalue { iN, iN } %one, iN %r.end, 1
  ret { iN, iN } %pair
}"""
_STRICT = 'metadata !"fpexcept.strict"'
_NEAREST = 'metadata !"round.tonearest"'
#: the last arguments of a constrained operation that rounds
STRICT_MODES = f", {_NEAREST}, {_STRICT}"


class Lowering(Protocol):
    """What this file needs of lower.FunctionLowering."""

    function: Function
    bounds: dict[Temp, int]
    chosen: set[Operand]
    told: dict[tuple[object, ...], str]
    declarations: dict[str, str]

    def let(self, text: str) -> str: ...
    def define(self, op: Op, text: str) -> None: ...
    def alias(self, op: Op, value: str) -> None: ...
    def value(self, operand: Operand) -> str: ...
    def resized(self, value: str, width: int, to: int, signed: bool = False) -> str: ...
    def intrinsic(self, name: str, result: str, types: str, attributes: str = "#0") -> None: ...
    def real(self, operand: Operand, width: int) -> str: ...
    def define_real(self, op: Op, value: str) -> None: ...


def upper_bound(op: Op, bounds: dict[Temp, int]) -> int | None:
    """The greatest value the op's result can have, if that is less than its width says."""

    def of(index: int) -> int:
        value = op.args[index]
        if isinstance(value, int):
            return value
        return bounds.get(value, mask(op.widths[index]))

    match op.name:
        case "zext":
            return of(0)
        case "and":
            return min(of(0), of(1))
        case "slice" if op.offset == 0:
            return min(of(0), mask(op.result.width))
        case "lshr" if isinstance(op.args[1], int):
            return of(0) >> op.args[1]
        case "urem" if isinstance(op.args[1], int) and op.args[1]:
            return op.args[1] - 1
        case "select":
            return max(of(1), of(2))
        case "popcount" | "clz" | "ctz":
            return min(op.widths[0], mask(op.result.width))
        case "ld_slot" if not op.flag:
            return min(mask(op.size), mask(op.result.width))
    return None


def _bound(low: Lowering, op: Op, index: int) -> int:
    value = op.args[index]
    return value if isinstance(value, int) else low.bounds.get(value, mask(op.widths[index]))


def _shift(low: Lowering, op: Op) -> None:
    width, amount_width = op.result.width, op.widths[1]
    value, amount = low.value(op.args[0]), low.value(op.args[1])
    fits = _bound(low, op, 1) < width
    if op.name == "ashr":
        if not fits:
            over = low.let(f"icmp uge i{amount_width} {amount}, {width}")
            amount = low.let(f"select i1 {over}, i{amount_width} {width - 1}, i{amount_width} {amount}")
        low.define(op, f"ashr i{width} {value}, {low.resized(amount, amount_width, width)}")
        return
    if fits:
        low.define(op, f"{op.name} i{width} {value}, {low.resized(amount, amount_width, width)}")
        return
    inside = low.let(f"icmp ult i{amount_width} {amount}, {width}")
    shifted = low.let(f"{op.name} i{width} {value}, {low.resized(amount, amount_width, width)}")
    low.define(op, f"select i1 {inside}, i{width} {shifted}, i{width} 0")


def _rotate(low: Lowering, op: Op) -> None:
    width, amount_width = op.result.width, op.widths[1]
    value, amount = low.value(op.args[0]), low.value(op.args[1])
    if width == 1:
        low.alias(op, value)
        return
    if width & (width - 1):
        _rotate_odd(low, op, value, amount)
        return
    amount = low.resized(amount, amount_width, width)  # truncation keeps it modulo a power of two
    name = f"llvm.{'fshl' if op.name == 'rotl' else 'fshr'}.i{width}"
    low.intrinsic(name, f"i{width}", f"i{width}, i{width}, i{width}")
    low.define(op, f"call i{width} @{name}(i{width} {value}, i{width} {value}, i{width} {amount})")


def _rotate_odd(low: Lowering, op: Op, value: str, amount: str) -> None:
    """A width that is no power of two: the value beside itself, shifted.  LLVM's own rotation reduces the amount by a
    division, at whatever width."""
    width, amount_width = op.result.width, op.widths[1]
    if _bound(low, op, 1) >= width:
        if amount_width > 64:
            amount = _divide_wide(low, "urem", amount_width, amount, str(width))
        else:
            amount = low.let(f"urem i{amount_width} {amount}, {width}")
    amount = low.resized(amount, amount_width, width)
    double = 2 * width
    if op.name == "rotl":
        amount = low.let(f"sub i{width} {width}, {amount}")
    wide = low.resized(value, width, double)
    upper = low.let(f"shl i{double} {wide}, {width}")
    twice = low.let(f"or i{double} {upper}, {wide}")
    turned = low.let(f"lshr i{double} {twice}, {low.resized(amount, width, double)}")
    low.alias(op, low.resized(turned, double, width))


def _divide(low: Lowering, op: Op) -> None:
    """By zero, and the least number by -1, are divided by 1 instead; zero then needs its own result."""
    width = op.result.width
    signed = op.name[0] == "s"
    dividend, divisor = low.value(op.args[0]), low.value(op.args[1])
    otherwise = dividend if op.name.endswith("rem") else "0"
    is_zero = ""
    known = op.args[1] if isinstance(op.args[1], int) else None
    if known == 0:
        low.alias(op, otherwise)
        return
    if known is None:
        is_zero = low.let(f"icmp eq i{width} {divisor}, 0")
        divisor = low.let(f"select i1 {is_zero}, i{width} 1, i{width} {divisor}")
    if width > 64:
        result = _divide_wide(low, op.name, width, dividend, divisor)
    else:
        if signed and known in (None, mask(width)):
            least = low.let(f"icmp eq i{width} {dividend}, {1 << (width - 1)}")
            minus_one = low.let(f"icmp eq i{width} {divisor}, {mask(width)}")
            both = low.let(f"and i1 {least}, {minus_one}")
            divisor = low.let(f"select i1 {both}, i{width} 1, i{width} {divisor}")
        result = low.let(f"{op.name} i{width} {dividend}, {divisor}")
    if not is_zero:
        low.alias(op, result)
    else:
        low.define(op, f"select i1 {is_zero}, i{width} {otherwise}, i{width} {result}")


def _divide_wide(low: Lowering, name: str, width: int, dividend: str, divisor: str) -> str:
    """More than 64 bits, in a function of our own: LLVM would call its runtime library for 128 and expand what is
    wider inline, at length.  Signed numbers are divided by their magnitudes."""
    function = f"divide_{width}"
    pair = f"{{ i{width}, i{width} }}"
    low.intrinsic(f"llvm.ctlz.i{width}", f"i{width}", f"i{width}, i1")
    low.declarations[function] = _LONG_DIVISION.replace("iN", f"i{width}").replace("@divide", f"@{function}")
    operands: list[str] = []
    signs: list[str] = []
    for value in (dividend, divisor):
        if name[0] == "s":
            negative = low.let(f"icmp slt i{width} {value}, 0")
            opposite = low.let(f"sub i{width} 0, {value}")
            value = low.let(f"select i1 {negative}, i{width} {opposite}, i{width} {value}")
            signs.append(negative)
        operands.append(f"i{width} {value}")
    both = low.let(f"call {pair} @{function}({', '.join(operands)}) #2")
    number = low.let(f"extractvalue {pair} {both}, {int(name.endswith('rem'))}")
    if name[0] == "u":
        return number
    turn = signs[0] if name == "srem" else low.let(f"xor i1 {signs[0]}, {signs[1]}")
    opposite = low.let(f"sub i{width} 0, {number}")
    return low.let(f"select i1 {turn}, i{width} {opposite}, i{width} {number}")


def _slice(low: Lowering, op: Op) -> None:
    width = op.widths[0]
    value = low.value(op.args[0])
    part = op.result.width
    if low.function.lanes and is_element(width, op.offset, part):
        low.alias(op, _element(low, value, width, op.offset, part))
        return
    if op.offset:
        value = low.let(f"lshr i{width} {value}, {op.offset}")
    low.alias(op, low.resized(value, width, op.result.width))


def _element(low: Lowering, value: str, width: int, offset: int, part: int) -> str:
    """A lane of a vector, or a bit of one of its bytes."""
    lane = max(part, 8)
    vector = low.let(f"bitcast i{width} {value} to <{width // lane} x i{lane}>")
    element = low.let(f"extractelement <{width // lane} x i{lane}> {vector}, i64 {offset // lane}")
    if lane == part:
        return element
    return low.let(f"trunc i8 {low.let(f'lshr i8 {element}, {offset % 8}')} to i1")


def _vector(low: Lowering, op: Op) -> None:
    """A `cat` as a vector of its lanes."""
    lane, width = op.widths[0], op.result.width
    kind, total = f"<{len(op.args)} x i{lane}>", "poison"
    for number, value in enumerate(reversed(op.args)):
        total = low.let(f"insertelement {kind} {total}, i{lane} {low.value(value)}, i64 {number}")
    low.alias(op, low.let(f"bitcast {kind} {total} to i{width}"))


def _dynslice(low: Lowering, op: Op) -> None:
    width, amount_width = op.widths
    value, amount = low.value(op.args[0]), low.value(op.args[1])
    shifted = low.let(f"lshr i{width} {value}, {low.resized(amount, amount_width, width)}")
    if _bound(low, op, 1) >= width:
        inside = low.let(f"icmp ult i{amount_width} {amount}, {width}")
        shifted = low.let(f"select i1 {inside}, i{width} {shifted}, i{width} 0")
    low.alias(op, low.resized(shifted, width, op.result.width))


def _cat(low: Lowering, op: Op) -> None:
    if low.function.lanes and len(set(op.widths)) == 1 and is_vector(op.widths[0], op.result.width):
        _vector(low, op)
        return
    width, at, total = op.result.width, op.result.width, "0"
    for value, part in zip(op.args, op.widths, strict=True):
        at -= part
        if isinstance(value, int):
            placed = str(value << at)
        else:
            placed = low.resized(low.value(value), part, width)
            if at:
                placed = low.let(f"shl i{width} {placed}, {at}")
        total = low.let(f"or i{width} {total}, {placed}")
    low.alias(op, total)


def _count(low: Lowering, op: Op) -> None:
    width = op.widths[0]
    name = f"llvm.{_COUNTS.get(op.name, 'ctpop')}.i{width}"
    extra, types = ("", f"i{width}") if name.startswith("llvm.ctpop") else (", i1 false", f"i{width}, i1")
    low.intrinsic(name, f"i{width}", types)
    text = f"call i{width} @{name}(i{width} {low.value(op.args[0])}{extra})"
    if op.name == "parity":
        low.alias(op, low.resized(low.let(text), width, 1))
    else:
        low.define(op, text)


#: bits of the host's extended precision
EXTENDED = 80
_REALS = {32: "float", 64: "double", 80: "x86_fp80"}
#: what the host's unit computes and says of it; its operands are where LLVM's inline assembly has them
_PAIR = "{ x86_fp80, i16 }"
_BOTH = "0,{st(1)},~{st(1)}"
_TOLD = {
    "add": ("faddp", _BOTH),
    "sub": ("fsubp %st, %st(1)", _BOTH),
    "mul": ("fmulp", _BOTH),
    "div": ("fdivp %st, %st(1)", _BOTH),
    "sqrt": ("fsqrt", "0"),
    "compare": ("fucom %st(1)", "0,{st(1)}"),
}
#: the status to AX; the flags are cleared if one but `inexact` is set
_STATUS = "\\0A fnstsw %ax\\0A testb $$31, %al\\0A je 1f\\0A fnclex\\0A1:"
_EXTENDED_RELATIONS = {"eq": "oeq", "lt": "olt", "unordered": "uno"}


def real_type(width: int) -> str:
    if width not in _REALS:
        raise InternalError(f"the host's FP unit has no numbers of {width} bits")
    return _REALS[width]


def _host(low: Lowering, op: Op) -> None:
    """A constrained intrinsic on bit patterns; strict exceptions keep it where it is."""
    what = op.name.removeprefix("host_")
    result = op.result.width
    modes = STRICT_MODES
    types = ", metadata, metadata"

    def real(index: int) -> str:
        return f"{real_type(op.widths[index])} {low.real(op.args[index], op.widths[index])}"

    def call(name: str, returned: str, arguments: list[str], modes: str, types: str) -> str:
        named = ", ".join(argument.split()[0] for argument in arguments)
        low.intrinsic(name, returned, named + types, "#1")
        return low.let(f"call {returned} @{name}({', '.join(arguments)}{modes}) #1")

    prefix = "llvm.experimental.constrained."
    if what in ("add", "sub", "mul", "div", "sqrt", "fma"):
        name = {"sqrt": "sqrt", "fma": "fma"}.get(what, "f" + what)
        arguments = [real(index) for index in range(len(op.args))]
        low.define_real(op, call(f"{prefix}{name}.f{result}", real_type(result), arguments, modes, types))
    elif what == "f32_to_f64":
        low.define_real(op, call(f"{prefix}fpext.f64.f32", "double", [real(0)], f", {_STRICT}", ", metadata"))
    elif what == "f64_to_f32":
        low.define_real(op, call(f"{prefix}fptrunc.f32.f64", "float", [real(0)], modes, types))
    elif what in ("from_s", "from_u"):
        width = op.widths[0]
        name = f"{prefix}{'sitofp' if what == 'from_s' else 'uitofp'}.f{result}.i{width}"
        low.define_real(op, call(name, real_type(result), [f"i{width} {low.value(op.args[0])}"], modes, types))
    elif what == "to_s":
        name = f"{prefix}fptosi.i{result}.f{op.widths[0]}"
        low.alias(op, call(name, f"i{result}", [real(0)], f", {_STRICT}", ", metadata"))
    else:  # eq is quiet, lt and le signal for every NaN (IEEE 754, 5.11)
        name = f"{prefix}{'fcmp' if what == 'eq' else 'fcmps'}.f{op.widths[0]}"
        predicate = f', metadata !"o{what}", {_STRICT}'
        low.alias(op, call(name, "i1", [real(0), real(1)], predicate, types))


def _told(low: Lowering, op: Op, operation: str) -> str:
    """A result and the host's status behind it; those of one operation are found out by one instruction.

    Flags are sticky, and few are wanted: those of exceptions but 'inexact' are cleared at once, which takes long, and
    bit 5 is not.  LLVM may move this about: what an older operation has left only says too much.
    """
    key = (operation, *op.args)
    if (pair := low.told.get(key)) is None:
        given = ", ".join(f"x86_fp80 {low.real(value, width)}" for value, width in zip(op.args, op.widths, strict=True))
        instruction, operands = _TOLD[operation]
        places = f"={{st}},={{ax}},{operands},~{{flags}}"
        pair = low.let(f'call {_PAIR} asm "{instruction}{_STATUS}", "{places}"({given}) #0')
        low.told[key] = pair
    return pair


def _extended(low: Lowering, op: Op) -> None:
    """Extended precision is computed where its flags are nobody's, so LLVM may move it about."""
    what = op.name.removeprefix("extended_")
    result = op.result.width
    if what == "from_s":
        low.define_real(op, low.let(f"sitofp i64 {low.value(op.args[0])} to x86_fp80"))
        return
    if (operation := what.removesuffix("_status")) in _TOLD:
        pair = _told(low, op, operation)
        if what == operation:
            low.define_real(op, low.let(f"extractvalue {_PAIR} {pair}, 0"))
        else:
            low.alias(op, low.let(f"extractvalue {_PAIR} {pair}, 1"))
        return
    given = [low.real(value, width) for value, width in zip(op.args, op.widths, strict=True)]
    kind = real_type(op.widths[0])
    if what == "abs":
        name = "llvm.fabs.f80"
        low.intrinsic(name, kind, kind)
        low.define_real(op, low.let(f"call {kind} @{name}({kind} {given[0]})"))
    elif what == "neg":
        low.define_real(op, low.let(f"fneg {kind} {given[0]}"))
    elif what in _EXTENDED_RELATIONS:
        low.define(op, f"fcmp {_EXTENDED_RELATIONS[what]} {kind} {given[0]}, {given[1]}")
    elif what == "to_s":
        low.define(op, f"fptosi {kind} {given[0]} to i64")
    else:  # or LLVM would compute in a shorter format what is rounded to it afterwards, in a unit whose flags are told
        name = f"llvm.experimental.constrained.{'fpext' if result == EXTENDED else 'fptrunc'}.f{result}.f{op.widths[0]}"
        more, types = ("", "") if result == EXTENDED else (f", {_NEAREST}", ", metadata")
        low.intrinsic(name, real_type(result), f"{kind}{types}, metadata", "#1")
        low.define_real(op, low.let(f"call {real_type(result)} @{name}({kind} {given[0]}{more}, {_STRICT}) #1"))


def _plain(low: Lowering, op: Op) -> None:
    width = op.result.width
    low.define(op, f"{_PLAIN[op.name]} i{width} {low.value(op.args[0])}, {low.value(op.args[1])}")


def _compare(low: Lowering, op: Op) -> None:
    low.define(op, f"icmp {op.name} i{op.widths[0]} {low.value(op.args[0])}, {low.value(op.args[1])}")


def _not(low: Lowering, op: Op) -> None:
    low.define(op, f"xor i{op.result.width} {low.value(op.args[0])}, -1")


def _neg(low: Lowering, op: Op) -> None:
    low.define(op, f"sub i{op.result.width} 0, {low.value(op.args[0])}")


def _extend(low: Lowering, op: Op) -> None:
    low.alias(op, low.resized(low.value(op.args[0]), op.widths[0], op.result.width, op.name == "sext"))


def _select(low: Lowering, op: Op) -> None:
    low.chosen.add(op.result)
    c, a, b = (low.value(value) for value in op.args)
    low.define(op, f"select i1 {c}, i{op.result.width} {a}, i{op.result.width} {b}")


_VALUES: dict[str, Callable[[Lowering, Op], None]] = {
    **dict.fromkeys(_PLAIN, _plain),
    **dict.fromkeys(_COMPARE, _compare),
    **dict.fromkeys(("shl", "lshr", "ashr"), _shift),
    **dict.fromkeys(("rotl", "rotr"), _rotate),
    **dict.fromkeys(("udiv", "sdiv", "urem", "srem"), _divide),
    **dict.fromkeys(("popcount", "clz", "ctz", "parity"), _count),
    **dict.fromkeys(("sext", "zext"), _extend),
    "not": _not,
    "neg": _neg,
    "slice": _slice,
    "dynslice": _dynslice,
    "cat": _cat,
    "select": _select,
    **dict.fromkeys((name for name in OPS if name.startswith("extended_")), _extended),
}


def lower_value(low: Lowering, op: Op) -> bool:
    """Lower the op if it is one of this file's."""
    emit = _VALUES.get(op.name) or (_host if op.name.startswith("host_") else None)
    if emit is None:
        return False
    emit(low, op)
    return True
