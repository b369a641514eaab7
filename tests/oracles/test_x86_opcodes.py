"""Every opcode of x86's four maps, with each reg field, register and memory, behind each prefix, against GNU objdump.

What objdump knows and the specifications do not is explained by objdump_x86_differences.txt, as in random sweeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracles import x86_sweep
from tests.tools import require_build, tool

MAPS = (b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a")
PREFIXES = (b"\x66", b"\xf3", b"\xf2", b"\xf0", b"\x67")
#: what else may stand before an opcode in 64-bit mode
LONG = (b"\x48", b"\x66\x48", b"\xf3\x48", b"\xf2\x48")


def cases(prefixes: tuple[bytes, ...]) -> Iterator[bytes]:
    """An instruction of each, with something behind it."""
    for prefix in prefixes:
        for opcodes in MAPS:
            for opcode in range(256):
                for rest in range(16):
                    modrm = (rest & 1) * 0xC0 | rest >> 1 << 3 | 1
                    yield (prefix + opcodes + bytes((opcode, modrm, 5, 1, 0, 0, 0))).ljust(15, b"\x90")


def check(guest: str, prefixes: tuple[bytes, ...], folder: Path) -> x86_sweep.Found:
    require_build(x86_sweep.isa_of(guest))
    found = x86_sweep.Found()
    disassembler = x86_sweep.disassembler_of(guest)
    x86_sweep.compare(guest, tool("objdump", "binutils"), disassembler, list(cases(prefixes)), folder, found)
    assert not found.unexplained, str(found)
    return found


@pytest.mark.parametrize("guest", x86_sweep.MACHINES)
def test_every_opcode(guest: str, tmp_path: Path) -> None:
    assert check(guest, (b"",), tmp_path).alike > 7000


@pytest.mark.slow
@pytest.mark.parametrize("guest", x86_sweep.MACHINES)
def test_every_opcode_behind_prefixes(guest: str, tmp_path: Path) -> None:
    check(guest, PREFIXES + (LONG if guest == "x86_64" else ()), tmp_path)
