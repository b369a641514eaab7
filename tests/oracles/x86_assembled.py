"""What GNU objdump reads in this machine's programs, assembled by x86-64's specification: the same instruction again.

    python -m tests.oracles.x86_assembled --each 2 /bin/ls /lib/x86_64-linux-gnu/libc.so.6

Instructions are taken by their shape, which is their text without its numbers: so many of each mnemonic.  What cannot
be assembled, or is another instruction then, is counted by the line of assembled_x86_differences.txt that says why.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from runtime.syntax.assemble import assemble_one
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.encode import Encoder, Rejected
from tests.oracles import x86_text
from tests.oracles.x86_sweep import Found, syntax_of

TABLE = Path(__file__).parent / "assembled_x86_differences.txt"
PROGRAMS = ("/bin/ls", "/bin/bash", "/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libm.so.6")
_LINE = re.compile(r"\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*\t(.*)")
_NUMBER = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{3,}\b")
_RELATIVE = re.compile(r"\[rip([+-]0x[0-9a-f]+)\]")
_TARGET = re.compile(r"^((?:j\w+|call|loop\w*) +)([0-9a-f]+)$")


@dataclass(frozen=True, slots=True)
class Instruction:
    """As objdump has it."""

    address: int
    code: bytes
    text: str


def instructions(program: str, file: str) -> Iterator[Instruction]:
    """All of a file's section .text."""
    options = ["-d", "-w", "-M", "intel", "-j", ".text", file]
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            match = _LINE.match(line)
            if match is not None:
                text = re.sub(r"\s*<[^>]*>|\s*#.*", "", match[3]).strip()
                yield Instruction(int(match[1], 16), bytes.fromhex(match[2]), text)
    assert process.returncode == 0, f"{program} cannot read {file}"


def of_each_mnemonic(program: str, files: Sequence[str], each: int, random: Random) -> list[Instruction]:
    """So many shapes of each mnemonic."""
    shapes: dict[str, dict[str, Instruction]] = {}
    for file in files:
        for instruction in instructions(program, file):
            shape = _NUMBER.sub("#", instruction.text)
            shapes.setdefault(shape.partition(" ")[0], {}).setdefault(shape, instruction)
    return [
        instruction
        for mnemonic in sorted(shapes)
        for instruction in random.sample(list(shapes[mnemonic].values()), min(each, len(shapes[mnemonic])))
    ]


def as_here(instruction: Instruction) -> str:
    """The text in the specification's spelling: targets in base 16, string instructions by their size."""
    text = instruction.text
    end = instruction.address + len(instruction.code)
    text = _RELATIVE.sub(lambda match: f"[{end + int(match[1], 16):#x}]", text)
    text = _TARGET.sub(r"\g<1>0x\2", text)
    return x86_text.string_instruction(text) or text


@cache
def rules() -> list[tuple[re.Pattern[str], str]]:
    """The table's lines: a pattern of objdump's text, and why it is not the same again."""
    found = []
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            pattern, reason = (part.strip() for part in re.split(r"\s\|\s", line))
            found.append((re.compile(pattern), reason))
    return found


def check(cases: Sequence[Instruction]) -> Found:
    """Assembles them all."""
    syntax = syntax_of("x86_64")
    encoder, disassembler, found = Encoder(syntax), Disassembler(syntax), Found()
    for case in cases:
        try:
            code = assemble_one(encoder, as_here(case), case.address)
            result = code.hex()
        except Rejected as error:
            code, result = b"", error.message
        if code == case.code or (code and _means(disassembler, code, case) == _means(disassembler, case.code, case)):
            found.alike += 1
            continue
        example = f"{case.code.hex()}: {case.text} | {result}"
        reason = next((reason for pattern, reason in rules() if pattern.fullmatch(case.text)), None)
        if reason is not None:
            found.explain(reason, example)
        else:
            found.wonder(case.text.partition(" ")[0], example)
    return found


def _means(disassembler: Disassembler, code: bytes, case: Instruction) -> str:
    """What the bytes are, whichever way the instruction is encoded."""
    shown = disassembler.one(code.ljust(15, b"\x90"), case.address)
    mnemonic = shown.mnemonic.removesuffix(".d32").replace("sal", "shl") if shown.name else ""
    return f"{mnemonic} {shown.op_str}" if mnemonic else code.hex()


def main(words: Sequence[str]) -> int:
    """The command: 0, or 1 if a difference has no reason."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracles.x86_assembled")
    parser.add_argument("files", nargs="*", default=PROGRAMS)
    parser.add_argument("--each", type=int, default=2, help="shapes of each mnemonic")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--objdump", default="objdump")
    options = parser.parse_args(words)
    found = check(of_each_mnemonic(options.objdump, options.files, options.each, Random(options.seed)))
    print(found)
    return int(bool(found.unexplained))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
