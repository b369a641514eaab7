"""Which values of a region live in the host's vector registers, and what is done with them there.

A value of 128 or 256 bits that is loaded, passed on or made of such is to LLVM a vector of 64-bit elements.  As an
integer it would be several general registers for the code generator, and every use as a vector would move it over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.tcg.ir import Function, Op, Operand, Temp
from runtime.tcg.lower import FunctionLowering

_ELEMENT = 64
#: bits of what is kept so
WIDTHS = frozenset((128, 256))
_LOADS = frozenset(("ld_env", "ld_mem", "label"))
_BITWISE = frozenset(("and", "or", "xor"))
#: bits of the lanes that a vector is put together of
_LANES = frozenset((8, 16, 32, 64))


def vector_type(width: int) -> str:
    """LLVM's type of a vector of so many bits."""
    return f"<{width // _ELEMENT} x i{_ELEMENT}>"


def find_vectors(function: Function, inlined: Callable[[Op], bool]) -> set[Temp]:
    """The temps that are kept as vectors; `inlined` says of which calls the code is known."""
    found: set[Temp] = set()
    made: dict[Temp, Op] = {}
    for op in function.ops:  # what makes a value comes before what uses it
        for temp in op.results:
            made[temp] = op
            if temp.width in WIDTHS and (
                (op.name in _LOADS and not op.flag) or (op.name == "call" and inlined(op)) or _stays(op, found, made)
            ):
                found.add(temp)
    return found


def _stays(op: Op, vectors: set[Temp], made: dict[Temp, Op]) -> bool:
    """Whether the op makes a vector of vectors."""
    temps = [value for value in op.args if isinstance(value, Temp)]
    match op.name:
        case "and" | "or" | "xor" | "not":
            return vectors.issuperset(temps)
        case "select":
            return vectors.issuperset(value for value in op.args[1:] if isinstance(value, Temp))
        case "zext":
            return op.widths[0] == 128 and vectors.issuperset(temps)
        case "slice":
            return op.offset % 128 == 0 and vectors.issuperset(temps)
        case "cat":
            if set(op.widths) == {128}:
                return vectors.issuperset(temps)
            return (len(set(op.widths)) == 1 and op.widths[0] in _LANES) or _replaces(op, vectors, made) is not None
    return False


def _replaces(op: Op, vectors: set[Temp], made: dict[Temp, Op]) -> Temp | None:
    """The vector that a `cat` has another lowest lane of."""
    if len(op.args) != 2 or op.widths[1] not in _LANES or not isinstance(op.args[0], Temp):
        return None
    upper = made.get(op.args[0])
    if upper is None or upper.name != "slice" or upper.offset != op.widths[1] or upper.args[0] not in vectors:
        return None
    vector = upper.args[0]
    return vector if isinstance(vector, Temp) and vector.width == op.result.width else None


class VectorLowering(FunctionLowering):
    """Lowers what is done with vectors."""

    def __init__(self, function: Function, name: str = "", inlined: Callable[[Op], bool] = lambda _: False) -> None:
        super().__init__(function, name)
        self._made = {temp: op for op in function.ops for temp in op.results}
        #: temps that are kept as vectors, and these, as far as they are made
        self.vector_temps = find_vectors(function, inlined)
        self.vectors: dict[Operand, str] = {}

    def value(self, operand: Operand) -> str:
        whole = self.vectors.get(operand)
        if whole is None:
            return super().value(operand)
        assert isinstance(operand, Temp)
        return self.let(f"bitcast {vector_type(operand.width)} {whole} to i{operand.width}")

    def vector(self, operand: Operand, width: int) -> str:
        """A value as a vector."""
        known = self.vectors.get(operand)
        return known or self.let(f"bitcast i{width} {self.value(operand)} to {vector_type(width)}")

    def lower(self, op: Op) -> None:
        if op.name == "slice" and op.args[0] in self.vectors and op.result.width <= _ELEMENT:
            first = op.offset // _ELEMENT
            if first == (op.offset + op.result.width - 1) // _ELEMENT:
                self._element(op, first)
                return
        if len(op.results) == 1 and op.result in self.vector_temps and (made := self._whole(op)) is not None:
            self.vectors[op.result] = made
            return
        super().lower(op)
        if op.name == "call" and op.results and op.result in self.vector_temps:
            self.vectors[op.result] = self.let(f"bitcast i{op.result.width} %t{op.result.id} to {self._type(op)}")

    def _type(self, op: Op) -> str:
        return vector_type(op.result.width)

    def _element(self, op: Op, number: int) -> None:
        value, width = op.args[0], op.widths[0]
        word = self.let(f"extractelement {vector_type(width)} {self.vectors[value]}, i64 {number}")
        if op.offset % _ELEMENT:
            word = self.let(f"lshr i{_ELEMENT} {word}, {op.offset % _ELEMENT}")
        self.alias(op, self.resized(word, _ELEMENT, op.result.width))

    def _whole(self, op: Op) -> str | None:
        """The vector that the op makes of others."""
        width, kind = op.result.width, self._type(op)
        if op.name in _BITWISE:
            one, other = (self.vector(value, width) for value in op.args)
            return self.let(f"{op.name} {kind} {one}, {other}")
        if op.name == "not":
            return self.let(f"xor {kind} {self.vector(op.args[0], width)}, splat (i{_ELEMENT} -1)")
        if op.name == "select":
            one, other = (self.vector(value, width) for value in op.args[1:])
            return self.let(f"select i1 {self.value(op.args[0])}, {kind} {one}, {kind} {other}")
        if op.name == "zext":
            return self._halves(self.vector(op.args[0], 128), "zeroinitializer")
        if op.name == "slice":
            numbers = "<i32 2, i32 3>" if op.offset else "<i32 0, i32 1>"
            whole = f"{vector_type(256)} {self.vector(op.args[0], 256)}, {vector_type(256)} poison"
            return self.let(f"shufflevector {whole}, <2 x i32> {numbers}")
        if op.name == "cat":
            return self._joined(op)
        return None

    def _halves(self, low: str, high: str) -> str:
        half = vector_type(128)
        return self.let(f"shufflevector {half} {low}, {half} {high}, <4 x i32> <i32 0, i32 1, i32 2, i32 3>")

    def _joined(self, op: Op) -> str:
        width, kind = op.result.width, self._type(op)
        if set(op.widths) == {128}:
            high, low = (self.vector(value, 128) for value in op.args)
            return self._halves(low, high)
        replaced = _replaces(op, self.vector_temps, self._made)
        lane, total = op.widths[-1], "poison"
        element, lanes = self.lanes(op.args[::-1] if replaced is None else op.args[1:], lane)
        parts = f"<{width // lane} x {element}>"
        if replaced is not None:
            total = self.let(f"bitcast {kind} {self.vector(replaced, width)} to {parts}")
        for number, value in enumerate(lanes):
            total = self.let(f"insertelement {parts} {total}, {element} {value}, i64 {number}")
        return self.let(f"bitcast {parts} {total} to {kind}")

    def lanes(self, values: Sequence[Operand], width: int) -> tuple[str, list[str]]:
        """The type of lanes, and these."""
        return f"i{width}", [self.value(value) for value in values]

    # ------------------------------------------------------------ parameters, loads and stores

    def label(self, op: Op) -> None:
        super().label(op)
        for temp in op.results:
            if temp in self.vector_temps:
                self.vectors[temp] = f"%t{temp.id}"

    def load_vector(self, op: Op, pointer: str, align: int) -> bool:
        """Load the op's result, if it is kept as a vector."""
        if op.result not in self.vector_temps:
            return False
        self.vectors[op.result] = self.let(f"load {self._type(op)}, ptr {pointer}, align {align}")
        return True

    def store_vector(self, operand: Operand, width: int, pointer: str, align: int) -> bool:
        """Store a value, if it is kept as a vector."""
        if operand not in self.vectors:
            return False
        self.line(f"store {vector_type(width)} {self.vectors[operand]}, ptr {pointer}, align {align}")
        return True
