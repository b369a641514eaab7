"""The two ways from an instruction's emitter to host code, stage by stage: a handler's, and a translation's.

Nothing here is written for showing: it is what `gen` does to make a handler, and what the translator does with a block,
stopped between the steps.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gen import model
from gen.decode_values import FIELD, INDEX, MODE, NEXT_PC, PC, DecodeValue, Facts, Part, Pool, replay
from gen.handler_builder import HandlerBuilder, Slot, Variant
from gen.handlers import Form, HandlerSet
from gen.operand_choices import Choice
from gen.operand_decoder import has_prefixes
from gen.source import identifier
from isomorph.errors import InstructionError
from runtime.core.cpu import Isa
from runtime.tcg.builder import Builder
from runtime.tcg.instructions import Decoded
from runtime.tcg.intermediate import gen_intermediate_code
from runtime.tcg.ir import Function
from runtime.tcg.llvm import assembly
from runtime.tcg.lower import lower_module
from runtime.tcg.operands import Taken
from runtime.tcg.optimize import optimize

__all__ = ["HandlerStages", "SlotRow", "Stages", "decode", "handler_stages", "translation_stages"]

_DEFINITION = re.compile(r"^define .*?^}$", re.MULTILINE | re.DOTALL)
#: what an assembler is told besides instructions and labels
_DIRECTIVE = re.compile(r"^\s*\.(?!L|quad|long|word|short|byte|zero)\w")


@dataclass(frozen=True, slots=True)
class Stages:
    """One function from TCG as emitted to host code."""

    emitted: str
    optimised: str
    llvm: str
    assembly: str


@dataclass(frozen=True, slots=True)
class SlotRow:
    """An operand of an op record: where it stands, what the decoder computes into it, and what that is here."""

    offset: int
    bits: int
    expression: str
    value: int


@dataclass(frozen=True, slots=True)
class HandlerStages:
    """The native handler the decoder chooses for one instruction."""

    name: str
    variants: int
    decisions: tuple[tuple[str, bool], ...]
    record_bytes: int
    slots: tuple[SlotRow, ...]
    stages: Stages


def native_stages(function: Function, emitted: str) -> Stages:
    """LLVM IR and host code of a function that has been optimised."""
    optimised = str(function)
    text = lower_module([function])
    return Stages(emitted, optimised, _definition(text), _instructions(assembly(text)))


def _definition(text: str) -> str:
    """The function of a module that has one, without what it declares."""
    definition = _DEFINITION.search(text)
    return definition[0] + "\n" if definition else text


def _instructions(text: str) -> str:
    """Host assembly without what only an assembler wants to know."""
    lines = [line.rstrip() for line in text.splitlines()]
    kept = [line for line in lines if line.strip() and not _DIRECTIVE.match(line) and not line.lstrip().startswith("#")]
    kept = [line for line in kept if not line.startswith(".Lfunc_")]
    return "\n".join(line.replace("\t", "    ", 1).replace("\t", " ") for line in kept) + "\n"


# ---------------------------------------------------------------- with fields only the decoder knows


def handler_stages(
    isa: Isa, insn: model.Instruction, decoded: Decoded, values: Mapping[str, int], pc: int, modes: Mapping[str, int]
) -> HandlerStages:
    """The handler of an instruction with these values of its fields; `modes` are as its prefixes leave them."""
    translate = isa.module("translate")
    entry = decoded.instruction
    hook = translate.HOOKS.get("badaddr")
    handlers = HandlerSet(isa.layout, hook.body if hook else None, has_prefixes(isa.layout))
    fields: Callable[..., Any] = inspect.get_annotations(entry.fields, eval_str=True)["return"]
    name = identifier(entry.name)
    forms = handlers.instruction(insn, name, entry, fields).forms
    form = next(form for form in forms if _takes(form.choices, decoded.fields))
    known = _Known(isa, {**values, **_numbers(decoded.fields)}, pc, decoded.length, modes)
    chosen = next(
        variant
        for variant in form.variants
        if all(bool(known.value(condition)) == answer for condition, answer in variant.decisions)
    )
    function, emitted, slots = _rebuilt(handlers, insn, decoded, form, chosen, fields)
    return HandlerStages(
        chosen.handler,
        sum(len(form.variants) for form in forms),
        tuple((repr(condition), answer) for condition, answer in chosen.decisions),
        chosen.record_bytes,
        tuple(_slot_row(slot, known) for slot in slots),
        native_stages(function, emitted),
    )


def _takes(choices: Sequence[Choice], fields: Any) -> bool:
    """Whether these are the rows that an instruction's operands took; a row that is left open is any."""
    for choice in choices:
        taken = getattr(fields, choice.use.name)
        if choice.row is not None and not (taken.row is choice.row and _takes(choice.inner, taken.fields)):
            return False
    return True


def _numbers(fields: Any) -> dict[str, int]:
    """What fields are, those of the operands' rows, too; names are those in translate.py."""
    found: dict[str, int] = {}
    for name in (field.name for field in dataclasses.fields(fields)):
        value = getattr(fields, name, None)
        if isinstance(value, int):
            found[name] = value
        elif isinstance(value, Taken):
            found |= _numbers(value.fields)
    return found


def _slot_row(slot: Slot, known: _Known) -> SlotRow:
    expression, value, width = repr(slot.value), known.value(slot.value), slot.value.width
    if slot.signed and width < slot.bits:
        expression = f"sext({expression}):{slot.bits}"
        if value >> (width - 1):
            value += (1 << slot.bits) - (1 << width)
    return SlotRow(slot.offset, slot.bits, expression, value)


def _rebuilt(
    handlers: HandlerSet,
    insn: model.Instruction,
    decoded: Decoded,
    form: Form,
    chosen: Variant,
    fields: Callable[..., Any],
) -> tuple[Function, str, list[Slot]]:
    """The chosen variant once more, stopped before the optimiser."""
    entry = decoded.instruction
    pool = Pool()
    known = handlers.known(pool)
    operands = handlers.chosen(insn, fields, form.choices, pool, known)
    if entry.guard is not None:
        scratch = HandlerBuilder(handlers.layout, Function("guard"), None, pool, Facts(), most_decisions=0)
        condition = entry.guard(scratch, operands)
        if isinstance(condition, DecodeValue):
            known.assume(condition, True)
    function = Function(chosen.handler)
    answers = tuple(answer for _, answer in chosen.decisions)
    b = HandlerBuilder(
        handlers.layout, function, handlers.bad_address, pool, known, answers, most_decisions=len(answers)
    )

    def emit(builder: HandlerBuilder) -> None:
        entry.emit(builder, operands)

    length = None if handlers.prefixes or entry.variable else insn.pattern.length // 8
    handlers.run(b, emit, length, f"{entry.name} {entry.source}", insn.restartable)
    emitted = str(function)
    optimize(function)
    b.lay_out()
    return function, emitted, b.slots


class _Known:
    """What the native decoder would compute for one instruction."""

    def __init__(self, isa: Isa, values: Mapping[str, int], pc: int, length: int, modes: Mapping[str, int]) -> None:
        self._values = values
        self._pc = pc
        self._next = pc + length & (1 << isa.layout.pc_width) - 1
        self._modes = modes
        self._builder = Builder(isa.layout, Function("values"))
        self._done: dict[Part, Any] = {}

    def value(self, part: Part) -> int:
        found = replay(part, self._builder, self._leaf, self._done)
        assert isinstance(found, int), part
        return found

    def _leaf(self, leaf: DecodeValue) -> int:
        match leaf.name:
            case name if name == FIELD:
                return self._values[leaf.symbol]
            case name if name == MODE:
                return self._modes[leaf.symbol]
            case name if name == PC:
                return self._pc
            case name if name == NEXT_PC:
                return self._next
            case name if name == INDEX:
                return 0
            case other:
                raise AssertionError(other)


# ---------------------------------------------------------------- with fields that are known


def translation_stages(isa: Isa, data: bytes, pc: int, flags: int) -> Stages:
    """Instructions as a region: what is compiled when code is hot."""
    from runtime.tcg.region import RegionBlock, RegionRequest
    from runtime.tcg.region_compiler import RegionCompiler

    emitted, blocks, at = [], [], 0
    while at < len(data):
        function = gen_intermediate_code(isa.module("translate"), isa.layout, data[at:], pc + at, flags)
        size = _length(isa, data[at:], sum(op.name == "insn_start" for op in function.ops), flags)
        blocks.append(RegionBlock(pc + at, data[at : at + size], 1))
        emitted.append(str(function))
        at += size
    compiled = RegionCompiler(isa).compile(RegionRequest(pc, flags, tuple(blocks)))
    return Stages(
        "\n".join(emitted), str(compiled.optimized), _definition(compiled.ir), _instructions(compiled.assembly)
    )


def _length(isa: Isa, data: bytes, count: int, flags: int) -> int:
    """Bytes of the first instructions."""
    at = 0
    for _ in range(count):
        at += decode(isa, data[at : at + isa.layout.max_bytes], flags)[0].length
    return at


def decode(isa: Isa, data: bytes, flags: int) -> tuple[Decoded, dict[str, int]]:
    """The instruction at the start of `data`, as the translator decodes it, and modes as its prefixes leave them."""
    builder = Builder(isa.layout, Function("decode"))
    builder.modes = {m.name: flags >> m.shift & (1 << m.width) - 1 for m in isa.layout.modes if not m.prefix}
    decoded: Decoded | None = isa.module("translate").decode(int.from_bytes(data, "little"), len(data), builder)
    if decoded is None:
        raise InstructionError(f"{data.hex(' ')} is no instruction of {isa.name}")
    return decoded, {name: value for name, value in builder.modes.items() if isinstance(value, int)}
