"""Checks a TCG function against the op table: widths, single assignment, definitions before uses, closed blocks.

The builder and the optimiser are tested with it after every step, and whatever is lowered passes it first.
"""

from __future__ import annotations

from runtime.tcg.ir import Function, InternalError, Label, Local, Op, Temp, format_op
from runtime.tcg.ops import OPS
from runtime.tcg.optimize import blocks_of

_MAX_WIDTH = 4096


class VerifyError(InternalError):
    """An ill-formed function: says which op, and why."""


def verify(function: Function) -> Function:
    """Give the function back if it is well-formed; VerifyError otherwise."""
    try:
        for op in function.ops:
            _check_op(function, op)
        _check_flow(function)
    except VerifyError as error:
        raise VerifyError(f"{function.name}: {error}") from None
    return function


def _fail(op: Op, why: str) -> VerifyError:
    return VerifyError(f"{format_op(op).strip()}: {why}")


# ---------------------------------------------------------------- one op


def _match(op: Op, specs: tuple[str, ...], widths: tuple[int, ...], bound: dict[str, int], what: str) -> None:
    if "*" in specs:
        return
    if len(specs) != len(widths):
        raise _fail(op, f"{len(widths)} {what} where {len(specs)} are due")
    for number, (spec, width) in enumerate(zip(specs, widths, strict=True)):
        due = int(spec) if spec.isdigit() else bound.setdefault(spec, width)
        if width != due:
            raise _fail(op, f"{what} {number} has {width} bits where {due} are due")


def _check_op(function: Function, op: Op) -> None:
    definition = OPS.get(op.name)
    if definition is None:
        raise VerifyError(f"no op {op.name}")
    if len(op.args) != len(op.widths):
        raise _fail(op, "arguments and widths differ in number")
    bound: dict[str, int] = {}
    _match(op, definition.arguments, op.widths, bound, "argument")
    _match(op, definition.results, tuple(temp.width for temp in op.results), bound, "result")
    for value, width in zip(op.args, op.widths, strict=True):
        if not 0 < width <= _MAX_WIDTH:
            raise _fail(op, f"a width of {width}")
        if isinstance(value, Temp):
            if value.width != width:
                raise _fail(op, f"{value!r} has {value.width} bits, not {width}")
        elif not isinstance(value, int):
            raise _fail(op, f"{value!r} is neither a constant nor a temp")
        elif value < 0 or value >> width:
            raise _fail(op, f"{value} does not fit {width} bits")
    for temp in op.results:
        if not 0 < temp.width <= _MAX_WIDTH:
            raise _fail(op, f"a width of {temp.width}")
    _check_members(function, op)


def _check_members(function: Function, op: Op) -> None:
    match op.name:
        case "sext" | "zext" if op.widths[0] > op.result.width:
            raise _fail(op, "narrows")
        case "slice" if op.offset + op.result.width > op.widths[0]:
            raise _fail(op, "reaches past the top")
        case "cat" if sum(op.widths) != op.result.width:
            raise _fail(op, f"parts have {sum(op.widths)} bits together")
        case "ld_mem" | "ld_host" if op.result.width % 8:
            raise _fail(op, "not whole bytes")
        case "st_mem" | "st_host" if op.widths[1] % 8:
            raise _fail(op, "not whole bytes")
        case "ld_local" | "st_local" | "ld_localx" | "st_localx":
            width = op.result.width if op.results else op.widths[-1]
            if not isinstance(op.local, Local) or op.local.width != width:
                raise _fail(op, "not that local's width")
        case "label" | "br" if len(op.labels) != 1:
            raise _fail(op, "one label is due")
        case "brcond" if len(op.labels) != 2:
            raise _fail(op, "two labels are due")
        case "ret":
            if function.kind != "plain" or op.widths != function.results:
                raise _fail(op, f"the function returns {function.results}")
        case "next" | "skip" | "goto_tb" | "goto_ptr" | "exit" | "ld_budget" | "ld_slot" if function.kind != "handler":
            raise _fail(op, "only in a handler")


# ---------------------------------------------------------------- the whole


def _check_flow(function: Function) -> None:
    blocks = blocks_of(function.ops)
    entries: dict[Label, int] = {}
    for number, block in enumerate(blocks):
        for op in block:
            if op.name == "label":
                if op.labels[0] in entries:
                    raise _fail(op, "the label stands twice")
                entries[op.labels[0]] = number
        if not block or not OPS[block[-1].name].terminator:
            where = format_op(block[0]).strip() if block else "the start"
            raise VerifyError(f"the block at {where} falls off its end")
    predecessors: list[list[int]] = [[] for _ in blocks]
    for number, block in enumerate(blocks):
        for label in block[-1].labels:
            if label not in entries:
                raise _fail(block[-1], f"{label!r} stands nowhere")
            target = blocks[entries[label]][0]
            given = block[-1].widths if block[-1].name == "br" else ()
            if given != tuple(temp.width for temp in target.results):
                raise _fail(block[-1], f"{label!r} takes other parameters")
            predecessors[entries[label]].append(number)
    _check_definitions(function, blocks, predecessors)


def _check_definitions(function: Function, blocks: list[list[Op]], predecessors: list[list[int]]) -> None:
    made = [{temp for op in block for temp in op.results} for block in blocks]
    everything = set(function.parameters).union(*made)
    if len(everything) != len(function.parameters) + sum(len(op.results) for op in function.ops):
        raise VerifyError("a temp is assigned twice")
    # Temps certainly defined at the start of each block: what all ways into it agree on.
    at_start = [everything for _ in blocks]
    at_start[0] = set(function.parameters)
    changed = True
    while changed:
        changed = False
        for number in range(1, len(blocks)):
            ways = [at_start[source] | made[source] for source in predecessors[number]]
            now = set.intersection(*ways) if ways else everything
            if now != at_start[number]:
                at_start[number] = now
                changed = True
    for number, block in enumerate(blocks):
        defined = set(at_start[number])
        for op in block:
            for value in op.args:
                if isinstance(value, Temp) and value not in defined:
                    raise _fail(op, f"{value!r} is not defined here")
            defined.update(op.results)
