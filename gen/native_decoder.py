"""The native decoder of an ISA: guest bytes to op records.

One function for each encoding (`@dec_…`, TCG) computes the operands of its record; the decision tree (`@decode_insn`,
LLVM text, for LLVM makes jump tables of its switches) finds which to call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gen import decisions, model
from gen.decode_values import FIELD, INDEX, MODE, PC, DecodeValue, Part, replay
from gen.guard_records import SKIP_OFFSET, Guard
from gen.handlers import AFTER_FLAGS, AFTER_TARGET, InstructionHandlers, Slot, Variant
from gen.source import identifier
from runtime.core.layout import Layout
from runtime.tcg.builder import Builder
from runtime.tcg.engine import DECODED_ENDS_TB, DECODED_FUSIBLE_SHIFT, DECODED_NEW_FLAGS, DECODED_SLOTS_SHIFT
from runtime.tcg.instructions import Instruction
from runtime.tcg.ir import Function, Temp, Value, plain_function
from runtime.tcg.ops import mask
from runtime.tcg.tb import DELAYED_NOT_TAKEN, JUMP_SLOT, SEEN_TARGETS, TB

#: parameters of @decode_insn and of every @dec_…
CODE, PC_AT, FLAGS, OUT, TB_AT, INDEX_AT = range(6)
DECODER_PARAMETERS = (64,) * 6
ILLEGAL = "illegal"


class _RecordBuilder(Builder):
    """Builds a function that writes an op record."""

    def __init__(self, layout: Layout, function: Function, parameters: Sequence[Temp | None]) -> None:
        super().__init__(layout, function)
        self._parameters = parameters
        self._fields: dict[str, Value] = {}
        #: numbers of the handlers that may be fused with a neighbour
        self.fusible: Mapping[str, int] = {}
        #: bytes of the guard record before this one, if there can be one
        self._guard_bytes: Value = 0
        flags = parameters[FLAGS]
        if flags is not None:
            self.modes = {m.name: self.slice(flags, 64, m.shift, m.width) for m in layout.modes if not m.prefix}

    def parameter(self, number: int) -> Temp:
        """A parameter the function has."""
        temp = self._parameters[number]
        assert temp is not None
        return temp

    def read_fields(self, pattern: model.Pattern) -> dict[str, Value]:
        """Every field's value from the instruction's bytes."""
        fetch = self.emit1("ld_host", (self.parameter(CODE),), (64,), pattern.length)
        for layout in pattern.fields:
            self._fields[layout.name] = self._field(fetch, pattern.length, layout)
        return self._fields

    def _field(self, fetch: Temp, length: int, layout: model.FieldLayout) -> Value:
        parts: list[tuple[Value, int]] = []
        top = layout.width
        for piece in sorted(layout.slices, key=lambda s: -s.field_low):
            gap = top - piece.field_low - piece.width
            if gap:
                parts.append((0, gap))
            parts.append((self.slice(fetch, length, piece.low, piece.width), piece.width))
            top = piece.field_low
        if top:
            parts.append((0, top))
        return self.cat(tuple(parts)) if parts else 0

    def set_field(self, name: str, value: Value) -> None:
        """A field that no encoding has."""
        self._fields[name] = value

    def leaf(self, value: DecodeValue) -> Value:
        """What the decoder is given."""
        if value.name == FIELD:
            return self._fields[value.symbol]
        if value.name == MODE:
            return self.get_mode(value.symbol)
        return self.slice(self.parameter({PC: PC_AT, INDEX: INDEX_AT}[value.name]), 64, 0, value.width)

    # ------------------------------------------------------------ the record

    def choose(self, variants: Sequence[Variant], length: int, done: dict[Part, Value], depth: int = 0) -> None:
        """Write the record of the variant whose decisions hold, and return."""
        if len(variants) == 1 and len(variants[0].decisions) == depth:
            self._write(variants[0], length, done)
            return
        condition = variants[0].decisions[depth][0]
        test = replay(condition, self, self.leaf, done)
        for holds in self.If(test):
            chosen = [variant for variant in variants if variant.decisions[depth][1] == holds]
            self.choose(chosen, length, dict(done), depth + 1)

    def write_guard(self, guard: Guard) -> None:
        """The record goes behind the guard's, if there is one."""
        arguments: list[tuple[Value, int]] = [(self.parameter(OUT), 64), (self.parameter(FLAGS), 64)]
        arguments += [(self._fields[name], width) for name, width in guard.fields]
        size = self.call(guard.symbol, tuple(arguments), (64,), pure=False)
        assert not isinstance(size, tuple)
        self._guard_bytes = size

    def choose_guard(
        self, guard: Guard, number: int = 0, depth: int = 0, done: dict[Part, Value] | None = None
    ) -> None:
        """Write the guard whose decisions hold, and return its size; `number` is a variant that may be it."""
        done = done or {}
        decisions = guard.decisions[number]
        if depth == len(decisions):
            variant = guard.variants[number]
            if variant is not None:
                self._store(0, self._symbol(variant.handler), 64)
                for slot in variant.slots:
                    if slot.offset != SKIP_OFFSET:
                        value = replay(slot.value, self, self.leaf, done)
                        self._store(slot.offset, self._operand(slot, value), slot.bits)
            self.ret((variant.record_bytes if variant else 0,))
            return
        condition = decisions[depth][0]
        for holds in self.If(replay(condition, self, self.leaf, done)):
            path = (*decisions[:depth], (condition, holds))
            chosen = next(at for at, other in enumerate(guard.decisions) if other[: depth + 1] == path)
            self.choose_guard(guard, chosen, depth + 1, dict(done))

    def _place(self, offset: int) -> Value:
        """An address in the record."""
        return self.add(64, self.add(64, self.parameter(OUT), self._guard_bytes), offset)

    def _store(self, offset: int, value: Value, width: int) -> None:
        self.emit("st_host", (self._place(offset), value), (64, width))

    def _write(self, variant: Variant, length: int, done: dict[Part, Value]) -> None:
        guard_bytes = self._guard_bytes
        # What jumps to a run-time pc notes it behind its record, which is not the block's last if there is a guard.
        room = 8 * SEEN_TARGETS if variant.ends_block else 0
        if not isinstance(guard_bytes, int):
            # Where there is no guard this record lies there, or the next one will.
            skip = self.add(64, self.parameter(OUT), SKIP_OFFSET)
            self.emit("st_host", (skip, variant.record_bytes + room), (64, 64))
        self._store(0, self._symbol(variant.handler), 64)
        for number, target in enumerate(variant.jump_targets):
            self._write_jump_slot(number, replay(target, self, self.leaf, done))
        for slot in variant.slots:
            self._store(slot.offset, self._operand(slot, replay(slot.value, self, self.leaf, done)), slot.bits)
        word = length | variant.record_bytes << 8 | len(variant.jump_targets) << DECODED_SLOTS_SHIFT
        if variant.new_modes and not variant.ends_block:
            self._write_flags(variant, done)
            word |= DECODED_NEW_FLAGS
        plain = word | self.fusible.get(variant.handler, 0) << DECODED_FUSIBLE_SHIFT
        plain |= DECODED_ENDS_TB if variant.ends_block else 0
        # Behind a guard it may not happen: the block goes on.
        chosen = self.select(64, self.eq(64, guard_bytes, 0), plain, word + (room << 8))
        self.ret((self.add(64, chosen, self.shl(64, guard_bytes, 8, 8)),))

    def _write_flags(self, variant: Variant, done: dict[Part, Value]) -> None:
        """Behind the record, where the next one will overwrite it: the modes from here on, and where a branch goes."""
        flags: Value = self.parameter(FLAGS)
        for name, part in variant.new_modes.items():
            mode = self.layout.mode(name)
            others = self.and_(64, flags, mask(64) ^ mask(mode.width) << mode.shift)
            value = self.zext(replay(part, self, self.leaf, done), mode.width, 64)
            flags = self.or_(64, others, self.shl(64, value, mode.shift, 8))
        self._store(variant.record_bytes, flags, 64)
        if variant.delayed is not None:
            kind, target = variant.delayed
            wide = self.zext(replay(target, self, self.leaf, done), self.layout.pc_width, 64)
            self._store(variant.record_bytes + 8, kind, 64)
            self._store(variant.record_bytes + 16, wide, 64)

    def packed_modes(self, values: Mapping[str, Value]) -> Value:
        """As they lie in env.flags."""
        flags: Value = 0
        for mode in self.layout.modes:
            if not mode.prefix:
                flags = self.or_(64, flags, self.shl(64, self.zext(values[mode.name], mode.width, 64), mode.shift, 8))
        return flags

    def _operand(self, slot: Slot, value: Value) -> Value:
        width = slot.value.width
        if width > slot.bits:
            return self.slice(value, width, 0, slot.bits)
        return self.sext(value, width, slot.bits) if slot.signed else self.zext(value, width, slot.bits)

    def _write_jump_slot(self, number: int, target: Value) -> None:
        at = 8 + JUMP_SLOT["bytes"] * number
        stub = at + JUMP_SLOT["stub"]
        self._store(at + JUMP_SLOT["target"], self._place(stub), 64)
        self._store(stub, self._symbol("tb_link"), 64)
        self._store(at + JUMP_SLOT["pc"], self.zext(target, self.layout.pc_width, 64), 64)
        self._store(at + JUMP_SLOT["owner"], self.parameter(TB_AT), 64)
        self._store(at + JUMP_SLOT["next"], 0, 64)
        self._store(at + JUMP_SLOT["prev"], 0, 64)

    def _symbol(self, name: str) -> Temp:
        return self.emit1("symbol", (), (), 64, symbol=name)


def instruction_decoder(
    layout: Layout,
    handlers: InstructionHandlers,
    entry: Instruction,
    fields_class: Callable[..., Any],
    fusible: Mapping[str, int],
) -> Function:
    """`@dec_<name>`: the record for one encoding; 0 when its guard does not hold."""
    function = plain_function(f"dec_{handlers.name}", DECODER_PARAMETERS, (64,))
    b = _RecordBuilder(layout, function, function.parameters)
    b.fusible = fusible
    pattern = handlers.instruction.pattern
    values = b.read_fields(pattern)
    if entry.guard is not None:
        fields = fields_class(**{identifier(name): value for name, value in values.items()})
        for holds in b.If(entry.guard(b, fields)):
            if not holds:
                b.ret((0,))
    if handlers.guard is not None:
        b.write_guard(handlers.guard)
    b.choose(handlers.variants, pattern.length // 8, {})
    return function


def guard_decoder(layout: Layout, guard: Guard) -> Function:
    """`@write_guard_…(out, flags, fields…)`: the guard record that is needed; gives its size."""
    function = plain_function(guard.symbol, (64, 64, *(width for _, width in guard.fields)), (64,))
    out, flags, *values = function.parameters
    b = _RecordBuilder(layout, function, (None, None, flags, out, None, None))
    for (name, _), value in zip(guard.fields, values, strict=True):
        b.set_field(name, value)
    b.choose_guard(guard)
    return function


def illegal_decoder(layout: Layout, variant: Variant) -> Function:
    """`@dec_illegal`: the record for a word that nothing decodes, as long as the smallest instruction."""
    function = plain_function(f"dec_{ILLEGAL}", DECODER_PARAMETERS, (64,))
    _RecordBuilder(layout, function, function.parameters).choose([variant], layout.unit_bytes, {})
    return function


def goto_decoder(layout: Layout, variant: Variant) -> Function:
    """`@decode_goto(pc, out, tb, index)`: the record that ends a block cut short."""
    function = plain_function("decode_goto", (64,) * 4, (64,))
    pc, out, tb, index = function.parameters
    _RecordBuilder(layout, function, (None, pc, None, out, tb, index)).choose([variant], 0, {})
    return function


def after_decoder(layout: Layout, variants: Mapping[int, Variant]) -> Function:
    """`@decode_after(pc, out, tb, index, flags, new flags)`: the record behind an instruction that was decoded for
    one-shot modes; `variants` has a handler for each tb.DELAYED_*."""
    function = plain_function("decode_after", (64,) * 6, (64,))
    pc, out, tb, index, flags, new_flags = function.parameters
    b = _RecordBuilder(layout, function, (None, pc, flags, out, tb, index))
    kind: Value = DELAYED_NOT_TAKEN
    if layout.slot is not None:
        known = b.emit1("ld_host", (b.add(64, tb, TB["delayed_kind"]),), (64,), 64)
        kind = b.select(64, b.get_mode(layout.slot), known, DELAYED_NOT_TAKEN)
        target = b.emit1("ld_host", (b.add(64, tb, TB["delayed_target"]),), (64,), 64)
        b.set_field(AFTER_TARGET, b.slice(target, 64, 0, layout.pc_width))
    b.set_field(AFTER_FLAGS, new_flags)
    *others, last = variants.items()
    for number, variant in others:
        for same in b.If(b.eq(64, kind, number)):
            if same:
                b.choose([variant], 0, {})
    b.choose([last[1]], 0, {})
    return function


def next_flags(layout: Layout, modes: Mapping[str, Callable[[Builder], Value]]) -> Function:
    """`@next_flags(flags)`: the modes after an instruction that sets none, decoded for `flags`."""
    function = plain_function("next_flags", (64,), (64,))
    (flags,) = function.parameters
    b = _RecordBuilder(layout, function, (None, None, flags, None, None, None))
    values = {mode.name: b.get_mode(mode.name) for mode in layout.modes if not mode.prefix}
    values.update({name: value(b) for name, value in modes.items()})
    if layout.slot is not None:
        values[layout.slot] = 0
    b.ret((b.packed_modes(values) if modes or layout.slot is not None else flags,))
    return function


def space_test(layout: Layout, name: str, when: Callable[[Builder], Value]) -> Function:
    """`@when_<space>(flags)`: whether the space's `when` holds."""
    function = plain_function(f"when_{name}", (64,), (64,))
    (flags,) = function.parameters
    b = _RecordBuilder(layout, function, (None, None, flags, None, None, None))
    b.ret((b.zext(when(b), 1, 64),))
    return function


# ---------------------------------------------------------------- the decision tree, as LLVM text

_SIGNATURE = "(ptr %code, i64 %pc, i64 %flags, ptr %out, ptr %tb, i64 %index)"
_TYPES = "(ptr, i64, i64, ptr, ptr, i64)"
_ARGUMENTS = "(ptr %code, i64 %pc, i64 %flags, ptr %out, ptr %tb, i64 %index)"


class TreePrinter:
    """Prints one space's tree as a function of LLVM."""

    def __init__(self, fetch_bits: int, names: dict[str, str]) -> None:
        self._bits = fetch_bits
        self._names = names
        self._lines: list[str] = []
        self._count = 0
        self.called: set[str] = set()

    def function(self, symbol: str, root: decisions.Node) -> str:
        """`define internal i64 @symbol…`"""
        self._lines = [
            f"define internal i64 @{symbol}{_SIGNATURE} nounwind {{",
            f"  %fetch = load i{self._bits}, ptr %code, align 1",
        ]
        self._node(root)
        self._lines += ["illegal:", *self._tail_call(ILLEGAL), "}", ""]
        self.called.add(ILLEGAL)
        return "\n".join(self._lines)

    def _fresh(self) -> int:
        self._count += 1
        return self._count

    def _put(self, text: str) -> None:
        self._lines.append(f"  {text}")

    def _tail_call(self, name: str) -> list[str]:
        n = self._fresh()
        return [f"  %r{n} = tail call i64 @dec_{name}{_ARGUMENTS}", f"  ret i64 %r{n}"]

    def _node(self, node: decisions.Node) -> None:
        match node:
            case decisions.Illegal():
                self._put("br label %illegal")
            case decisions.Leaf():
                self._leaf(node)
            case decisions.Switch():
                self._switch(node)

    def _switch(self, node: decisions.Switch) -> None:
        n = self._fresh()
        self._put(f"%m{n} = lshr i{self._bits} %fetch, {node.low}")
        self._put(f"%s{n} = trunc i{self._bits} %m{n} to i{node.width}")
        cases = [(value, self._fresh(), child) for value, child in node.cases.items()]
        default = self._fresh()
        rows = " ".join(f"i{node.width} {value}, label %L{label}" for value, label, _ in cases)
        self._put(f"switch i{node.width} %s{n}, label %L{default} [ {rows} ]")
        for _, label, child in cases:
            self._lines.append(f"L{label}:")
            self._node(child)
        self._lines.append(f"L{default}:")
        self._node(node.default)

    def _leaf(self, leaf: decisions.Leaf) -> None:
        for candidate in leaf.candidates:
            assert isinstance(candidate, model.Instruction)
            name = self._names[candidate.name]
            self.called.add(name)
            mask, value = leaf.remaining(candidate)
            guarded = candidate.where is not None or candidate.when is not None
            n = self._fresh()
            if mask:
                self._put(f"%a{n} = and i{self._bits} %fetch, {mask}")
                self._put(f"%c{n} = icmp eq i{self._bits} %a{n}, {value}")
                self._put(f"br i1 %c{n}, label %T{n}, label %F{n}")
                self._lines.append(f"T{n}:")
            if not guarded:
                self._lines += self._tail_call(name)
            else:
                self._put(f"%r{n} = call i64 @dec_{name}{_ARGUMENTS}")
                self._put(f"%z{n} = icmp eq i64 %r{n}, 0")
                self._put(f"br i1 %z{n}, label %F{n}, label %D{n}")
                self._lines += [f"D{n}:", f"  ret i64 %r{n}"]
            if not mask and not guarded:
                return
            self._lines.append(f"F{n}:")
        self._put("br label %illegal")


def tree_ir(spec: model.Spec, names: dict[str, str]) -> str:
    """The module that defines @decode_insn."""
    bits = 8 * max(space.max_bytes for space in spec.spaces)
    printer = TreePrinter(bits, names)
    parts = []
    chain = []
    declared: list[str] = []
    for number, space in enumerate(spec.spaces):
        name = identifier(space.name)
        tree = decisions.build(space, spec.instructions, spec.prefixes)
        parts.append(printer.function(f"decode_{name}", tree))
        if space.when is not None:
            declared.append(f"declare hidden i64 @when_{name}(i64)")
            chain += [
                f"  %w{number} = call i64 @when_{name}(i64 %flags)",
                f"  %b{number} = icmp ne i64 %w{number}, 0",
                f"  br i1 %b{number}, label %in{number}, label %not{number}",
                f"in{number}:",
            ]
        chain += [f"  %d{number} = tail call i64 @decode_{name}{_ARGUMENTS}", f"  ret i64 %d{number}"]
        if space.when is None:
            break
        chain.append(f"not{number}:")
    else:
        printer.called.add(ILLEGAL)
        chain += [f"  %i = tail call i64 @dec_{ILLEGAL}{_ARGUMENTS}", "  ret i64 %i"]
    declared += [f"declare hidden i64 @dec_{name}{_TYPES}" for name in sorted(printer.called)]
    root = [f"define hidden i64 @decode_insn{_SIGNATURE} nounwind {{", *chain, "}", ""]
    return "\n".join([*declared, "", *parts, *root])
