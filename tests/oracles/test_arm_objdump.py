"""Words of ARM, in both instruction sets, against GNU objdump: legality and text, or a line of the table says why not.

A32: half random words, half random instructions.  T32: every halfword, and 32-bit words made like A32's.
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
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.tables import Form, Syntax, mode_key
from tests.tools import require_build, tool

TABLE = Path(__file__).parent / "objdump_arm_differences.txt"
_BITS = re.compile(r"(\d+)(?::(\d+))?\s*(!=|==)\s*(\w+)")
_LINE = re.compile(r"\s*[0-9a-f]+:\t[^\t]*\t(.*)")
_SIGNED = re.compile(r"#-(\d+)$")


@dataclass(frozen=True)
class Rule:
    """One line of the table."""

    set: str  # "a32", "t32" or "both"
    who: str
    text: re.Pattern[str]
    conditions: tuple[tuple[int, int, bool, int], ...]  # lowest bit, mask, whether equal, value
    base_in_list: bool  # the list in bits 15:0 holds the register in bits 19:16

    def explains(self, thumb: bool, who: str, text: str, word: int) -> bool:
        return (
            self.set in ("both", "t32" if thumb else "a32")
            and self.who == who
            and all(((word >> low & mask) == value) == equal for low, mask, equal, value in self.conditions)
            and (not self.base_in_list or bool(word >> (word >> 16 & 15) & 1))
            and self.text.fullmatch(text) is not None
        )


def rules() -> list[Rule]:
    found = []
    for line in TABLE.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        where, who, text, bits, _ = (part.strip() for part in re.split(r"\s\|\s", line))
        conditions = []
        for high, low, sign, value in _BITS.findall(bits):
            low = low or high
            conditions.append((int(low), (1 << int(high) - int(low) + 1) - 1, sign == "==", int(value, 0)))
        found.append(Rule(where, who, re.compile(text), tuple(conditions), "base in list" in bits))
    return found


def objdump(words: Sequence[bytes], thumb: bool, folder: Path) -> list[str]:
    """A text a word; "" for what it does not know."""
    program = tool("arm-linux-gnueabihf-objdump", "binutils-arm-linux-gnueabihf")
    (folder / "words").write_bytes(b"".join(words))
    command = [program, "-D", "-z", "-b", "binary", "-m", "arm", *(["-M", "force-thumb"] if thumb else [])]
    printed = subprocess.run([*command, str(folder / "words")], capture_output=True, text=True, check=True).stdout
    lines = [found[1] for found in map(_LINE.match, printed.splitlines()) if found]
    assert len(lines) == len(words), "objdump lost step"
    return [_plain(line) for line in lines]


def _plain(line: str) -> str:
    if "<UNDEFINED>" in line or line.startswith("."):
        return ""
    mark = " <UNPREDICTABLE>" if "<UNPREDICTABLE>" in line else ""
    text = re.sub(r"\s*[;@].*|\s*<[^>]*>", "", line).replace("\t", " ").strip()
    number = _SIGNED.search(text)  # constants with the highest bit set
    if number and int(number[1]) > 4095:
        text = text[: number.start()] + f"#{(1 << 32) - int(number[1])}"
    return text + mark


def random_instruction(chance: Random, form: Form) -> bytes:
    fetch = form.encoding.value
    for field in form.encoding.fields:
        fetch |= field.insert(14 if field.name == "cond" and chance.random() < 0.7 else chance.getrandbits(field.width))
    return fetch.to_bytes(form.encoding.length // 8, "little")


def compare(syntax: Syntax, words: Sequence[bytes], thumb: bool, folder: Path) -> tuple[int, list[str]]:
    """(how many are the same, what is different and in no line of the table)."""
    disassembler = Disassembler(syntax, True, {mode_key("T"): int(thumb)})
    table = rules()
    same, wrong, pc = 0, [], 0
    for data, theirs in zip(words, objdump(words, thumb, folder), strict=True):
        shown = disassembler.one(data, pc)
        ours = f"{shown.mnemonic} {shown.op_str}".strip() if shown.name else ""
        pc += len(data)
        word = int.from_bytes(data, "little")
        if len(data) == 4 and thumb:
            word = word << 16 & 0xFFFF0000 | word >> 16
        if ours == theirs.removesuffix(" <UNPREDICTABLE>"):
            same += 1
            continue
        who = "both" if ours and theirs else "isomorph" if ours else "objdump"
        if not any(rule.explains(thumb, who, ours if ours and who == "isomorph" else theirs, word) for rule in table):
            wrong.append(f"{word:0{2 * len(data)}x}: {ours!r}, objdump {theirs!r}")
    return same, wrong


@pytest.mark.parametrize("thumb", [False, True], ids=("a32", "t32"))
@pytest.mark.parametrize("count", [6000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_words(thumb: bool, count: int, tmp_path: Path) -> None:
    syntax = load_isa(require_build("arm")).module("syntax").SYNTAX
    chance = Random(count)
    space = "T32" if thumb else "A32"
    forms = [form for form in syntax.forms if form.space == space and form.encoding.length == 32]
    words = []
    for number in range(count):
        if number % 2:
            words.append(random_instruction(chance, chance.choice(forms)))
        elif thumb:
            words.append(chance.randrange(0xE800, 0x10000).to_bytes(2, "little") + chance.randbytes(2))
        else:
            words.append(chance.randbytes(4))
    same, wrong = compare(syntax, words, thumb, tmp_path)
    assert wrong == []
    assert same > 0.55 * count


def test_every_halfword(tmp_path: Path) -> None:
    """Those that do not begin a longer instruction."""
    syntax = load_isa(require_build("arm")).module("syntax").SYNTAX
    words = [number.to_bytes(2, "little") for number in range(0xE800)]
    same, wrong = compare(syntax, words, True, tmp_path)
    assert wrong == []
    assert same > 0.98 * len(words)


@pytest.mark.parametrize("thumb", [False, True], ids=("a32", "t32"))
def test_lists_of_registers(thumb: bool, tmp_path: Path) -> None:
    """Loads and stores of several registers: every way to count, short lists, and the stack, which has other names."""
    syntax = load_isa(require_build("arm")).module("syntax").SYNTAX
    chance = Random(7)
    words = []
    for number in range(3000):
        kept = (0xFFFF, chance.getrandbits(16), 1 << chance.randrange(16))[number % 3]
        base = 13 if number % 5 == 0 else chance.randrange(16)
        # A condition, which Thumb has not; one of four ways, which are two there; written back or not; load or store.
        high, ways = (0xE800, (1, 2)) if thumb else (chance.choice((14, chance.randrange(15))) << 12 | 0x800, range(4))
        high |= chance.choice(ways) << 7 | chance.getrandbits(2) << 4 | base
        low = chance.getrandbits(16) & kept
        words.append(high.to_bytes(2, "little") + low.to_bytes(2, "little"))
        if not thumb:
            words[-1] = words[-1][2:] + words[-1][:2]
    same, wrong = compare(syntax, words, thumb, tmp_path)
    assert wrong == []
    assert same > 0.6 * len(words)
