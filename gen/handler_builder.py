"""Builds one handler: an emitter's run with fields that are expressions, its record's slots, its decisions.

A *variant* is a handler with the answers under which it is the right one; gen/handlers.py makes them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gen.decode_values import FIELD, INDEX, MODE, DecodeValue, Facts, Part, Pool
from gen.guard_records import Predicate
from runtime.core.env import ENV
from runtime.core.layout import LAZY_SYMBOL, Layout, RegisterLayout
from runtime.tcg.builder import NOT_TAKEN, Builder
from runtime.tcg.ir import Deferred, Function, InternalError, Operand, Temp, Value
from runtime.tcg.tb import (
    DELAYED_MAYBE,
    DELAYED_NOT_TAKEN,
    DELAYED_TAKEN,
    DELAYED_UNKNOWN,
    JUMP_SLOT,
    RECORD_MAX_BYTES,
)
from runtime.tcg.values import same

#: ways through one instruction that get handlers of their own
MOST_VARIANTS = 160
_COMPARISONS = frozenset({"eq", "ne", "ult", "ule", "ugt", "uge", "slt", "sle", "sgt", "sge"})
RECORD_HEAD = 8  # the handler's address
#: what the record behind an instruction in one-shot modes is told
AFTER_FLAGS, AFTER_TARGET = "flags", "target"

Decision = tuple[DecodeValue, bool]
BadAddress = Callable[[Builder, Value, Value], object]


@dataclass(slots=True)
class Slot:
    """An operand of an op record: the low `bits` of `value`, sign-extended into them if `signed`."""

    value: DecodeValue
    bits: int
    signed: bool
    offset: int = 0
    in_jump_slot: bool = False  # it stands there anyway


@dataclass(slots=True)
class Variant:
    """One way through an instruction: the handler, and what the decoder must put into its record."""

    handler: str
    decisions: tuple[Decision, ...]
    slots: tuple[Slot, ...]
    jump_targets: tuple[Part, ...]
    record_bytes: int
    ends_block: bool
    new_modes: Mapping[str, Part]  # values with which decoding goes on behind it
    #: of a delayed instruction: tb.DELAYED_*, and the target if that is known
    delayed: tuple[int, Part] | None


class RecordTooLong(InternalError):
    """More operands than an op record has room for."""


class HandlerBuilder(Builder):
    """Builds one variant.  `answers` are the decisions to take first; later ones are taken as true and recorded."""

    def __init__(
        self,
        layout: Layout,
        function: Function,
        bad_address: BadAddress | None,
        pool: Pool,
        facts: Facts,
        answers: tuple[bool, ...] = (),
        most_decisions: int = MOST_VARIANTS,
        guard_records: bool = False,
        seldom: Sequence[DecodeValue] = (),
        puts_off: bool = True,
    ) -> None:
        super().__init__(layout, function, bad_address)
        #: whether rules of a lazy group are put off; whether one was, and whether its registers were wanted after that
        self._puts_off = puts_off and layout.owed is not None
        self._has_put_off = False
        self.too_lazy = False
        self.pool = pool
        self.facts = facts
        self.decisions: list[Decision] = []
        self.slots: list[Slot] = []
        self.jump_targets: list[Part] = []
        self._answers = answers
        #: what seldom holds: once it is asked, the rest is not; and what this path has met of it
        self._seldom_values = seldom
        self.met_seldom: list[DecodeValue] = []
        self._most_decisions = most_decisions
        #: predicates are the business of a record before this one; what was asked for
        self._guard_records = guard_records
        self.asked: tuple[Predicate, object] | None = None
        self._slot_numbers: dict[tuple[DecodeValue, int, bool, bool], int] = {}
        #: a register's offset for writing has a slot of its own even where it equals one for reading: so an encoding
        #: that names a register once, as source and destination, shares the handler of one that names two
        self._writing = False
        self._offset_bits = 16 if layout.size <= 1 << 16 else 32
        self.modes = {mode.name: pool.leaf(MODE, mode.width, mode.name) for mode in layout.modes}

    # ------------------------------------------------------------ values the decoder computes

    def _now(self, value: Value) -> Value:
        """A decode value as a number, if this path has settled it."""
        if isinstance(value, DecodeValue) and (number := self.facts.value(value)) is not None:
            return number
        return value

    def pure(self, name: str, width: int, args: tuple[Value, ...], widths: tuple[int, ...], offset: int = 0) -> Value:
        return super().pure(name, width, tuple([self._now(value) for value in args]), widths, offset)

    def defer(
        self, name: str, width: int, args: tuple[Value, ...], widths: tuple[int, ...], offset: int
    ) -> Value | None:
        return self.pool.op(name, width, args, widths, offset)  # type: ignore[arg-type]  # none is a Temp

    def select(self, w: int, c: Value, a: Value, b: Value) -> Value:
        """A choice between decode values is one, and no reason for a variant."""
        c = self._now(c)
        if isinstance(c, Deferred) and not isinstance(a, Temp) and not isinstance(b, Temp):
            return self._deferred_select(w, c, a, b)
        return super().select(w, c, a, b)

    def _deferred_select(self, w: int, c: Deferred, a: Value, b: Value) -> Value:
        if a is b or (isinstance(a, int) and a == b):
            return a
        if w == 1 and isinstance(a, int) and isinstance(b, int):
            return c if a else self.not_(1, c)
        return self.pure("select", w, (c, a, b), (1, w, w))

    def decide(self, condition: Deferred) -> bool | None:
        if not isinstance(condition, DecodeValue):
            raise InternalError(f"{condition!r} is no decode value")
        known = self.facts.value(condition)
        if known is not None:
            return bool(known)
        if self.dead:
            return True
        taken = len(self.decisions)
        if taken >= self._most_decisions:
            return None
        answer = self._answers[taken] if taken < len(self._answers) else True
        self.decisions.append((condition, answer))
        self.facts.assume(condition, answer)
        return answer

    def seldom(self, condition: Value) -> Value:
        condition = self._now(condition)
        if isinstance(condition, DecodeValue) and not self.dead:
            self.met_seldom.append(condition)
        return super().seldom(condition)

    def settle_seldom(self) -> None:
        """Before an instruction begins: where any of what seldom holds does, all else is found out at run time, by one
        handler; the others need not ask."""
        any_of_them: Value = 0
        for condition in self._seldom_values:
            any_of_them = self.or_(1, any_of_them, condition)
        holds = self.known(any_of_them)
        if holds:
            self._most_decisions = len(self.decisions)

    def materialise(self, value: Deferred, width: int) -> Operand:
        if not isinstance(value, DecodeValue):
            raise InternalError(f"{value!r} is no decode value")
        known = self.facts.value(value)
        if known is not None:
            return known
        undecided = len(self.decisions) >= self._most_decisions and value.name in _COMPARISONS
        if undecided and isinstance(value.args[1], int):
            return self._compare_now(value)
        core, signed = value, False
        if value.name in {"sext", "zext"} and value.widths[0] <= 64 and isinstance(value.args[0], DecodeValue):
            core, signed = value.args[0], value.name == "sext"
        bits = _slot_bits(core)
        if core is not value and core.width < bits:
            # Zero-extended into the slot, it may as well be sign-extended out of it: more handlers come out alike.
            stored_signed, signed = signed, True
        else:
            stored_signed = False
        key = (core, bits, stored_signed, self._writing)
        number = self._slot_numbers.get(key)
        if number is None:
            number = self._slot_numbers[key] = len(self.slots)
            self.slots.append(Slot(core, bits, stored_signed))
        return self._load_slot(number, width, signed)

    def _compare_now(self, value: DecodeValue) -> Operand:
        """One of many comparisons nobody decided beforehand: done at run time, so that they share an operand."""
        operands = tuple([self.operand(part, width) for part, width in zip(value.args, value.widths, strict=True)])
        return self.emit1(value.name, operands, value.widths, 1)

    def _load_slot(self, number: int, width: int, signed: bool = False) -> Temp:
        """Read an operand; `lay_out` replaces its number by its offset."""
        return self.emit1("ld_slot", (), (), width, offset=number, size=self.slots[number].bits, flag=signed)

    # ------------------------------------------------------------ predicates

    def guarded(self, predicate: Predicate, fields: object) -> Iterator[None]:
        if not self._guard_records:
            yield from super().guarded(predicate, fields)
        elif not self.dead:
            self.asked = predicate, fields
            yield

    def can_be_passed_over(self) -> bool:
        """Whether it tells the decoder nothing that depends on its happening."""
        return self.waiting() is None and (self.ends_block or not self.new_modes())

    # ------------------------------------------------------------ lazy groups

    def lazy(self, rule: int, *arguments: tuple[Value, int]) -> bool:
        """Note the rule and its arguments, for whoever reads."""
        owed = self.layout.owed
        if owed is None or not self._puts_off:
            return False
        self._has_put_off = True
        self.emit("st_env", (rule,), (64,), offset=owed.rule, symbol=LAZY_SYMBOL)
        for number, (value, width) in enumerate(arguments):
            wide = self.zext(value, width, 64)
            self.emit("st_env", (wide,), (64,), offset=owed.argument(number), symbol=LAZY_SYMBOL)
        return True

    def _wants(self, name: str) -> None:
        if self._has_put_off and self.layout.owed is not None and name in self.layout.owed.registers:
            self.too_lazy = True

    def get_reg(self, name: str) -> Value:
        self._wants(name)
        return super().get_reg(name)

    def set_reg(self, name: str, value: Value) -> None:
        self._wants(name)
        super().set_reg(name, value)

    # ------------------------------------------------------------ register files

    def get_regfile(self, name: str, index: Value) -> Value:
        return super().get_regfile(name, self._now(index))

    def set_regfile(self, name: str, index: Value, value: Value) -> None:
        value = self.operand(value, self.layout.by_name[name].width)
        self._writing = True
        super().set_regfile(name, self._now(index), value)
        self._writing = False

    def regfile_offset(self, file: RegisterLayout, index: Value) -> Value:
        if not isinstance(index, Deferred):
            return super().regfile_offset(file, index)
        w = self._offset_bits
        wide = self.zext(index, index.width, w) if index.width <= w else self.slice(index, index.width, 0, w)
        return self.add(w, self.mul(w, wide, file.stride), file.offset)

    def regfile_write_offset(self, file: RegisterLayout, index: Value) -> Value:
        if not isinstance(index, Deferred):
            return super().regfile_write_offset(file, index)
        offset = self.regfile_offset(file, index)
        if file.zero is None:
            return offset
        return self.select(self._offset_bits, self.eq(index.width, index, file.zero), ENV["sink"], offset)

    # ------------------------------------------------------------ the ends of an instruction

    def set_mode(self, name: str, value: Value) -> None:
        value, known = self._now(value), self.modes[name]
        if known is None or not same(self._now(known), value):
            super().set_mode(name, value)

    def new_modes(self) -> dict[str, Part]:
        """Modes that the instruction leaves with another value, known when it is decoded."""
        found: dict[str, Part] = {}
        for mode in self.layout.modes:
            value = self.modes[mode.name]
            before = self.pool.leaf(MODE, mode.width, mode.name)
            if not mode.prefix and value is not before and not isinstance(value, Temp | None):
                found[mode.name] = value
        return found

    def slot_offset(self, slot: int) -> int:
        return RECORD_HEAD + JUMP_SLOT["bytes"] * slot

    def finish_next(self) -> None:
        """To the next record, even from an instruction that may jump: a branch not taken does not end the block."""
        self.ends_block = False
        self.emit("next", (self.budget(),), (64,))

    def finish_goto(self, slot: int, target: Value) -> None:
        if isinstance(target, Temp):
            raise InternalError("a jump slot to a run-time target")
        reached = len(self.jump_targets)  # numbered as they are reached: not every goto noted is
        self.jump_targets.append(target)
        if isinstance(target, DecodeValue):
            place = self.slot_offset(reached) + JUMP_SLOT["pc"]
            self.slots.append(Slot(target, 64, False, place, in_jump_slot=True))
            target = self._load_slot(len(self.slots) - 1, self.layout.pc_width)
        super().finish_goto(reached, target)

    # ------------------------------------------------------------ one-shot modes and delay slots

    def _leaves(self) -> bool:
        """Whether it may leave the block, or tell the decoder the modes after it."""
        return bool(self._kinds_used) or self._run_time_modes() or bool(self.new_modes())

    def next_mode(self, name: str, value: Value) -> None:
        """Behind an instruction that goes on to the next the engine puts a record that does it (`after_slot`)."""
        if self.dead or not self._leaves():
            return
        if self.known(self.eq(self.layout.mode(name).width, self.get_mode(name), value)) is not True:
            self.set_mode(name, value)

    def leave_slot(self) -> None:
        if not self.dead and self._leaves() and self.known(self._in_slot) is not False:
            super().leave_slot()

    def after_slot(self, kind: int) -> None:
        """The record behind an instruction in one-shot modes: the modes get their next values, and the branch that
        waited for the end of its slot is taken."""
        self.store_flags(self.pool.leaf(FIELD, 64, AFTER_FLAGS))
        if kind == DELAYED_UNKNOWN:
            self._goto_now(self.operand(self._after_slot(), self.layout.pc_width))
        elif kind != DELAYED_NOT_TAKEN:
            target = self.pool.leaf(FIELD, self.layout.pc_width, AFTER_TARGET)
            for taken in self.If(1 if kind == DELAYED_TAKEN else self.ne(64, self._npc(), NOT_TAKEN)):
                if taken:
                    self._goto_now(target)

    def waiting(self) -> tuple[int, Part] | None:
        """What this instruction, if it is delayed, says of where it goes after the slot."""
        if not self._delayed:
            return None
        pending, target = self._pending.value, self._waiting_target()
        if isinstance(pending, int) and pending == NOT_TAKEN:
            return DELAYED_NOT_TAKEN, 0
        if target is None:
            return DELAYED_UNKNOWN, 0
        assert isinstance(target, int | Deferred)
        return (DELAYED_MAYBE if isinstance(pending, Temp) else DELAYED_TAKEN), target

    # ------------------------------------------------------------ operands that records before this one worked out

    def set_operand(self, slot: int, value: Value, width: int) -> None:
        """Leave a value to the next record."""
        self.emit("st_env", (self.zext(value, width, 64),), (64,), offset=ENV[f"operand{slot}"])

    # ------------------------------------------------------------ the op record

    def lay_out(self) -> int:
        """Give the slots still used their places, largest first, after the jump slots; gives the record's size."""
        used = {op.offset for op in self.ops if op.name == "ld_slot"}
        own = [number for number in used if not self.slots[number].in_jump_slot]
        kept = sorted(own, key=lambda number: (-self.slots[number].bits, number))
        at = self.slot_offset(len(self.jump_targets))
        for number in kept:
            self.slots[number].offset = at
            at += self.slots[number].bits // 8
        size = -(-at // 8) * 8
        if size > RECORD_MAX_BYTES:
            raise RecordTooLong(f"{self.function.name}: an op record of {size} bytes")
        last = all(op.name != "next" for op in self.ops)
        for op in self.ops:
            if op.name == "ld_slot":
                op.offset = self.slots[op.offset].offset
            elif op.name in ("next", "skip") or (op.name == "goto_ptr" and last):
                op.size = size
        self.slots = [self.slots[number] for number in kept]
        return size


def _slot_bits(value: DecodeValue) -> int:
    """Storage of an operand: 16 or 32 bits, or a multiple of 64."""
    counted = value.args[0] if value.name == "add" and isinstance(value.args[1], int) else value
    if isinstance(counted, DecodeValue) and counted.name == INDEX:
        return 16  # an index or a little more: no block has that many instructions
    if value.width <= 32:
        return 16 if value.width <= 16 else 32
    return -(-value.width // 64) * 64
