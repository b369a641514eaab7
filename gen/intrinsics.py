"""The operations built into the language: their names, arguments, results and effects.

The checker types calls with this table and docs/isa-language.md lists it.  `sext`, `zext`, `static` and `page` are not
here: their rules are the language's own (gen/extensions.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Effect(Enum):
    """What an intrinsic does besides giving its result."""

    PURE = "pure"  # the same arguments give the same result
    FLAGS = "flags"  # accrues the host's floating-point flags
    READS = "reads"  # reads memory, counters or the host's flags
    WRITES = "writes"  # changes memory or the machine


@dataclass(frozen=True, slots=True)
class IntrinsicDef:
    """One built-in operation.

    arguments: 'value' (any width), 'bit' (a condition), 'float' (32 or 64 bits), 'integer' (32 or 64 bits), 'same' (as
    wide as the first), 'set' (four bits), 'memory', 'address' (as wide as that memory's addresses), 'width' (a
    generation-time number of bits), 'bytes' (a generation-time number of bytes), or a number: so many bits.
    result: a number of bits; 'first' (the first argument's width), 'width' (the number given as an argument), or None
    for no result.
    name_only: written without parentheses.
    """

    name: str
    arguments: tuple[str, ...]
    result: int | str | None
    effect: Effect
    doc: str
    name_only: bool = False


def _host(name: str, arguments: tuple[str, ...], result: int | str, effect: Effect, doc: str) -> IntrinsicDef:
    return IntrinsicDef(f"host_{name}", arguments, result, effect, doc)


def _extended(name: str, arguments: tuple[str, ...], result: int, doc: str) -> IntrinsicDef:
    return IntrinsicDef(f"extended_{name}", arguments, result, Effect.PURE, doc)


_ALL = (
    IntrinsicDef("popcount", ("value",), "first", Effect.PURE, "how many bits are 1"),
    IntrinsicDef("clz", ("value",), "first", Effect.PURE, "zeros above the highest 1; the width when there is none"),
    IntrinsicDef("ctz", ("value",), "first", Effect.PURE, "zeros below the lowest 1; the width when there is none"),
    IntrinsicDef("parity", ("value",), 1, Effect.PURE, "1 when the number of 1 bits is odd"),
    IntrinsicDef("seldom", ("bit",), 1, Effect.PURE, "the same bit, which is seldom 1: see [below](#seldom)"),
    IntrinsicDef(
        "load_exclusive",
        ("memory", "address", "width"),
        "width",
        Effect.WRITES,
        "reads memory and takes the reservation",
    ),
    IntrinsicDef(
        "store_exclusive",
        ("memory", "address", "value"),
        1,
        Effect.WRITES,
        "writes memory if the reservation still holds: 1 when it did",
    ),
    IntrinsicDef(
        "probe",
        ("memory", "address", "bytes"),
        None,
        Effect.WRITES,
        "faults now if a store of so many bytes would fault",
    ),
    IntrinsicDef(
        "fence",
        ("set", "set"),
        None,
        Effect.WRITES,
        "orders accesses before it against those after it: sets of input 8, output 4, read 2, write 1",
    ),
    IntrinsicDef("flush_icache", (), None, Effect.WRITES, "makes earlier stores visible to instruction fetch"),
    IntrinsicDef("wait", (), None, Effect.WRITES, "sleeps until an interrupt is pending"),
    IntrinsicDef("flush_translation", (), None, Effect.WRITES, "forgets what `on translate` has answered"),
    IntrinsicDef("flush_page", ("value",), None, Effect.WRITES, "forgets what it has answered for an address"),
    IntrinsicDef("INSTRET", (), 64, Effect.READS, "instructions executed so far", name_only=True),
    IntrinsicDef("TIME", (), 64, Effect.READS, "ticks of the host's clock", name_only=True),
    # The host's unit, rounding to nearest even; binary32 or binary64 by the operands' width.
    _host("add", ("float", "same"), "first", Effect.FLAGS, "a + b"),
    _host("sub", ("float", "same"), "first", Effect.FLAGS, "a - b"),
    _host("mul", ("float", "same"), "first", Effect.FLAGS, "a * b"),
    _host("div", ("float", "same"), "first", Effect.FLAGS, "a / b"),
    _host("sqrt", ("float",), "first", Effect.FLAGS, "the square root of a"),
    _host("fma", ("float", "same", "same"), "first", Effect.FLAGS, "a * b + c, rounded once"),
    _host("f32_to_f64", ("float",), 64, Effect.FLAGS, "widens"),
    _host("f64_to_f32", ("float",), 32, Effect.FLAGS, "narrows, rounding"),
    _host("from_s", ("integer", "width"), "width", Effect.FLAGS, "a signed integer as a float of the given width"),
    _host("from_u", ("integer", "width"), "width", Effect.FLAGS, "an unsigned integer as a float of the given width"),
    _host(
        "to_s",
        ("float", "width"),
        "width",
        Effect.FLAGS,
        "truncates to a signed integer of the given width; the value must be in range",
    ),
    _host("eq", ("float", "same"), 1, Effect.FLAGS, "a == b; 0 with a NaN, invalid if it is a signalling one"),
    _host("lt", ("float", "same"), 1, Effect.FLAGS, "a < b; 0 and invalid with a NaN"),
    _host("le", ("float", "same"), 1, Effect.FLAGS, "a <= b; 0 and invalid with a NaN"),
    # The host's extended precision, which sets no flags.
    _extended("add", ("80", "80"), 80, "a + b"),
    _extended("sub", ("80", "80"), 80, "a - b"),
    _extended("mul", ("80", "80"), 80, "a * b"),
    _extended("div", ("80", "80"), 80, "a / b"),
    _extended("sqrt", ("80",), 80, "the square root of a"),
    _extended("neg", ("80",), 80, "a with the other sign"),
    _extended("abs", ("80",), 80, "a without its sign"),
    _extended("eq", ("80", "80"), 1, "a == b; 0 with a NaN"),
    _extended("lt", ("80", "80"), 1, "a < b; 0 with a NaN"),
    _extended("unordered", ("80", "80"), 1, "whether a or b is a NaN"),
    _extended("from_f32", ("32",), 80, "widens"),
    _extended("from_f64", ("64",), 80, "widens"),
    _extended("from_s", ("64",), 80, "a signed integer of 64 bits"),
    _extended("to_f32", ("80",), 32, "narrows, rounding"),
    _extended("to_f64", ("80",), 64, "narrows, rounding"),
    _extended("to_s", ("80",), 64, "truncates to a signed integer of 64 bits; the value must be in range"),
    # What the host's unit says of them.
    _extended("add_status", ("80", "80"), 16, "of a + b, as below"),
    _extended("sub_status", ("80", "80"), 16, "of a - b"),
    _extended("mul_status", ("80", "80"), 16, "of a * b"),
    _extended("div_status", ("80", "80"), 16, "of a / b"),
    _extended("sqrt_status", ("80",), 16, "of the square root of a"),
    _extended("compare_status", ("80", "80"), 16, "of a comparison of a with b"),
    _host("flags", (), 5, Effect.READS, "flags so far: invalid 16, divide 8, overflow 4, underflow 2, inexact 1"),
)

INTRINSICS: MappingProxyType[str, IntrinsicDef] = MappingProxyType({entry.name: entry for entry in _ALL})
