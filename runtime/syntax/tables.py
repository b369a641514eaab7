"""The types of build/<isa>/syntax.py: encodings and their assembly syntax as tables, read in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

__all__ = [
    "NEXT_PC",
    "PC",
    "Alias",
    "AliasHole",
    "Argument",
    "Binding",
    "Directive",
    "Encoding",
    "Evaluate",
    "Field",
    "Form",
    "Function",
    "Hole",
    "Names",
    "Operand",
    "Piece",
    "Prefix",
    "Row",
    "Shorter",
    "Space",
    "Step",
    "Syntax",
    "Values",
    "mode_key",
]

#: what expressions read: fields by name, the two addresses below, and modes under `mode_key`
Values = Mapping[str, int]
Evaluate = Callable[[Values], int]
PC = "."
NEXT_PC = ".next"


def mode_key(name: str) -> str:
    """The key of a mode in Values; no field can have it."""
    return f"mode.{name}"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an encoding: bits field_low .. +width-1 stand at bits low .. of the fetch integer, slice by slice."""

    name: str
    width: int
    slices: tuple[tuple[int, int, int], ...]  # (field_low, low, width)

    def extract(self, fetch: int) -> int:
        value = 0
        for field_low, low, width in self.slices:
            value |= (fetch >> low & ((1 << width) - 1)) << field_low
        return value

    def insert(self, value: int) -> int:
        """The fetch bits of a value; bits that the encoding has no place for are 0 in it."""
        fetch = 0
        for field_low, low, width in self.slices:
            fetch |= (value >> field_low & ((1 << width) - 1)) << low
        return fetch

    @property
    def bits(self) -> tuple[int, ...]:
        """The field's bits that the encoding has a place for, ascending."""
        return tuple(field_low + bit for field_low, _, width in self.slices for bit in range(width))


@dataclass(frozen=True, slots=True)
class Encoding:
    """Fixed bits and fields; bit 8*i + j of a fetch integer is bit j of the i-th byte fetched."""

    length: int
    mask: int
    value: int
    fields: tuple[Field, ...] = ()

    def matches(self, fetch: int) -> bool:
        return fetch & self.mask == self.value

    def extract(self, fetch: int) -> dict[str, int]:
        return {part.name: part.extract(fetch) for part in self.fields}

    def insert(self, values: Values) -> int:
        fetch = self.value
        for part in self.fields:
            fetch |= part.insert(values.get(part.name, 0))
        return fetch


@dataclass(frozen=True)
class Names:
    """Names for the values 0, 1, …, separated by blanks: the first spelling is printed, all are read.

    "_" marks a reserved value, "-" one that prints nothing; "~" in a name is a blank.
    """

    name: str
    texts: tuple[str, ...]

    @cached_property
    def spellings(self) -> tuple[tuple[str, ...], ...]:
        """The names of each spelling; "" where nothing is printed."""
        return tuple(
            tuple("" if name == "-" else name.replace("~", " ") for name in text.split()) for text in self.texts
        )

    def show(self, value: int) -> str | None:
        """None for a reserved value, or one that has no name."""
        names = self.spellings[0]
        return None if value >= len(names) or names[value] == "_" else names[value]

    @cached_property
    def by_name(self) -> dict[str, int]:
        """Lower-case spelling -> value; a name that stands for two values is the lower one's."""
        found: dict[str, int] = {}
        for names in self.spellings:
            for value, name in enumerate(names):
                if name != "_":
                    found.setdefault(name.lower(), value)
                    found.setdefault(name.lower().replace(", ", ","), value)  # blanks behind a comma are free
        return found

    def synonyms(self, value: int) -> tuple[int, ...]:
        """All values of the same name."""
        names = self.spellings[0]
        if value >= len(names):
            return (value,)
        return tuple(other for other, name in enumerate(names) if name == names[value])

    def show_set(self, bits: int) -> str:
        """The names of the bits that are set, lowest first."""
        return ", ".join(name for bit, name in enumerate(self.spellings[0]) if bits >> bit & 1)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of names, longest first: the order in which to try them, since one name may begin another."""
        return tuple(sorted({len(name) for name in self.by_name}, reverse=True))


@dataclass(frozen=True, slots=True)
class Hole:
    """A hole of a template: the value of `field`, or what `value` computes from `fields`.

    kind: 'number', 'hex', 'plus' (a number with its sign), 'either' (shown with its sign, read without it, too),
    'names', 'set' (of names, by bit), 'address', 'optional' (shows `text` unless the value is 0), 'operand' (a
    sub-table).  With `names` but of another kind, names are preferred to numbers.  `modes` are those of the
    expression's modes (mode_key) that prefixes set.
    """

    kind: str
    width: int
    field: str = ""
    value: Evaluate | None = None
    fields: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    signed: bool = False
    names: Names | None = None
    numbers: Mapping[int, str] | None = None  # named numbers, such as system registers
    text: str = ""
    operand: str = ""

    @property
    def depends(self) -> tuple[str, ...]:
        """The fields that decide its value."""
        return (self.field,) if self.field else self.fields

    def evaluate(self, values: Values) -> int:
        return values[self.field] if self.value is None else self.value(values)


Piece = str | Hole


@dataclass(frozen=True, slots=True)
class Argument:
    """What an operand's rows match their head bits against: a field of the outer encoding, or an expression.

    `modes` are as a Hole's.
    """

    width: int
    field: str = ""
    value: Evaluate | None = None
    fields: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()

    def evaluate(self, values: Values) -> int:
        return values[self.field] if self.value is None else self.value(values)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an operand: `head` is matched against the arguments, `rest` against what follows in the fetch."""

    head: Encoding
    rest: Encoding
    pieces: tuple[Piece, ...]
    guard: Evaluate | None = None
    operands: tuple[Operand, ...] = ()


def _may_hold(guard: Evaluate | None, modes: Values) -> bool:
    """Whether a guard holds without prefixes, as far as that can be said before fields are known."""
    if guard is None:
        return True
    try:
        return bool(guard(modes))
    except KeyError:
        return False


@dataclass(frozen=True)
class Operand:
    """A sub-table bound in an encoding; rows are tried top-down."""

    name: str
    arguments: tuple[Argument, ...]
    rows: tuple[Row, ...]

    def best_first(self, modes: Values) -> tuple[Row, ...]:
        """The rows as an assembler wants them: short ones first, and those that need a prefix or the like last."""
        known = self._ordered.get(id(modes))
        if known is None or known[0] is not modes:
            rows = tuple(sorted(self.rows, key=lambda row: (not _may_hold(row.guard, modes), row.rest.length)))
            known = self._ordered[id(modes)] = modes, rows
        return known[1]

    @cached_property
    def _ordered(self) -> dict[int, tuple[Values, tuple[Row, ...]]]:
        """By the modes' identity, with the modes."""
        return {}


@dataclass(frozen=True, slots=True)
class Form:
    """One encoding with its syntax; `source` is its line in the spec."""

    name: str
    source: str
    space: str
    encoding: Encoding
    pieces: tuple[Piece, ...]
    guard: Evaluate | None = None
    operands: tuple[Operand, ...] = ()
    tails: tuple[Encoding, ...] = ()  # what follows each operand's own units
    leaves: tuple[tuple[str, Evaluate], ...] = ()  # modes (mode_key) that the next instruction is read in
    delayed: bool = False  # whether the next instruction is run before it takes effect
    fields: tuple[Field, ...] = field(init=False)  # of all of it

    def __post_init__(self) -> None:
        late = tuple(part for tail in self.tails for part in tail.fields)
        object.__setattr__(self, "fields", (*self.encoding.fields, *late) if late else self.encoding.fields)

    @property
    def holes(self) -> tuple[Hole, ...]:
        return tuple(piece for piece in self.pieces if isinstance(piece, Hole))


@dataclass(frozen=True, slots=True)
class Prefix:
    """Bytes before an instruction in a space, and the state (mode_key) they set; `guard` is over modes and its own
    fields."""

    space: str
    encoding: Encoding
    settings: tuple[tuple[str, Evaluate], ...]
    guard: Evaluate | None = None

    def apply(self, fetch: int, modes: Values) -> dict[str, int] | None:
        """The modes behind it, None if these bits are no such prefix."""
        if not self.encoding.matches(fetch):
            return None
        values = {**modes, **self.encoding.extract(fetch)}
        if self.guard is not None and not self.guard(values):
            return None
        found = dict(modes)
        for key, value in self.settings:
            found[key] = values[key] = value(values)
        return found


@dataclass(frozen=True, slots=True)
class Binding:
    """What a hole of an alias's instruction gets: a number, the alias's hole `name`, or an expression over those."""

    value: int | None = None
    name: str = ""
    expression: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction an alias stands for; bindings are in the order of the form's holes."""

    form: str
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class AliasHole:
    """A hole of an alias, read as `hole` would be.

    With a `limit` the alias applies only to values of so many bits: 's32' signed, 'u32' unsigned, '32' either; with
    '!0' to any but 0.
    """

    name: str
    hole: Hole
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Alias:
    """A pseudo-instruction; `printed` if the disassembler shows it instead of its one instruction.

    `guard`, over modes, says where it is one.
    """

    source: str
    pieces: tuple[str | AliasHole, ...]
    steps: tuple[Step, ...]
    printed: bool
    guard: Evaluate | None = None

    def holds(self, modes: Values) -> bool:
        return self.guard is None or bool(self.guard(modes))


@dataclass(frozen=True, slots=True)
class Shorter:
    """Another, shorter encoding of some instructions: `short` does what `long` does wherever both can be written.

    Bindings of both are numbers or names; a name's value is the same in both.  `limits` are as an AliasHole's.
    """

    source: str
    long: Step
    short: Step
    limits: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the assembler's expressions, such as `%hi(x)`: `expression` is over its parameter and `.`."""

    source: str
    name: str
    parameter: str
    expression: str


@dataclass(frozen=True, slots=True)
class Directive:
    """A directive of this ISA's, whose text may end in a hole for what means nothing here.

    A setting is a mode (mode_key) and its value, or one of the assembler's: `short`, `odd`, `align`, `slots`; or a
    word, with 0: `function`, `push`, `pop`, `pool`, `$x`.  docs/assembler.md says what they do.
    """

    source: str
    text: str
    settings: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Spelling:
    """How else a text may be written; by `kind`:

    operand    what `text` says within the operands is read as `meaning`; both have holes (runtime/syntax/spelling.py)
    directive  the one called `text` is `meaning`
    suffix     in `space`, `text` at the end of a mnemonic may be left out
    comment    `text` begins a comment
    """

    source: str
    kind: str
    text: str
    meaning: str = ""
    space: str = ""


@dataclass(frozen=True, slots=True)
class Space:
    """An instruction space: unit sizes in bits, byte order, and when it is the active one."""

    name: str
    units: tuple[int, ...]
    big: bool
    max_bytes: int
    when: Evaluate | None = None

    def word(self, code: bytes) -> int:
        """An instruction as the number people write: the first unit fetched is the most significant."""
        if self.big or self.units[0] == 8:
            return int.from_bytes(code, "big")
        size = len(code) if 8 * len(code) in self.units else self.units[0] // 8
        word = 0
        for at in range(0, len(code), size):
            word = word << 8 * size | int.from_bytes(code[at : at + size], "little")
        return word

    def digits(self, code: bytes) -> str:
        """`word` in hexadecimal, two digits a byte."""
        return f"{self.word(code):0{2 * len(code)}x}"

    def bytes_of(self, digits: str) -> bytes:
        """What `digits` gives back: bytes in the order they are fetched in.  ValueError unless they are whole bytes."""
        code = bytes.fromhex(digits)
        if self.big or self.units[0] == 8:
            return code
        size = len(code) if 8 * len(code) in self.units else self.units[0] // 8
        return b"".join(code[at : at + size][::-1] for at in range(0, len(code), size))


@dataclass(frozen=True)
class Syntax:
    """Everything the assembler and the disassembler know of an ISA.

    `forms` are in the order in which a word is tried on them: special cases first.  `big` is the byte order of data.
    """

    isa: str
    pc_width: int
    big: bool
    modes: Mapping[str, int]  # mode_key -> reset value
    spaces: tuple[Space, ...]
    forms: tuple[Form, ...]
    aliases: tuple[Alias, ...] = ()
    registers: tuple[Names, ...] = field(default=())  # whose names are no symbols
    shorter: tuple[Shorter, ...] = ()
    functions: tuple[Function, ...] = ()
    directives: tuple[Directive, ...] = ()
    spellings: tuple[Spelling, ...] = ()
    prefixes: tuple[Prefix, ...] = ()
    following: tuple[tuple[str, Evaluate], ...] = ()  # one-shot modes that forms leave: what they are one later

    @cached_property
    def by_name(self) -> dict[str, Form]:
        return {form.name: form for form in self.forms}

    @cached_property
    def register_names(self) -> frozenset[str]:
        """Names a symbol may not have, lower case."""
        return frozenset(name for names in self.registers for name in names.by_name if name.isidentifier())
