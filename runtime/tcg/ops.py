"""The table of TCG operations: types, effects and meaning, the one source for everything that handles ops.

The builder folds with `evaluate`, the verifier checks `signature`, the optimiser obeys `effects`, the printer shows the
`fields`, and the reference executor and the lowering must each have an entry for every name here (a test says so).

A signature is `arguments -> results`, each a list of widths in bits: a number, or a letter that stands for one width
throughout the op.  `*` is any number of arguments of any width.  All values are unsigned integers of their width;
nothing is undefined: x/0 = 0, x%0 = x, the one signed overflow of division wraps, and a shift by the width or more
gives 0 (an arithmetic one gives copies of the sign).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag, auto
from types import MappingProxyType

from runtime.core.record import computed, record


class Effect(Flag):
    """What an op does beside computing its results."""

    NONE = 0
    READ_STATE = auto()  # reads env
    WRITE_STATE = auto()  # writes env
    READ_MEMORY = auto()  # reads guest memory or its permissions
    WRITE_MEMORY = auto()
    HOST = auto()  # reads or writes raw host memory
    FLOAT = auto()  # adds to the host's accrued FP flags
    FLAGS = auto()  # reads or clears those flags
    ORDER = auto()  # must stay where it is for another reason (fences, clocks)
    RECORD = auto()  # reads the op record, which does not change while its handler runs
    LOCAL = auto()  # reads or writes a local
    JUMP = auto()  # ends a block, stays in the function
    LEAVE = auto()  # ends a block and the function


#: an op with none of these may be moved, merged with its equal, or dropped when its result is unused
PURE = Effect.NONE
#: an op whose result may be dropped when unused
READS = Effect.READ_STATE | Effect.READ_MEMORY | Effect.RECORD | Effect.LOCAL

#: what may look at registers written before
SHOWS = Effect.READ_STATE | Effect.JUMP | Effect.LEAVE | Effect.ORDER | Effect.HOST | Effect.WRITE_MEMORY

Evaluate = Callable[[int, tuple[int, ...], tuple[int, ...], int], int]


@record
class OpDef:
    """One operation.  `fields` names the members of ir.Op beside arguments and results that mean something to it.

    evaluate(result_width, arguments, argument_widths, offset) is there for ops that are functions of their arguments.
    """

    name: str
    arguments: tuple[str, ...]
    results: tuple[str, ...]
    effects: Effect
    fields: tuple[str, ...]
    doc: str
    evaluate: Evaluate | None = None
    #: whether control never reaches the next op of the list
    terminator: bool = computed()
    #: whether the op can go when nobody uses its results
    droppable: bool = computed()
    #: whether it may write registers, and whether somebody may look at them, here or where it leads
    writes_state: bool = computed()
    shows_state: bool = computed()

    def __post_init__(self) -> None:
        # Asked of every op of every function: the arithmetic of flags is slow.
        object.__setattr__(self, "terminator", bool(self.effects & (Effect.JUMP | Effect.LEAVE)))
        object.__setattr__(self, "droppable", bool(self.results) and not self.effects & ~READS)
        object.__setattr__(self, "writes_state", bool(self.effects & Effect.WRITE_STATE))
        object.__setattr__(self, "shows_state", bool(self.effects & SHOWS))


def signed(value: int, width: int) -> int:
    """The two's-complement reading of a `width`-bit value."""
    return value - (1 << width) if value >> (width - 1) else value


def mask(width: int) -> int:
    """All ones."""
    return (1 << width) - 1


# ---------------------------------------------------------------- meanings; arguments: w, values, their widths, offset


def _udiv(w: int, v: tuple[int, ...], n: tuple[int, ...], k: int) -> int:
    return v[0] // v[1] if v[1] else 0


def _urem(w: int, v: tuple[int, ...], n: tuple[int, ...], k: int) -> int:
    return v[0] % v[1] if v[1] else v[0]


def _sdiv(w: int, v: tuple[int, ...], n: tuple[int, ...], k: int) -> int:
    if not v[1]:
        return 0
    a, b = signed(v[0], w), signed(v[1], w)
    quotient = abs(a) // abs(b)
    return (-quotient if (a < 0) != (b < 0) else quotient) & mask(w)


def _srem(w: int, v: tuple[int, ...], n: tuple[int, ...], k: int) -> int:
    if not v[1]:
        return v[0]
    a, b = signed(v[0], w), signed(v[1], w)
    remainder = abs(a) % abs(b)
    return (-remainder if a < 0 else remainder) & mask(w)


def _shl(w: int, v: tuple[int, ...], n: tuple[int, ...], k: int) -> int:
    return (v[0] << v[1]) & mask(w) if v[1] < w else 0


def _lshr(w: int, v: tuple[int, ...], n: tuple[int, ...], k: int) -> int:
    return v[0] >> v[1] if v[1] < w else 0


def _ashr(w: int, v: tuple[int, ...], n: tuple[int, ...], k: int) -> int:
    return (signed(v[0], w) >> min(v[1], w)) & mask(w)


def _rotl(w: int, v: tuple[int, ...], n: tuple[int, ...], k: int) -> int:
    amount = v[1] % w
    return (v[0] << amount | v[0] >> (w - amount)) & mask(w)


def _rotr(w: int, v: tuple[int, ...], n: tuple[int, ...], k: int) -> int:
    amount = v[1] % w
    return (v[0] >> amount | v[0] << (w - amount)) & mask(w)


def _cat(w: int, v: tuple[int, ...], n: tuple[int, ...], k: int) -> int:
    result = 0
    for value, width in zip(v, n, strict=True):
        result = result << width | value
    return result


def _clz(w: int, v: tuple[int, ...], n: tuple[int, ...], k: int) -> int:
    return (w - v[0].bit_length()) & mask(w)


def _ctz(w: int, v: tuple[int, ...], n: tuple[int, ...], k: int) -> int:
    return ((v[0] & -v[0]).bit_length() - 1 if v[0] else w) & mask(w)


_TABLE: list[OpDef] = []


def _op(
    name: str,
    signature: str,
    doc: str,
    effects: Effect = Effect.NONE,
    fields: str = "",
    evaluate: Evaluate | None = None,
) -> None:
    arguments, _, results = signature.partition("->")
    _TABLE.append(
        OpDef(name, tuple(arguments.split()), tuple(results.split()), effects, tuple(fields.split()), doc, evaluate)
    )


# ---------------------------------------------------------------- values

_op("add", "w w -> w", "sum modulo 2**w", evaluate=lambda w, v, n, k: (v[0] + v[1]) & mask(w))
_op("sub", "w w -> w", "difference modulo 2**w", evaluate=lambda w, v, n, k: (v[0] - v[1]) & mask(w))
_op(
    "mul",
    "w w -> w",
    "low w bits of the product; widen the operands first for a full product",
    evaluate=lambda w, v, n, k: v[0] * v[1] & mask(w),
)
_op("udiv", "w w -> w", "unsigned quotient; x/0 = 0", evaluate=_udiv)
_op("sdiv", "w w -> w", "signed quotient, towards zero; x/0 = 0, least/-1 = least", evaluate=_sdiv)
_op("urem", "w w -> w", "unsigned remainder; x%0 = x", evaluate=_urem)
_op("srem", "w w -> w", "signed remainder, sign of the dividend; x%0 = x, least%-1 = 0", evaluate=_srem)
_op("and", "w w -> w", "bitwise and", evaluate=lambda w, v, n, k: v[0] & v[1])
_op("or", "w w -> w", "bitwise or", evaluate=lambda w, v, n, k: v[0] | v[1])
_op("xor", "w w -> w", "bitwise exclusive or", evaluate=lambda w, v, n, k: v[0] ^ v[1])
_op("not", "w -> w", "bitwise complement", evaluate=lambda w, v, n, k: v[0] ^ mask(w))
_op("neg", "w -> w", "0 - x", evaluate=lambda w, v, n, k: -v[0] & mask(w))
_op("shl", "w n -> w", "shift left; 0 when the amount is w or more", evaluate=_shl)
_op("lshr", "w n -> w", "shift right, zeros come in; 0 when the amount is w or more", evaluate=_lshr)
_op("ashr", "w n -> w", "shift right, sign bits come in", evaluate=_ashr)
_op("rotl", "w n -> w", "rotate left by the amount modulo w", evaluate=_rotl)
_op("rotr", "w n -> w", "rotate right by the amount modulo w", evaluate=_rotr)
_op("eq", "w w -> 1", "equal", evaluate=lambda w, v, n, k: int(v[0] == v[1]))
_op("ne", "w w -> 1", "not equal", evaluate=lambda w, v, n, k: int(v[0] != v[1]))
_op("ult", "w w -> 1", "unsigned less", evaluate=lambda w, v, n, k: int(v[0] < v[1]))
_op("ule", "w w -> 1", "unsigned less or equal", evaluate=lambda w, v, n, k: int(v[0] <= v[1]))
_op("ugt", "w w -> 1", "unsigned greater", evaluate=lambda w, v, n, k: int(v[0] > v[1]))
_op("uge", "w w -> 1", "unsigned greater or equal", evaluate=lambda w, v, n, k: int(v[0] >= v[1]))
_op("slt", "w w -> 1", "signed less", evaluate=lambda w, v, n, k: int(signed(v[0], n[0]) < signed(v[1], n[1])))
_op(
    "sle", "w w -> 1", "signed less or equal", evaluate=lambda w, v, n, k: int(signed(v[0], n[0]) <= signed(v[1], n[1]))
)
_op("sgt", "w w -> 1", "signed greater", evaluate=lambda w, v, n, k: int(signed(v[0], n[0]) > signed(v[1], n[1])))
_op(
    "sge",
    "w w -> 1",
    "signed greater or equal",
    evaluate=lambda w, v, n, k: int(signed(v[0], n[0]) >= signed(v[1], n[1])),
)
_op("sext", "n -> w", "sign-extend to w >= n", evaluate=lambda w, v, n, k: signed(v[0], n[0]) & mask(w))
_op("zext", "n -> w", "zero-extend to w >= n", evaluate=lambda w, v, n, k: v[0])
_op("slice", "n -> w", "bits offset .. offset+w-1", fields="offset", evaluate=lambda w, v, n, k: (v[0] >> k) & mask(w))
_op(
    "dynslice",
    "n m -> w",
    "w bits from the run-time position on; bits past the top read as 0",
    evaluate=lambda w, v, n, k: (v[0] >> v[1]) & mask(w) if v[1] < n[0] else 0,
)
_op("cat", "* -> w", "concatenation, the first argument most significant", evaluate=_cat)
_op(
    "select",
    "1 w w -> w",
    "the second argument if the first is 1, else the third",
    evaluate=lambda w, v, n, k: v[1] if v[0] else v[2],
)
_op("popcount", "w -> w", "number of ones", evaluate=lambda w, v, n, k: v[0].bit_count() & mask(w))
_op("clz", "w -> w", "leading zeros; w for 0 (modulo 2**w)", evaluate=_clz)
_op("ctz", "w -> w", "trailing zeros; w for 0 (modulo 2**w)", evaluate=_ctz)
_op("parity", "w -> 1", "1 if the number of ones is odd", evaluate=lambda w, v, n, k: v[0].bit_count() & 1)

# ---------------------------------------------------------------- floating point on the host's unit
# Operands are IEEE 754 binary32 or binary64 patterns.  Rounding is to nearest, ties to even; exceptions raised add to
# the host's sticky flags.  When a result is a NaN it is some quiet NaN: sign and payload are not specified.

_op("host_add", "w w -> w", "IEEE sum", Effect.FLOAT)
_op("host_sub", "w w -> w", "IEEE difference", Effect.FLOAT)
_op("host_mul", "w w -> w", "IEEE product", Effect.FLOAT)
_op("host_div", "w w -> w", "IEEE quotient", Effect.FLOAT)
_op("host_sqrt", "w -> w", "IEEE square root", Effect.FLOAT)
_op("host_fma", "w w w -> w", "IEEE a*b + c, rounded once", Effect.FLOAT)
_op("host_f32_to_f64", "32 -> 64", "widen", Effect.FLOAT)
_op("host_f64_to_f32", "64 -> 32", "narrow", Effect.FLOAT)
_op("host_from_s", "n -> w", "signed integer of 32 or 64 bits to floating point", Effect.FLOAT)
_op("host_from_u", "n -> w", "unsigned integer of 32 or 64 bits to floating point", Effect.FLOAT)
_op("host_to_s", "n -> w", "truncate to a signed integer; unspecified when it does not fit", Effect.FLOAT)
_op("host_eq", "w w -> 1", "equal as numbers; 0 with a NaN, invalid if it is a signalling one", Effect.FLOAT)
_op("host_lt", "w w -> 1", "less as numbers; 0 and invalid with a NaN", Effect.FLOAT)
_op("host_le", "w w -> 1", "less or equal as numbers; 0 and invalid with a NaN", Effect.FLOAT)

# The host's extended precision: sign, 15 bits of exponent, the integer bit, 63 of fraction.  What has an exponent but
# no integer bit counts as a NaN.  Rounding is to nearest, ties to even.  Flags are not told, and which NaN a result is
# is not specified.

_op("extended_add", "80 80 -> 80", "sum")
_op("extended_sub", "80 80 -> 80", "difference")
_op("extended_mul", "80 80 -> 80", "product")
_op("extended_div", "80 80 -> 80", "quotient")
_op("extended_sqrt", "80 -> 80", "square root")
_op("extended_neg", "80 -> 80", "the other sign, of a NaN, too")
_op("extended_abs", "80 -> 80", "without the sign, of a NaN, too")
_op("extended_eq", "80 80 -> 1", "equal as numbers; 0 with a NaN")
_op("extended_lt", "80 80 -> 1", "less as numbers; 0 with a NaN")
_op("extended_unordered", "80 80 -> 1", "whether one is a NaN")
_op("extended_from_f32", "32 -> 80", "widen")
_op("extended_from_f64", "64 -> 80", "widen")
_op("extended_from_s", "64 -> 80", "signed integer to extended precision")
_op("extended_to_f32", "80 -> 32", "narrow")
_op("extended_to_f64", "80 -> 64", "narrow")
_op("extended_to_s", "80 -> 64", "truncate to a signed integer; unspecified when it does not fit")

# What the host's unit says of them in its status word: invalid 0, denormal operand 1, divided by zero 2, overflow 3,
# underflow 4, inexact 5; 9: rounded away from zero; of a comparison 8 less, 14 equal, or 8, 10 and 14 with a NaN.
# Other bits have no meaning.  A flag may be an older operation's; where a flag but 5 is set, 9 has no meaning.

_op("extended_add_status", "80 80 -> 16", "of a sum")
_op("extended_sub_status", "80 80 -> 16", "of a difference")
_op("extended_mul_status", "80 80 -> 16", "of a product")
_op("extended_div_status", "80 80 -> 16", "of a quotient")
_op("extended_sqrt_status", "80 -> 16", "of a square root")
_op("extended_compare_status", "80 80 -> 16", "of a comparison, for which only a signalling NaN is invalid")

_op("fpflags_get", "-> 5", "accrued flags: invalid, divide by zero, overflow, underflow, inexact (bit 0)", Effect.FLAGS)
_op("fpflags_clear", "->", "clear the accrued flags", Effect.FLAGS)

# ---------------------------------------------------------------- the vCPU's state, locals, the op record

_op(
    "ld_env",
    "-> w",
    "read env at byte `offset` (storage of that width, see layout.storage_bytes)",
    Effect.READ_STATE,
    "offset symbol",
)
_op("st_env", "w ->", "write env at byte `offset`, zero-extended to its storage", Effect.WRITE_STATE, "offset symbol")
_op(
    "ld_envx",
    "n -> w",
    "read env at a run-time byte offset; `symbol` is the register file it lies in",
    Effect.READ_STATE,
    "symbol",
)
_op(
    "st_envx",
    "n w ->",
    "write env at a run-time byte offset (into the register file `symbol`, or the sink)",
    Effect.WRITE_STATE,
    "symbol",
)
_op("ld_local", "-> w", "read a local", Effect.LOCAL, "local")
_op("st_local", "w ->", "write a local", Effect.LOCAL, "local")
_op("ld_localx", "n -> w", "read an entry of a local array", Effect.LOCAL, "local")
_op("st_localx", "n w ->", "write an entry of a local array", Effect.LOCAL, "local")
_op(
    "ld_slot",
    "-> w",
    "operand of `size` bits at byte `offset` of the op record, extended to w (signed if `flag`)",
    Effect.RECORD,
    "offset size flag",
)
_op("ld_budget", "-> 64", "instructions left to run when the function was entered")

# ---------------------------------------------------------------- guest memory
# Addresses are of the memory's own width.  check_mem comes first; the accesses themselves do not check.

_op(
    "check_mem",
    "n -> 2",
    "may `size` bytes be accessed (`offset` 0: read, 1: written)?  0 yes, 1 bad address, "
    "2 a write to a page that holds translated code; `flag`: atomically",
    Effect.READ_MEMORY,
    "symbol size offset flag",
)
_op("ld_mem", "n -> w", "load w bits (a multiple of 8), big-endian if `flag`", Effect.READ_MEMORY, "symbol flag")
_op("st_mem", "n w ->", "store w bits, big-endian if `flag`", Effect.WRITE_MEMORY, "symbol flag")
_op(
    "cas_mem",
    "n w w -> w",
    "atomically: old value; if it equals the second argument, store the third",
    Effect.READ_MEMORY | Effect.WRITE_MEMORY,
    "symbol flag",
)
_op(
    "load_mem",
    "n 64 -> 2 w",
    "machines: check and load w bits, big-endian if `flag`; the status is check_mem's; arguments: address, budget here",
    Effect.WRITE_MEMORY,
    "symbol flag",
)
_op(
    "store_mem",
    "n w 64 -> 2",
    "machines: check and store, big-endian if `flag`; the status is check_mem's; the last argument is the budget here",
    Effect.WRITE_MEMORY,
    "symbol flag",
)
for _name, _what in (
    ("xchg", "the value itself"),
    ("add", "the sum"),
    ("and", "bitwise and"),
    ("or", "bitwise or"),
    ("xor", "exclusive or"),
):
    _op(
        f"{_name}_mem",
        "n w -> w",
        f"atomically: old value, which is replaced by {_what}; in host byte order",
        Effect.READ_MEMORY | Effect.WRITE_MEMORY,
        "symbol",
    )
_op("fence", "->", "sequentially consistent fence", Effect.ORDER)
_op(
    "ld_host",
    "64 -> w",
    "read host memory at an address, little-endian, unaligned; for generated decoders",
    Effect.HOST,
)
_op("st_host", "64 w ->", "write host memory likewise", Effect.HOST)
_op("host_time", "-> 64", "the host's cycle counter", Effect.ORDER)
_op("clock", "64 -> 64", "machines: the platform's clock after so many instructions", Effect.ORDER)
_op("kick", "-> 64", "machines: what the budget must not be less than, or native code is left", Effect.ORDER)

_op(
    "region_stale",
    "-> 1",
    "machines: whether the code that this region was compiled from has changed or is elsewhere by now",
    Effect.ORDER,
)

# ---------------------------------------------------------------- control

_op(
    "insn_start",
    "->",
    "marks where a guest instruction begins: `symbol` says which; `offset` is its index in the TB",
    Effect.ORDER,
    "symbol offset",
)
_op("label", "-> *", "start of a block; results are its parameters, given by each br to it", Effect.ORDER, "labels")
_op("br", "* ->", "jump to `labels[0]`, giving it the arguments", Effect.JUMP, "labels")
_op(
    "brcond",
    "1 ->",
    "jump to `labels[0]` if 1, else to `labels[1]`, which take no parameters; `offset` 1: seldom "
    "taken, 2: nearly always",
    Effect.JUMP,
    "labels offset",
)
_op("call", "* -> *", "call the helper `symbol`; `flag`: it has no effects", Effect.ORDER, "symbol flag")
_op(
    "call_env",
    "* -> *",
    "call the engine's function `symbol` with env before the arguments; it may read and write anything",
    Effect.READ_STATE | Effect.WRITE_STATE | Effect.READ_MEMORY | Effect.WRITE_MEMORY | Effect.ORDER,
    "symbol",
)
_op("symbol", "-> 64", "host address of the function `symbol`", PURE, "symbol")
_op("ret", "* ->", "return the arguments (plain functions)", Effect.LEAVE)
_op(
    "next",
    "64 ->",
    "go on at the op record `size` bytes after this one; the argument is the budget",
    Effect.LEAVE,
    "size",
)
_op(
    "skip",
    "64 64 ->",
    "pass the next record over: go on `size` and the second argument's bytes after this one; the first is the budget",
    Effect.LEAVE,
    "size",
)
_op(
    "goto_tb",
    "64 ->",
    "go to the TB the jump slot at `offset` of the record names; the argument is the budget",
    Effect.LEAVE,
    "offset",
)
_op(
    "goto_ptr",
    "n 64 ->",
    "go to the TB of a run-time pc, by the jump cache: pc, budget; size: of the TB's last record, or 0",
    Effect.LEAVE,
)
_op(
    "exit",
    "n 64 ->",
    "leave native code for the reason `offset` (env.Exit), sharing no code with others that do so unless they are "
    "flagged alike; arguments: pc to leave in env, budget",
    Effect.LEAVE,
    "offset flag",
)

OPS: MappingProxyType[str, OpDef] = MappingProxyType({op.name: op for op in _TABLE})
