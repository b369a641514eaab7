"""The native decoder of an ISA: guest bytes to op records.

One function for each encoding (`@dec_…`, TCG) computes the operands of its record; the decision tree (`@decode_insn`,
LLVM text, for LLVM makes jump tables of its switches) finds which to call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gen import decisions, model
from gen.guard_records import Guard
from gen.handler_builder import AFTER_FLAGS, AFTER_TARGET, Variant
from gen.handlers import InstructionHandlers
from gen.operand_decoder import OperandPrinter, has_prefixes
from gen.record_builder import DECODER_PARAMETERS, FLAGS, ILLEGAL, TAKEN_SHIFT, RecordBuilder
from gen.source import identifier
from runtime.core.layout import Layout
from runtime.tcg.builder import Builder
from runtime.tcg.instructions import Instruction
from runtime.tcg.ir import Function, Value, plain_function
from runtime.tcg.tb import DELAYED_NOT_TAKEN, TB


def instruction_decoder(
    layout: Layout,
    handlers: InstructionHandlers,
    entry: Instruction,
    fields_class: Callable[..., Any],
    fusible: Mapping[str, int],
) -> Function:
    """`@dec_<name>`: the record for one encoding; 0 when its guard does not hold."""
    function = plain_function(f"dec_{handlers.name}", DECODER_PARAMETERS, (64,))
    b = RecordBuilder(layout, function, function.parameters)
    b.fusible = fusible
    pattern = handlers.instruction.pattern
    values = b.read_fields(pattern)
    if entry.guard is not None:
        fields = fields_class(**{identifier(name): value for name, value in values.items()})
        for holds in b.If(entry.guard(b, fields)):
            if not holds:
                b.ret((0,))
    if entry.variable is not None or has_prefixes(layout):
        known = fields_class(**{identifier(name): value for name, value in values.items()})
        OperandPrinter(b, handlers, entry, known).print()
        return function
    if handlers.guard is not None:
        b.write_guard(handlers.guard)
    b.choose(handlers.variants, pattern.length // 8, {})
    return function


def guard_decoder(layout: Layout, guard: Guard) -> Function:
    """`@write_guard_…(out, flags, fields…)`: the guard record that is needed; gives its size."""
    function = plain_function(guard.symbol, (64, 64, *(width for _, width in guard.fields)), (64,))
    out, flags, *values = function.parameters
    b = RecordBuilder(layout, function, (None, None, flags, out, None, None))
    for (name, _), value in zip(guard.fields, values, strict=True):
        b.set_field(name, value)
    b.choose_guard(guard)
    return function


def illegal_decoder(layout: Layout, variant: Variant) -> Function:
    """`@dec_illegal`: the record for a word that nothing decodes, as long as the smallest instruction (and the prefixes
    before it, so that those at the end of a page count as cut off)."""
    function = plain_function(f"dec_{ILLEGAL}", DECODER_PARAMETERS, (64,))
    b = RecordBuilder(layout, function, function.parameters)
    length: Value = layout.unit_bytes
    if has_prefixes(layout):
        length = b.add(64, b.lshr(64, b.parameter(FLAGS), TAKEN_SHIFT, 8), length)
    b.choose([variant], length, {})
    return function


def goto_decoder(layout: Layout, variant: Variant) -> Function:
    """`@decode_goto(pc, out, tb, index)`: the record that ends a block cut short."""
    function = plain_function("decode_goto", (64,) * 4, (64,))
    pc, out, tb, index = function.parameters
    RecordBuilder(layout, function, (None, pc, None, out, tb, index)).choose([variant], 0, {})
    return function


def after_decoder(layout: Layout, variants: Mapping[int, Variant]) -> Function:
    """`@decode_after(pc, out, tb, index, flags, new flags)`: the record behind an instruction that was decoded for
    one-shot modes; `variants` has a handler for each tb.DELAYED_*."""
    function = plain_function("decode_after", (64,) * 6, (64,))
    pc, out, tb, index, flags, new_flags = function.parameters
    b = RecordBuilder(layout, function, (None, pc, flags, out, tb, index))
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
    b = RecordBuilder(layout, function, (None, None, flags, None, None, None))
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
    b = RecordBuilder(layout, function, (None, None, flags, None, None, None))
    b.ret((b.zext(when(b), 1, 64),))
    return function


# ---------------------------------------------------------------- the decision tree, as LLVM text

_SIGNATURE = "(ptr %code, i64 %pc, i64 %flags, ptr %out, ptr %tb, i64 %index)"
_TYPES = "(ptr, i64, i64, ptr, ptr, i64)"
_ARGUMENTS = "(ptr %code, i64 %pc, i64 %flags, ptr %out, ptr %tb, i64 %index)"


class TreePrinter:
    """Prints one space's tree as a function of LLVM."""

    def __init__(self, fetch_bits: int, names: dict[str, str], prefixes: Sequence[model.Prefix], longest: int) -> None:
        self._prefixes = prefixes
        self._longest = longest
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
            mask, value = leaf.remaining(candidate)
            n = self._fresh()
            if isinstance(candidate, model.Prefix):
                self._prefix(candidate, mask, value, n)
                if not mask and candidate.when is None:
                    return
                continue
            name = self._names[candidate.name]
            self.called.add(name)
            guarded = candidate.where is not None or candidate.when is not None or bool(candidate.operands)
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

    def _prefix(self, prefix: model.Prefix, mask: int, value: int, n: int) -> None:
        """Take a prefix, and decode what follows with what it said; no instruction is all prefixes."""
        number = next(index for index, other in enumerate(self._prefixes) if other is prefix)
        if mask:
            self._put(f"%a{n} = and i{self._bits} %fetch, {mask}")
            self._put(f"%c{n} = icmp eq i{self._bits} %a{n}, {value}")
            self._put(f"br i1 %c{n}, label %T{n}, label %F{n}")
            self._lines.append(f"T{n}:")
        self._put(f"%p{n} = call i64 @prefix_{number}(ptr %code, i64 %flags)")
        if prefix.when is not None:
            self._put(f"%z{n} = icmp eq i64 %p{n}, 0")
            self._put(f"br i1 %z{n}, label %F{n}, label %D{n}")
            self._lines.append(f"D{n}:")
        self._put(f"%t{n} = lshr i64 %p{n}, {TAKEN_SHIFT}")
        self._put(f"%l{n} = icmp uge i64 %t{n}, {self._longest}")
        self._put(f"br i1 %l{n}, label %illegal, label %G{n}")
        self._lines.append(f"G{n}:")
        self._put(f"%n{n} = getelementptr i8, ptr %code, i64 {prefix.pattern.length // 8}")
        arguments = f"(ptr %n{n}, i64 %pc, i64 %p{n}, ptr %out, ptr %tb, i64 %index)"
        self._put(f"%r{n} = tail call i64 @decode_insn{arguments}")
        self._put(f"ret i64 %r{n}")
        if mask or prefix.when is not None:
            self._lines.append(f"F{n}:")


def variable(spec: model.Spec) -> bool:
    """Whether instructions have prefixes or operands."""
    return bool(spec.prefixes) or any(instruction.operands for instruction in spec.instructions)


def tree_ir(spec: model.Spec, names: dict[str, str]) -> str:
    """The module that defines @decode_insn."""
    longest = max(space.max_bytes for space in spec.spaces)
    # What follows an instruction's own pattern is not looked at here, and fewer bits are faster.
    patterns = [*(i.pattern for i in spec.instructions), *(p.pattern for p in spec.prefixes)]
    bits = max(pattern.length for pattern in patterns) if variable(spec) else 8 * longest
    printer = TreePrinter(bits, names, spec.prefixes, longest)
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
    declared += [f"declare hidden i64 @prefix_{number}(ptr, i64)" for number in range(len(spec.prefixes))]
    declared += [f"declare hidden i64 @dec_{name}{_TYPES}" for name in sorted(printer.called)]
    root = [f"define hidden i64 @decode_insn{_SIGNATURE} nounwind {{", *chain, "}", ""]
    return "\n".join([*declared, "", *parts, *root])
