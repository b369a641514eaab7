"""The hooks of the language: what the machine does by itself, and what of it is natively compiled.

`python -m gen` compiles them into the system blob (gen/native_hooks.py); `on badaddr` serves user programs, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gen import model
from gen.walk import nodes

#: widths of what `on translate` returns: the page's physical address, log2 of its size, and rwx
PAGE_WIDTHS = (64, 8, 3)


@dataclass(frozen=True, slots=True)
class HookDef:
    """One hook: what it takes, as messages name it; the widths it returns; whether it may raise; its meaning."""

    name: str
    takes: str
    results: tuple[int, ...]
    raises: bool
    doc: str


_ALL = (
    HookDef("reset", "", (), False, "when a machine is switched on; a user program starts without it"),
    HookDef("exception", "code", (), False, "when an exception is raised"),
    HookDef("interrupt", "", (), False, "when an input, or state that it reads, has changed"),
    HookDef("wake", "", (1,), False, "whether a vCPU in `wait()` goes on"),
    HookDef("deadline", "", (64,), False, "the TIME at which `on interrupt` or `on wake` may find something new"),
    HookDef("translate", "va, acc", PAGE_WIDTHS, True, "an address that is not in the TLB"),
    HookDef("badaddr", "acc, va", (), True, "nothing answers at an address"),
)

HOOKS: MappingProxyType[str, HookDef] = MappingProxyType({hook.name: hook for hook in _ALL})


def reached(root: object, functions: Mapping[str, model.Function]) -> Iterator[object]:
    """Every node of a body and of the functions it calls."""
    seen: set[str] = set()
    pending = [root]
    while pending:
        for node in nodes(pending.pop()):
            yield node
            if isinstance(node, model.Call) and node.function not in seen and node.function in functions:
                seen.add(node.function)
                pending.append(functions[node.function].body)


@dataclass(frozen=True, slots=True)
class Reads:
    """State that a hook looks at."""

    registers: frozenset[str]
    modes: frozenset[str]


def reads_of(spec: model.Spec, *hooks: str) -> Reads:
    """What the hooks of these names read, through the functions they call: registers, files and modes."""
    registers: set[str] = set()
    modes: set[str] = set()
    for name in hooks:
        if name not in spec.hooks:
            continue
        for node in reached(spec.hooks[name].body, spec.functions):
            match node:
                case model.RegRead(register=register):
                    registers.add(register)
                case model.RegFileRead(file=file):
                    registers.add(file)
                case model.ModeRead(mode=mode):
                    modes.add(mode)
    return Reads(frozenset(registers), frozenset(modes))
