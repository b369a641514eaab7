"""Checks parts of values and of state: slices, bits, entries, lanes, memory, fields."""

from __future__ import annotations

from gen import calls, expressions, fold, model, tree, widths
from gen.expressions import SPLIT_HELP, number_of, sized, value_of, with_own_width
from gen.scope import AliasEntity, Body, FileEntity, MemoryEntity, RegisterEntity, SysRow, SysTableEntity
from gen.tree import Pos
from gen.values import Number, Ranged, Sized, Value


def slice_bounds(body: Body, width: int, high: tree.Expr, low: tree.Expr, pos: Pos) -> tuple[int, int]:
    """(low, width) of `x[high:low]`, bit 0 the least significant."""
    hint = "a slice at a place known later is x[low +: width]"
    first = number_of(body, high, "the bounds of a slice", hint)
    last = number_of(body, low, "the bounds of a slice", hint)
    if body.msb0:
        first, last = width - 1 - first, width - 1 - last
    if first < last:
        order = "msb0" if body.msb0 else "lsb0"
        body.fail(pos, f"this slice is empty: bits count {'up' if body.msb0 else 'down'} in a file of {order} order")
    if last < 0 or first >= width:
        body.fail(pos, f"bits({width}) has bits 0 to {width - 1}")
    return last, first - last + 1


def bit_number(body: Body, width: int, index: tree.Expr) -> int | model.Expr:
    """The bit `x[index]` means, bit 0 the least significant: a number when it is known at generation."""
    value = widths.one_value(body, value_of(body, index), index)
    if isinstance(value, Sized | Ranged) and isinstance(value.expr, model.Const):
        value = Number(value.expr.value)
    if isinstance(value, Number):
        if not 0 <= value.value < width:
            body.fail(index.pos, f"bits({width}) has bits 0 to {width - 1}; there is no bit {value.value}")
        return width - 1 - value.value if body.msb0 else value.value
    if isinstance(value, Ranged) and value.high >= width:
        body.fail(index.pos, f"this runs up to {value.high}; bits({width}) has bits 0 to {width - 1}")
    return from_top(body, widths.natural(value), index, width, 1)


def from_top(body: Body, low: model.Expr | None, node: tree.Expr, width: int, part: int) -> model.Expr:
    """A bit number counted as the file counts, made to count from the least significant bit."""
    if low is None:
        body.fail(node.pos, "the width of this index is not known here")
    if not body.msb0:
        return low
    needed = max(low.width, width.bit_length())
    return fold.binary("sub", fold.const(needed, width - part), fold.extend("zext", low, needed))


def part_bounds(body: Body, width: int, node: tree.DynSlice) -> tuple[int | model.Expr, int]:
    """(low, width) of `x[low +: width]`."""
    part = number_of(body, node.width, "the width of a slice", SPLIT_HELP)
    if not 1 <= part <= width:
        body.fail(node.width.pos, f"a part of bits({width}) has 1 to {width} bits, not {part}")
    value = widths.one_value(body, value_of(body, node.low), node.low)
    if isinstance(value, Number):
        if not 0 <= value.value <= width - part:
            body.fail(
                node.low.pos, f"bits({width}) has bits 0 to {width - 1}; {part} bits from {value.value} on do not fit"
            )
        return (width - part - value.value if body.msb0 else value.value), part
    if isinstance(value, Ranged) and value.high + part > width:
        body.fail(node.low.pos, f"this runs up to {value.high}; {part} bits from there on do not fit in bits({width})")
    return from_top(body, widths.natural(value), node.low, width, part), part


def _slice(body: Body, node: tree.Slice) -> Value:
    base = with_own_width(body, node.base, "what is sliced")
    low, width = slice_bounds(body, base.width, node.high, node.low, node.pos)
    return Sized(fold.slice_of(base.expr, low, width), base.signed and low + width == base.width)


def _dynamic_slice(body: Body, node: tree.DynSlice) -> Value:
    base = with_own_width(body, node.base, "what is sliced")
    low, width = part_bounds(body, base.width, node)
    if isinstance(low, int):
        return Sized(fold.slice_of(base.expr, low, width))
    return Sized(fold.dynamic_slice(base.expr, low, width))


def named_base(body: Body, node: tree.Expr) -> object:
    """The entity a bare global name stands for, if it is one that is indexed in its own way."""
    if isinstance(node, tree.Name) and body.local(node.name) is None:
        entity = body.entity(node.name)
        if isinstance(entity, FileEntity | SysTableEntity | MemoryEntity):
            return entity
        if isinstance(entity, AliasEntity) and entity.index_params:
            return entity
    return None


def file_index(body: Body, entity: FileEntity, node: tree.Expr) -> model.Expr:
    """The index of a register file's entry."""
    value = widths.one_value(body, value_of(body, node), node)
    file, width = entity.file, entity.index_width
    if isinstance(value, Number) and not 0 <= value.value < file.count:
        body.fail(node.pos, f"'{file.name}' has entries 0 to {file.count - 1}; there is no {value.value}")
    if isinstance(value, Ranged) and value.high >= file.count:
        body.fail(node.pos, f"this runs up to {value.high}; '{file.name}' has entries 0 to {file.count - 1}")
    if isinstance(value, Sized) and value.width > width:
        body.fail(
            node.pos,
            f"'{file.name}' has {file.count} entries: its index is bits({width}), this is bits({value.width})",
            help=widths.narrow_help(body, node, width),
        )
    return widths.fit(body, value, width, node, f"the index of '{file.name}' is bits({width})")


def _index(body: Body, node: tree.Index) -> Value:
    entity = named_base(body, node.base)
    if isinstance(entity, FileEntity):
        return Sized(model.RegFileRead(entity.file.width, entity.file.name, file_index(body, entity, node.index)))
    if isinstance(entity, AliasEntity):
        return body.program.functions.alias_get(body, entity, (node.index,), node.pos)
    if isinstance(entity, SysTableEntity):
        address = sized(
            body, node.index, entity.index_width, f"addresses of '{entity.name}' are bits({entity.index_width})"
        )
        return Sized(body.program.functions.table_get(body, entity, address, node.pos))
    if isinstance(entity, MemoryEntity):
        body.fail(node.pos, "a memory access names its size", help=f"write {entity.name}[address, 32]")
    lane = lane_of(body, node)
    if lane is not None:
        file, index, low, width = lane
        return Sized(fold.dynamic_slice(model.RegFileRead(file.width, file.name, index), low, width))
    base = with_own_width(body, node.base, "what is indexed")
    bit = bit_number(body, base.width, node.index)
    if isinstance(bit, int):
        return Sized(fold.slice_of(base.expr, bit, 1))
    return Sized(fold.dynamic_slice(base.expr, bit, 1))


def lane_of(body: Body, node: tree.Index) -> tuple[model.RegFile, model.Expr, model.Expr, int] | None:
    """(file, entry, low bit, width) of `V.lanes(w)[i]`: the file as one array of lanes, lowest first."""
    base = node.base
    if not (isinstance(base, tree.Call) and isinstance(base.callee, tree.Field) and base.callee.name == "lanes"):
        return None
    entity = named_base(body, base.callee.base)
    if not isinstance(entity, FileEntity) or len(base.args) != 1:
        body.fail(base.pos, "`lanes` takes a register file and a width", help="write V.lanes(32)[i]")
    file = entity.file
    width = number_of(body, base.args[0], "the width of a lane", SPLIT_HELP)
    if width < 1 or file.width % width:
        body.fail(base.args[0].pos, f"entries of '{file.name}' have bits({file.width}): they have no lanes of {width}")
    lanes = file.width // width
    if lanes & (lanes - 1) or file.count & (file.count - 1):
        body.fail(base.pos, "the numbers of lanes and of registers must be powers of two")
    total = lanes * file.count
    lane = _integer(body, node.index)
    if lane.low == lane.high >= total:
        body.fail(node.index.pos, f"there are lanes 0 to {total - 1}; there is no {lane.high}")
    inner, all_bits = lanes.bit_length() - 1, max(1, total.bit_length() - 1)
    index = lane.expr
    if index.width < all_bits:
        index = fold.extend("zext", index, all_bits)
    index = fold.slice_of(index, 0, all_bits)
    entry = fold.slice_of(index, inner, all_bits - inner) if all_bits > inner else fold.const(1, 0)
    if inner == 0:
        return file, entry, fold.const(1, 0), width
    low_width = file.width.bit_length()
    within = fold.extend("zext", fold.slice_of(index, 0, inner), low_width)
    return file, entry, fold.binary("mul", within, fold.const(low_width, width)), width


def _integer(body: Body, node: tree.Expr) -> Ranged:
    """Plain integer arithmetic, in which fields do not wrap: the index of `lanes`."""
    if isinstance(node, tree.Binary) and node.op in {"+", "*"}:
        left, right = _integer(body, node.left), _integer(body, node.right)
        value = widths.apply(body, node.op, left, right, (node.left, node.right), node.pos)
    else:
        value = widths.one_value(body, value_of(body, node), node)
    if isinstance(value, Sized):
        return Ranged(value.expr, 0, (1 << value.width) - 1)
    plain = widths.ranged(value)
    if plain is None:
        body.fail(node.pos, "this index may be negative, or its width is open")
    return plain


def memory_access(body: Body, entity: MemoryEntity, node: tree.Subscript) -> tuple[model.Expr, int]:
    """(address, width) of `M[a, width]`."""
    if len(node.indices) != 2:
        body.fail(node.pos, "a memory access takes an address and a size", help=f"write {entity.name}[address, 32]")
    address = sized(
        body, node.indices[0], entity.address_width, f"addresses of '{entity.name}' are bits({entity.address_width})"
    )
    width = number_of(body, node.indices[1], "the size of a memory access", SPLIT_HELP)
    calls.check_access_width(body, width, node.indices[1].pos)
    return address, width


def _subscript(body: Body, node: tree.Subscript) -> Value:
    entity = named_base(body, node.base)
    if isinstance(entity, MemoryEntity):
        address, width = memory_access(body, entity, node)
        return Sized(model.MemRead(width, entity.name, address))
    if isinstance(entity, AliasEntity):
        return body.program.functions.alias_get(body, entity, node.indices, node.pos)
    body.fail(node.pos, "only a memory or an alias takes several indices")


def register_field(body: Body, node: tree.Field) -> model.RegField | None:
    """The sub-field `R.F` names; None when the base is no register."""
    if not isinstance(node.base, tree.Name) or body.local(node.base.name) is not None:
        return None
    entity = body.entity(node.base.name)
    if isinstance(entity, RegisterEntity):
        fields = entity.register.fields
    elif isinstance(entity, SysRow):
        fields = entity.fields
    else:
        return None
    for candidate in fields:
        if candidate.name == node.name:
            return candidate
    hint = body.program.suggest(node.name, [candidate.name for candidate in fields])
    if hint is None:
        names = ", ".join(candidate.name for candidate in fields)
        hint = f"its fields are {names}" if fields else "it has no fields"
    body.fail(node.pos, f"'{node.base.name}' has no field '{node.name}'", help=hint)


def _field(body: Body, node: tree.Field) -> Value:
    part = register_field(body, node)
    if part is not None:
        base = with_own_width(body, node.base, "a field")
        return Sized(fold.slice_of(base.expr, part.low, part.width))
    dotted = calls.dotted_function(body, node)
    if dotted is not None:
        return dotted
    if isinstance(node.base, tree.Name):
        value_of(body, node.base)  # reports unknown names
    body.fail(node.pos, f"only registers have fields; there is no '{node.name}' here")


expressions.CHECKERS.update(
    {
        tree.Slice: _slice,
        tree.DynSlice: _dynamic_slice,
        tree.Index: _index,
        tree.Subscript: _subscript,
        tree.Field: _field,
    }
)
