"""Tables of system registers: rows with their rules, and the functions that read and write a table by address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from gen import expressions, fold, model, parts, statements, tree
from gen.names import Declared
from gen.scope import Body, Local, Program, RegisterEntity, SysRow, SysTableEntity
from gen.tree import Pos
from gen.values import Failed, Sized

Made = tuple[tuple[tuple[str, int], ...], tuple[int, ...], list[model.Stmt]]


def register_fields(body: Body, width: int, defs: tuple[tree.FieldDef, ...]) -> tuple[model.RegField, ...]:
    """Sub-fields with bit 0 the least significant."""
    made: list[model.RegField] = []
    for part in defs:
        try:
            if part.low is None:
                number = parts.bit_number(body, width, part.high)
                if not isinstance(number, int):
                    body.fail(part.high.pos, "the bit of a field must be known at generation")
                low, size = number, 1
            else:
                low, size = parts.slice_bounds(body, width, part.high, part.low, part.name.pos)
            allowed = tuple(expressions.number_of(body, value, "a legal value") for value in part.allowed)
            for value, node in zip(allowed, part.allowed, strict=True):
                if value >> size:
                    body.error(node.pos, f"{value} does not fit in '{part.name.name}', which is bits({size})")
            if any(other.name == part.name.name for other in made):
                body.error(part.name.pos, f"there are two fields '{part.name.name}'")
            made.append(model.RegField(part.name.name, low, size, allowed))
        except Failed:
            continue
    return tuple(made)


def rows_of(
    program: Program, declared: Declared[tree.SysRegsDecl], index_width: int, width: int
) -> tuple[list[SysRow], list[model.Register], list[model.SysReg]]:
    """The rows of a table, one for each name; their storage; and what debuggers and the assembler know of them."""
    decl = declared.decl
    rows: list[SysRow] = []
    storage: list[model.Register] = []
    listed: list[model.SysReg] = []
    by_address: dict[int, Pos] = {}
    body = Body(program, declared.msb0, "fn")
    for row in decl.rows:
        made = register_fields(body, width, row.fields)
        if row.at is not None and row.read is None and not row.read_only and row.view is None:
            program.error(
                row.at.pos, "registers numbered with `at` have no storage of their own", help="say what they `read`"
            )
        for number, entry in enumerate(row.names):
            name, address = entry.name.name, entry.address.value
            if address >> index_width:
                program.error(
                    entry.address.pos,
                    f"{entry.address.digits} does not fit in bits({index_width}), the addresses of '{decl.name.name}'",
                )
            if address in by_address:
                program.error(
                    entry.address.pos,
                    f"address {entry.address.digits} is taken",
                    ((by_address[address], "it is here"),),
                )
            by_address.setdefault(address, entry.address.pos)
            register = name if row.at is None and _has_storage(row, name) else None
            if register is not None:
                storage.append(model.Register(name, width, made, _reset(body, row, width), entry.name.pos, True))
            pos = entry.name.pos
            rows.append(SysRow(decl.name.name, address, name, width, made, register, row, declared.msb0, pos, number))
            listed.append(model.SysReg(decl.name.name, address, name, made, register, entry.name.pos))
    return rows, storage, listed


def _has_storage(row: tree.SysRegRow, name: str) -> bool:
    """Constants and views have none; a row with `read` has some only when its own rules name it."""
    if row.view is not None or (row.read_only and row.value is not None):
        return False
    return row.read is None or row.value is not None or _mentions(row.read, name) or _mentions(row.write_body, name)


def _reset(body: Body, row: tree.SysRegRow, width: int) -> int:
    if row.value is None:
        return 0
    try:
        return expressions.number_of(body, row.value, "the value at reset") & ((1 << width) - 1)
    except Failed:
        return 0


def names_in(node: Any) -> Iterator[str]:
    """Every name an expression or statement mentions."""
    if isinstance(node, tree.Name):
        yield node.name
    if isinstance(node, tuple):
        for item in node:
            yield from names_in(item)
    elif is_dataclass(node) and not isinstance(node, tree.Pos):
        for part in fields(node):
            yield from names_in(getattr(node, part.name))


def _mentions(node: Any, name: str) -> bool:
    return any(found == name for found in names_in(node))


# ---------------------------------------------------------------- functions by address


def table_function(program: Program, table: SysTableEntity, write: bool, splits: Mapping[str, int]) -> Made:
    """get_T(address) or set_T(address, value): one test for each row, then `missing`.

    The tests stand one after the other, each ending in a return: nested, they would be hundreds of levels deep.
    Registers of one row that only its rules tell apart share one test of their addresses."""
    body = Body(program, table.declared.msb0, "fn", splits)
    body.results = () if write else (table.width,)
    address = model.Local(table.index_width, body.fresh("address"), model.Time.R)
    params = [(address.name, address.width)]
    value: model.Expr = fold.const(table.width, 0)
    if write:
        value = model.Local(table.width, body.fresh("value"), model.Time.R)
        params.append((value.name, value.width))
    for row, count in _runs(table.rows):
        first = fold.const(table.index_width, row.address)
        beyond = fold.binary("sub", address, first)
        try:
            with body.block() as made:
                if write:
                    write_row(body, row, value, beyond)
                    if not statements.ends(made):
                        body.emit(model.Return((), row.pos))
                else:
                    body.emit(model.Return((read_row(body, row, beyond),), row.pos))
        except Failed:
            continue
        if count == 1:
            test = fold.binary("eq", address, first)
        else:
            test = fold.binary("ult", beyond, fold.const(table.index_width, count))
        body.emit(model.If(test, tuple(made), (), row.pos))
    missing = table.declared.decl.missing
    if not (write and isinstance(missing, tree.Return)):
        statements.check_block(body, (missing,))
    if not write and not statements.ends(body.blocks[0]):
        body.emit(model.Return((value,), missing.pos))
    return tuple(params), body.results, body.blocks[0]


def _runs(rows: Sequence[SysRow]) -> Iterator[tuple[SysRow, int]]:
    """The rows, those of one row of the spec at neighbouring addresses without storage as one: (first, how many)."""
    at = 0
    while at < len(rows):
        first, end = rows[at], at + 1
        while (
            first.register is None
            and end < len(rows)
            and rows[end].row is first.row
            and rows[end].register is None
            and rows[end].address == rows[end - 1].address + 1
        ):
            end += 1
        yield first, end - at
        at = end


def _inside(body: Body, row: SysRow, beyond: model.Expr | None) -> Body:
    """The body as the row's rules see it: with the row's name for the register's number, if it gives one.

    `beyond` is how far the address is from the row's first; None: it is this register's."""
    name = row.row.at
    if name is None:
        return body.aside(row.msb0, {})
    width = max(1, (len(row.row.names) - 1).bit_length())
    number: model.Expr = fold.const(width, row.number)
    if beyond is not None:
        start = fold.const(beyond.width, row.number)
        number = fold.slice_of(fold.binary("add", beyond, start) if row.number else beyond, 0, width)
    return body.aside(row.msb0, {name.name: Local("parameter", Sized(number), name.pos, "", width)})


def row_value(body: Body, row: SysRow) -> model.Expr:
    """`ro = v`."""
    assert row.row.value is not None
    return expressions.sized(body, row.row.value, row.width, f"'{row.name}' is bits({row.width})")


def read_row(body: Body, row: SysRow, beyond: model.Expr | None = None) -> model.Expr:
    """What a guest's read of the row gives."""
    options = row.row
    inside = _inside(body, row, beyond)
    if options.read is not None:
        return expressions.sized(inside, options.read, row.width, f"'{row.name}' is bits({row.width})")
    if options.view is not None:
        base, mask = _view(inside, row)
        return fold.binary("and", base, mask)
    if row.register is not None:
        return model.RegRead(row.width, row.register)
    return row_value(inside, row)


def row_read_body(program: Program, row: SysRow, splits: Mapping[str, int]) -> list[model.Stmt]:
    """The body of a function that reads a row without storage."""
    body = Body(program, row.msb0, "fn", splits)
    body.emit(model.Return((read_row(body, row),), row.pos))
    return body.blocks[0]


def row_write_body(program: Program, row: SysRow, splits: Mapping[str, int]) -> Made:
    """The function that writes a row without storage."""
    body = Body(program, row.msb0, "fn", splits)
    body.results = ()
    value = model.Local(row.width, body.fresh("value"), model.Time.R)
    write_row(body, row, value)
    return ((value.name, value.width),), (), body.blocks[0]


def _view(body: Body, row: SysRow) -> tuple[model.Expr, model.Expr]:
    """(the register viewed, the mask)."""
    assert row.row.view is not None
    base, mask = row.row.view
    value = expressions.sized(body, base, row.width, f"'{row.name}' is bits({row.width})")
    return value, expressions.sized(body, mask, row.width, f"the mask of '{row.name}' is bits({row.width})")


def write_row(body: Body, row: SysRow, value: model.Expr, beyond: model.Expr | None = None) -> None:
    """What a guest's write to the row does."""
    options = row.row
    inside = _inside(body, row, beyond)
    if options.write_name is not None:
        held = body.hold(value, options.write_name.name, row.pos)
        parameter = Local("parameter", Sized(held), options.write_name.pos, "", row.width)
        inside.scopes.append({options.write_name.name: parameter})
        statements.check_block(inside, options.write_body)
        return
    if options.view is not None:
        _write_view(inside, row, value)
        return
    if options.read_only or row.register is None:
        return  # writes are ignored
    _write_storage(inside, row, value)


def _write_view(body: Body, row: SysRow, value: model.Expr) -> None:
    assert row.row.view is not None
    name = row.row.view[0]
    base, mask = _view(body, row)
    new = fold.binary("or", fold.binary("and", base, fold.unary("not", mask)), fold.binary("and", value, mask))
    entity = body.entity(name.name) if isinstance(name, tree.Name) else None
    if isinstance(entity, SysRow) and entity.row.view is None:
        write_row(body, entity, new)
    elif isinstance(entity, RegisterEntity):
        body.emit(model.Assign(model.ToReg(row.width, entity.register.name), new, row.pos))
    else:
        body.fail(name.pos, "a view is of a register, not of another view")


def _write_storage(body: Body, row: SysRow, value: model.Expr) -> None:
    """Bits outside `mask`, or outside all declared fields, keep their value; so do fields given an illegal one."""
    assert row.register is not None
    old: model.Expr = model.RegRead(row.width, row.register)
    mask = _writable(body, row)
    whole = (1 << row.width) - 1
    limited = not (isinstance(mask, model.Const) and mask.value == whole)
    ruled = [part for part in row.fields if part.allowed]
    new = value
    if limited:
        kept = fold.binary("and", old, fold.unary("not", mask))
        new = fold.binary("or", fold.binary("and", value, mask), kept)
    if ruled:
        old = body.hold(old, "old", row.pos)
        new = body.hold(new, "new", row.pos)
    for part in ruled:
        given = fold.slice_of(new, part.low, part.width)
        tests = [fold.binary("eq", given, fold.const(part.width, choice)) for choice in part.allowed]
        legal = tests[0]
        for test in tests[1:]:
            legal = fold.binary("or", legal, test)
        before = fold.slice_of(old, part.low, part.width)
        new = body.hold(fold.insert(new, part.low, fold.select(legal, given, before)), "new", row.pos)
    body.emit(model.Assign(model.ToReg(row.width, row.register), new, row.pos))


def _writable(body: Body, row: SysRow) -> model.Expr:
    if row.row.mask is not None:
        return expressions.sized(body, row.row.mask, row.width, f"the mask of '{row.name}' is bits({row.width})")
    if not row.fields:
        return fold.const(row.width, -1)
    return fold.const(row.width, sum(((1 << part.width) - 1) << part.low for part in row.fields))
