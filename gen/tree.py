"""The syntax tree of an .isa file: what was written, with positions, before any name is resolved."""

from __future__ import annotations

from dataclasses import dataclass

from gen.tree_loops import For as For
from gen.tree_loops import Joined as Joined
from gen.tree_loops import While as While
from gen.tree_tables import FamilyDecl as FamilyDecl
from gen.tree_tables import FormsDecl as FormsDecl
from gen.tree_tables import FormsUse as FormsUse
from gen.tree_tables import Fuse as Fuse
from gen.tree_tables import Reserved as Reserved


@dataclass(frozen=True, slots=True)
class Pos:
    """Where something stands: 1-based lines and columns; the end column is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted string; `pos` covers the quotes, so character i of `value` is at column pos.column + 1 + i."""

    value: str
    pos: Pos


@dataclass(frozen=True, slots=True)
class TypeBits:
    """`bits(e)`; `bit` is `bits(1)`."""

    width: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class TypeName:
    name: str
    pos: Pos


@dataclass(frozen=True, slots=True)
class TypeTuple:
    items: tuple[TypeExpr, ...]
    pos: Pos


TypeExpr = TypeBits | TypeName | TypeTuple


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Num:
    """A literal; `digits` keeps the spelling, since 0b00 and 0x0F have the width of their digits."""

    value: int
    digits: str
    pos: Pos


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    pos: Pos


@dataclass(frozen=True, slots=True)
class Unary:
    """op is '-' or '~'."""

    op: str
    operand: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Not:
    operand: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Binary:
    """op is the token as written: + - * / /u /s % %u %s & | ^ << >>u >>s rotl rotr == != <s <=u ... and or."""

    op: str
    left: Expr
    right: Expr
    pos: Pos
    op_pos: Pos


@dataclass(frozen=True, slots=True)
class Cat:
    parts: tuple[Expr, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class IfExpr:
    """Arms are (condition, value) pairs; `otherwise` is the last `else`."""

    arms: tuple[tuple[Expr, Expr], ...]
    otherwise: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Call:
    """`f(x)`, `f32.add(x, y)` (callee is then a Field of a Name), `V.lanes(w)` likewise."""

    callee: Expr
    args: tuple[Expr, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Index:
    """`x[i]`: a bit of a value, or an entry of a register file, alias, memory-less table."""

    base: Expr
    index: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Slice:
    """`x[hi:lo]` in the file's bit order as written."""

    base: Expr
    high: Expr
    low: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class DynSlice:
    """`x[low +: width]`."""

    base: Expr
    low: Expr
    width: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Subscript:
    """`M[a, 32]`, `W[rd, sz]`: two or more indices."""

    base: Expr
    indices: tuple[Expr, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Field:
    """`mstatus.MIE`."""

    base: Expr
    name: str
    pos: Pos


@dataclass(frozen=True, slots=True)
class TupleExpr:
    items: tuple[Expr, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class OpSection:
    """`(+)`: an operator as a value, in table rows and fn arguments."""

    op: str
    pos: Pos


Expr = (
    Num
    | Name
    | Unary
    | Not
    | Binary
    | Cat
    | IfExpr
    | Call
    | Index
    | Slice
    | DynSlice
    | Subscript
    | Field
    | TupleExpr
    | OpSection
    | Joined
)


# ---------------------------------------------------------------- statements


@dataclass(frozen=True, slots=True)
class Let:
    """One or several names (a tuple pattern)."""

    names: tuple[Name, ...]
    type: TypeExpr | None
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Var:
    name: Name
    type: TypeExpr
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Assign:
    target: Expr
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class AugAssign:
    """op is '+', '-', '&', '|' or '^'."""

    op: str
    target: Expr
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class If:
    arms: tuple[tuple[Expr, tuple[Stmt, ...]], ...]
    otherwise: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Case:
    """No values: the `else` case."""

    values: tuple[Expr, ...]
    body: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Match:
    subject: Expr
    cases: tuple[Case, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Atomic:
    """`when`: the condition under which the block is one step; None: always."""

    when: Expr | None
    body: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Goto:
    target: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Raise:
    """`raise N` / `raise N(args)`; `raise f(x)` with a function of type exn has the same shape."""

    name: Name
    args: tuple[Expr, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Annul:
    pos: Pos


@dataclass(frozen=True, slots=True)
class Return:
    value: Expr | None
    pos: Pos


@dataclass(frozen=True, slots=True)
class Pass:
    pos: Pos


@dataclass(frozen=True, slots=True)
class Break:
    pos: Pos


@dataclass(frozen=True, slots=True)
class ExprStmt:
    value: Expr
    pos: Pos


Stmt = (
    Let
    | Var
    | Assign
    | AugAssign
    | If
    | For
    | While
    | Match
    | Atomic
    | Goto
    | Raise
    | Annul
    | Return
    | Pass
    | Break
    | ExprStmt
)


# ---------------------------------------------------------------- declarations


@dataclass(frozen=True, slots=True)
class Binding:
    """`name = expr` after `with`."""

    name: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class IsaHeader:
    name: Name
    extends: tuple[Name, ...]
    bindings: tuple[Binding, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Include:
    path: Text
    pos: Pos


@dataclass(frozen=True, slots=True)
class ParamDecl:
    """`param N : {32, 64} = 32`; without choices any value."""

    name: Name
    choices: tuple[Expr, ...]
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class Const:
    name: Name
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class TypeDecl:
    name: Name
    type: TypeExpr
    pos: Pos


@dataclass(frozen=True, slots=True)
class BitOrder:
    """`bitorder msb0`: slice numbering of this file."""

    order: Name
    pos: Pos


@dataclass(frozen=True, slots=True)
class FieldDef:
    """A sub-field of a register: `MPP 12:11 in 0|3`; one bit when `low` is None."""

    name: Name
    high: Expr
    low: Expr | None
    allowed: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class RegDecl:
    names: tuple[Name, ...]
    type: TypeExpr
    fields: tuple[FieldDef, ...]
    reset: Expr | None
    pos: Pos


@dataclass(frozen=True, slots=True)
class RegsDecl:
    name: Name
    count: Expr
    type: TypeExpr
    zero: Expr | None
    names: tuple[Text, ...]
    parts: tuple[FieldDef, ...]  # `"ax cx" 15:0`: the names of the parts of the first entries
    pos: Pos


@dataclass(frozen=True, slots=True)
class PcDecl:
    name: Name
    type: TypeExpr
    pos: Pos


@dataclass(frozen=True, slots=True)
class ModeDecl:
    names: tuple[Name, ...]
    type: TypeExpr
    reset: Expr | None
    next: Expr | None
    machine: bool
    pos: Pos


@dataclass(frozen=True, slots=True)
class PrefixesDecl:
    names: tuple[tuple[Name, TypeExpr], ...]
    shown: frozenset[str]  # those that only instructions whose syntax shows them may have
    pos: Pos


@dataclass(frozen=True, slots=True)
class Sticky:
    """`sticky fcsr.fflags` or `sticky fflags`: bits that floating point only sets; the host's may stand in."""

    register: Name
    field: Name | None
    pos: Pos


@dataclass(frozen=True, slots=True)
class MemoryDecl:
    name: Name
    address: TypeExpr
    endian: Expr
    physical: bool
    pos: Pos


@dataclass(frozen=True, slots=True)
class InputDecl:
    names: tuple[Name, ...]
    type: TypeExpr
    pos: Pos


@dataclass(frozen=True, slots=True)
class DecodeDecl:
    name: Name
    units: tuple[Num, ...]
    order: Name
    when: Expr | None
    where: Expr | None
    predicate: Expr | None
    maximum: Expr | None
    pos: Pos


@dataclass(frozen=True, slots=True)
class FieldDecl:
    """kind: 'width' (`5`), 'file' (a register file, alias or sysregs table), 'format', 'enum', 'set'.

    enum: names, and other spellings of theirs; target: what they are names of, if that is said
    """

    names: tuple[Name, ...]
    kind: str
    width: Num | None
    target: Name | None
    enum: tuple[Text, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class AliasParam:
    """`i : 4`, or `w` alone: a generation-time width."""

    name: Name
    width: Expr | None


@dataclass(frozen=True, slots=True)
class AliasDecl:
    """Either `value` (an assignable expression) or `get` with `set_name`/`set_body`."""

    name: Name
    params: tuple[AliasParam, ...]
    type: TypeExpr
    value: Expr | None
    get: Expr | None
    set_name: Name | None
    set_body: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class SysRegName:
    address: Num
    name: Name


@dataclass(frozen=True, slots=True)
class SysRegRow:
    """One row; options are None when not written. `view` is (register, mask)."""

    names: tuple[SysRegName, ...]
    fields: tuple[FieldDef, ...]
    read_only: bool
    value: Expr | None
    mask: Expr | None
    view: tuple[Expr, Expr] | None
    read: Expr | None
    write_name: Name | None
    write_body: tuple[Stmt, ...]
    pos: Pos
    at: Name | None = None  # what the row's expressions call the number of the address among the row's


@dataclass(frozen=True, slots=True)
class SysRegsDecl:
    name: Name
    width: Expr
    type: TypeExpr
    missing: Stmt
    rows: tuple[SysRegRow, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class ExceptionDecl:
    items: tuple[tuple[Name, Expr], ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Param:
    """`a : t`; `f : fn` has `function` set; a bare `w` has neither type nor function (generation-time)."""

    name: Name
    type: TypeExpr | None
    function: bool


@dataclass(frozen=True, slots=True)
class Fn:
    """`= expr` is a body of one Return."""

    name: Name
    params: tuple[Param, ...]
    result: TypeExpr | None
    body: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Hook:
    """`on reset`, `on exception(...)`, `on interrupt`, `on translate(...)`, `on badaddr(...)`."""

    name: Name
    params: tuple[Param, ...]
    body: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class SplitDecl:
    name: Name
    values: tuple[Expr, ...]
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class LazyRule:
    name: Name
    params: tuple[Param, ...]
    keeps: tuple[Name, ...]
    body: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class LazyDecl:
    name: Name
    registers: tuple[Name, ...]
    rules: tuple[LazyRule, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Alt:
    """One row of an operand: pattern, syntax, guard, statements before, then the reference."""

    pattern: Text
    syntax: Text
    where: Expr | None
    before: tuple[Stmt, ...]
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class OperandDecl:
    name: Name
    params: tuple[Param, ...]
    result: TypeExpr
    alternatives: tuple[Alt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class PrefixDecl:
    pattern: Text
    space: Name | None
    when: Expr | None
    body: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class InsnOptions:
    delayed: bool = False
    restartable: bool = False
    overrides: tuple[Name, ...] = ()
    where: Expr | None = None
    when: Expr | None = None
    space: Name | None = None
    bindings: tuple[Binding, ...] = ()
    undefined: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class Enc:
    space: Name
    pattern: Text
    syntax: Text
    where: Expr | None
    bindings: tuple[Binding, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Insn:
    """The plain form has `pattern`; the form with parameters has `params` and `encodings` instead."""

    name: Name
    pattern: Text | None
    syntax: Text | None
    options: InsnOptions
    params: tuple[Param, ...]
    encodings: tuple[Enc, ...]
    body: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class RowArg:
    """A cell of a table: Num, Name, OpSection, Text or a parenthesised Expr."""

    value: Expr | Text
    pos: Pos


@dataclass(frozen=True, slots=True)
class Row:
    name: Name
    args: tuple[RowArg, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Insns:
    columns: tuple[Name, ...]
    pattern: Text | None  # None: the encodings follow
    syntax: Text | None
    options: InsnOptions
    encodings: tuple[Enc, ...]  # further ones
    rows: tuple[Row, ...]
    body: tuple[Stmt, ...]
    pos: Pos
    families: tuple[Name, ...] = ()  # until gen/families.py has multiplied the rows
    forms: tuple[FormsUse, ...] = ()  # until it has put their encodings first


@dataclass(frozen=True, slots=True)
class AsmAlias:
    """`asm "nop" = "addi zero, zero, 0"`, perhaps `in A32`, perhaps `when T == 0`; or `asm operand "…" = "…"`."""

    syntax: Text
    expansion: Text
    space: Name | None
    when: Expr | None
    pos: Pos
    families: tuple[Name, ...] = ()  # as in Insns
    operand: bool = False


@dataclass(frozen=True, slots=True)
class TestDecl:
    """`test "asm" = word` has `word`; `test "asm" when a; b then c` has `given` and `then`."""

    __test__ = False  # not a pytest class

    syntax: Text
    word: Expr | None
    given: tuple[Stmt, ...]
    then: Expr | None
    pos: Pos


@dataclass(frozen=True, slots=True)
class Override:
    decl: Insn | Insns | Fn | FieldDecl | Const | TypeDecl | AliasDecl | OperandDecl | Hook
    pos: Pos


Decl = (
    IsaHeader
    | Include
    | ParamDecl
    | Const
    | TypeDecl
    | BitOrder
    | RegDecl
    | RegsDecl
    | PcDecl
    | ModeDecl
    | PrefixesDecl
    | Sticky
    | MemoryDecl
    | InputDecl
    | DecodeDecl
    | FieldDecl
    | AliasDecl
    | SysRegsDecl
    | ExceptionDecl
    | Fn
    | Hook
    | SplitDecl
    | LazyDecl
    | OperandDecl
    | PrefixDecl
    | Insn
    | Insns
    | AsmAlias
    | Reserved
    | TestDecl
    | Fuse
    | FamilyDecl
    | FormsDecl
    | Override
)


@dataclass(frozen=True, slots=True)
class SpecFile:
    """One parsed file, declarations in order."""

    path: str
    decls: tuple[Decl, ...]
