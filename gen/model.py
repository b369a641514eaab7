"""The checked spec: typed, monomorphic, free of names to look up.  Everything after the checker reads only this.

Every expression has a concrete width in bits.  Generation-time values (parameters, row values, split values, widths)
are gone: they were evaluated, and what depended on them was instantiated once per distinct value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from gen.tree import Pos


class Time(IntEnum):
    """When a value is known (LANGUAGE §3): generation, translation, run."""

    G = 0
    T = 1
    R = 2


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Const:
    width: int
    value: int  # 0 <= value < 2**width


@dataclass(frozen=True, slots=True)
class FieldRef:
    """An encoding field of the instruction (or of the operand alternative) at hand; time T."""

    width: int
    name: str


@dataclass(frozen=True, slots=True)
class PcRead:
    """Address of this instruction; time T."""

    width: int


@dataclass(frozen=True, slots=True)
class NextPc:
    """Address of the next instruction (`NEXT`); time T."""

    width: int


@dataclass(frozen=True, slots=True)
class AfterPc:
    """Where control goes after this instruction by itself (`NPC`): in a delay slot, where the branch said; time R."""

    width: int


@dataclass(frozen=True, slots=True)
class Local:
    """A `let`, a `var`, a loop index or a parameter.  Names are unique within one body."""

    width: int
    name: str
    time: Time


@dataclass(frozen=True, slots=True)
class RegRead:
    """A single register (`reg`, or a system register with storage)."""

    width: int
    register: str


@dataclass(frozen=True, slots=True)
class RegFileRead:
    """An entry of a `regs` file; index out of range cannot occur (checked by width, or reduced)."""

    width: int
    file: str
    index: Expr


@dataclass(frozen=True, slots=True)
class ModeRead:
    """A `mode`, or a `prefixes` variable (per-instruction decode state); time T."""

    width: int
    mode: str


@dataclass(frozen=True, slots=True)
class InputRead:
    width: int
    input: str


@dataclass(frozen=True, slots=True)
class MemRead:
    """`M[a, width]`."""

    width: int
    memory: str
    address: Expr


@dataclass(frozen=True, slots=True)
class Unary:
    """op: 'neg' or 'not' (bitwise)."""

    width: int
    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary:
    """Both operands have one width, except shifts and rotations, whose amount has its own.

    op: add sub mul udiv sdiv urem srem and or xor shl lshr ashr rotl rotr (width = left's width);
    eq ne ult ule ugt uge slt sle sgt sge (width 1).  Division by zero gives 0, remainder by zero the dividend;
    shifts by the width or more give 0 (ashr: all sign bits); rotations are modulo the width.
    """

    width: int
    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Extend:
    """op: 'sext' or 'zext' to `width`, which is at least the operand's."""

    width: int
    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Slice:
    """Bits low .. low+width-1, bit 0 the least significant whatever the file's bit order."""

    width: int
    operand: Expr
    low: int


@dataclass(frozen=True, slots=True)
class DynSlice:
    """`x[low +: width]`; bits past the top read as 0."""

    width: int
    operand: Expr
    low: Expr


@dataclass(frozen=True, slots=True)
class Cat:
    """First part most significant."""

    width: int
    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Select:
    """`if c then a else b`: only the chosen side happens."""

    width: int
    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class Call:
    """A user function instance; `widths` are its results' widths (width = widths[0] when there is just one)."""

    width: int
    function: str
    args: tuple[Expr, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Intrinsic:
    """A built-in operation: see gen/intrinsics.py for names, arguments and results."""

    width: int
    name: str
    args: tuple[Expr, ...]
    widths: tuple[int, ...]
    memory: str = ""  # for those that take a memory as their first argument


@dataclass(frozen=True, slots=True)
class Tuple:
    """Several values at once: only as a `return` or on the right of a tuple `let`."""

    width: int  # 0
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class OperandRead:
    """The value of an operand bound by `with`."""

    width: int
    operand: str


Expr = (
    Const
    | FieldRef
    | PcRead
    | NextPc
    | AfterPc
    | Local
    | RegRead
    | RegFileRead
    | ModeRead
    | InputRead
    | MemRead
    | Unary
    | Binary
    | Extend
    | Slice
    | DynSlice
    | Cat
    | Select
    | Call
    | Intrinsic
    | Tuple
    | OperandRead
)


# ---------------------------------------------------------------- places that can be written


@dataclass(frozen=True, slots=True)
class ToLocal:
    width: int
    name: str


@dataclass(frozen=True, slots=True)
class ToReg:
    width: int
    register: str


@dataclass(frozen=True, slots=True)
class ToRegFile:
    width: int
    file: str
    index: Expr


@dataclass(frozen=True, slots=True)
class ToMode:
    width: int
    mode: str


@dataclass(frozen=True, slots=True)
class ToMem:
    width: int
    memory: str
    address: Expr


@dataclass(frozen=True, slots=True)
class ToOperand:
    width: int
    operand: str


Place = ToLocal | ToReg | ToRegFile | ToMode | ToMem | ToOperand
# Slices, fields, `++`, `if` and aliases on the left are rewritten by the checker into reads and writes of these.


# ---------------------------------------------------------------- statements


@dataclass(frozen=True, slots=True)
class Let:
    """Binds names (one, or one per tuple item) for the rest of the block."""

    names: tuple[str, ...]
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Var:
    name: str
    width: int
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Assign:
    place: Place
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Accrue:
    """`reg |= value` on the bits declared `sticky`; value has the sticky bits' width."""

    register: str
    low: int
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class If:
    """One condition; `elif` is an If alone in `otherwise`."""

    condition: Expr
    then: tuple[Stmt, ...]
    otherwise: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class For:
    """name runs from low to high inclusive (nothing when high < low, unsigned; `..<` arrives as high - 1 with the
    empty case excluded by an If); it has `width` bits."""

    name: str
    width: int
    low: Expr
    high: Expr
    body: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class While:
    condition: Expr
    body: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Break:
    pos: Pos


@dataclass(frozen=True, slots=True)
class Atomic:
    """Body: lets, one read of one memory address, one write of it.  One read-modify-write on the host.

    Of an operand: memory is "" and address its OperandRead."""

    memory: str
    width: int
    address: Expr  # evaluated once, before
    old: str  # local bound to the value read
    body: tuple[Stmt, ...]  # statements between read and write (may use `old`)
    new: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Goto:
    target: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Raise:
    """exception names one of Spec.exceptions; args are those of `on exception` after the code."""

    exception: str
    args: tuple[Expr, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Annul:
    pos: Pos


@dataclass(frozen=True, slots=True)
class Return:
    values: tuple[Expr, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Do:
    """An expression for its effect: a Call or an Intrinsic."""

    value: Expr
    pos: Pos


Stmt = Let | Var | Assign | Accrue | If | For | While | Break | Atomic | Goto | Raise | Annul | Return | Do


# ---------------------------------------------------------------- state


@dataclass(frozen=True, slots=True)
class RegField:
    """A named part of a register."""

    name: str
    low: int
    width: int
    allowed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Register:
    name: str
    width: int
    fields: tuple[RegField, ...]
    reset: int
    pos: Pos
    system: bool = False  # a row of a sysregs table with storage of its own


@dataclass(frozen=True, slots=True)
class RegFile:
    """names: one tuple of `count` names for each spelling given, first spelling printed.
    parts: what debuggers and scripts call some bits of an entry: name, entry, lowest bit, width."""

    name: str
    width: int
    count: int
    zero: int | None
    names: tuple[tuple[str, ...], ...]
    pos: Pos
    parts: tuple[tuple[str, int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Mode:
    """`next` is an expression over modes (time T), or None: the mode keeps its value."""

    name: str
    width: int
    reset: int
    next: Expr | None
    prefix: bool  # declared by `prefixes`: zero at the start of every instruction
    pos: Pos
    machine: bool = False  # a user program never changes it


@dataclass(frozen=True, slots=True)
class Memory:
    """big: constant, or an expression over modes of width 1 that is 1 when big-endian."""

    name: str
    address_width: int
    big: Expr
    pos: Pos
    physical: bool = False  # what stands behind the first memory's addresses; for hooks only


@dataclass(frozen=True, slots=True)
class Input:
    name: str
    width: int
    pos: Pos


@dataclass(frozen=True, slots=True)
class StickyBits:
    register: str
    low: int
    width: int


@dataclass(frozen=True, slots=True)
class Pc:
    name: str
    width: int


# ---------------------------------------------------------------- encodings


@dataclass(frozen=True, slots=True)
class FieldSlice:
    """Bits field_low .. field_low+width-1 of a field stand at fetch bits low .. low+width-1."""

    field_low: int
    low: int
    width: int


@dataclass(frozen=True, slots=True)
class FieldLayout:
    """width counts unmentioned low bits, which are 0 (`imm[12|10:5]` .. `imm[4:1|11]` has 13)."""

    name: str
    width: int
    slices: tuple[FieldSlice, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Fixed bits and fields of one encoding, as a fetch integer: bit 8*i + j is bit j of the i-th byte fetched.

    So a little-endian unit's bit b is fetch bit b; a big-endian unit of n bytes is stored byte-swapped.
    """

    length: int  # bits, a multiple of the space's unit
    mask: int
    value: int
    fields: tuple[FieldLayout, ...]
    text: str
    pos: Pos


@dataclass(frozen=True, slots=True)
class Space:
    """units: allowed unit sizes in bits, ascending; the default exception is raised for a word no encoding takes."""

    name: str
    units: tuple[int, ...]
    big: bool
    when: Expr | None
    predicate: Expr | None
    max_bytes: int
    pos: Pos
    where: Expr | None = None  # what holds for the fields of each encoding that has them


# ---------------------------------------------------------------- syntax


@dataclass(frozen=True, slots=True)
class Literal:
    text: str


@dataclass(frozen=True, slots=True)
class Slot:
    """`{expr:fmt}`.  kind: 'number', 'hex', 'plus' (sign always), 'either' (sign shown, not needed), 'file' (names of
    a register file or alias), 'enum', 'sysreg', 'address' (depends on the PC), 'optional' (`{S?s}`: prints `text` if
    the value is not 0), 'operand' (a sub-table bound by `with`)."""

    expr: Expr
    kind: str
    signed: bool = False
    table: tuple[tuple[str, ...], ...] = ()  # spellings, the first is printed; "" prints nothing, "_" reserved
    text: str = ""
    operand: str = ""
    sysregs: tuple[tuple[int, str], ...] = ()
    registers: bool = False  # whether names are registers', which no symbol may have


Template = tuple[Literal | Slot, ...]


@dataclass(frozen=True, slots=True)
class OperandAlt:
    """One row.  When the operand is bound, `operands` are bound, then `before` runs; from then on `value` (or `place`,
    when writable) is its reference.

    `head` is matched against the outer arguments, concatenated, the first most significant: an ordinary integer of
    head.length bits, whatever the space's byte order.  `pattern` is what the row takes from the instruction stream
    after all that came before: a fetch integer from bit 0, of length 0 for rows without `/`.
    """

    head: Pattern
    pattern: Pattern
    syntax: Template
    where: Expr | None
    before: tuple[Stmt, ...]
    value: Expr
    place: Place | None
    operands: tuple[BoundOperand, ...]
    pos: Pos
    write: tuple[Stmt, ...] = ()  # what writing does, the value being Local "new"; empty when it cannot be written


@dataclass(frozen=True, slots=True)
class BoundOperand:
    """`with e = ea(w, m, r)`: rows already instantiated for the generation-time arguments; the remaining arguments
    are fields of the outer encoding, and rows' pattern bits for them are matched against these expressions."""

    name: str
    width: int
    args: tuple[Expr, ...]
    alternatives: tuple[OperandAlt, ...]
    before: tuple[Stmt, ...] = ()  # run first: arguments of operands whose rows match no argument bits


@dataclass(frozen=True, slots=True)
class Instruction:
    """One encoding of one instruction for one set of split values."""

    name: str  # unique: row name, plus __space/__N for further encodings, plus __split_value for clones
    mnemonic: str  # the declared name, shared by clones
    isa: str  # the module that declared it
    space: str
    pattern: Pattern
    syntax: Template
    where: Expr | None  # over fields
    when: Expr | None  # over modes, prefixes, split values
    operands: tuple[BoundOperand, ...]
    body: tuple[Stmt, ...]
    overrides: tuple[str, ...]
    delayed: bool
    restartable: bool
    pos: Pos
    undefined: tuple[str, ...] = ()  # registers that the manual leaves undefined
    tails: tuple[Pattern, ...] = ()  # of each operand: the instruction's own units behind the operand's

    @property
    def variable(self) -> bool:
        """Whether its length depends on more than its own pattern (prefixes apart)."""
        return bool(self.operands)


@dataclass(frozen=True, slots=True)
class Prefix:
    space: str  # where it stands; which space goes on behind it is found anew
    pattern: Pattern
    when: Expr | None
    body: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class ReservedWord:
    pattern: Pattern


# ---------------------------------------------------------------- functions, hooks, tables, tests


@dataclass(frozen=True, slots=True)
class Function:
    """One instance of a `fn`, an alias accessor or a sysregs accessor (get_CSR / set_CSR).

    helper: compiled once and called rather than inlined: pure but for modes, and has a loop or is large.
    modes: those that a helper reads, which it is given with its parameters."""

    name: str  # a Python identifier, unique
    source: str  # as the author named it
    params: tuple[tuple[str, int], ...]
    results: tuple[int, ...]
    body: tuple[Stmt, ...]
    helper: bool
    pos: Pos
    modes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class HookFn:
    """One of gen/hooks.py's; what it returns has widths `results`."""

    name: str
    params: tuple[tuple[str, int], ...]
    body: tuple[Stmt, ...]
    pos: Pos
    results: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ExceptionDef:
    name: str
    code: int
    pos: Pos


@dataclass(frozen=True, slots=True)
class SysReg:
    table: str
    address: int
    name: str
    fields: tuple[RegField, ...]
    register: str | None  # its own storage, if any
    pos: Pos


@dataclass(frozen=True, slots=True)
class AsmAliasDef:
    """A pseudo-instruction or an operand: syntax with `{name}` holes, and the text it stands for."""

    syntax: str
    expansion: str
    pos: Pos
    space: str = ""  # where its instructions are looked for; "": anywhere
    when: Expr | None = None  # over modes: where it is one
    operand: bool = False


@dataclass(frozen=True, slots=True)
class LazyGroup:
    name: str
    registers: tuple[str, ...]
    rules: tuple[str, ...]  # Function names


@dataclass(frozen=True, slots=True)
class Test:
    """asm assembles to `word` (None: not given); or with `given` run first, `then` must hold after one step."""

    __test__ = False

    asm: str
    word: int | None
    given: tuple[Stmt, ...]
    then: Expr | None
    pos: Pos


#: the name of the mode that says that an instruction stands in a delay slot
SLOT = "SLOT"


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole instruction set, checked."""

    name: str
    modules: tuple[str, ...]  # names, base first
    sources: tuple[str, ...]  # every file read, for the stamp
    parameters: dict[str, int]
    pc: Pc
    registers: tuple[Register, ...]
    files: tuple[RegFile, ...]
    modes: tuple[Mode, ...]
    memories: tuple[Memory, ...]
    inputs: tuple[Input, ...]
    sticky: StickyBits | None
    spaces: tuple[Space, ...]
    instructions: tuple[Instruction, ...]
    prefixes: tuple[Prefix, ...]
    reserved: tuple[ReservedWord, ...]
    functions: dict[str, Function]
    hooks: dict[str, HookFn]
    exceptions: tuple[ExceptionDef, ...]
    illegal: str  # exception raised for undecodable words
    sysregs: tuple[SysReg, ...]
    lazy: tuple[LazyGroup, ...]
    asm_aliases: tuple[AsmAliasDef, ...]
    tests: tuple[Test, ...]
    fused: tuple[tuple[str, str], ...] = ()  # (mnemonic, mnemonic that may follow it): pairs with handlers of their own
    warnings: tuple[str, ...] = field(default=())

    @property
    def slot(self) -> str | None:
        """The mode that is 1 in a delay slot, if there are delayed instructions."""
        return SLOT if any(instruction.delayed for instruction in self.instructions) else None
