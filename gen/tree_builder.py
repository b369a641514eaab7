"""Builds gen/tree.py's nodes: one method per rule of grammar.lark, called by the parser as it reduces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lark import Token

from gen import tree
from gen.body_builder import BodyBuilder, Children, alternatives, statements

OVERRIDABLE = (
    tree.Insn,
    tree.Insns,
    tree.Fn,
    tree.FieldDecl,
    tree.Const,
    tree.Hook,
    tree.AliasDecl,
    tree.OperandDecl,
    tree.TypeDecl,
)

# More names than this in one range are surely a mistake.
_MOST_ROWS = 4096
# What may follow `field f :` beside a file, alias or table; `x` only after a width, for a file may be called so.
_FORMATS = frozenset({"signed", "x"})


class TreeBuilder(BodyBuilder):
    """The callbacks of the rules for declarations, on top of those for what stands inside them."""

    def _once(self, seen: dict[str, Any], what: str, value: Any, token: Token) -> None:
        """Keeps an option, or complains that it stands there twice."""
        if what in seen:
            self.diagnostics.error(self.token_pos(token), f"'{what}' is given twice")
        seen[what] = value

    # ------------------------------------------------------------ modules and generation-time values

    def isa(self, c: Children) -> tree.IsaHeader:
        return tree.IsaHeader(self._name(c[1]), c[3] or (), c[5] or (), self._whole(c))

    def include(self, c: Children) -> tree.Include:
        return tree.Include(self._text(c[1]), self._whole(c))

    def param(self, c: Children) -> tree.ParamDecl:
        return tree.ParamDecl(self._name(c[1]), c[3] or (), c[5], self._whole(c))

    def const(self, c: Children) -> tree.Const:
        return tree.Const(self._name(c[1]), c[3], self._whole(c))

    def typedef(self, c: Children) -> tree.TypeDecl:
        return tree.TypeDecl(self._name(c[1]), c[3], self._whole(c))

    def bitorder(self, c: Children) -> tree.BitOrder:
        name = self._name(c[1])
        if name.name not in {"msb0", "lsb0"}:
            self.diagnostics.error(
                name.pos,
                f"'{name.name}' is no bit order",
                help="write msb0 (bit 0 is the most significant); without this line bit 0 is the least significant",
            )
        return tree.BitOrder(name, self._whole(c))

    def override(self, c: Children) -> Any:
        decl = c[1]
        if not isinstance(decl, OVERRIDABLE):
            self.diagnostics.error(
                self.token_pos(c[0]),
                "this kind of declaration cannot be overridden",
                help="override replaces insn, insns, fn, field, const, type, alias, operand and on",
            )
            return decl
        return tree.Override(decl, self._pos(c[0], decl))

    def names(self, c: Children) -> tuple[tree.Name, ...]:
        return tuple(self._name(token) for token in c[::2])

    mnemonics = names

    def bindings(self, c: Children) -> tuple[tree.Binding, ...]:
        return tuple(c[::2])

    def binding(self, c: Children) -> tree.Binding:
        return tree.Binding(self._name(c[0]), c[2])

    def values(self, c: Children) -> tuple[tree.Expr, ...]:
        return tuple(c[1::2])

    # ------------------------------------------------------------ state

    def reg(self, c: Children) -> tree.RegDecl:
        return tree.RegDecl(c[1], c[3], c[4] or (), c[6], self._whole(c))

    def fields(self, c: Children) -> tuple[tree.FieldDef, ...]:
        return tuple(c[1::2])

    def fielddef(self, c: Children) -> tree.FieldDef:
        return tree.FieldDef(self._name(c[0]), c[1], c[3], c[5] or ())

    def allowed(self, c: Children) -> tuple[tree.Expr, ...]:
        return alternatives(c[0])

    def regs(self, c: Children) -> tree.RegsDecl:
        texts = tuple(self._text(t) for t in c[9:] if isinstance(t, Token) and t.type == "STRING")
        parts = tuple(part for part in c if isinstance(part, tree.FieldDef))
        return tree.RegsDecl(self._name(c[1]), c[3], c[6], c[8], texts, parts, self._whole(c))

    def partdef(self, c: Children) -> tree.FieldDef:
        names = self._text(c[0])
        return tree.FieldDef(tree.Name(names.value, names.pos), c[1], c[3], ())

    def pc(self, c: Children) -> tree.PcDecl:
        return tree.PcDecl(self._name(c[1]), c[3], self._whole(c))

    def mode(self, c: Children) -> tree.ModeDecl:
        return tree.ModeDecl(c[1], c[3], c[5], c[7], c[8] is not None, self._whole(c))

    def prefixes(self, c: Children) -> tree.PrefixesDecl:
        variables = c[1:-1:2]
        shown = frozenset(name.name for name, _, shown in variables if shown)
        return tree.PrefixesDecl(tuple((name, type) for name, type, _ in variables), shown, self._whole(c))

    def prefixvar(self, c: Children) -> tuple[tree.Name, tree.TypeExpr, bool]:
        return self._name(c[0]), c[2], c[3] is not None

    def sticky(self, c: Children) -> tree.Sticky:
        return tree.Sticky(self._name(c[1]), self._name(c[3]) if c[3] else None, self._whole(c))

    def memory(self, c: Children) -> tree.MemoryDecl:
        return tree.MemoryDecl(self._name(c[1]), c[3], c[5], c[6] is not None, self._whole(c))

    def input(self, c: Children) -> tree.InputDecl:
        return tree.InputDecl(c[1], c[3], self._whole(c))

    def alias(self, c: Children) -> tree.AliasDecl:
        params = tuple(p for p in c[2:-3] if isinstance(p, tree.AliasParam))
        value, get, set_name, set_body = c[-1]
        return tree.AliasDecl(self._name(c[1]), params, c[-2], value, get, set_name, set_body, self._whole(c[:-1]))

    def aliasvalue(self, c: Children) -> Children:
        return [c[1], None, None, ()]

    def accessors(self, c: Children) -> Children:
        return [None, c[4], self._name(c[7]) if c[7] else None, c[8] or ()]

    def aliasparam(self, c: Children) -> tree.AliasParam:
        return tree.AliasParam(self._name(c[0]), c[2])

    def sysregs(self, c: Children) -> tree.SysRegsDecl:
        rows = tuple(row for row in c[10:] if isinstance(row, tree.SysRegRow))
        return tree.SysRegsDecl(self._name(c[1]), c[3], c[6], c[8], rows, self._whole(c[:9]))

    def sysreg(self, c: Children) -> tree.SysRegRow:
        seen: dict[str, Any] = {}
        for part in c:
            if isinstance(part, dict):
                for what, (value, token) in part.items():
                    self._once(seen, what, value, token)
        names = tuple(
            name for part in c if isinstance(part, tuple) for name in part if isinstance(name, tree.SysRegName)
        )
        write_name, write_body = seen.get("write", (None, ()))
        end = next((names[i].name for i in range(len(names) - 1, -1, -1)), names[0].name)
        return tree.SysRegRow(
            names,
            seen.get("fields", ()),
            seen.get("ro", False),
            seen.get("="),
            seen.get("mask"),
            seen.get("view"),
            seen.get("read"),
            write_name,
            write_body,
            self._pos(names[0].address, end),
            seen.get("at"),
        )

    def sysname(self, c: Children) -> tuple[tree.SysRegName, ...]:
        """`0x300 status`, or `0x3B0 pmpaddr0-15`: a name for each address from this one on."""
        first, name = self.number(c[:1]), self._name(c[1])
        if c[3] is None:
            return (tree.SysRegName(first, name),)
        stem = name.name.rstrip("0123456789")
        low, high = name.name[len(stem) :], str(c[3])
        pos = self._pos(c[1], c[3])
        if not low or not high.isdecimal() or not 0 <= int(high) - int(low) < _MOST_ROWS:
            self.diagnostics.error(pos, f"'{name.name}-{high}' is no range of names", help="write it as in counter3-31")
            return (tree.SysRegName(first, name),)
        whole = self._pos(c[0], c[3])
        rest = [
            tree.SysRegName(
                tree.Num(first.value + number, f"{first.value + number:#x}", whole),
                tree.Name(f"{stem}{int(low) + number}", pos),
            )
            for number in range(1, int(high) - int(low) + 1)
        ]
        return (tree.SysRegName(first, name), *rest)

    def sysoption(self, c: Children) -> dict[str, tuple[Any, Token]]:
        first = c[0]
        if not isinstance(first, Token):
            name = first[0].name  # a list of sub-fields
            token = Token(
                "NAME",
                name.name,
                line=name.pos.line - self.lines_before,
                column=name.pos.column,
                end_line=name.pos.line - self.lines_before,
                end_column=name.pos.end_column,
            )
            return {"fields": (first, token)}
        match first.type:
            case "RO":
                return {"ro": (True, first)}
            case "VIEW":
                return {"view": ((c[1], c[3]), first)}
            case "AT":
                return {"at": (self._name(c[1]), first)}
            case _:
                return {str(first): (c[1], first)}

    def syswrite(self, c: Children) -> dict[str, tuple[Any, Token]]:
        return {"write": ((self._name(c[1]), c[2]), c[0])}

    # ------------------------------------------------------------ decoding and syntax

    def decode(self, c: Children) -> tree.DecodeDecl:
        units = [self.number([t]) for t in c[3:] if isinstance(t, Token) and t.type == "NUM"]
        order = self._name(c[2 + 2 * len(units)])
        if order.name not in {"little", "big"}:
            self.diagnostics.error(order.pos, f"'{order.name}' is no byte order", help="write little or big")
        seen: dict[str, Any] = {}
        for part in c:
            if isinstance(part, list):
                self._once(seen, str(part[0]), part[1], part[0])
        return tree.DecodeDecl(
            self._name(c[1]),
            tuple(units),
            order,
            seen.get("when"),
            seen.get("where"),
            seen.get("predicate"),
            seen.get("max"),
            self._whole(c),
        )

    def decodeoption(self, c: Children) -> Children:
        return c

    def field(self, c: Children) -> tree.FieldDecl:
        kind, width, target, enum = c[3]
        return tree.FieldDecl(c[1], kind, width, target, enum, self._whole(c))

    def fieldkind(self, c: Children) -> tuple[str, tree.Num | None, tree.Name | None, tuple[tree.Text, ...]]:
        width = self.number(c[:1]) if c[0].type == "NUM" else None
        if len(c) > 3:
            target = None if c[1] is None else self._name(c[1])
            kind = "set" if target is not None and target.name == "set" else "enum"
            return kind, width, target, tuple(self._text(text) for text in c[3::2])
        if width is not None and len(c) == 1:
            return "width", width, None, ()
        target = self._name(c[-1])
        is_format = target.name in _FORMATS and (width is not None or target.name != "x")
        return ("format" if is_format else "file"), width, target, ()

    def operand(self, c: Children) -> tree.OperandDecl:
        alternatives = tuple(a for a in c if isinstance(a, tree.Alt))
        return tree.OperandDecl(self._name(c[1]), c[2], c[4], alternatives, self._whole(c[:5]))

    def alt(self, c: Children) -> tree.Alt:
        return tree.Alt(self._text(c[0]), self._text(c[1]), c[3], (), c[5], self._whole(c))

    def altbefore(self, c: Children) -> tree.Alt:
        return tree.Alt(self._text(c[0]), self._text(c[1]), c[3], c[5], c[7], self._whole(c))

    def prefix(self, c: Children) -> tree.PrefixDecl:
        space = self._name(c[3]) if c[3] else None
        return tree.PrefixDecl(self._text(c[1]), space, c[5], c[6], self._whole(c[:-1]))

    def insn(self, c: Children) -> tree.Insn:
        return tree.Insn(
            self._name(c[1]),
            self._text(c[2]),
            self._text(c[3]),
            self._options(c[4:-1]),
            (),
            (),
            c[-1],
            self._whole(c[:-1]),
        )

    def insnencs(self, c: Children) -> tree.Insn:
        encodings = tuple(e for e in c if isinstance(e, tree.Enc))
        body = statements(c[3:])
        options = [o for o in c[3:] if isinstance(o, list)]
        return tree.Insn(
            self._name(c[1]), None, None, self._options(options), c[2], encodings, body, self._pos(c[0], c[1])
        )

    def enc(self, c: Children) -> tree.Enc:
        options = self._options(c[4:-1])
        return tree.Enc(
            self._name(c[1]), self._text(c[2]), self._text(c[3]), options.where, options.bindings, self._whole(c[:4])
        )

    def encoption(self, c: Children) -> Children:
        return c

    def insn_for(self, c: Children) -> tree.Insns:
        head = tree.Insns(
            (), self._text(c[4]), self._text(c[5]), self._options(c[6:-1]), (), (), c[-1], self._whole(c[:-1]), c[3]
        )
        return self._single(c, head)

    def insn_for_each(self, c: Children) -> tree.Insns:
        here = replace(c[2][0].pos, end_line=c[2][0].pos.line, end_column=c[2][0].pos.column)
        row = tree.Row(tree.Name("", here), (), c[2][0].pos)
        options, whole = self._options(c[5:-1]), self._whole(c[:-1])
        return tree.Insns((), self._text(c[3]), self._text(c[4]), options, (), (row,), c[-1], whole, c[2])

    def insn_as(self, c: Children) -> tree.Insns:
        options = self._options(c[6:-1])
        head = tree.Insns((), None, None, options, (), (), c[-1], self._whole(c[:-1]), c[3] or (), c[5])
        return self._single(c, head)

    def _single(self, c: Children, head: tree.Insns) -> tree.Insns:
        """A table of one row without cells."""
        name = self._name(c[1])
        return replace(head, rows=(tree.Row(name, (), name.pos),))

    def insns(self, c: Children) -> tree.Insns:
        return self._table(c, self._text(c[6]), self._text(c[7]), (), 8)

    def insns_of_encodings(self, c: Children) -> tree.Insns:
        return self._table(c, None, None, (), 6)

    def insns_as(self, c: Children) -> tree.Insns:
        return self._table(c, None, None, c[7], 8)

    def _table(
        self,
        c: Children,
        pattern: tree.Text | None,
        syntax: tree.Text | None,
        forms: tuple[tree.FormsUse, ...],
        start: int,
    ) -> tree.Insns:
        at = next(i for i in range(start, len(c)) if isinstance(c[i], Token))
        rows = tuple(row for row in c[at:] if isinstance(row, tree.Row))
        encodings = tuple(enc for enc in c[at:] if isinstance(enc, tree.Enc))
        options = self._options(c[start:at])
        where = self._whole([part for part in c[:start] if part is not None])
        return tree.Insns(c[2] or (), pattern, syntax, options, encodings, rows, c[-2], where, c[5] or (), forms)

    def family(self, c: Children) -> tree.FamilyDecl:
        rows = tuple(row for row in c if isinstance(row, tree.Row))
        return tree.FamilyDecl(self._name(c[1]), c[3] or (), rows, self._whole(c[:2]))

    def forms(self, c: Children) -> tree.FormsDecl:
        encodings = tuple(enc for enc in c if isinstance(enc, tree.Enc))
        return tree.FormsDecl(self._name(c[1]), c[3] or (), encodings, self._whole(c[:2]))

    def formsuses(self, c: Children) -> tuple[tree.FormsUse, ...]:
        return tuple(c[::2])

    def formsuse(self, c: Children) -> tree.FormsUse:
        args = tuple(part for part in c[2:-1] if part is not None and not isinstance(part, Token))
        return tree.FormsUse(self._name(c[0]), args, self._whole([part for part in c if part is not None]))

    def text_argument(self, c: Children) -> tree.Text:
        return self._text(c[0])

    def argument(self, c: Children) -> Any:
        return c[0]

    def row(self, c: Children) -> tree.Row:
        return tree.Row(self._name(c[0]), tuple(c[1:-1]), self._whole(c))

    familyrow = row

    def cell(self, c: Children) -> tree.RowArg:
        first = c[0]
        if not isinstance(first, Token):
            return tree.RowArg(first, first.pos)
        value: tree.Expr | tree.Text
        match first.type:
            case "NUM":
                value = self.number(c)
            case "NAME":
                value = self._name(first)
            case "STRING":
                value = self._text(first)
            case _:
                value = self.parenthesised(c)
        return tree.RowArg(value, self._pos(first, c[-1]))

    def dobody(self, c: Children) -> tuple[tree.Stmt, ...]:
        return statements(c)

    def option(self, c: Children) -> Children:
        return c

    def _options(self, options: Sequence[Children]) -> tree.InsnOptions:
        seen: dict[str, Any] = {}
        for option in options:
            self._once(seen, str(option[0]), option[1] if len(option) > 1 else True, option[0])
        return tree.InsnOptions(
            seen.get("delayed", False),
            seen.get("restartable", False),
            seen.get("overrides", ()),
            seen.get("where"),
            seen.get("when"),
            self._name(seen["in"]) if "in" in seen else None,
            seen.get("with", ()),
            seen.get("undefined", ()),
        )

    def asm(self, c: Children) -> tree.AsmAlias:
        space = self._name(c[8]) if c[8] is not None else None
        whole = self._whole([part for part in c[:7] if part is not None])
        operand = c[1] is not None
        return tree.AsmAlias(self._text(c[2]), self._text(c[6]), space, c[10], whole, c[4] or (), operand)

    def reserved(self, c: Children) -> tree.Reserved:
        return tree.Reserved(self._text(c[1]), self._whole(c))

    def fuse(self, c: Children) -> tree.Fuse:
        return tree.Fuse(c[1], c[3], self._whole(c))

    def test(self, c: Children) -> tree.TestDecl:
        return tree.TestDecl(self._text(c[1]), c[3], (), None, self._whole(c))

    def testrun(self, c: Children) -> tree.TestDecl:
        return tree.TestDecl(self._text(c[1]), c[3], c[5] or (), c[7], self._whole(c))

    # ------------------------------------------------------------ functions, hooks, flags

    def exception(self, c: Children) -> tree.ExceptionDecl:
        return tree.ExceptionDecl(tuple(c[1:-1:2]), self._whole(c))

    def exceptionitem(self, c: Children) -> tuple[tree.Name, tree.Expr]:
        return self._name(c[0]), c[2]

    def fn(self, c: Children) -> tree.Fn:
        if len(c) == 6:
            body, header = c[5], c[:5]
        else:
            body, header = (tree.Return(c[6], c[6].pos),), c
        return tree.Fn(self._name(c[1]), c[2], c[4], body, self._whole(header))

    def hook(self, c: Children) -> tree.Hook:
        return tree.Hook(self._name(c[1]), c[2] or (), c[3], self._whole(c[:3]))

    def params(self, c: Children) -> tuple[tree.Param, ...]:
        return tuple(p for p in c if isinstance(p, tree.Param))

    def fnparam(self, c: Children) -> tree.Param:
        kind = c[2]
        if isinstance(kind, Token):
            return tree.Param(self._name(c[0]), None, True)
        return tree.Param(self._name(c[0]), kind, False)

    def split(self, c: Children) -> tree.SplitDecl:
        return tree.SplitDecl(self._name(c[1]), c[3], c[5], self._whole(c))

    def lazy(self, c: Children) -> tree.LazyDecl:
        rules = tuple(r for r in c if isinstance(r, tree.LazyRule))
        return tree.LazyDecl(self._name(c[1]), c[3], rules, self._whole(c[:5]))

    def rule(self, c: Children) -> tree.LazyRule:
        return tree.LazyRule(self._name(c[1]), c[2], c[4] or (), c[5], self._whole(c[:5]))
