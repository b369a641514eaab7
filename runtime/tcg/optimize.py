"""Cheap passes over TCG: constants and copies, repeated reads, dead ops, overwritten registers, needless jumps.

LLVM does the heavy work; these make what it is given (and what `-d op_opt` prints) short.  Each pass is one walk.
"""

from __future__ import annotations

from collections.abc import Iterable

from runtime.tcg.ir import Function, Label, Op, Operand, Temp
from runtime.tcg.ops import OPS, mask


def optimize(function: Function) -> Function:
    """Run all passes until little is left to gain; the function itself is changed, and given back."""
    for _ in range(3):
        before = len(function.ops)
        remove_unreachable(function)
        propagate(function)
        forward_state(function)
        remove_dead_state(function)
        remove_dead(function)
        straighten(function)
        if len(function.ops) == before:
            break
    return function


# ---------------------------------------------------------------- control flow


def blocks_of(ops: Iterable[Op]) -> list[list[Op]]:
    """The ops by block: each but the first begins with its label, each ends where control leaves it."""
    blocks: list[list[Op]] = [[]]
    closed = False
    for op in ops:
        if op.name == "label":
            if closed or blocks[-1]:
                blocks.append([])
        elif closed:
            continue  # nothing comes here
        blocks[-1].append(op)
        closed = OPS[op.name].terminator
    return blocks


def remove_unreachable(function: Function) -> None:
    """Decide branches on constants; drop blocks no branch leads to."""
    for op in function.ops:
        if op.name == "brcond" and (isinstance(op.args[0], int) or op.labels[0] is op.labels[1]):
            taken = op.labels[0] if op.args[0] else op.labels[1]
            op.name, op.args, op.widths, op.labels, op.offset = "br", (), (), (taken,), 0
    blocks = blocks_of(function.ops)
    by_label = {block[0].labels[0]: number for number, block in enumerate(blocks) if block and block[0].name == "label"}
    reached: set[int] = set()
    pending = [0]
    while pending:
        number = pending.pop()
        if number in reached or number >= len(blocks):
            continue
        reached.add(number)
        last = blocks[number][-1] if blocks[number] else None
        if last is None or not OPS[last.name].terminator:
            pending.append(number + 1)
        else:
            pending += [by_label[label] for label in last.labels]
    function.ops[:] = [op for number, block in enumerate(blocks) if number in reached for op in block]


def straighten(function: Function) -> None:
    """Jumps to jumps go to the end of the chain; a label only the op above leads to disappears."""
    blocks = blocks_of(function.ops)
    onward: dict[Label, Label] = {}
    for block in blocks:
        if len(block) == 2 and block[0].name == "label" and not block[0].results:
            last = block[1]
            if last.name == "br" and not last.args and last.labels != block[0].labels:
                onward[block[0].labels[0]] = last.labels[0]

    def end_of(label: Label) -> Label:
        seen = {label}
        while (target := onward.get(label)) is not None and target not in seen:
            seen.add(target)
            label = target
        return label

    taking_parameters = {op.labels[0] for op in function.ops if op.name == "label" and op.results}
    for op in function.ops:
        if (op.name == "br" and not op.args) or op.name == "brcond":
            ends = tuple(end_of(label) for label in op.labels)
            if taking_parameters.isdisjoint(ends):
                op.labels = ends
    remove_unreachable(function)
    counts: dict[Label, int] = {}
    for op in function.ops:
        if op.name in ("br", "brcond"):
            for label in op.labels:
                counts[label] = counts.get(label, 0) + 1
    replace: dict[Temp, Operand] = {}
    ops: list[Op] = []
    for op in function.ops:
        above = ops[-1] if ops else op
        if op.name == "label" and above.name == "br" and above.labels == op.labels and counts[op.labels[0]] == 1:
            replace.update(zip(op.results, ops.pop().args, strict=True))
            continue
        ops.append(op)
    function.ops[:] = ops
    _substitute(function, replace)


def _resolve(value: Operand, replace: dict[Temp, Operand]) -> Operand:
    while isinstance(value, Temp) and value in replace:
        value = replace[value]
    return value


def _substitute(function: Function, replace: dict[Temp, Operand]) -> None:
    if replace:
        for op in function.ops:
            op.args = tuple([_resolve(value, replace) for value in op.args])


# ---------------------------------------------------------------- values


def propagate(function: Function) -> None:
    """Fold ops on constants, pass copies on, and merge equal pure ops of a block."""
    edges: dict[Label, list[Op]] = {}
    for op in function.ops:
        if op.name == "br":
            edges.setdefault(op.labels[0], []).append(op)
    replace: dict[Temp, Operand] = {}
    seen: dict[tuple[object, ...], Temp] = {}
    made: dict[Operand, Op] = {}
    kept: list[Op] = []
    for op in function.ops:
        if op.args:
            op.args = tuple([_resolve(value, replace) for value in op.args])
        if op.name in ("sext", "zext") and (source := made.get(op.args[0])) is not None:
            _extend_constant(op, source)
        elif op.name == "cat":
            made[op.result] = op
        definition = OPS[op.name]
        if op.name == "label":
            seen.clear()
            _merge_parameters(op, edges.get(op.labels[0], []), replace)
        elif definition.evaluate is not None:
            value = folded(op)
            if value is None:
                key = (op.name, op.args, op.widths, op.offset, op.result.width)
                value = seen.setdefault(key, op.result)
                if value is op.result:
                    kept.append(op)
                    continue
            replace[op.result] = value
            continue
        kept.append(op)
    function.ops[:] = kept
    _substitute(function, replace)


def _extend_constant(op: Op, cat: Op) -> None:
    """The extension of a concatenation that begins with a constant begins with a longer one."""
    leading = cat.args[0]
    if not isinstance(leading, int):
        return
    more, width = op.result.width - op.widths[0], cat.widths[0]
    if op.name == "sext" and leading >> (width - 1):
        leading |= mask(more) << width
    op.name, op.args, op.widths = "cat", (leading, *cat.args[1:]), (width + more, *cat.widths[1:])


def _merge_parameters(label: Op, edges: list[Op], replace: dict[Temp, Operand]) -> None:
    """A parameter that is the same value on every way in, itself aside, is that value."""
    for column in range(len(label.results) - 1, -1, -1):
        parameter = label.results[column]
        values = {_resolve(edge.args[column], replace) for edge in edges} - {parameter}
        if len(values) != 1:
            continue
        replace[parameter] = values.pop()
        label.results = label.results[:column] + label.results[column + 1 :]
        for edge in edges:
            edge.args = edge.args[:column] + edge.args[column + 1 :]
            edge.widths = edge.widths[:column] + edge.widths[column + 1 :]


def folded(op: Op) -> Operand | None:
    """The op's value, if it is a constant or one of its arguments."""
    known = tuple([value for value in op.args if isinstance(value, int)])
    evaluate = OPS[op.name].evaluate
    if len(known) == len(op.args) and evaluate is not None:
        return evaluate(op.result.width, known, op.widths, op.offset)
    if op.name == "select":
        condition, one, other = op.args
        if isinstance(condition, int):
            return one if condition else other
        return one if one == other else None
    if op.name in ("zext", "sext") and op.widths[0] == op.result.width:
        return op.args[0]
    if op.name in ("add", "sub", "or", "xor", "shl", "lshr", "ashr") and op.args[1] == 0:
        return op.args[0]
    if op.name in ("add", "or", "xor") and op.args[0] == 0:
        return op.args[1]
    if op.name in ("and", "mul") and 0 in op.args:
        return 0
    return None


def forward_state(function: Function) -> None:
    """In a block, reads of a register already read or written there give that value."""
    replace: dict[Temp, Operand] = {}
    known: dict[tuple[object, ...], Operand] = {}
    kept: list[Op] = []
    for op in function.ops:
        if op.args:
            op.args = tuple([_resolve(value, replace) for value in op.args])
        if op.name == "label":
            known.clear()
        elif op.name in ("ld_env", "ld_slot", "ld_local"):
            width = op.result.width
            key: tuple[object, ...] = (op.name, op.local, op.offset, op.size, op.flag, width)
            value = known.get(key)
            if value is not None:
                replace[op.result] = value
                continue
            known[key] = op.result
        elif op.name == "st_env":
            # Another width at this offset would be another view of the same bytes.
            for view in [view for view in known if view[0] == "ld_env" and view[2] == op.offset]:
                del known[view]
            known[("ld_env", None, op.offset, 0, False, op.widths[0])] = op.args[0]
        elif op.name == "st_local":
            known[("ld_local", op.local, 0, 0, False, op.widths[0])] = op.args[0]
        elif OPS[op.name].writes_state:
            known = {key: value for key, value in known.items() if key[0] != "ld_env"}
        kept.append(op)
    function.ops[:] = kept
    _substitute(function, replace)


# ---------------------------------------------------------------- dead code


def remove_dead(function: Function) -> None:
    """Drop ops whose results nobody uses, parameters nobody reads, and locals nobody loads."""
    loaded = {op.local for op in function.ops if op.name in ("ld_local", "ld_localx")}
    ops = [op for op in function.ops if op.name not in ("st_local", "st_localx") or op.local in loaded]
    parameters: dict[Temp, list[Operand]] = {}
    edges: dict[Label, list[Op]] = {}
    for op in ops:
        if op.name == "br":
            edges.setdefault(op.labels[0], []).append(op)
    for op in ops:
        if op.name == "label":
            for column, parameter in enumerate(op.results):
                parameters[parameter] = [edge.args[column] for edge in edges.get(op.labels[0], [])]
    needed: set[Temp] = set()
    by_result = {temp: op for op in ops for temp in op.results if op.name != "label"}
    pending: list[Operand] = []
    for op in ops:
        if op.name != "br" and not OPS[op.name].droppable and op.name != "label":
            pending += op.args
    while pending:
        value = pending.pop()
        if not isinstance(value, Temp) or value in needed:
            continue
        needed.add(value)
        if value in parameters:
            pending += parameters[value]
        elif value in by_result:
            pending += by_result[value].args
    kept: list[Op] = []
    for op in ops:
        if op.name == "label" and op.results:
            used = [column for column, parameter in enumerate(op.results) if parameter in needed]
            if len(used) < len(op.results):
                op.results = tuple([op.results[column] for column in used])
                for edge in edges.get(op.labels[0], []):
                    edge.args = tuple([edge.args[column] for column in used])
                    edge.widths = tuple([edge.widths[column] for column in used])
        elif OPS[op.name].droppable and needed.isdisjoint(op.results):
            continue
        kept.append(op)
    function.ops[:] = kept


def remove_dead_state(function: Function) -> None:
    """Drop a register write that a later one in the block overwrites before anything can see it."""
    overwritten: set[tuple[int, int]] = set()
    kept: list[Op] = []
    for op in reversed(function.ops):
        if op.name == "st_env":
            place = (op.offset, op.widths[0])
            if place in overwritten:
                continue
            overwritten.add(place)
        elif op.name == "ld_env":
            overwritten = {place for place in overwritten if place[0] != op.offset}
        elif op.name == "insn_start":
            pass  # a register two instructions write is written once: nothing can look in between
        elif OPS[op.name].shows_state or op.name == "label":
            overwritten.clear()
        kept.append(op)
    kept.reverse()
    function.ops[:] = kept
