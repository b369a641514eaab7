"""Decoding and disassembly against objdump: every 16-bit word and a million 32-bit words, legality and text.

Both spellings are compared: `-M no-aliases` with each encoding's own, and objdump's usual one with pseudo-instructions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from runtime.core.cpu import load_isa
from runtime.syntax.disassemble import Disassembler
from tests.conftest import ROOT
from tests.oracles import objdump
from tests.tools import require_build

_HERE = Path(__file__).parent
_CHUNK = 250_000


class Differences:
    """The table of differences that have reasons, counting what each line explains."""

    def __init__(self, *tables: str) -> None:
        self.lines: list[tuple[str, re.Pattern[str]]] = []
        self.used: Counter[int] = Counter()
        for line in (line for table in tables for line in (_HERE / table).read_text().splitlines()):
            if line and not line.startswith("#"):
                who, pattern, _ = (part.strip() for part in re.split(r"\s\|\s", line))
                self.lines.append((who, re.compile(pattern)))

    def explains(self, ours: str, theirs: str) -> bool:
        """Whether a line of the table is about this pair of texts."""
        who = "both" if ours and theirs else "isomorph" if ours else "objdump"
        for number, (whose, pattern) in enumerate(self.lines):
            if who == whose and pattern.fullmatch(ours or theirs):
                self.used[number] += 1
                return True
        return False


class Reader:
    """Our disassembler, spelt as objdump spells."""

    def __init__(self, xlen: int, aliases: bool = False) -> None:
        self.xlen = xlen
        self.aliases = aliases
        self.tables = ["objdump_differences.txt", *(["objdump_aliases_differences.txt"] if aliases else [])]
        syntax = load_isa(ROOT / "build" / f"riscv{xlen}").module("syntax").SYNTAX
        self.disassembler = Disassembler(syntax, aliases)

    def text(self, word: int, size: int, pc: int) -> str:
        """ "" for an illegal word."""
        data = word.to_bytes(size, "little")
        decoded = self.disassembler.decoder.decode(data, pc)
        if decoded is None:
            return ""
        shown = self.disassembler.one(data, pc)
        if not shown.name:  # a reserved rounding mode, say: it has no text
            return f"{decoded.form.name.partition('__')[0].replace('_', '.')} unknown"
        return objdump.numbered(f"{shown.mnemonic} {shown.op_str.replace(' ', '')}".strip())


@pytest.fixture(scope="module", params=(64, 32), ids=("rv64", "rv32"))
def reader(request: pytest.FixtureRequest) -> Reader:
    require_build(f"riscv{request.param}")
    return Reader(request.param)


@pytest.fixture(scope="module", params=(64, 32), ids=("rv64", "rv32"))
def usual(request: pytest.FixtureRequest) -> Reader:
    """The usual spelling, with pseudo-instructions."""
    require_build(f"riscv{request.param}")
    return Reader(request.param, True)


def _compare(reader: Reader, words: Sequence[int], size: int, spoil: Callable[[str], str] = str) -> list[str]:
    """The differences without a reason, a line each."""
    table = Differences(*reader.tables)
    wrong = []
    mask = (1 << reader.xlen) - 1
    for number, (word, theirs) in enumerate(
        zip(words, objdump.disassemble(words, size, reader.xlen, reader.aliases), strict=True)
    ):
        ours = spoil(reader.text(word, size, number * size))
        if ours != _wrapped(theirs, mask) and not table.explains(ours, theirs):
            wrong.append(f"{word:#0{2 * size + 2}x} at {number * size:#x}: isomorph {ours!r}, objdump {theirs!r}")
    return wrong


def _wrapped(text: str, mask: int) -> str:
    """objdump computes branch targets with 64 bits for RV32 too."""
    return re.sub(r"0x([0-9a-f]{16})$", lambda match: f"{int(match[1], 16) & mask:#x}", text)


def _words(count: int, seed: int) -> Iterator[list[int]]:
    """Random 32-bit instruction words; what begins like a compressed or a longer instruction is tried elsewhere."""
    random = Random(seed)
    while count > 0:
        chunk: list[int] = []
        while len(chunk) < min(count, _CHUNK):
            word = random.getrandbits(32) | 3
            if word & 0b11100 != 0b11100:
                chunk.append(word)
        count -= len(chunk)
        yield chunk


def test_every_compressed_word(reader: Reader) -> None:
    wrong = _compare(reader, [word for word in range(1 << 16) if word & 3 != 3], 2)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:60]])


def test_a_million_words(reader: Reader) -> None:
    wrong = [line for chunk in _words(1_000_000, 20191213) for line in _compare(reader, chunk, 4)]
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:60]])


@pytest.mark.slow
def test_ten_million_words(reader: Reader) -> None:
    wrong = [line for chunk in _words(10_000_000, 20211203) for line in _compare(reader, chunk, 4)]
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:60]])


def test_words_of_every_form(reader: Reader) -> None:
    """Random words rarely hit an encoding with few free bits: a hundred of each."""
    random = Random(7)
    words = []
    for form in reader.disassembler.syntax.forms:
        encoding = form.encoding
        if encoding.length == 32:
            words += [encoding.value | random.getrandbits(32) & ~encoding.mask for _ in range(100)]
    wrong = _compare(reader, words, 4)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:60]])


def test_every_compressed_word_as_usual(usual: Reader) -> None:
    wrong = _compare(usual, [word for word in range(1 << 16) if word & 3 != 3], 2)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:60]])


def test_words_as_usual(usual: Reader) -> None:
    """A quarter of a million random words, and of every encoding five hundred in which small numbers are likely."""
    random = Random(11)
    words = next(_words(_CHUNK, 20221101))
    for form in usual.disassembler.syntax.forms:
        encoding = form.encoding
        if encoding.length == 32:
            for _ in range(500):
                word = random.getrandbits(32)
                for field in encoding.fields:
                    if random.random() < 0.4:
                        word = word & ~field.insert((1 << field.width) - 1) | field.insert(random.choice((0, 1, 2)))
                words.append(encoding.value | word & ~encoding.mask)
    wrong = _compare(usual, words, 4)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:60]])


def test_longer_instructions_are_illegal(reader: Reader) -> None:
    """Words whose low bits announce 48 bits and more (figure 1.1 of the manual)."""
    random = Random(3)
    for _ in range(2000):
        assert reader.text(random.getrandbits(32) | 0b11111, 4, 0) == ""


def test_a_wrong_text_is_caught(reader: Reader) -> None:
    """The control: with one mnemonic misspelt or one word said to be legal, the comparison complains."""
    words = [0x00C58533, 0x40C58533, 0x0000007B]  # add, sub, custom-3
    assert not _compare(reader, words, 4)
    assert len(_compare(reader, words, 4, lambda text: text.replace("sub", "subtract"))) == 1
    assert len(_compare(reader, words, 4, lambda text: text or "nothing")) == 1
