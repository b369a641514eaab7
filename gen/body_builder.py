"""Builds the tree of statements, types and expressions; gen/tree_builder.py adds the declarations."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from lark import Token, Transformer

from gen import tree
from gen.errors import Diagnostics
from gen.tree import Pos

# The parser keeps all tokens and gives None for what an optional part leaves out, so a rule's children stand at fixed
# places.  They are of many types that the grammar, not the type checker, tells apart.
Children = list[Any]

# A literal wider than the widest value is a mistake, and huge ones would cost quadratic time.
_LONGEST_LITERAL = 1400
# How tightly operators bind; those of one level group from the left.
_LEVELS = {
    op: level
    for level, ops in enumerate(
        (
            "or",
            "and",
            "not",
            "== != <s <u <=s <=u >s >u >=s >=u",
            "|",
            "^",
            "&",
            "++",
            "<< >>s >>u rotl rotr",
            "+ -",
            "* / /s /u % %s %u",
        )
    )
    for op in ops.split()
}
_NOT = _LEVELS["not"] + 1
_COMPARE = _LEVELS["=="]
_LAYOUT = frozenset({"_NL", "_INDENT", "_DEDENT"})


class BodyBuilder(Transformer[Token, Any]):
    """The rules' callbacks.  `start` says which file and line the text handed to the parser comes from."""

    def __init__(self) -> None:
        super().__init__()
        self.file = ""
        self.lines_before = 0
        self.diagnostics = Diagnostics()

    def start(self, file: str, lines_before: int, diagnostics: Diagnostics) -> None:
        self.file = file
        self.lines_before = lines_before
        self.diagnostics = diagnostics

    # ------------------------------------------------------------ positions

    def token_pos(self, token: Token) -> Pos:
        before = self.lines_before
        line, end_line = token.line or 1, token.end_line or 1
        return Pos(self.file, before + line, token.column or 1, before + end_line, token.end_column or 1)

    def _pos(self, first: Any, last: Any) -> Pos:
        """From the start of one token or node to the end of another."""
        before = self.lines_before
        if isinstance(first, Token):
            line, column = before + (first.line or 1), first.column or 1
        else:
            line, column = first.pos.line, first.pos.column
        if isinstance(last, Token):
            return Pos(self.file, line, column, before + (last.end_line or 1), last.end_column or 1)
        return Pos(self.file, line, column, last.pos.end_line, last.pos.end_column)

    def _whole(self, children: Sequence[Any]) -> Pos:
        """From the first token to the last that is neither layout nor inside a block."""
        first = children[0]
        return self._pos(first, last_of(children) or first)

    def _name(self, token: Token) -> tree.Name:
        return tree.Name(str(token), self.token_pos(token))

    def _text(self, token: Token) -> tree.Text:
        return tree.Text(str(token)[1:-1], self.token_pos(token))

    # ------------------------------------------------------------ statements

    def body(self, c: Children) -> tuple[tree.Stmt, ...]:
        return statements(c)

    block = body
    suite = body
    line = body

    def simples(self, c: Children) -> tuple[tree.Stmt, ...]:
        return tuple(c[::2])

    # An open `if` is [first token, arms so far, condition that waits for its body].

    def if_open(self, c: Children) -> Children:
        return [c[0], [], c[1]]

    def if_more(self, c: Children) -> Children:
        first, arms, condition = c[0]
        return [first, [*arms, (condition, c[1])], c[3]]

    def if_stmt(self, c: Children) -> tree.If:
        first, arms, condition = c[0]
        end = arms[0][0] if arms else condition
        return tree.If((*arms, (condition, c[1])), (), self._pos(first, end))

    def if_else(self, c: Children) -> tree.If:
        first, arms, condition = c[0]
        end = arms[0][0] if arms else condition
        return tree.If((*arms, (condition, c[1])), c[4], self._pos(first, end))

    def for_stmt(self, c: Children) -> tree.For:
        return tree.For(self._name(c[1]), c[3], c[5], c[4] == "..", c[7], self._pos(c[0], c[5]))

    def while_stmt(self, c: Children) -> tree.While:
        return tree.While(c[1], c[3], self._pos(c[0], c[1]))

    def match_stmt(self, c: Children) -> tree.Match:
        cases = tuple(case for case in c if isinstance(case, tree.Case))
        for case in cases[:-1]:
            if not case.values:
                self.diagnostics.error(case.pos, "'else' is the last case of a match")
        return tree.Match(c[1], cases, self._pos(c[0], c[1]))

    def case(self, c: Children) -> tree.Case:
        return tree.Case(alternatives(c[0]), c[2], c[0].pos)

    def case_else(self, c: Children) -> tree.Case:
        return tree.Case((), c[2], self.token_pos(c[0]))

    def atomic_stmt(self, c: Children) -> tree.Atomic:
        return tree.Atomic(c[2], c[4], self.token_pos(c[0]))

    def let(self, c: Children) -> tree.Let:
        return tree.Let((self._name(c[1]),), c[3], c[5], self._pos(c[0], c[5]))

    def let_tuple(self, c: Children) -> tree.Let:
        return tree.Let(tuple(self._name(t) for t in c[2:-3:2]), None, c[-1], self._pos(c[0], c[-1]))

    def var(self, c: Children) -> tree.Var:
        return tree.Var(self._name(c[1]), c[3], c[5], self._pos(c[0], c[5]))

    def assign(self, c: Children) -> tree.Assign:
        return tree.Assign(c[0], c[2], self._pos(c[0], c[2]))

    def augment(self, c: Children) -> tree.AugAssign:
        return tree.AugAssign(str(c[1])[0], c[0], c[2], self._pos(c[0], c[2]))

    def goto(self, c: Children) -> tree.Goto:
        return tree.Goto(c[1], self._pos(c[0], c[1]))

    def raise_(self, c: Children) -> tree.Raise:
        arguments, end = c[2] or ((), c[1])
        return tree.Raise(self._name(c[1]), arguments, self._pos(c[0], end))

    def annul(self, c: Children) -> tree.Annul:
        return tree.Annul(self.token_pos(c[0]))

    def return_(self, c: Children) -> tree.Return:
        return tree.Return(c[1], self._pos(c[0], c[1] or c[0]))

    def pass_(self, c: Children) -> tree.Pass:
        return tree.Pass(self.token_pos(c[0]))

    def break_(self, c: Children) -> tree.Break:
        return tree.Break(self.token_pos(c[0]))

    def expression(self, c: Children) -> tree.ExprStmt:
        return tree.ExprStmt(c[0], c[0].pos)

    # ------------------------------------------------------------ types

    def bits(self, c: Children) -> tree.TypeBits:
        return tree.TypeBits(c[2], self._pos(c[0], c[3]))

    def bit(self, c: Children) -> tree.TypeBits:
        pos = self.token_pos(c[0])
        return tree.TypeBits(tree.Num(1, "1", pos), pos)

    def typename(self, c: Children) -> tree.TypeName:
        return tree.TypeName(str(c[0]), self.token_pos(c[0]))

    def typetuple(self, c: Children) -> tree.TypeTuple:
        return tree.TypeTuple(tuple(c[1::2]), self._pos(c[0], c[-1]))

    # ------------------------------------------------------------ expressions

    def if_e(self, c: Children) -> tree.IfExpr:
        arms = tuple((c[i], c[i + 2]) for i in range(1, len(c) - 2, 4))
        return tree.IfExpr(arms, c[-1], self._pos(c[0], c[-1]))

    def joined(self, c: Children) -> tree.Joined:
        return tree.Joined(self._name(c[1]), c[3], c[5], c[4] == "..", c[7], self._pos(c[0], c[7]))

    def negation(self, c: Children) -> Children:
        """The operand, then its `not`s from the inside out: appending keeps long rows of them cheap."""
        if isinstance(c[1], list):
            c[1].append(c[0])
            return c[1]
        return [c[1], c[0]]

    def unary(self, c: Children) -> tree.Unary:
        return tree.Unary(str(c[0]), c[1], self._pos(c[0], c[1]))

    def chain(self, c: Children) -> Any:
        if len(c) == 1 and not isinstance(c[0], list):
            return c[0]
        flat: Children = []
        for part in c:
            if isinstance(part, list):
                flat.extend(reversed(part))
            else:
                flat.append(part)
        flat.reverse()
        return self._climb(flat, 0)

    def _climb(self, rest: Children, least: int) -> Any:
        """Takes from the reversed chain what binds at least as tightly as `least`."""
        if isinstance(rest[-1], Token):  # `not`s: they bind looser than comparisons, tighter than `and`
            nots = [rest.pop()]
            while isinstance(rest[-1], Token):
                nots.append(rest.pop())
            left = self._climb(rest, _NOT)
            while nots:
                token = nots.pop()
                left = tree.Not(left, self._pos(token, left))
        else:
            left = rest.pop()
        while rest:
            op = rest[-1]
            level = _LEVELS[op]
            if level < least:
                break
            rest.pop()
            right = self._climb(rest, level + 1)
            if level == _COMPARE and rest and _LEVELS[rest[-1]] == _COMPARE:
                self.diagnostics.error(
                    self.token_pos(rest[-1]), "comparisons do not chain", help="join two of them with `and`"
                )
            if op == "++":
                parts = [left, right]
                while rest and rest[-1] == "++":
                    rest.pop()
                    parts.append(self._climb(rest, level + 1))
                left = tree.Cat(tuple(parts), self._pos(left, parts[-1]))
            else:
                left = tree.Binary(str(op), left, right, self._pos(left, right), self.token_pos(op))
        return left

    def call(self, c: Children) -> tree.Call:
        arguments, end = c[1]
        return tree.Call(c[0], arguments, self._pos(c[0], end))

    def arguments(self, c: Children) -> tuple[tuple[tree.Expr, ...], Token]:
        return tuple(e for e in c if e is not None and not isinstance(e, Token)), c[-1]

    def index(self, c: Children) -> tree.Index:
        return tree.Index(c[0], c[2], self._pos(c[0], c[3]))

    def slice_e(self, c: Children) -> tree.Slice:
        return tree.Slice(c[0], c[2], c[4], self._pos(c[0], c[5]))

    def dynslice(self, c: Children) -> tree.DynSlice:
        return tree.DynSlice(c[0], c[2], c[4], self._pos(c[0], c[5]))

    def subscript(self, c: Children) -> tree.Subscript:
        return tree.Subscript(c[0], tuple(c[2:-1:2]), self._pos(c[0], c[-1]))

    def member(self, c: Children) -> tree.Field:
        return tree.Field(c[0], str(c[2]), self._pos(c[0], c[2]))

    def name(self, c: Children) -> tree.Name:
        return self._name(c[0])

    def number(self, c: Children) -> tree.Num:
        token = c[0]
        digits, pos = str(token), self.token_pos(token)
        if len(digits) > _LONGEST_LITERAL:
            self.diagnostics.error(pos, f"number of {len(digits)} digits: too large")
            return tree.Num(0, "0", pos)
        plain = digits.replace("_", "")
        base = {"0x": 16, "0b": 2}.get(plain[:2], 10)
        return tree.Num(int(plain, base), digits, pos)

    def parenthesised(self, c: Children) -> Any:
        """The inner expression, which from here on stands where its brackets do."""
        return dataclasses.replace(c[1], pos=self._pos(c[0], c[2]))

    def tuple_e(self, c: Children) -> tree.TupleExpr:
        return tree.TupleExpr(tuple(c[1::2]), self._pos(c[0], c[-1]))

    def opsection(self, c: Children) -> tree.OpSection:
        return tree.OpSection(str(c[1]), self._pos(c[0], c[2]))


def statements(children: Sequence[Any]) -> tuple[tree.Stmt, ...]:
    """The statements among a rule's children; a line or a block of them arrives as a tuple."""
    found: list[tree.Stmt] = []
    for child in children:
        if isinstance(child, tuple):
            found.extend(child)
        elif isinstance(child, tree.Stmt):
            found.append(child)
    return tuple(found)


def last_of(thing: Any) -> Any:
    """The last token or node with a position in a child, or None."""
    if isinstance(thing, Token):
        return None if thing.type in _LAYOUT else thing
    if thing is None or isinstance(thing, (str, bool)):
        return None
    if hasattr(thing, "pos"):
        return thing
    parts = thing if isinstance(thing, (tuple, list)) else [getattr(thing, slot) for slot in thing.__slots__]
    for part in reversed(parts):
        found = last_of(part)
        if found is not None:
            return found
    return None


def alternatives(value: Any) -> tuple[tree.Expr, ...]:
    """`a | b | c` as alternatives rather than as a value."""
    found: list[tree.Expr] = []
    while isinstance(value, tree.Binary) and value.op == "|":
        found.append(value.right)
        value = value.left
    return (value, *reversed(found))
