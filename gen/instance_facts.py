"""What a function's body does: whether it is pure, when its result is known, whether it is worth compiling once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gen import model
from gen.intrinsics import INTRINSICS, Effect
from gen.scope import Instance
from gen.walk import nodes, size

#: a pure function with more nodes than this is compiled once and called
INLINE_NODES = 40
#: … and one that is pure but for modes it reads, which folds where it is inlined, if it has more than this
INLINE_MODAL_NODES = 60

_RUN_TIME = (model.RegRead, model.RegFileRead, model.InputRead, model.MemRead, model.OperandRead, model.AfterPc)
_TRANSLATION_TIME = (model.PcRead, model.NextPc, model.ModeRead, model.FieldRef)
_EFFECTS = (
    model.ToReg,
    model.ToRegFile,
    model.ToMode,
    model.ToMem,
    model.ToOperand,
    model.Accrue,
    model.Atomic,
    model.Goto,
    model.Raise,
    model.Annul,
)


@dataclass(frozen=True, slots=True)
class Facts:
    time: model.Time  # of what is read besides parameters
    pure: bool
    effects: bool
    annuls: bool
    flags: bool
    helper: bool
    returns: bool  # there is a `return` somewhere
    modes: tuple[tuple[str, int], ...] | None  # what it reads if that is all but parameters; None: there is more


def facts_of(body: Sequence[model.Stmt], instances: Mapping[str, Instance]) -> Facts:
    time, pure, effects, loop, flags, returns, count = model.Time.G, True, False, False, False, False, 0
    annuls = False
    modes: dict[str, int] | None = {}
    for node in nodes(tuple(body)):
        count += 1
        if isinstance(node, _RUN_TIME):
            time, pure, modes = model.Time.R, False, None
        elif isinstance(node, _TRANSLATION_TIME):
            time, pure = max(time, model.Time.T), False
            if not isinstance(node, model.ModeRead):
                modes = None
            elif modes is not None:
                modes[node.mode] = node.width
        elif isinstance(node, _EFFECTS):
            pure, effects, modes = False, True, None
            annuls = annuls or isinstance(node, model.Annul)
        elif isinstance(node, model.For | model.While):
            loop = True
        elif isinstance(node, model.Return):
            returns = True
        elif isinstance(node, model.Intrinsic):
            effect = INTRINSICS[node.name].effect
            if effect is not Effect.PURE:
                time, flags = model.Time.R, True
                pure = pure and effect is Effect.FLAGS
                modes = None
                effects = effects or effect is Effect.WRITES
        elif isinstance(node, model.Call) and node.function in instances:
            called = instances[node.function]
            time = max(time, called.time)
            pure, effects = pure and called.pure, effects or called.effects
            flags, annuls = flags or called.flags, annuls or called.annuls
            modes = None if modes is None or called.modes is None else {**modes, **dict(called.modes)}
            if called.function is not None and not called.function.helper:
                count += size(called.function.body)
    # host_flags() stands for flags still in the host's register: code that reads or sets them is never called.
    helper = pure and not flags and (loop or count > INLINE_NODES)
    helper = helper or (bool(modes) and count > INLINE_MODAL_NODES)
    return Facts(
        time, pure, effects, annuls, flags, helper, returns, None if modes is None else tuple(sorted(modes.items()))
    )
