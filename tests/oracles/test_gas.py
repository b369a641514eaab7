"""Assembling against GNU as: a hundred thousand instructions of each width have the same bytes, shortened too."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from runtime.core.cpu import load_isa
from runtime.syntax.assemble import assemble_one
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.encode import Encoder
from runtime.syntax.tables import Form, Syntax
from tests.conftest import ROOT
from tests.tools import require_build, tool

_TABLE = Path(__file__).with_name("gas_differences.txt")
_PACKAGE = "binutils-riscv64-linux-gnu"
_RELATIVE = re.compile(r"^((?:c\.)?(?:j|jal|(?:beq|bne|blt|bge|bgt|ble)[zu]?)\t(?:.*,)?)0x([0-9a-f]+)$")
_ERROR = re.compile(r".*?:(\d+): Error: (.*)")


@pytest.fixture(scope="module", params=(64, 32), ids=("rv64", "rv32"))
def syntax(request: pytest.FixtureRequest) -> Syntax:
    require_build(f"riscv{request.param}")
    tables: Syntax = load_isa(ROOT / "build" / f"riscv{request.param}").module("syntax").SYNTAX
    return tables


def _word(form: Form, random: Random) -> bytes:
    """One of the form, with small and extreme fields more often than chance has them."""
    encoding = form.encoding
    word = random.getrandbits(encoding.length)
    for field in encoding.fields:
        if random.random() < 0.3:
            ones = (1 << field.width) - 1
            word = word & ~field.insert(ones) | field.insert(random.choice((0, 1, ones >> 1, ones)))
    return (word & ~encoding.mask | encoding.value).to_bytes(encoding.length // 8, "little")


def _relative(text: str, bits: int) -> str:
    """With `.+8` for the address of a target: GNU as leaves addresses to the linker.  All stand at address 0."""
    found = _RELATIVE.match(text)
    if found is None:
        return text
    target = int(found[2], 16)
    return f"{found[1]}.+{target - (1 << bits) if target >> (bits - 1) else target}"


def _gas(texts: Sequence[str], bits: int, option: str, folder: Path) -> dict[int, str] | bytes:
    """The bytes of all texts, or what is wrong with some of them."""
    source, target, raw = folder / "t.s", folder / "t.o", folder / "t.bin"
    source.write_text("\n".join([f".option norelax; .option {option}", *texts, ""]))
    march = [f"-march=rv{bits}gc_zba_zbb_zbs", f"-mabi={'lp64d' if bits == 64 else 'ilp32d'}", "-mno-relax"]
    done = subprocess.run(
        [tool("riscv64-linux-gnu-as", _PACKAGE), *march, str(source), "-o", str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        errors = [match for match in map(_ERROR.match, done.stderr.splitlines()) if match]
        return {int(match[1]) - 2: match[2] for match in errors}
    objcopy = tool("riscv64-linux-gnu-objcopy", _PACKAGE)
    subprocess.run([objcopy, "-O", "binary", "-j", ".text", str(target), str(raw)], check=True)
    return raw.read_bytes()


def _accepted() -> list[re.Pattern[str]]:
    lines = [line for line in _TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return [re.compile(re.split(r"\s+\|\s", line)[0]) for line in lines]


def _compare(rows: Sequence[tuple[bytes, str]], bits: int, option: str, folder: Path) -> list[str]:
    """Texts that GNU as reads otherwise and that no line of the table explains."""
    accepted = _accepted()
    kept = [(code, text) for code, text in rows if not any(p.fullmatch(text.replace("\t", " ")) for p in accepted)]
    theirs = _gas([_relative(text, bits) for _, text in kept], bits, option, folder)
    if isinstance(theirs, dict):
        return [f"{kept[index][1]!r}: {message}" for index, message in theirs.items()]
    wrong, at = [], 0
    for code, text in kept:
        if theirs[at : at + len(code)] != code:
            wrong.append(f"{text!r}: isomorph {code.hex()}, GNU as {theirs[at : at + 4].hex()}")
            at += 2 if theirs[at] & 3 != 3 else 4
        else:
            at += len(code)
    return wrong


@pytest.mark.parametrize("size", [2, 4])
def test_every_encoding(syntax: Syntax, size: int, tmp_path: Path) -> None:
    """What the disassembler prints of random words, GNU as reads as those words, and so do we."""
    bits, random = syntax.pc_width, Random(20191213 + size)
    disassembler, encoder = Disassembler(syntax, aliases=False), Encoder(syntax)
    forms = [form for form in syntax.forms if form.encoding.length == 8 * size]
    count = {2: 10_000, 4: 110_000}[size] // len(forms)
    rows = []
    for form in forms:
        for _ in range(count):
            shown = disassembler.one(_word(form, random), 0)
            if shown.name:
                rows.append((shown.bytes, str(shown)))
    assert len(rows) > {2: 9_000, 4: 100_000}[size]
    for code, text in random.sample(rows, 5_000):
        assert assemble_one(encoder, text.replace("\t", " "), 0) == code, text
    wrong = _compare(rows, bits, "rvc" if size == 2 else "norvc", tmp_path)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:40]])


def test_shortened(syntax: Syntax, tmp_path: Path) -> None:
    """Usual spellings of long and short instructions become the same short ones in both assemblers."""
    bits, random = syntax.pc_width, Random(7)
    disassembler, encoder = Disassembler(syntax), Encoder(syntax)
    names = {rule.long.form for rule in syntax.shorter} | {rule.short.form for rule in syntax.shorter}
    rows = []
    for form in syntax.forms:
        for _ in range(200 if form.name in names else 5):
            shown = disassembler.one(_word(form, random), 0)
            if shown.name and shown.mnemonic[:2] != "c.":
                text = str(shown).replace("\t", " ")
                # GNU as decides about branches and jumps when it knows where all is.
                if not _RELATIVE.match(str(shown)):
                    rows.append((assemble_one(encoder, text, 0, True), text))
    assert sum(len(code) == 2 for code, _ in rows) > 2_000
    wrong = _compare(rows, bits, "rvc", tmp_path)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:40]])


def test_a_wrong_byte_is_caught(syntax: Syntax, tmp_path: Path) -> None:
    """The control."""
    assert not _compare([(bytes.fromhex("13051500"), "addi\ta0,a0,1")], syntax.pc_width, "norvc", tmp_path)
    assert _compare([(bytes.fromhex("13052500"), "addi\ta0,a0,1")], syntax.pc_width, "norvc", tmp_path)
    assert _compare([(bytes.fromhex("13052500"), "adi\ta0,a0,1")], syntax.pc_width, "norvc", tmp_path)
