"""The CPU state layout of an ISA: where each register lies in `env`, and the Python module that says so."""

from __future__ import annotations

from collections import Counter

from gen import model
from gen.hooks import reads_of
from gen.lazy import lazy_rules
from gen.source import call, hexadecimal, identifier, literal, quoted, statement, tuple_of
from gen.templates import render
from gen.walk import nodes
from runtime.core.env import ENV, GUEST_STATE
from runtime.core.layout import (
    LAZY_BYTES,
    FieldLayout,
    Layout,
    LazyLayout,
    MemoryLayout,
    ModeLayout,
    PartLayout,
    RegisterLayout,
    StickyLayout,
    storage_bytes,
)
from runtime.core.views import DebugRegister

#: names a register may not take as an attribute of CPUState
RESERVED = frozenset({"env", "pc", "flags"})
CACHE_LINE = 64
FLAGS_BITS = 64
#: while an instruction is decoded, the top of that word counts the bytes of its prefixes
PREFIX_COUNT_BITS = 8


def layout_of(spec: model.Spec) -> Layout:
    """Registers from GUEST_STATE on, those most instructions use first, then inputs; modes packed in `flags`."""
    at = GUEST_STATE
    placed: dict[str, int] = {}
    wanted = _by_use(spec)
    for register in wanted:
        stride = storage_bytes(register.width)
        count = register.count if isinstance(register, model.RegFile) else 1
        at = _align(at, CACHE_LINE if count > 1 else min(stride, 16))
        placed[register.name] = at
        at += stride * count
    inputs = []
    for wire in spec.inputs:
        stride = storage_bytes(wire.width)
        at = _align(at, min(stride, 16))
        inputs.append((wire.name, wire.width, at))
        at += stride
    put_off = lazy_rules(spec)
    lazy = LazyLayout(spec.lazy[0].registers, _align(at, 8)) if put_off else None
    at = lazy.rule + LAZY_BYTES if lazy else at
    translation = reads_of(spec, "translate")
    interrupt = reads_of(spec, "interrupt", "wake", "deadline")
    return Layout(
        isa=spec.name,
        pc_name=spec.pc.name,
        pc_width=spec.pc.width,
        registers=tuple(_register_layout(register, placed[register.name]) for register in wanted),
        modes=_modes(spec),
        memories=tuple(MemoryLayout(m.name, m.address_width, i, m.physical) for i, m in enumerate(spec.memories)),
        inputs=tuple(inputs),
        exceptions=tuple((e.name, e.code) for e in spec.exceptions),
        sticky=StickyLayout(spec.sticky.register, spec.sticky.low, spec.sticky.width) if spec.sticky else None,
        unit_bytes=min(unit for space in spec.spaces for unit in space.units) // 8,
        max_bytes=max(space.max_bytes for space in spec.spaces),
        size=_align(at, CACHE_LINE),
        slot=spec.slot,
        bases=spec.modules[-2::-1],
        hooks=tuple(spec.hooks),
        translation=tuple(sorted(translation.modes)),
        translation_registers=tuple(sorted(translation.registers)),
        interrupt=tuple(sorted(interrupt.modes)),
        interrupt_registers=tuple(sorted(interrupt.registers)),
        lazy=lazy,
    )


def _align(at: int, to: int) -> int:
    return -(-at // to) * to


def _by_use(spec: model.Spec) -> list[model.Register | model.RegFile]:
    """Register files first, then single registers; within each, the most used first."""
    uses: Counter[str] = Counter()
    bodies = [insn.body for insn in spec.instructions] + [function.body for function in spec.functions.values()]
    for body in bodies:
        for node in nodes(body):
            if isinstance(node, model.RegRead | model.ToReg):
                uses[node.register] += 1
            elif isinstance(node, model.RegFileRead | model.ToRegFile):
                uses[node.file] += 1
    everything: list[model.Register | model.RegFile] = [*spec.files, *spec.registers]
    return sorted(everything, key=lambda r: (isinstance(r, model.Register), -uses[r.name]))


def _register_layout(register: model.Register | model.RegFile, offset: int) -> RegisterLayout:
    stride = storage_bytes(register.width)
    if isinstance(register, model.RegFile):
        names = tuple(zip(*register.names, strict=True)) if register.names else ()
        return RegisterLayout(
            register.name,
            register.width,
            offset,
            stride,
            register.count,
            register.zero,
            names,
            is_file=True,
            parts=tuple(PartLayout(*part) for part in register.parts),
        )
    return RegisterLayout(
        register.name,
        register.width,
        offset,
        stride,
        fields=tuple(FieldLayout(f.name, f.low, f.width) for f in register.fields),
        reset=register.reset,
        system=register.system,
    )


def _modes(spec: model.Spec) -> tuple[ModeLayout, ...]:
    """Block-constant modes in the low bits; prefixes, which live inside one instruction only, above them."""
    modes, shift = [], 0
    for mode in sorted(spec.modes, key=lambda m: m.prefix):
        modes.append(ModeLayout(mode.name, mode.width, shift, mode.reset, mode.prefix, mode.machine))
        shift += mode.width
    most = FLAGS_BITS - (PREFIX_COUNT_BITS if any(mode.prefix for mode in modes) else 0)
    if shift > most:
        from gen.errors import Diagnostic, SpecError

        raise SpecError(
            [
                Diagnostic(
                    spec.modes[-1].pos,
                    f"the modes and prefixes of '{spec.name}' have {shift} bits, more than a block's key can hold",
                    help=f"at most {most}: make the wide ones registers (`reg` instead of `mode`)",
                )
            ]
        )
    return tuple(modes)


# ---------------------------------------------------------------- build/<isa>/state.py


def debug_registers(layout: Layout) -> tuple[DebugRegister, ...]:
    """Every register as a debugger lists them: files entry by entry, the pc after the first file, the rest."""
    found: list[DebugRegister] = []
    pc = DebugRegister(identifier(layout.pc_name), layout.pc_width, ENV["pc"], "pc")
    for register in layout.registers:
        if register.is_file:
            for i in range(register.count):
                name = register.names[i][0] if register.names else f"{register.name}{i}"
                found.append(DebugRegister(name, register.width, register.offset + i * register.stride, register.name))
            if pc not in found:
                found.append(pc)
    if pc not in found:
        found.append(pc)
    for register in layout.registers:
        if not register.is_file:
            group = "system" if register.system else "registers"
            found.append(DebugRegister(register.name, register.width, register.offset, group))
    return tuple(found)


def _attributes(layout: Layout) -> list[str]:
    """One line per attribute of CPUState."""
    lines = [f"pc = Bits({ENV['pc']}, {layout.pc_width})", f"flags = Bits({ENV['flags']}, {FLAGS_BITS})"]
    taken = set(RESERVED)

    def attribute(name: str) -> str:
        free = identifier(name, frozenset(taken))
        taken.add(free)
        return free

    for register in layout.registers:
        if register.is_file:
            lines.append(f"{attribute(register.name)} = File(LAYOUT.by_name[{quoted(register.name)}])")
            continue
        place = f"{register.offset}, {register.width}"
        lines.append(f"{attribute(register.name)} = Bits({place})")
        for field in register.fields:
            name = attribute(f"{register.name}_{field.name}")
            lines.append(f"{name} = Bits({place}, low={field.low}, part={field.width})")
    for mode in layout.modes:
        if not mode.prefix:
            place = f"{ENV['flags']}, {FLAGS_BITS}"
            lines.append(f"{attribute(mode.name)} = Bits({place}, low={mode.shift}, part={mode.width})")
    for wire, width, offset in layout.inputs:
        lines.append(f"{attribute(wire)} = Bits({offset}, {width})")
    return lines


def source(layout: Layout) -> str:
    """The text of build/<isa>/state.py."""
    rows = [
        call("DebugRegister", quoted(r.name), str(r.width), str(r.offset), quoted(r.group))
        for r in debug_registers(layout)
    ]
    attributes = _attributes(layout)
    used = {"Layout"}
    if layout.registers:
        used.add("RegisterLayout")
    if layout.modes:
        used.add("ModeLayout")
    if layout.memories:
        used.add("MemoryLayout")
    if layout.sticky:
        used.add("StickyLayout")
    if layout.lazy:
        used.add("LazyLayout")
    if any(register.fields for register in layout.registers):
        used.add("FieldLayout")
    if any(register.parts for register in layout.registers):
        used.add("PartLayout")
    views = {"Bits", "DebugRegister", "StateView"} | ({"File"} if any("File(" in a for a in attributes) else set())
    return render(
        "state.py.j2",
        isa=layout.isa,
        layout_names=sorted(used),
        view_names=sorted(views),
        layout="\n".join(statement("LAYOUT = ", literal(layout))),
        registers="\n".join(statement("DEBUG_REGISTERS = ", tuple_of(rows))),
        attributes=attributes,
        size=hexadecimal(layout.size),
    )
