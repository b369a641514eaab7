"""Operand tables in translate.py: for each row the function that binds it, and the tables the decoders go through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gen import model
from gen.bodies import BodyPrinter, Context, not_generated
from gen.source import Doc, Keyword, call, hexadecimal, identifier, quoted, statement, tuple_of
from gen.tree import Pos
from gen.walk import nodes

#: fields of a class: (those known at first, operands, those behind operands)
Kind = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
#: values that fit a runtime field of env can be worked out by a record of their own
WIDEST_COMPUTED = 64


def is_computed(operand: model.BoundOperand, owner: object, context: Context) -> bool:
    """Whether each row is a plain value, of registers and fields, that `owner`, whose operand it is, never writes: then
    a record of its own can work it out before the instruction's record, and there is one handler for all rows."""
    return (
        operand.width <= WIDEST_COMPUTED
        and len(operand.alternatives) > 1
        and not any(isinstance(node, model.ToOperand) and node.operand == operand.name for node in nodes(owner))
        and all(
            not row.operands
            and all(isinstance(statement, model.Let) for statement in row.before)
            and context.effects.pure((row.before, row.value))
            for row in operand.alternatives
        )
    )


def parts(pattern: model.Pattern) -> Doc:
    """`(Part(…), …)` of a pattern's fields."""
    return tuple_of(
        call(
            "Part",
            quoted(identifier(layout.name)),
            str(layout.width),
            repr(tuple((piece.field_low, piece.low, piece.width) for piece in layout.slices)),
        )
        for layout in pattern.fields
    )


def bits(pattern: model.Pattern) -> Doc:
    """`Bits(…)` of a pattern."""
    arguments: list[Doc] = [str(pattern.length), hexadecimal(pattern.mask), hexadecimal(pattern.value)]
    if pattern.fields:
        arguments.append(parts(pattern))
    return call("Bits", *arguments)


@dataclass(slots=True)
class OperandPrinter:
    """Prints the tables that instructions use, each different one once."""

    context: Context
    fields_class: Callable[[Kind], str]
    guard: Callable[[model.Expr, str, str, Pos], str]  # condition, fields class, wanted name
    source_line: Callable[[Pos], str]
    functions: list[list[str]] = field(default_factory=list)
    tables: list[list[str]] = field(default_factory=list)
    _known: dict[object, str] = field(default_factory=dict)
    _heads: dict[object, str] = field(default_factory=dict)

    def use(self, operand: model.BoundOperand, kind: str, owner: object, pos: Pos) -> Doc:
        """`Use("e", OPERAND_E, head_1)` for an operand of what has fields of class `kind`; `owner` is its code."""
        if operand.before:
            raise not_generated(f"an argument of operand '{operand.name}' that is known at run time only", pos)
        if any(row.write and row.place is None and _reads_memory(row.value) for row in operand.alternatives):
            raise not_generated(f"operand '{operand.name}' has a row that is part of a place in memory", pos)
        return call(
            "Use", quoted(identifier(operand.name)), self._table(operand, owner), self._head(operand, kind, pos)
        )

    def imports(self) -> list[str]:
        """Names translate.py needs of runtime.tcg.operands, in order."""
        if not self.tables:
            return []
        text = "\n".join(line for lines in (*self.functions, *self.tables) for line in lines)
        places = [name for name in ("Computed", "InMemory", "Part", "Storage") if f"{name}(" in text]
        always = ["UNBOUND", "Bits", "Operand", "Reference", "Row", "Table", "Use", "Variable"]
        return sorted([*always, *places], key=lambda name: (not name.isupper(), name))

    def _head(self, operand: model.BoundOperand, kind: str, pos: Pos) -> str:
        key = (kind, operand.args)
        if key not in self._heads:
            name = self._heads[key] = f"head_{len(self._heads) + 1}"
            value = (
                model.Cat(sum(arg.width for arg in operand.args), operand.args) if operand.args else model.Const(1, 0)
            )
            printer = BodyPrinter(self.context, pos)
            printer.function([model.Return((value,), pos)], (value.width,))
            self.functions.append(
                [
                    f"def {name}(b: Builder, f: {kind}) -> Value:",
                    f'    """What the rows of {operand.name} are matched against."""',
                    *printer.lines,
                ]
            )
        return self._heads[key]

    def _table(self, operand: model.BoundOperand, owner: object) -> str:
        computed = is_computed(operand, owner, self.context)
        key = (operand.name, operand.width, operand.alternatives, sum(arg.width for arg in operand.args), computed)
        if key in self._known:
            return self._known[key]
        stem, number = identifier(operand.name.upper()), 1
        name = f"OPERAND_{stem}"
        while name in self._known.values():
            number += 1
            name = f"OPERAND_{stem}_{number}"
        self._known[key] = name
        rows = tuple_of(
            self._row(row, f"{name.removeprefix('OPERAND_').lower()}_{index}", computed)
            for index, row in enumerate(operand.alternatives)
        )
        head = sum(arg.width for arg in operand.args)
        table = call(
            "Table",
            quoted(name.removeprefix("OPERAND_").lower()),
            str(operand.width),
            str(head),
            str(computed),
            rows,
        )
        self.tables.append(statement(f"{name} = ", table))
        return name

    def _row(self, row: model.OperandAlt, name: str, computed: bool) -> Doc:
        layouts = (*row.head.fields, *row.pattern.fields)
        kind = self.fields_class(
            (
                tuple(identifier(layout.name) for layout in layouts),
                tuple(identifier(inner.name) for inner in row.operands),
                (),
            )
        )
        owner = (row.before, row.write)
        uses = [self.use(inner, kind, owner, row.pos) for inner in row.operands]
        self.functions.append(self._bind(row, name, kind, computed))
        arguments: list[Doc] = [quoted(name), bits(row.head), bits(row.pattern), kind, f"bind_{name}"]
        if row.where is not None:
            arguments.append(Keyword("guard=", self.guard(row.where, kind, f"guard_{name}", row.pos)))
        if uses:
            arguments.append(Keyword("uses=", tuple_of(uses)))
        return call("Row", *arguments)

    def _bind(self, row: model.OperandAlt, name: str, kind: str, computed: bool) -> list[str]:
        printer = BodyPrinter(self.context, row.pos)
        printer.bind_operands(row.operands)
        printer.body(row.before)
        if isinstance(row.place, model.ToMem):
            printer.return_memory(row.place)
        elif row.write and not computed:
            printer.return_storage(row.value, row.write)
        else:
            printer.return_value(row.value)
        return [
            f"def bind_{name}(b: Builder, f: {kind}) -> Reference:",
            f'    """{self.source_line(row.pos)}"""',
            *printer.lines,
        ]


def variable(uses: Sequence[Doc], tails: Sequence[model.Pattern]) -> Doc:
    """`Variable(…)` of an instruction with operands."""
    arguments: list[Doc] = [tuple_of(uses)]
    if any(tail.length for tail in tails):
        arguments.append(tuple_of(bits(tail) for tail in tails))
    return call("Variable", *arguments)


def _reads_memory(value: model.Expr) -> bool:
    return any(isinstance(node, model.MemRead) for node in nodes(value))
