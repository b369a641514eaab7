"""Building the functions of the native decoder that write op records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gen import model
from gen.decode_values import FIELD, INDEX, MODE, NEXT_PC, PC, DecodeValue, Part, replay
from gen.guard_records import SKIP_OFFSET, Guard
from gen.handler_builder import Slot, Variant
from runtime.core.layout import Layout
from runtime.tcg.builder import Builder
from runtime.tcg.engine import DECODED_ENDS_TB, DECODED_FUSIBLE_SHIFT, DECODED_NEW_FLAGS, DECODED_SLOTS_SHIFT
from runtime.tcg.ir import Function, Temp, Value
from runtime.tcg.operands import Bits, part_of
from runtime.tcg.ops import mask
from runtime.tcg.tb import JUMP_SLOT, SEEN_TARGETS

#: parameters of @decode_insn and of every @dec_…
CODE, PC_AT, FLAGS, OUT, TB_AT, INDEX_AT = range(6)
DECODER_PARAMETERS = (64,) * 6
ILLEGAL = "illegal"
#: FLAGS has modes, and while an instruction is decoded what its prefixes said and, from this bit on, their bytes
TAKEN_SHIFT = 56


class RecordBuilder(Builder):
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
            self.modes = {m.name: self.slice(flags, 64, m.shift, m.width) for m in layout.modes}
        #: where the record goes
        self.out: Value = parameters[OUT] or 0
        #: of an instruction with prefixes or operands
        self.next_value: Value | None = None

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

    def read_parts(self, bits: Bits, at: Value, names: Sequence[str] | None = None) -> dict[str, Value]:
        """The fields of a pattern at some byte of the instruction."""
        if not bits.length or not bits.parts:
            return {}
        fetch = self.emit1("ld_host", (self.add(64, self.parameter(CODE), at),), (64,), bits.length)
        return {part.name: part_of(part, fetch, bits.length, self) for part in bits.parts}

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
        if value.name == NEXT_PC:
            assert self.next_value is not None
            return self.next_value
        return self.slice(self.parameter({PC: PC_AT, INDEX: INDEX_AT}[value.name]), 64, 0, value.width)

    # ------------------------------------------------------------ the record

    def choose(
        self, variants: Sequence[Variant], length: Value, done: dict[Part, Value], depth: int = 0, before: Value = 0
    ) -> None:
        """Write the record of the variant whose decisions hold, and return; `before` are bytes of records before it."""
        if len(variants) == 1 and len(variants[0].decisions) == depth:
            self._write(variants[0], length, done, before)
            return
        condition = variants[0].decisions[depth][0]
        test = replay(condition, self, self.leaf, done)
        for holds in self.If(test):
            chosen = [variant for variant in variants if variant.decisions[depth][1] == holds]
            self.choose(chosen, length, dict(done), depth + 1, before)

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
        return self.add(64, self.add(64, self.out, self._guard_bytes), offset)

    def _store(self, offset: int, value: Value, width: int) -> None:
        self.emit("st_host", (self._place(offset), value), (64, width))

    def _write(self, variant: Variant, length: Value, done: dict[Part, Value], before: Value) -> None:
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
        word = variant.record_bytes << 8 | len(variant.jump_targets) << DECODED_SLOTS_SHIFT
        if variant.new_modes and not variant.ends_block:
            self._write_flags(variant, done)
            word |= DECODED_NEW_FLAGS
        plain = word
        if isinstance(before, int):  # a pair's records stand side by side, with none of an operand between
            plain |= self.fusible.get(variant.handler, 0) << DECODED_FUSIBLE_SHIFT
        plain |= DECODED_ENDS_TB if variant.ends_block else 0
        # Behind a guard it may not happen: the block goes on.
        chosen = self.select(64, self.eq(64, guard_bytes, 0), plain, word + (room << 8))
        earlier = self.shl(64, self.add(64, guard_bytes, before), 8, 8)
        self.ret((self.add(64, self.add(64, chosen, earlier), length),))

    def _write_flags(self, variant: Variant, done: dict[Part, Value]) -> None:
        """Behind the record, where the next one will overwrite it: the modes from here on, and where a branch goes."""
        together = 0
        for mode in self.layout.modes:
            together |= 0 if mode.prefix else mask(mode.width) << mode.shift
        flags: Value = self.and_(64, self.parameter(FLAGS), together)
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
