"""Byte strings of i386 and x86-64 against GNU objdump: what is an instruction, how long, how written; tables say why.

Half of them are random bytes, half random instructions; in the slow sweep there are ten million.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracles import x86_sweep, x86_text
from tests.tools import require_build, tool

#: strings of a sweep, and of the ten million that one test looks at
_FEW, _MANY = 20_000, 100_000


def check(guest: str, seed: str, count: int, folder: Path) -> x86_sweep.Found:
    require_build(x86_sweep.isa_of(guest))
    found = x86_sweep.sweep(guest, tool("objdump", "binutils"), seed, count, folder)
    assert not found.unexplained, str(found)
    return found


@pytest.mark.parametrize("guest", x86_sweep.MACHINES)
def test_legality_length_and_text(guest: str, tmp_path: Path) -> None:
    assert check(guest, "3", _FEW, tmp_path).alike > _FEW / 2


@pytest.mark.slow
@pytest.mark.parametrize("guest", x86_sweep.MACHINES)
@pytest.mark.parametrize("seed", range(50))
def test_ten_million(guest: str, seed: int, tmp_path: Path) -> None:
    check(guest, f"{guest} {seed}", _MANY, tmp_path)


def test_what_differs_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a length, an instruction that only one knows, and a text; without tables nothing has a reason."""
    require_build("x86_64")
    monkeypatch.setattr(x86_sweep, "rules", list)
    monkeypatch.setattr(x86_text, "rules", list)
    cases = [bytes.fromhex(text).ljust(15, b"\x90") for text in ("01d8", "9bd93c24", "0faa", "dfc8", "d0f0", "660f0b")]
    found = x86_sweep.Found()
    disassembler = x86_sweep.disassembler_of("x86_64")
    x86_sweep.compare("x86_64", tool("objdump", "binutils"), disassembler, cases, tmp_path, found)
    assert found.alike == 2
    assert sorted(found.unexplained) == [
        "both | fwait fstcw",
        "objdump | rsm",
        "ours | fxch7",
        "text | sal al,# | shl al,#",
    ]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("add eax, dword ptr [rbx+4]", "add    eax,DWORD PTR [rbx+0x4]"),
        ("cmp al, 255", "cmp    al,0xffffffffffffffff"),
        ("repe cmpsb", "repz cmps BYTE PTR ds:[rsi],BYTE PTR es:[rdi]"),
        ("rep stosq", "rep stos QWORD PTR es:[rdi],rax"),
        ("lock inc dword ptr [rax]", "lock inc DWORD PTR [rax]"),
        ("mov rax, qword ptr fs:[0]", "mov    rax,QWORD PTR fs:0x0"),
        ("jmp.d32 256", "jmp    0x100"),
    ],
)
def test_texts_that_are_alike(ours: str, theirs: str) -> None:
    assert _ours(ours).alike(x86_text.theirs(theirs))


@pytest.mark.parametrize(
    "theirs",
    [
        "add    eax,DWORD PTR [rbx+0x5]",
        "add    eax,DWORD PTR [rcx+0x4]",
        "add    eax,DWORD PTR fs:[rbx+0x4]",
        "sub    eax,DWORD PTR [rbx+0x4]",
        "lock add eax,DWORD PTR [rbx+0x4]",
        "add    ax,WORD PTR [rbx+0x4]",
    ],
)
def test_texts_that_differ(theirs: str) -> None:
    assert not _ours("add eax, dword ptr [rbx+4]").alike(x86_text.theirs(theirs))


def test_string_instructions_differ() -> None:
    one = _ours("rep movsb")
    assert one.alike(x86_text.theirs("rep movs BYTE PTR es:[rdi],BYTE PTR ds:[rsi]"))
    assert not one.alike(x86_text.theirs("movs   BYTE PTR es:[rdi],BYTE PTR ds:[rsi]"))
    assert not one.alike(x86_text.theirs("rep movs WORD PTR es:[rdi],WORD PTR ds:[rsi]"))
    assert not one.alike(x86_text.theirs("repnz movs BYTE PTR es:[rdi],BYTE PTR ds:[rsi]"))


def _ours(text: str) -> x86_text.Text:
    mnemonic, _, operands = text.partition(" ")
    return x86_text.ours(mnemonic, operands)
