"""What a reference page says about one instruction, gathered from the checked spec and its source."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gen import model, tree
from gen.pages.diagram import FIELD_KINDS, Cell, cells, slices_text, svg
from gen.pages.excerpts import Excerpt, Line, Sources
from gen.pages.highlight import Token
from gen.pages.roles import Roles, Touched
from gen.walk import nodes

__all__ = ["AliasLine", "Entry", "FieldRow", "Head", "alias_lines", "alias_text", "entries", "format_tokens"]


#: a pseudo-instruction of more is no other name for any of them
_MOST_STEPS = 2


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field of an encoding as a page tells of it."""

    name: str
    kind: str
    bits: str  # where
    width: int
    meaning: str


@dataclass(frozen=True, slots=True)
class AliasLine:
    """A pseudo-instruction."""

    syntax: str
    expansion: str
    line: Line
    place: str
    targets: tuple[str, ...]  # names of the instructions it stands for


@dataclass(slots=True)
class Head:
    """What lines of assembly text are told by: which encoding they are for."""

    name: str
    title: str  # as it is printed
    instruction: model.Instruction


@dataclass(slots=True)
class Entry(Head):
    """One encoding of one instruction; clones by `split` are together."""

    ident: str
    declared: tree.Insn | tree.Insns | None
    section: str
    syntax: tuple[Token, ...]
    rows: list[list[Cell]]
    kinds: dict[str, str]
    fields: tuple[FieldRow, ...]
    source: Excerpt
    touched: Touched
    conditions: tuple[str, ...]
    clones: int = 1
    aliases: list[AliasLine] = field(default_factory=list)
    tests: list[Line] = field(default_factory=list)

    @property
    def picture(self) -> str:
        """The encoding as inline SVG."""
        return svg(self.rows, f"Encoding of {self.title}", self.ident)

    @property
    def length(self) -> int:
        return self.instruction.pattern.length

    @property
    def legend(self) -> dict[str, str]:
        """The kinds of fields it has."""
        used = {row.kind for row in self.fields}
        return {kind: text for kind, text in FIELD_KINDS.items() if kind in used}


def entries(spec: model.Spec, sources: Sources, only: Container[str] | None = None) -> list[Entry]:
    """All instructions, those of a base before those built on it; or those with these mnemonics only."""
    roles = Roles(spec)
    spaces = {space.name: space for space in spec.spaces}
    found: dict[tuple[str, str, int, int, int], Head] = {}
    for insn in spec.instructions:
        pattern = insn.pattern
        key = insn.mnemonic, insn.space, pattern.length, pattern.mask, pattern.value
        head = found.get(key)
        if isinstance(head, Entry):
            head.clones += 1
            head.touched.add(roles.touched(insn))
        elif only is None or insn.mnemonic in only:
            found[key] = _entry(insn, spaces[insn.space], sources, roles)
        elif head is None:  # what its text is keeps lines that are about it from the others
            found[key] = Head(_family(insn), _title(insn, format_tokens(insn.syntax, {})), insn)
    heads = list(found.values())
    _give_tests(spec, sources, heads)
    made = [head for head in heads if isinstance(head, Entry)]
    for line in alias_lines(spec, sources, heads):
        for entry in made:
            if entry.name in line.targets and len(line.targets) <= _MOST_STEPS:
                entry.aliases.append(line)
    return made


def _title(insn: model.Instruction, syntax: Iterable[Token]) -> str:
    return next((token.text for token in syntax if token.kind == "mnemonic"), insn.mnemonic)


def _entry(insn: model.Instruction, space: model.Space, sources: Sources, roles: Roles) -> Entry:
    declared = sources.declaration(insn.pos)
    kinds = roles.kinds(insn)
    rows = cells(insn.pattern, space, kinds, declared is not None and declared.msb0)
    syntax = format_tokens(insn.syntax, kinds)
    return Entry(
        name=_family(insn),
        ident=f"insn-{_family(insn)}",
        title=_title(insn, syntax),
        instruction=insn,
        declared=None if declared is None else declared.decl,
        section=sources.section(declared.decl.pos if declared else insn.pos),
        syntax=syntax,
        rows=rows,
        kinds=kinds,
        fields=tuple(_fields(insn, rows, kinds, roles)),
        source=sources.instruction(insn, kinds),
        touched=roles.touched(insn),
        conditions=tuple(_conditions(insn, None if declared is None else declared.decl, sources)),
    )


def _family(insn: model.Instruction) -> str:
    """The name of an encoding without what tells clones apart."""
    rest = insn.name.removeprefix(insn.mnemonic)
    parts = [part for part in rest.split("__") if part and "_" not in part]
    return "__".join([insn.mnemonic, *parts])


def _conditions(insn: model.Instruction, decl: tree.Insn | tree.Insns | None, sources: Sources) -> Iterable[str]:
    if decl is None:
        return
    wheres = [decl.options.where]
    if isinstance(decl, tree.Insn):
        wheres += [enc.where for enc in decl.encodings if enc.pos.line <= insn.pos.line <= enc.pos.end_line]
    if insn.where is not None:
        yield from (sources.text(where.pos) for where in wheres if where is not None)
    if insn.when is not None and decl.options.when is not None:
        yield sources.text(decl.options.when.pos)


# ---------------------------------------------------------------- fields


def _fields(
    insn: model.Instruction, rows: Sequence[Sequence[Cell]], kinds: Mapping[str, str], roles: Roles
) -> Iterable[FieldRow]:
    uses = roles.uses(insn)
    order = {cell.name: index for index, cell in enumerate(cell for row in rows for cell in row)}
    for layout in sorted(insn.pattern.fields, key=lambda item: order[item.name]):
        meaning = _meaning(layout, insn, {(file, way) for name, file, way in uses if name == layout.name})
        yield FieldRow(layout.name, kinds[layout.name], slices_text(layout, rows), layout.width, meaning)


def _meaning(layout: model.FieldLayout, insn: model.Instruction, uses: set[tuple[str, str]]) -> str:
    slots = [slot for slot in insn.syntax if isinstance(slot, model.Slot) and any(_reads(slot.expr, layout.name))]
    slot = next(iter(slots), None)
    zeros = min((part.field_low for part in layout.slices), default=0)
    multiple = f", a multiple of {1 << zeros}" if zeros else ""
    files = sorted({file for file, _ in uses})
    if files and (slot is None or slot.kind == "file"):
        ways = " and ".join(way for way in ("read", "written") if any(way == other for _, other in uses))
        return f"{' or '.join(files)} register, {ways}"
    if slot is None:
        operands = [o.name for o in insn.operands if any(_reads(a, layout.name) for a in o.args)]
        return f"selects operand {', '.join(operands)}" if operands else "any value; the text shows it not"
    match slot.kind:
        case "file":
            return "register"
        case "enum":
            names = [name for name in slot.table[0] if name not in ("", "_", "-")]
            return "one of " + " ".join(name.lstrip(",") for name in names) if names else "option"
        case "set":
            return "a set of registers, a bit each"
        case "optional":
            return f"written `{slot.text}` if not 0"
        case "sysreg":
            return "system register"
        case "address":
            around = list(nodes(slot.expr))
            if any(isinstance(node, (model.PcRead, model.NextPc)) for node in around):
                signed = any(isinstance(node, model.Extend) and node.op == "sext" for node in around)
                return f"{'signed ' if signed else ''}distance from the pc{multiple}"
            return f"part of an address{multiple}"
        case _:
            return f"{'signed' if slot.signed else 'unsigned'} number{multiple}"


def _reads(expr: model.Expr, name: str) -> Iterable[bool]:
    return [True for node in nodes(expr) if isinstance(node, model.FieldRef) and node.name == name]


# ---------------------------------------------------------------- syntax


def format_tokens(template: model.Template, kinds: Mapping[str, str]) -> tuple[Token, ...]:
    """An instruction's syntax for people: `addi rd,rs1,imm`, each field in the colour of its kind."""
    out: list[Token] = []
    first = True
    for part in template:
        if isinstance(part, model.Literal):
            if first and part.text.strip():
                name, blank, rest = part.text.partition(" ")
                out += [Token("mnemonic", name), Token("", blank + rest)]
                first = not blank
            else:
                out.append(Token("", part.text))
            continue
        out += _slot(part, kinds)
    return tuple(token for token in out if token.text)


def _slot(slot: model.Slot, kinds: Mapping[str, str]) -> list[Token]:
    if slot.kind == "operand":
        return [Token("field-sub", slot.operand)]
    if slot.kind == "optional":
        return [Token("field-opt", f"[{slot.text}]")]
    text = _shown(slot.expr)
    names = dict.fromkeys(node.name for node in nodes(slot.expr) if isinstance(node, model.FieldRef))
    kind = kinds.get(next(iter(names), ""), "")
    if slot.kind == "enum" and slot.table:
        starts = {name[:1] for name in slot.table[0] if name not in ("_", "-", "")}
        if len(starts) == 1 and not (start := starts.pop()).isalnum():
            text = f"[{start}{text}]"  # the sign belongs to the names: an operand that may be left out
    return [Token(kind, text)]


def _shown(expr: model.Expr) -> str:
    """What a hole shows, in few words."""
    match expr:
        case model.FieldRef():
            return expr.name
        case model.PcRead():
            return "pc"
        case model.NextPc():
            return "next"
        case model.Const():
            return str(expr.value)
        case model.Extend():
            return _shown(expr.operand)
        case model.Slice():
            inner = _shown(expr.operand)
            return f"{inner}[{expr.low + expr.width - 1}:{expr.low}]" if inner.isidentifier() else inner
        case model.Cat():
            parts = [_shown(part) for part in expr.parts if not isinstance(part, model.Const)]
            return "".join(parts)
        case model.Binary(op="add"):
            return f"{_shown(expr.left)}+{_shown(expr.right)}"
        case _:
            names = dict.fromkeys(node.name for node in nodes(expr) if isinstance(node, model.FieldRef))
            return ",".join(names) or "…"


# ---------------------------------------------------------------- pseudo-instructions and tests


def alias_text(text: str) -> str:
    """`li {rd},{imm:s12}` without the marks of its holes."""
    return re.sub(r"\{([A-Za-z_]\w*)(?::\w+)?\}", r"\1", text).replace("{", "").replace("}", "")


def alias_lines(spec: model.Spec, sources: Sources, made: Sequence[Head]) -> list[AliasLine]:
    """The pseudo-instructions, each with the instructions it stands for."""
    finder = _Finder(made)
    found = []
    for alias in spec.asm_aliases:
        steps = [part.strip() for part in re.split(r";(?![^{]*\})", alias.expansion)]
        targets = tuple(dict.fromkeys(entry.name for step in steps for entry in finder.find(step)[:1]))
        excerpt = sources.excerpt(alias.pos)
        found.append(
            AliasLine(alias_text(alias.syntax), alias_text(alias.expansion), excerpt.lines[0], excerpt.place, targets)
        )
    return found


def _give_tests(spec: model.Spec, sources: Sources, made: Sequence[Head]) -> None:
    """Each `test` line to the instruction it tests; those of a pseudo-instruction to what it stands for."""
    finder = _Finder(made)
    aliases = [
        (_shape_of_text(alias.syntax), [part.strip() for part in re.split(r";(?![^{]*\})", alias.expansion)])
        for alias in spec.asm_aliases
    ]
    for test in spec.tests:
        chosen = finder.find(test.asm, test.word)
        if not chosen:
            steps = [steps for shape, steps in aliases if shape.fullmatch(_squeezed(test.asm))]
            chosen = [entry for step in steps[:1] for part in step for entry in finder.find(part, test.word)[:1]]
        for entry in (head for head in chosen[:1] if isinstance(head, Entry)):
            entry.tests += sources.excerpt(test.pos).lines


class _Finder:
    """Finds the instruction that a line of assembly text is, by the shapes of their syntax."""

    def __init__(self, made: Sequence[Head]) -> None:
        self._shapes: dict[str, list[tuple[re.Pattern[str], int, Head]]] = {}
        for entry in made:
            literals = [part.text for part in entry.instruction.syntax if isinstance(part, model.Literal)]
            self._shapes.setdefault(entry.title, []).append(
                (_shape(entry.instruction.syntax), sum(map(len, literals)), entry)
            )
        self._all = [shape for shapes in self._shapes.values() for shape in shapes]

    def find(self, text: str, word: int | None = None) -> list[Head]:
        """Candidates, the most special first; with the word it assembles to, only those it can be."""
        text = _squeezed(text)
        fitting: list[tuple[int, Head]] = []
        for shapes in (self._shapes.get(text.split(" ")[0], ()), self._all):  # options may be glued to the mnemonic
            fitting = fitting or [(weight, entry) for shape, weight, entry in shapes if shape.fullmatch(text)]
        if word is not None:
            exact = [(weight, entry) for weight, entry in fitting if _may_be(entry, word)]
            fitting = exact or fitting
        return [entry for _, entry in sorted(fitting, key=lambda item: -item[0])]


def _may_be(entry: Head, word: int) -> bool:
    pattern = entry.instruction.pattern
    return word & pattern.mask == pattern.value


def _squeezed(text: str) -> str:
    """Blanks that mean nothing taken out."""
    name, blank, rest = text.strip().partition(" ")
    return name + blank + re.sub(r"\s*([,()])\s*", r"\1", rest.strip())


def _shape(template: model.Template) -> re.Pattern[str]:
    text = "".join(part.text if isinstance(part, model.Literal) else "\0" for part in template)
    return re.compile(".*?".join(re.escape(part) for part in _squeezed(text).split("\0")))


def _shape_of_text(text: str) -> re.Pattern[str]:
    return re.compile(".+?".join(re.escape(part) for part in re.split(r"\{[^}]*\}", _squeezed(text))))
