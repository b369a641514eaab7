"""Everything native of an ISA as LLVM IR: handlers, decoder, helpers and the engine, in modules of similar size.

Several modules instead of one, so that several processes can compile them and none of them needs much memory; they
find each other's hidden symbols when runtime/tcg/link.py joins the objects.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from gen import model, native_decoder, operand_decoder
from gen.fusion import plan
from gen.handler_builder import HandlerBuilder, Variant
from gen.handlers import HandlerSet, InstructionHandlers, identifiers
from gen.lazy import LazyRules
from gen.native_hooks import hook_functions
from gen.record_builder import ILLEGAL
from gen.source import identifier
from runtime import tcg
from runtime.core.layout import LAZY_SYNC, Layout
from runtime.tcg.builder import Builder
from runtime.tcg.engine import engine_ir
from runtime.tcg.helpers import helper_function
from runtime.tcg.instructions import Instruction
from runtime.tcg.ir import Function, Value, plain_function
from runtime.tcg.lower import FunctionLowering, Lowering, lower_module
from runtime.tcg.machine_lowering import MachineLowering
from runtime.tcg.tb import DELAYED_MAYBE, DELAYED_NOT_TAKEN, DELAYED_TAKEN, DELAYED_UNKNOWN

#: TCG ops a module should have at least, if there are that many
SHARD_OPS = 1500
#: a spec with one of these describes a machine
_MACHINE_HOOKS = frozenset(("exception", "interrupt", "translate"))
FETCH_ACCESS = 2  # what `on badaddr` is told for an instruction fetch


class _FaultBuilder(Builder):
    """Runs a hook outside any instruction: what it raises is noted in env, and the function returns."""

    def exit_here(self, reason: object) -> None:
        self.ret(())


def fetch_fault(layout: Layout, bad_address: Callable[[Builder, Value, Value], object] | None) -> Function:
    """`@fetch_fault(env, address)`: notes the exception for an address without code."""
    function = plain_function("fetch_fault", (64,), (), ("env",))
    b = _FaultBuilder(layout, function)
    if bad_address is not None:
        address = b.slice(function.parameters[0], 64, 0, layout.memories[0].address_width)
        bad_address(b, FETCH_ACCESS, address)
    if not b.dead:
        b.ret(())
    return function


def bad_address(layout: Layout, hook: Callable[[Builder, Value, Value], object] | None) -> Function:
    """`@bad_address(env, access, address)`: notes the exception for an address where nothing answers."""
    function = plain_function("bad_address", (64, 64), (), ("env",))
    b = _FaultBuilder(layout, function)
    access, whole = function.parameters
    if hook is not None:
        hook(b, b.slice(access, 64, 0, 2), b.slice(whole, 64, 0, layout.memories[0].address_width))
    if not b.dead:
        b.ret(())
    return function


def sync_state(layout: Layout) -> Function:
    """`@sync_state(env)`: makes env what Python expects.  The host's accrued FP flags are folded into the guest's, and
    registers that native code owes get their values."""
    function = plain_function("sync_state", (), (), ("env",))
    b = Builder(layout, function)
    b.sync_state()
    if layout.owed:
        b.call_env(LAZY_SYNC)
    b.ret(())
    return function


class _Native:
    """Collects the functions of one ISA."""

    def __init__(self, spec: model.Spec, layout: Layout, module: ModuleType) -> None:
        self.spec = spec
        self.layout = layout
        self.module = module
        hook = module.HOOKS.get("badaddr")
        self.bad_address = hook.body if hook else None
        self.handlers = HandlerSet(layout, self.bad_address, operand_decoder.has_prefixes(layout))
        self.entries: dict[str, Instruction] = module.INSTRUCTIONS
        self.names = identifiers(self.entries)
        self.lazy = LazyRules(layout, module.LAZY)

    def _fields_class(self, entry: Instruction) -> Callable[..., Any]:
        """The dataclass an extraction function makes."""
        found: Callable[..., Any] = inspect.get_annotations(entry.fields, eval_str=True)["return"]
        return found

    def instructions(self) -> list[InstructionHandlers]:
        """Handlers of all instructions."""
        built = []
        for insn in self.spec.instructions:
            entry = self.entries[insn.name]
            when = getattr(self.module, f"when_{identifier(insn.space)}", None)
            built.append(self.handlers.instruction(insn, self.names[insn.name], entry, self._fields_class(entry), when))
        return built

    def decoders(self, built: list[InstructionHandlers], fusible: Mapping[str, int]) -> list[Function]:
        """The functions the decision tree calls."""
        illegal_code = next(e.code for e in self.spec.exceptions if e.name == self.spec.illegal)

        def raise_illegal(b: HandlerBuilder) -> None:
            b.raise_(illegal_code)

        def end_block(b: HandlerBuilder) -> None:
            b.goto(b.pc())

        illegal = self.handlers.fixed(ILLEGAL, raise_illegal, self.layout.unit_bytes)
        cut = self.handlers.fixed("goto_next", end_block, 0)
        functions = [
            native_decoder.illegal_decoder(self.layout, illegal),
            native_decoder.goto_decoder(self.layout, cut),
            native_decoder.after_decoder(self.layout, self._after()),
            native_decoder.next_flags(self.layout, self.module.NEXT_MODES),
        ]
        for space in self.spec.spaces:
            if space.when is not None:
                name = identifier(space.name)
                when = getattr(self.module, f"when_{name}")
                functions.append(native_decoder.space_test(self.layout, name, when))
        functions += [native_decoder.guard_decoder(self.layout, guard) for guard in self.handlers.guards.values()]
        for handlers in built:
            entry = self.entries[handlers.instruction.name]
            fields = self._fields_class(entry)
            functions.append(native_decoder.instruction_decoder(self.layout, handlers, entry, fields, fusible))
        for number, (prefix, said) in enumerate(zip(self.spec.prefixes, self.module.PREFIXES, strict=True)):
            functions.append(operand_decoder.prefix_function(self.layout, number, prefix, said))
        finders: dict[str, Function] = {}
        for computed in self.handlers.computed.values():
            if computed.table.name not in finders:
                finders[computed.table.name] = operand_decoder.row_finder(self.layout, computed)
            functions.append(operand_decoder.row_writer(self.layout, computed))
        return [*functions, *finders.values()]

    def _after(self) -> dict[int, Variant]:
        """Handlers for what comes behind an instruction in one-shot modes, by what is known of its branch."""
        kinds = {DELAYED_NOT_TAKEN: "next"}
        if self.layout.slot is not None:
            kinds = {DELAYED_UNKNOWN: "unknown", DELAYED_MAYBE: "maybe", DELAYED_TAKEN: "taken", **kinds}

        def emit(kind: int) -> Callable[[HandlerBuilder], None]:
            return lambda b: b.after_slot(kind)

        return {kind: self.handlers.fixed(f"after_{name}", emit(kind), 0) for kind, name in kinds.items()}

    def support(self) -> list[Function]:
        """Helpers, and what the engine asks of every ISA."""
        helpers = [helper_function(self.layout, helper) for helper in self.module.HELPERS.values()]
        hooks: list[Function] = []
        if self.layout.machine:
            hooks = [bad_address(self.layout, self.bad_address), *hook_functions(self.layout, self.module)]
        lazy = [self.lazy.sync()] if self.layout.owed else []
        return [*helpers, fetch_fault(self.layout, self.bad_address), sync_state(self.layout), *lazy, *hooks]


def is_machine(spec: model.Spec) -> bool:
    """Whether the spec says what a machine does by itself, so that there is code to make for one."""
    return not _MACHINE_HOOKS.isdisjoint(spec.hooks)


def _shards(functions: list[Function]) -> Iterator[list[Function]]:
    shard: list[Function] = []
    ops = 0
    for function in functions:
        shard.append(function)
        ops += len(function.ops)
        if ops >= SHARD_OPS:
            yield shard
            shard, ops = [], 0
    if shard:
        yield shard


def generate_ir(
    spec: model.Spec, layout: Layout, module: ModuleType, counts: MutableMapping[str, int]
) -> Iterator[tuple[str, str]]:
    """(name, text) of each module; `counts` says how much there is.

    The same emitters make both kinds of code.  With `layout.machine` it is for a machine, whose memory is behind a TLB
    and whose hooks are native; else for a user program, whose memory is one reservation, and for which the modes that
    only a machine changes are constants.
    """
    lowering: Lowering = partial(MachineLowering, layout) if layout.machine else FunctionLowering
    native = _Native(spec, layout, module)
    built = native.instructions()
    fusion = plan(spec.fused, built, native.handlers.functions, native.lazy.behind)
    decoders = native.decoders(built, fusion.numbers)
    support = native.support()
    handlers = native.handlers.functions
    counts["instructions"] = len(built)
    counts["variants"] = sum(len(entry.variants) for entry in built)
    counts["handlers"] = len(handlers)
    if native.handlers.guards:
        counts["guards"] = sum(len(guard.variants) for guard in native.handlers.guards.values())
    counts["fused pairs"] = len(fusion.pairs)
    counts["helpers"] = len(module.HELPERS)
    yield "engine", engine_ir(layout)
    yield "libcalls", (Path(tcg.__file__).parent / "libcalls.ll").read_text(encoding="ascii")
    yield "decode", native_decoder.tree_ir(spec, native.names)
    yield from fusion.modules(lowering)
    for kind, functions in (("handlers", handlers), ("records", decoders), ("support", support)):
        for number, shard in enumerate(_shards(functions)):
            yield f"{kind}_{number}", lower_module(shard, lowering=lowering)
