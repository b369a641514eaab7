"""The checked model as short text, so that tests can say what they expect in a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gen import model


def expression(node: model.Expr | model.Place) -> str:
    """Widths stand after a quote (`5'32`), after names in angle brackets where they matter."""
    match node:
        case model.Const():
            return f"{node.value}'{node.width}"
        case model.FieldRef():
            return f"<{node.name}>"
        case model.PcRead():
            return "PC"
        case model.NextPc():
            return "NEXT"
        case model.Local() | model.ToLocal():
            return node.name
        case model.RegRead() | model.ToReg():
            return f"${node.register}"
        case model.ModeRead() | model.ToMode():
            return f"@{node.mode}"
        case model.InputRead():
            return f"?{node.input}"
        case model.OperandRead() | model.ToOperand():
            return f"&{node.operand}"
        case model.RegFileRead() | model.ToRegFile():
            return f"{node.file}[{expression(node.index)}]"
        case model.MemRead() | model.ToMem():
            return f"{node.memory}[{expression(node.address)}, {node.width}]"
        case model.Unary():
            return f"{node.op}({expression(node.operand)})"
        case model.Binary():
            return f"({expression(node.left)} {node.op} {expression(node.right)})"
        case model.Extend():
            return f"{node.op}({expression(node.operand)}, {node.width})"
        case model.Slice():
            return f"{expression(node.operand)}[{node.low}+{node.width}]"
        case model.DynSlice():
            return f"{expression(node.operand)}[{expression(node.low)} +: {node.width}]"
        case model.Cat():
            return "(" + " ++ ".join(expression(part) for part in node.parts) + ")"
        case model.Select():
            return f"({expression(node.condition)} ? {expression(node.then)} : {expression(node.otherwise)})"
        case model.Call():
            return f"{node.function}({_list(node.args)})"
        case model.Intrinsic():
            memory = [node.memory] if node.memory else []
            return f"{node.name}({', '.join(memory + [expression(arg) for arg in node.args])})"
        case model.Tuple():
            return f"<{_list(node.items)}>"


def _list(nodes: Iterable[model.Expr]) -> str:
    return ", ".join(expression(node) for node in nodes)


def lines(statements: Iterable[model.Stmt], indent: str = "") -> Iterator[str]:
    """One line for each statement."""
    for statement in statements:
        yield from (indent + line for line in _statement(statement))


def _statement(statement: model.Stmt) -> Iterator[str]:
    match statement:
        case model.Let():
            yield f"let {', '.join(statement.names)} = {expression(statement.value)}"
        case model.Var():
            yield f"var {statement.name}:{statement.width} = {expression(statement.value)}"
        case model.Assign():
            yield f"{expression(statement.place)} = {expression(statement.value)}"
        case model.Accrue():
            yield f"accrue {statement.register}+{statement.low} {expression(statement.value)}"
        case model.If():
            yield f"if {expression(statement.condition)}:"
            yield from lines(statement.then, "  ")
            if statement.otherwise:
                yield "else:"
                yield from lines(statement.otherwise, "  ")
        case model.For():
            bounds = f"{expression(statement.low)} .. {expression(statement.high)}"
            yield f"for {statement.name}:{statement.width} = {bounds}:"
            yield from lines(statement.body, "  ")
        case model.While():
            yield f"while {expression(statement.condition)}:"
            yield from lines(statement.body, "  ")
        case model.Atomic():
            yield f"atomic {statement.old} = {statement.memory}[{expression(statement.address)}, {statement.width}]:"
            yield from lines(statement.body, "  ")
            yield f"  -> {expression(statement.new)}"
        case model.Goto():
            yield f"goto {expression(statement.target)}"
        case model.Raise():
            yield f"raise {statement.exception}({_list(statement.args)})"
        case model.Return():
            yield f"return {_list(statement.values)}".rstrip()
        case model.Do():
            yield f"do {expression(statement.value)}"
        case model.Annul():
            yield "annul"
        case model.Break():
            yield "break"


def body(statements: Iterable[model.Stmt]) -> str:
    """A block; lines joined by newlines."""
    return "\n".join(lines(statements))


def template(syntax: model.Template) -> str:
    """`add {rd:file}, {imm:number}`."""
    return "".join(
        part.text if isinstance(part, model.Literal) else f"{{{expression(part.expr)}:{part.kind}}}" for part in syntax
    )
