"""Mistakes that can be seen in the text alone: code nobody reaches, names nobody reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass

from gen import model, tree
from gen.scope import Program
from gen.sysregs import names_in
from gen.tree import Pos
from gen.walk import nodes

_HOLE = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_]\w*")


def check_body(program: Program, statements: Sequence[tree.Stmt]) -> None:
    """Unreachable statements, `let` and `var` that are never read."""
    _unreachable(program, statements)
    _unused(program, statements)


def _blocks(statement: tree.Stmt) -> list[tuple[tree.Stmt, ...]]:
    match statement:
        case tree.If():
            return [*(body for _, body in statement.arms), statement.otherwise]
        case tree.For() | tree.While() | tree.Atomic():
            return [statement.body]
        case tree.Match():
            return [case.body for case in statement.cases]
    return []


def _stops(statement: tree.Stmt) -> bool:
    """Nothing after the statement can run."""
    match statement:
        case tree.Return() | tree.Raise() | tree.Break():
            return True
        case tree.If():
            return bool(statement.otherwise) and all(block and _stops(block[-1]) for block in _blocks(statement))
        case tree.Match():
            return any(not case.values for case in statement.cases) and all(
                case.body and _stops(case.body[-1]) for case in statement.cases
            )
    return False


_WHAT = {tree.Return: "`return`", tree.Raise: "`raise`", tree.Break: "`break`"}


def _unreachable(program: Program, statements: Sequence[tree.Stmt]) -> None:
    for index, statement in enumerate(statements):
        for block in _blocks(statement):
            _unreachable(program, block)
        if _stops(statement) and index + 1 < len(statements):
            what = _WHAT.get(type(statement), "this `if`" if isinstance(statement, tree.If) else "this `match`")
            program.error(
                statements[index + 1].pos,
                f"this never runs: it stands after {what}",
                ((statement.pos, "the block ends here"),),
            )
            return


def _unused(program: Program, statements: Sequence[tree.Stmt]) -> None:
    for index, statement in enumerate(statements):
        for block in _blocks(statement):
            _unused(program, block if not isinstance(statement, tree.Atomic) else (*block, *statements[index + 1 :]))
        names: tuple[tree.Name, ...] = ()
        if isinstance(statement, tree.Let):
            names = statement.names
        elif isinstance(statement, tree.Var):
            names = (statement.name,)
        if not names:
            continue
        read = set(names_in(tuple(statements[index + 1 :])))
        for name in names:
            if name.name not in read and name.name != "_":
                kind = "let" if isinstance(statement, tree.Let) else "var"
                hint = "write `_` for a value that is not needed" if len(names) > 1 else None
                program.error(name.pos, f"'{name.name}' is never used: this `{kind}` does nothing", help=hint)


def check_columns(program: Program, decl: tree.Insns) -> None:
    """Every column of a table is for something."""
    texts = [text.value for text in (decl.pattern, decl.syntax) if text is not None]
    texts += [text.value for enc in decl.encodings for text in (enc.pattern, enc.syntax)]
    used = set(_NAME.findall(" ".join(_HOLE.findall("".join(texts)))))
    used |= set(names_in((decl.body, decl.options.where, decl.options.when)))
    used |= {name for enc in decl.encodings for name in names_in((enc.where, enc.bindings))}
    used |= {name for binding in decl.options.bindings for name in names_in(binding.value)}
    for column in decl.columns:
        if column.name not in used:
            program.error(column.pos, f"column '{column.name}' is never used")


def double_reads(instructions: Iterable[model.Instruction]) -> Iterator[tuple[str, str, Pos]]:
    """(instruction, operand, where) for operands that may be memory and that one path reads twice: devices notice."""
    seen: set[tuple[Pos, str, str]] = set()
    for instruction in instructions:
        for operand in instruction.operands:
            if (instruction.pos, instruction.mnemonic, operand.name) in seen or not any(
                isinstance(node, model.MemRead) for row in operand.alternatives for node in nodes(row.value)
            ):
                continue
            if _reads(instruction.body, operand.name) > 1:
                seen.add((instruction.pos, instruction.mnemonic, operand.name))
                yield instruction.mnemonic, operand.name, instruction.pos


def _reads(node: object, operand: str) -> int:
    """The most times one path through statements or an expression reads an operand."""
    match node:
        case tuple():
            return sum(_reads(item, operand) for item in node)
        case model.OperandRead():
            return int(node.operand == operand)
        case model.If() | model.Select():
            return _reads(node.condition, operand) + max(_reads(node.then, operand), _reads(node.otherwise, operand))
    if is_dataclass(node):
        return sum(_reads(getattr(node, part.name), operand) for part in fields(node) if part.name != "pos")
    return 0


def check_rule(program: Program, group: tree.LazyDecl, rule: tree.LazyRule, body: Sequence[model.Stmt]) -> None:
    """A rule sets every register of its group but those it keeps."""
    members = {name.name for name in group.registers}
    kept = {name.name for name in rule.keeps}
    for name in rule.keeps:
        if name.name not in members:
            program.error(
                name.pos, f"'{name.name}' is not in '{group.name.name}'", help=program.suggest(name.name, members)
            )
    written = {node.register for node in nodes(tuple(body)) if isinstance(node, model.ToReg)}
    for name in group.registers:
        if name.name in kept and name.name in written:
            program.error(rule.name.pos, f"rule '{rule.name.name}' keeps '{name.name}' and also sets it")
        if name.name not in kept and name.name not in written:
            program.error(
                rule.name.pos,
                f"rule '{rule.name.name}' does not set '{name.name}'",
                help=f"write `keeps {name.name}` if it keeps its value",
            )
