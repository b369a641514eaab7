"""Assembly syntax: reads the quoted templates of a spec, `"{name} {rd}, {imm}({rs1})"`, into model.Template.

A hole is `{expression}` or `{expression:format}`.  Formats: the name of a register file, an alias, a field with names
or a sysregs table (prints and parses those names), `x` (hexadecimal), `+` (a number with its sign), `d` (decimal),
`s` (shown with its sign, read without it, too).
Without one a field is shown as its declaration says, what depends on the PC as an address, anything else as a number.
`{name}` is the row's name, `{name:.}` the same with `.` for `_`; `{expression?text}` shows text unless the value is 0;
`{column}` of a table puts in the cell's text; `{{` and `}}` are braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gen import model
from gen.errors import Diagnostics
from gen.tree import Pos, Text
from gen.walk import nodes

__all__ = ["Format", "default_format", "enum_format", "parse_template"]

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_NAME_HOLE = re.compile(r"\s*name\s*(?::\s*(\S+)\s*)?")


@dataclass(frozen=True, slots=True)
class Format:
    """How a value is shown: the part of model.Slot that a declaration decides."""

    kind: str  # number, hex, plus, file, enum, set, sysreg
    signed: bool = False
    table: tuple[tuple[str, ...], ...] = ()
    sysregs: tuple[tuple[int, str], ...] = ()
    registers: bool = False


@dataclass(frozen=True, slots=True)
class _Hole:
    """A `{…}` of a template; `optional` is the text after `?`."""

    expression: Text
    format: str | None
    format_pos: Pos
    optional: str | None
    pos: Pos


def enum_format(width: int, spellings: Sequence[tuple[str, ...]], registers: bool = False) -> Format:
    """The format of `field f : 2 names "- .rl .aq .aqrl"`: `-` prints nothing, `_` is reserved.

    Names are expanded already (`x0-31`) and there are 2**width of them in each spelling, which the checker sees to.
    """
    assert all(len(names) == 1 << width for names in spellings)
    table = tuple(tuple("" if name == "-" else name for name in names) for names in spellings)
    return Format("enum", table=table, registers=registers)


def default_format(expr: model.Expr, fields: Mapping[str, Format]) -> Format:
    """What a hole without a format shows."""
    if isinstance(expr, model.FieldRef) and expr.name in fields:
        return fields[expr.name]
    if any(isinstance(node, model.PcRead | model.NextPc) for node in nodes(expr)):
        return Format("address")
    return Format("number", signed=_is_signed(expr, fields))


def _is_signed(expr: model.Expr, fields: Mapping[str, Format]) -> bool:
    """A number made from a signed field by appending bits, extending or negating is still one."""
    match expr:
        case model.FieldRef():
            return expr.name in fields and fields[expr.name].signed
        case model.Cat():
            return _is_signed(expr.parts[0], fields)
        case model.Extend():
            return expr.op == "sext" or _is_signed(expr.operand, fields)
        case model.Unary():
            return expr.op == "neg" or _is_signed(expr.operand, fields)
        case model.Slice():
            return expr.low + expr.width == expr.operand.width and _is_signed(expr.operand, fields)
    return False


def parse_template(
    text: Text,
    name: str,
    resolve: Callable[[Text], model.Expr | None],
    fields: Mapping[str, Format],
    formats: Mapping[str, Format],
    diagnostics: Diagnostics,
    substitutions: Mapping[str, str | int] | None = None,
) -> model.Template | None:
    """Reads one template; None after reporting what is wrong with it.

    `name` is what `{name}` stands for.  `resolve` parses and types the expression in a hole (a Text whose first
    character stands one column after the Text's own, as if it were quoted) and reports its own errors; operands bound
    by `with` are model.OperandRead.  Sums in templates are lenient: the narrower side is sign-extended.  `fields` are
    the declared fields' formats, `formats` those that can be named after `:`; `substitutions` are a table's columns.
    """
    pieces: list[model.Literal | model.Slot] = []
    failed = False

    def literal(value: str) -> None:
        if pieces and isinstance(pieces[-1], model.Literal):
            pieces[-1] = model.Literal(pieces[-1].text + value)
        elif value:
            pieces.append(model.Literal(value))

    for part in _split(text, diagnostics):
        if part is None:
            failed = True
        elif isinstance(part, str):
            literal(part)
        else:
            named = (
                None
                if part.optional is not None
                else _NAME_HOLE.fullmatch(
                    part.expression.value + (f":{part.format}" if part.format is not None else "")
                )
            )
            word = part.expression.value.strip()
            if named:
                if named[1] not in (None, ".", "_"):
                    diagnostics.error(
                        part.format_pos,
                        f"'{named[1]}' is no format of a name",
                        help="write {name}, {name:.} or {name:_}",
                    )
                    failed = True
                literal(_shown_name(name, named[1]))
            elif substitutions and word in substitutions and part.format is None and part.optional is None:
                literal(str(substitutions[word]))
            else:
                slot = _slot(part, resolve, fields, formats, diagnostics)
                if slot is None:
                    failed = True
                else:
                    pieces.append(slot)
    if not failed and not pieces:
        diagnostics.error(text.pos, "the syntax is empty")
        failed = True
    return None if failed else tuple(pieces)


def _shown_name(name: str, form: str | None) -> str:
    """A row's name; with `.` for `_`; without what follows the first `_`."""
    if form == "_":
        return name.partition("_")[0]
    return name.replace("_", ".") if form else name


def _slot(
    hole: _Hole,
    resolve: Callable[[Text], model.Expr | None],
    fields: Mapping[str, Format],
    formats: Mapping[str, Format],
    diagnostics: Diagnostics,
) -> model.Slot | None:
    expr = resolve(hole.expression)
    if expr is None:
        return None
    late = _run_time_part(expr)
    if late is not None and not isinstance(expr, model.OperandRead):
        diagnostics.error(hole.pos, f"the syntax depends on {late}, which is only known when the program runs")
        return None
    if hole.optional is not None:
        return model.Slot(expr, "optional", text=hole.optional)
    if isinstance(expr, model.OperandRead):
        if hole.format is not None:
            diagnostics.error(
                hole.format_pos, f"operand '{expr.operand}' has a syntax of its own", help="leave out the format"
            )
            return None
        return model.Slot(expr, "operand", operand=expr.operand)
    match hole.format:
        case None:
            found = default_format(expr, fields)
        case "x":
            found = Format("hex")
        case "d":
            found = Format("number", signed=_is_signed(expr, fields))
        case "+":
            found = Format("plus", signed=True)
        case "s":
            found = Format("either", signed=True)
        case _:
            if hole.format not in formats:
                diagnostics.error(
                    hole.format_pos,
                    f"'{hole.format}' is no format",
                    help="a format is the name of a register file, of a field with names or of a sysregs "
                    "table, or one of x, d, s and +",
                )
                return None
            found = formats[hole.format]
    if found.kind == "set" and expr.width > len(found.table[0]):
        diagnostics.error(hole.pos, f"{len(found.table[0])} names for {expr.width} bits")
        return None
    if found.kind == "enum" and 1 << expr.width > len(found.table[0]):
        diagnostics.error(hole.pos, f"{len(found.table[0])} names for a value of {expr.width} bits")
        return None
    return model.Slot(expr, found.kind, found.signed, found.table, sysregs=found.sysregs, registers=found.registers)


def _run_time_part(expr: model.Expr) -> str | None:
    """Names something in the expression that is not known at translation time."""
    for node in nodes(expr):
        match node:
            case model.RegRead():
                return f"register '{node.register}'"
            case model.RegFileRead():
                return f"register file '{node.file}'"
            case model.MemRead():
                return f"memory '{node.memory}'"
            case model.InputRead():
                return f"input '{node.input}'"
            case model.OperandRead():
                return f"the value of operand '{node.operand}'"
    return None


def _split(text: Text, diagnostics: Diagnostics) -> Iterator[str | _Hole | None]:
    """Literal texts and holes in order; None for each part that is malformed, which is reported."""
    value, at = text.value, 0
    while at < len(value):
        if value[at] in "{}" and value[at : at + 2] in ("{{", "}}"):
            yield value[at]
            at += 2
        elif value[at] == "{":
            end = value.find("}", at)
            if end < 0:
                diagnostics.error(_span(text, at, len(value)), "this hole is not closed", help="write {{ for a brace")
                yield None
                return
            yield _hole(text, at, end, diagnostics)
            at = end + 1
        elif value[at] == "}":
            diagnostics.error(_span(text, at, at + 1), "'}' without '{'", help="write }} for a brace")
            yield None
            at += 1
        else:
            end = min((found for found in (value.find("{", at), value.find("}", at)) if found >= 0), default=len(value))
            yield value[at:end]
            at = end


def _span(text: Text, start: int, end: int) -> Pos:
    pos = text.pos
    return Pos(pos.file, pos.line, pos.column + 1 + start, pos.line, pos.column + 1 + end)


def _hole(text: Text, start: int, end: int, diagnostics: Diagnostics) -> _Hole | None:
    """The hole whose braces stand at `start` and `end`: splits it at a `?` or at the last `:` outside brackets."""
    value = text.value
    depth, split = 0, end
    for at in range(start + 1, end):
        if value[at] in "([":
            depth += 1
        elif value[at] in ")]":
            depth -= 1
        elif depth == 0 and value[at] in ":?":
            split = at
            if value[at] == "?":
                break
    pos = _span(text, start, end + 1)
    if not value[start + 1 : split].strip():
        diagnostics.error(pos, "an empty hole", help="write {{ and }} for braces")
        return None
    # As if the expression were quoted: its text begins one column after the position.
    inner = Text(
        value[start + 1 : split],
        Pos(text.pos.file, text.pos.line, text.pos.column + 1 + start, text.pos.line, text.pos.column + 2 + split),
    )
    if split == end:
        return _Hole(inner, None, pos, None, pos)
    rest = value[split + 1 : end]
    where = _span(text, split + 1, end)
    if value[split] == "?":
        if not rest:
            diagnostics.error(pos, "no text after '?'")
            return None
        return _Hole(inner, None, where, rest, pos)
    word = rest.strip()
    if not (word in ("+", ".") or _IDENTIFIER.fullmatch(word)):
        diagnostics.error(where, f"'{word}' is no format" if word else "no format after ':'")
        return None
    return _Hole(inner, word, where, None, pos)
