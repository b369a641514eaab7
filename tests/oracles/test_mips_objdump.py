"""Words of MIPS, half random and half random instructions: the text is GNU objdump's, or why not is listed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from random import Random

import pytest

from runtime.core.cpu import load_isa
from runtime.syntax.disassemble import Disassembler
from tests.tools import require_build, tool

TABLE = Path(__file__).parent / "objdump_mips_differences.txt"
#: extensions that objdump knows and a 24Kf has not: MSA, user-defined ones, paired singles, EVA, MIPS-3D, MDMX, DSP
EXTENSIONS = re.compile(
    r"udi\d+|.*\.ps(\..*)?$|.*\.(pu|pl|b|h|w|d|v|qb|ph|qh|ob|pw)$|bc1any.*|cabs.*|re(cip|sqrt)[12].*|rsqrt[12].*|lwxs|[ls](be|he|we|bue|hue|ce|le|wle|wre|cc|te)$|"
    r"(ll|sc)e|cachee|prefe|aset|aclr|alnv.*|shilov?|lwle|lwre|swle|swre|rddsp|wrdsp|ext(p|r|pd).*|mthlip|bposge32|bitrev|"
    r"insv|l(bu|h|w)x|modsub|append|prepend|balign|packrl.*|fork|lsa|ldi.*|insert.*|copy.*|sldi?.*|splati?.*|[cm][tf]cmsa|cfcmsa|"
    r"ctcmsa|move\.v|and\.v|or\.v|nor\.v|xor\.v|bm.*\.v|bsel\.v|crc32.*|ginv.*|addsc|addwc|adduh?.*|dp.*|mul(_|q|e|saq).*|ma(dd|q)_.*|raddu.*|"
    r"prece.*|precr.*|pick.*|cmp(u|gu|gdu)?\..*|sh[lr]l?.*|abs[qs]_s.*|mflo|mfhi|mtlo|mthi|mult|multu|madd|maddu|msub|msubu|tlb.*|sigrie|dlsa|pause"
)


def known() -> set[str]:
    """Mnemonics in the table."""
    found: set[str] = set()
    for line in TABLE.read_text().splitlines():
        if not line.startswith("#"):
            found |= set(re.split(r"\s{3,}", line)[0].split())
    return found


@pytest.mark.parametrize("name", ["mips", "mipsel"])
@pytest.mark.parametrize("count", [6000, pytest.param(300_000, marks=pytest.mark.slow)])
def test_text(name: str, count: int, tmp_path: Path) -> None:
    syntax = load_isa(require_build(name)).module("syntax").SYNTAX
    objdump = tool(f"{name}-linux-gnu-objdump", f"binutils-{name}-linux-gnu")
    chance = Random(count)
    disassembler = Disassembler(syntax)
    words = []
    for number in range(count):
        if number % 2:
            words.append(chance.randbytes(4))
            continue
        encoding = chance.choice(syntax.forms).encoding
        fetch = encoding.value
        for field in encoding.fields:
            fetch |= field.insert(chance.getrandbits(field.width))
        words.append(fetch.to_bytes(4, "little"))
    (tmp_path / "words").write_bytes(b"".join(words))
    order = "-EB" if name == "mips" else "-EL"
    command = [objdump, "-D", "-z", "-b", "binary", "-m", "mips:isa32r2", order, str(tmp_path / "words")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.split("\t")[2:] for line in printed.splitlines() if ":\t" in line]
    assert len(lines) == count
    expected, same, wrong = known(), 0, []
    for number, (word, line) in enumerate(zip(words, lines, strict=True)):
        theirs = " ".join(line).strip()
        shown = disassembler.one(word, 4 * number)
        ours = f"{shown.mnemonic} {shown.op_str}".strip()
        nothing = theirs.startswith((".word", "0x"))
        if ours == theirs or (nothing and ours.startswith(".")):
            same += 1
        elif not (
            {theirs.split()[0], ours.split()[0]} & expected
            or (ours.startswith(".") and EXTENSIONS.fullmatch(theirs.split()[0]))
        ):
            wrong.append(f"{word.hex()}: {ours!r}, objdump {theirs!r}")
    assert wrong == []
    assert same > 0.8 * count
