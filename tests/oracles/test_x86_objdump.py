"""Byte strings of i386 and x86-64 against GNU objdump: what is an instruction, how long, how written; tables say why.

Half of them are random bytes, half random instructions.  Each stands in a slot that ends with one-byte instructions, so
that objdump is in step again where the next begins.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from runtime.core.cpu import load_isa
from runtime.syntax.decode import Decoder
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.tables import Syntax
from tests.oracles import x86_text
from tests.oracles.x86_cases import instruction, name_of
from tests.tools import require_build, tool

TABLE = Path(__file__).parent / "objdump_x86_differences.txt"
MACHINES = {"i386": "i386", "x86_64": "i386:x86-64"}
_SLOT, _LONGEST, _NOP = 32, 15, b"\x90"
_LINE = re.compile(r"\s*([0-9a-f]+):\s+(.*)")
_PREFIX = re.compile(
    r"^(?:(?:rep[nz]*|lock|data16|addr(?:16|32)|[cdefgs]s|rex(?:\.\w+)?|notrack|bnd|xacquire|xrelease)\s+)+(?=\S)"
)


#: what makes VEX behind it undefined (2.3.2 to 2.3.4), which objdump passes over
_BEFORE_VEX = re.compile(
    rb"[\x26\x2e\x36\x3e\x64\x65\x67]*(?:[\x66\xf0\xf2\xf3]|[\x40-\x4f](?=[\xc4\xc5])).*?[\xc4\xc5]", re.DOTALL
)
_PREFIXES = re.compile(rb"[\x66\x67\xf0\xf2\xf3\x26\x2e\x36\x3e\x64\x65]*")


@dataclass(frozen=True)
class Rule:
    """One line of the table."""

    guest: str
    who: str  # knows it: "ours", "objdump", or "both" with different lengths
    name: re.Pattern[str]

    def explains(self, guest: str, who: str, name: str) -> bool:
        return self.guest in (guest, "both") and self.who == who and self.name.fullmatch(name) is not None


def rules() -> list[Rule]:
    found = []
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            guest, who, name, _ = (part.strip() for part in re.split(r"\s\|\s", line))
            found.append(Rule(guest, who, re.compile(name)))
    return found


def objdump(cases: Sequence[bytes], guest: str, folder: Path) -> list[tuple[str, int, str]]:
    """The name of each instruction, "" if it is none, how long it is, and its text."""
    file = folder / "cases.bin"
    file.write_bytes(b"".join(case.ljust(_SLOT, _NOP) for case in cases))
    options = ["-D", "-z", "-w", "-b", "binary", "-m", MACHINES[guest], "-M", "intel", "--no-show-raw-insn"]
    done = subprocess.run([tool("objdump", "binutils"), *options, file], capture_output=True, text=True, check=True)
    lines = [(int(match[1], 16), match[2]) for match in map(_LINE.match, done.stdout.splitlines()) if match]
    ends = [at for at, _ in lines[1:]] + [len(cases) * _SLOT]
    found = []
    for (at, text), end in zip(lines, ends, strict=True):
        if at % _SLOT == 0:
            words = _PREFIX.sub("", text, count=1).split()
            found.append(("" if "(bad)" in text else words[0], end - at, text))
    assert len(found) == len(cases), "objdump lost step"
    return found


def random_cases(random: Random, syntax: Syntax, guest: str, count: int) -> list[bytes]:
    cases = []
    for number in range(count):
        if number % 2:
            cases.append(random.randbytes(_LONGEST))
        else:
            made = instruction(random, random.choice(syntax.forms), guest == "x86_64")
            cases.append(made.ljust(_LONGEST, _NOP))
    return cases


def compare(guest: str, random: Random, count: int, folder: Path) -> tuple[list[str], list[str], int]:
    """What no line of the tables explains: length, text; and how many are alike."""
    require_build(guest)
    syntax: Syntax = load_isa(require_build(guest)).module("syntax").SYNTAX
    decoder = Decoder(syntax)
    table, texts = rules(), x86_text.rules()
    disassembler = Disassembler(syntax)
    cases = random_cases(random, syntax, guest, count)
    unexplained, otherwise, alike = [], [], 0
    for number, (case, (theirs, length, text)) in enumerate(zip(cases, objdump(cases, guest, folder), strict=True)):
        prefixes = _PREFIXES.match(case)
        assert prefixes is not None  # it matches nothing, too
        decoded = decoder.decode(case, 0x1000)
        if decoded is None and not theirs:
            continue
        if decoded is not None and theirs and decoded.length == length:
            alike += 1
            shown = disassembler.one(case, number * _SLOT)
            if not shown.name:
                continue  # bits that no text tells from others, as a scale without an index, are shown as data
            one = x86_text.ours(shown.mnemonic, shown.op_str)
            two = x86_text.theirs(text, guest == "x86_64" and 0x67 in prefixes[0])
            if not one.alike(two) and not any(rule.explains(one, two) for rule in texts):
                otherwise.append(f"{case.hex()}: {shown.mnemonic} {shown.op_str}, not {text}")
            continue
        if decoded is None:
            if theirs.startswith("v") and _BEFORE_VEX.match(case):
                continue
            who, name = "objdump", theirs
        elif theirs:
            who, name = "both", f"{name_of(decoded.form)} {theirs}"
        else:
            who, name = "ours", name_of(decoded.form)
        if not any(rule.explains(guest, who, name) for rule in table):
            ours = decoded.length if decoded else 0
            unexplained.append(f"{case.hex()}: {who} | {name} | ours {ours}, objdump {length if theirs else 0}")
    return unexplained, otherwise, alike


@pytest.mark.parametrize("guest", MACHINES)
def test_legality_length_and_text(guest: str, tmp_path: Path) -> None:
    unexplained, otherwise, alike = compare(guest, Random(3), 20_000, tmp_path)
    assert (unexplained, otherwise) == ([], [])
    assert alike > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("guest", MACHINES)
@pytest.mark.parametrize("seed", range(50))
def test_ten_million(guest: str, seed: int, tmp_path: Path) -> None:
    unexplained, otherwise, _ = compare(guest, Random(f"{guest} {seed}"), 100_000, tmp_path)
    assert (unexplained, otherwise) == ([], [])


def test_texts_can_differ() -> None:
    one = x86_text.ours("add", "eax, dword ptr [rbx+4]")
    assert one.alike(x86_text.theirs("add    eax,DWORD PTR [rbx+0x4]", False))
    assert not one.alike(x86_text.theirs("add    eax,DWORD PTR [rbx+0x5]", False))
    assert not one.alike(x86_text.theirs("add    eax,DWORD PTR [rcx+0x4]", False))
    assert not one.alike(x86_text.theirs("sub    eax,DWORD PTR [rbx+0x4]", False))
    assert x86_text.ours("cmp", "al, 255").alike(x86_text.theirs("cmp    al,0xffffffffffffffff", False))
