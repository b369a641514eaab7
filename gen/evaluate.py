"""Turns expressions known at translation time, and the functions they call, into Python source.

Used to check guards against each other, and to print the expressions of syntax templates into build/<isa>/syntax.py.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product

import runtime.syntax.arithmetic
from gen import model
from gen.walk import nodes

__all__ = ["NotStatic", "PythonPrinter", "always_holds", "compile_guards", "variables_of"]

_INFIX = {"and": "&", "or": "|", "xor": "^"}
_COMPARE = {
    "eq": "==",
    "ne": "!=",
    "ult": "<",
    "ule": "<=",
    "ugt": ">",
    "uge": ">=",
    "slt": "<",
    "sle": "<=",
    "sgt": ">",
    "sge": ">=",
}


class NotStatic(Exception):
    """The expression reads something that only exists at run time; `what` names it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not known before the program runs")
        self.what = what


def variables_of(
    expr: model.Expr, functions: Mapping[str, model.Function]
) -> tuple[dict[str, int], dict[str, int], list[str]]:
    """What an expression depends on, through the functions it calls: widths of fields and of modes, and which of
    `pc` and `next_pc`."""
    fields: dict[str, int] = {}
    modes: dict[str, int] = {}
    addresses: set[str] = set()
    seen: set[str] = set()
    pending: list[object] = [expr]
    while pending:
        for node in nodes(pending.pop()):
            match node:
                case model.FieldRef():
                    fields[node.name] = node.width
                case model.ModeRead():
                    modes[node.mode] = node.width
                case model.PcRead():
                    addresses.add("pc")
                case model.NextPc():
                    addresses.add("next_pc")
                case model.Call() if node.function not in seen and node.function in functions:
                    seen.add(node.function)
                    pending.append(functions[node.function].body)
    return fields, modes, sorted(addresses, reverse=True)


def _identifier(name: str) -> str:
    return name + "_" if keyword.iskeyword(name) or not name.isidentifier() else name


def _tidy(code: str) -> str:
    """The expression without the parentheses it does not need, strings and large numbers as elsewhere."""
    tidy = ast.unparse(ast.parse(code, mode="eval")).replace("'", '"')
    return re.sub(r"\b\d{3,}\b", lambda found: f"0x{int(found[0]):X}", tidy)


class PythonPrinter:
    """Prints expressions over fields, modes, `pc` and `next_pc`; `used` gathers the functions they need.

    `field` and `mode` give the Python spelling of a field or a mode, `addresses` those of the two addresses.  Inside
    functions, which get them as arguments, modes and addresses are plain names.
    """

    def __init__(
        self,
        functions: Mapping[str, model.Function],
        field: Callable[[str], str] = _identifier,
        mode: Callable[[str], str] = _identifier,
        addresses: tuple[str, str] = ("pc", "next_pc"),
    ) -> None:
        self.functions = functions
        self.field = field
        self.mode = mode
        self.pc, self.next_pc = addresses
        self.used: dict[str, model.Function] = {}
        self._inside = False

    def expression(self, expr: model.Expr) -> str:
        """Python for `expr`; raises NotStatic when it is not known at translation time."""
        return _tidy(self._print(expr))

    def _print(self, expr: model.Expr) -> str:
        match expr:
            case model.Const():
                return str(expr.value)
            case model.FieldRef():
                return self.field(expr.name)
            case model.ModeRead():
                return _identifier(expr.mode) if self._inside else self.mode(expr.mode)
            case model.PcRead():
                return "pc" if self._inside else self.pc
            case model.NextPc():
                return "next_pc" if self._inside else self.next_pc
            case model.Local():
                return _identifier(expr.name)
            case model.Unary():
                sign = "-" if expr.op == "neg" else "~"
                return f"({sign}{self._print(expr.operand)} & {_mask(expr.width)})"
            case model.Binary():
                return self._binary(expr)
            case model.Extend():
                inner = self._print(expr.operand)
                if expr.op == "zext" or expr.width == expr.operand.width:
                    return inner
                return f"sext({inner}, {expr.operand.width}, {expr.width})"
            case model.Slice():
                if expr.low == 0 and expr.width == expr.operand.width:
                    return self._print(expr.operand)
                shifted = self._print(expr.operand) if expr.low == 0 else f"({self._print(expr.operand)} >> {expr.low})"
                if expr.low + expr.width == expr.operand.width:
                    return shifted
                return f"({shifted} & {_mask(expr.width)})"
            case model.DynSlice():
                return f"dynslice({self._print(expr.operand)}, {self._print(expr.low)}, {expr.width})"
            case model.Cat():
                return self._cat(expr)
            case model.Select():
                return self._select(expr)
            case model.Call():
                if expr.function not in self.functions:
                    raise NotStatic(f"'{expr.function}'")
                function = self.functions[expr.function]
                self._use(function)
                implicit = self._implicit(function)
                arguments = [*map(self._print, expr.args), *map(self._print, implicit)]
                return f"fn_{expr.function}({', '.join(arguments)})"
            case model.Intrinsic():
                return self._intrinsic(expr)
            case model.Tuple():
                return "(" + ", ".join(map(self._print, expr.items)) + ")"
            case model.RegRead():
                raise NotStatic(f"register '{expr.register}'")
            case model.RegFileRead():
                raise NotStatic(f"register file '{expr.file}'")
            case model.InputRead():
                raise NotStatic(f"input '{expr.input}'")
            case model.OperandRead():
                raise NotStatic(f"operand '{expr.operand}'")
            case model.MemRead():
                raise NotStatic(f"memory '{expr.memory}'")
            case model.AfterPc():
                raise NotStatic("NPC")

    def _binary(self, expr: model.Binary) -> str:
        left, right = self._print(expr.left), self._print(expr.right)
        width = expr.left.width
        if expr.op in _INFIX:
            return f"({left} {_INFIX[expr.op]} {right})"
        if expr.op in _COMPARE:
            if expr.op.startswith("s"):
                left, right = f"signed({left}, {width})", f"signed({right}, {width})"
            return f"int({left} {_COMPARE[expr.op]} {right})"
        if expr.op in ("add", "sub", "mul"):
            return f"({left} {({'add': '+', 'sub': '-', 'mul': '*'})[expr.op]} {right} & {_mask(expr.width)})"
        if expr.op == "shl" and isinstance(expr.right, model.Const) and expr.right.value < width:
            return f"({left} << {expr.right.value} & {_mask(width)})"
        if expr.op == "shr":
            return f"({left} >> {right})"
        if expr.op in ("udiv", "urem"):
            return f"{expr.op}({left}, {right})"
        return f"{expr.op}({left}, {right}, {width})"

    def _cat(self, expr: model.Cat) -> str:
        parts, low = [], expr.width
        for part in expr.parts:
            low -= part.width
            if isinstance(part, model.Const) and part.value == 0:
                continue
            parts.append(f"({self._print(part)} << {low})" if low else self._print(part))
        return f"({' | '.join(parts)})" if parts else "0"

    def _select(self, expr: model.Select) -> str:
        condition, then, otherwise = map(self._print, (expr.condition, expr.then, expr.otherwise))
        # Conditions are 0 or 1 themselves, so `and` and `or` of bits need no choice.
        if otherwise == "0" and then == "1":
            return condition
        if expr.width == 1 and otherwise == "0":
            return f"({condition} & {then})"
        if expr.width == 1 and then == "1":
            return f"({condition} | {otherwise})"
        return f"({then} if {condition} else {otherwise})"

    def _intrinsic(self, expr: model.Intrinsic) -> str:
        if expr.name == "seldom":
            return self._print(expr.args[0])
        if expr.name in ("popcount", "parity"):
            return f"{expr.name}({self._print(expr.args[0])})"
        if expr.name in ("clz", "ctz"):
            return f"{expr.name}({self._print(expr.args[0])}, {expr.args[0].width})"
        raise NotStatic(f"'{expr.name}'")

    def _implicit(self, function: model.Function) -> list[model.Expr]:
        """What a function reads beside its arguments, handed to it as further ones."""
        call = model.Call(0, function.name, (), function.results)
        _, modes, addresses = variables_of(call, self.functions)
        reads: list[model.Expr] = [model.ModeRead(width, name) for name, width in sorted(modes.items())]
        return reads + [model.PcRead(0) if name == "pc" else model.NextPc(0) for name in addresses]

    def _use(self, function: model.Function) -> None:
        if function.name not in self.used:
            self.used[function.name] = function
            self.function(function)  # finds the functions it calls, and whether all of it is static

    def function(self, function: model.Function) -> list[str]:
        """The lines of a Python function with the same result."""
        outside, self._inside = self._inside, True
        try:
            return self._function(function)
        finally:
            self._inside = outside

    def _function(self, function: model.Function) -> list[str]:
        names = [*(_identifier(name) for name, _ in function.params), *map(self._print, self._implicit(function))]
        arguments = ", ".join(f"{name}: int" for name in names)
        result = "int" if len(function.results) == 1 else f"tuple[{', '.join(['int'] * len(function.results))}]"
        return [f"def fn_{function.name}({arguments}) -> {result}:", *self._block(function.body, "    ")]

    def _block(self, body: Sequence[model.Stmt], indent: str) -> list[str]:
        lines: list[str] = []
        for statement in body:
            match statement:
                case model.Let():
                    names = ", ".join(map(_identifier, statement.names))
                    lines.append(f"{indent}{names} = {self.expression(statement.value)}")
                case model.Var():
                    lines.append(f"{indent}{_identifier(statement.name)} = {self.expression(statement.value)}")
                case model.Assign(place=model.ToLocal(name=name)):
                    lines.append(f"{indent}{_identifier(name)} = {self.expression(statement.value)}")
                case model.If():
                    lines.append(f"{indent}if {self.expression(statement.condition)}:")
                    lines += self._block(statement.then, indent + "    ")
                    if statement.otherwise:
                        lines.append(f"{indent}else:")
                        lines += self._block(statement.otherwise, indent + "    ")
                case model.For():
                    low, high = self.expression(statement.low), self.expression(statement.high)
                    lines.append(f"{indent}for {_identifier(statement.name)} in range({low}, {high} + 1):")
                    lines += self._block(statement.body, indent + "    ")
                case model.While():
                    lines.append(f"{indent}while {self.expression(statement.condition)}:")
                    lines += self._block(statement.body, indent + "    ")
                case model.Break():
                    lines.append(f"{indent}break")
                case model.Return():
                    values = ", ".join(map(self.expression, statement.values))
                    lines.append(f"{indent}return {values}")
                case model.Do():
                    lines.append(f"{indent}{self.expression(statement.value)}")
                case _:
                    raise NotStatic("a statement that changes state")
        return lines or [f"{indent}pass"]


def always_holds(guard: model.Expr, functions: Mapping[str, model.Function], most_bits: int) -> bool:
    """Whether a guard is true whatever fields and modes are; tried out if those have at most so many bits."""
    fields, modes, addresses = variables_of(guard, functions)
    widths = [*fields.values(), *modes.values()]
    if addresses or sum(widths) > most_bits:
        return False
    try:
        holds = compile_guards([guard], functions, list(fields), list(modes))
    except NotStatic:
        return False
    return all(holds(*values) for values in product(*(range(1 << width) for width in widths)))


def _mask(width: int) -> str:
    return hex((1 << width) - 1) if width > 3 else str((1 << width) - 1)


def compile_guards(
    guards: Sequence[model.Expr], functions: Mapping[str, model.Function], fields: Sequence[str], modes: Sequence[str]
) -> Callable[..., bool]:
    """A Python function of the fields, then the modes (positional): do all guards hold?

    Spellings are made up, since fields of two encodings may share names with each other and with modes.
    """
    field_names = {name: f"f{index}" for index, name in enumerate(fields)}
    mode_names = {name: f"m{index}" for index, name in enumerate(modes)}
    printer = PythonPrinter(functions, field_names.__getitem__, mode_names.__getitem__)
    condition = " and ".join(f"({printer.expression(guard)})" for guard in guards) or "True"
    lines = [line for function in printer.used.values() for line in printer.function(function)]
    arguments = ", ".join([*field_names.values(), *mode_names.values()])
    lines += [f"def guard({arguments}):", f"    return bool({condition})"]
    scope = dict(vars(runtime.syntax.arithmetic))
    # The text comes from the printer above: names and operators of a checked spec, nothing a user typed.
    exec("\n".join(lines), scope)
    guard: Callable[..., bool] = scope["guard"]
    return guard
