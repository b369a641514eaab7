"""Which lines of a spec say what QEMU's decoder and translator say: the rest has its place elsewhere in QEMU, or none.

The rule looks at declarations, never at an instruction set.  Left out are

* `asm`: what only an assembler reads; QEMU has none, and its disassemblers are no part of what is compared;
* hooks (`on`) and `sysregs`: exceptions, page walks and system registers, which are QEMU's csr.c and cpu_helper.c;
* functions that no code of an instruction holds: the generator calls them out of line, as QEMU calls its helpers, or
  only such functions, hooks and system registers call them;
* of the files of STAND_FOR, each of which does the work of one of QEMU's outside its decoder and translator, all but
  the instructions.

Everything else counts: instructions, registers, operands, prefixes, flags, and functions that are put into the code of
an instruction, though QEMU has helpers for many of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from pathlib import Path

from gen import model
from gen.parse import declarations
from gen.walk import nodes

#: files of which only instructions count, and what QEMU has instead
STAND_FOR = {
    "softfloat.isa": "fpu/softfloat.c",
    "riscv_pmp.isa": "target/riscv/pmp.c",
    "x86_x87.isa": "target/i386/tcg/fpu_helper.c",
    "x86_x87_math.isa": "target/i386/tcg/fpu_helper.c",
    "x86_x87_trig.isa": "target/i386/tcg/fpu_helper.c",
    "x86_xsave.isa": "target/i386/tcg/fpu_helper.c",
}
_ELSEWHERE = ("asm", "on", "sysregs")
_INSTRUCTIONS = ("insn", "insns")
_HEAD = re.compile(r"(?:override\s+)?(\w+)(?:\s+(\w+))?")


def lines_of(text: str) -> Iterator[str]:
    """What is neither blank, nor a comment, nor a test."""
    for _, chunk in declarations(text):
        if not chunk.startswith("test "):
            for line in chunk.splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    yield line


def functions_elsewhere(spec: model.Spec) -> frozenset[str]:
    """Functions, as the spec names them, whose text is nowhere in an instruction's own code."""
    tables = {node.source for node in spec.functions.values() if _is_table(spec, node)}
    held: set[str] = set()
    pending: list[object] = [
        (spec.instructions, spec.prefixes, spec.spaces, spec.modes, spec.memories),
        tuple(spec.functions[rule] for group in spec.lazy for rule in group.rules),
    ]
    seen: set[str] = set()
    while pending:
        for node in nodes(pending.pop()):
            function = spec.functions[node.function] if isinstance(node, model.Call) else None
            if function is None or function.helper or function.source in tables or function.name in seen:
                continue
            seen.add(function.name)
            held.add(function.source)
            pending.append(function.body)
    return frozenset({function.source for function in spec.functions.values()} - held)


def _is_table(spec: model.Spec, function: model.Function) -> bool:
    """Whether it reads or writes a table of system registers by address."""
    return any(function.source == register.table for register in spec.sysregs)


def lines_of_translation(path: Path, elsewhere: Set[str]) -> list[str]:
    """The lines of a file that count beside QEMU's decoder and translator; `elsewhere` is of functions_elsewhere."""
    counted: list[str] = []
    for _, chunk in declarations(path.read_text(encoding="utf-8")):
        head = _HEAD.match(chunk)
        kind, name = (head[1], head[2]) if head else ("", "")
        if kind in _ELSEWHERE or (kind == "fn" and name in elsewhere):
            continue
        if path.name not in STAND_FOR or kind in _INSTRUCTIONS:
            counted += lines_of(chunk)
    return counted
