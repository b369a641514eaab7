"""`.code16` and `.code32` as GNU as has them: the same bytes of the same lines, and those read as the lines again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runtime.core.cpu import load_isa
from runtime.syntax.assemble import assemble_one
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.encode import Encoder
from runtime.syntax.tables import mode_key
from tests.tools import isomorph, require_build, run, tool

#: each ModRM form of table 2-1, sizes that are not the mode's, and what is written otherwise in 16-bit code
LINES = """
add ax, word ptr [bx+si]; add word ptr [bx+di+4], dx; add ecx, dword ptr [bp+si+4660]; sub cl, byte ptr [bp+di-1]
cmp word ptr [si], 5; cmp dword ptr [di+127], 100000; test byte ptr [bp+0], 3; test word ptr [bx+128], 4660
mov al, byte ptr es:[di]; mov dx, word ptr fs:[bx+8]; mov word ptr cs:[4660], cx; mov eax, dword ptr [esp+8]
mov ax, word ptr [ebx+ecx*4+305419896]; lea si, [bx+di+6]; lea eax, [eax+eax*2]; mov bx, 4660; mov ebx, 305419896
push ax; push eax; pop bp; pop ebp; push 3; push 4660; pushd 70000; push word ptr [bx]; push dword ptr [bx]; push ds
pusha; pushad; popa; popad; pushf; pushfd; popf; popfd; leave; enter 16, 1; ret; ret 4; retf; retfd; retfd 8
iret; iretd
call word ptr [bx]; call eax; jmp dx; jmp word ptr [bx+si]; inc ax; dec edi
les bx, dword ptr [si]; lds esi, fword ptr [di]
cs lodsb; lodsd; rep movsw; rep movsd; repne scasb; repe cmpsw; stosd; xlat; cbw; cwde; cwd
cdq; movzx eax, byte ptr [si]
imul bx, word ptr [di], 7; shl word ptr [bx], 3; shld ax, bx, cl; bt word ptr [si], 3; cmpxchg8b qword ptr [di]
mov ds, ax; mov ax, ss; mov word ptr [bx], es; int 16; cli; hlt; lgdt [4660]; in al, 96; out dx, eax; cpuid; aam 10
""".replace("\n", ";").split(";")
#: a loop back, a jump too far for a byte, and code of 32 bits behind it
TARGETS = """
back: loop back
je ahead
jmp ahead
call back
jcxz back
jmp 8:4660
.space 300
ahead: nop
.code32
jmp ahead
mov ax, 5
push 305419896
mov ecx, dword ptr [ebx+8]
.code16
mov ax, 5
"""


def _texts() -> list[str]:
    return [line.strip() for line in LINES if line.strip()]


def _theirs(text: str, folder: Path) -> bytes:
    program, copy = tool("as", "binutils"), tool("objcopy", "binutils")
    (folder / "theirs.s").write_text(f".intel_syntax noprefix\n{text}\n")
    subprocess.run([program, "--32", "-o", folder / "theirs.o", folder / "theirs.s"], check=True)
    command = [copy, "-O", "binary", "-j", ".text", folder / "theirs.o", folder / "theirs.bin"]
    subprocess.run(command, check=True)
    return (folder / "theirs.bin").read_bytes()


def _spelled(line: str) -> str:
    """As GNU as writes it."""
    return {"retfd": "lretd", "retfd 8": "lretd 8"}.get(line, line)


def test_the_same_bytes_and_back(tmp_path: Path) -> None:
    syntax = load_isa(require_build("i386")).module("syntax").SYNTAX
    modes = {mode_key("CODE16"): 1}
    encoder, disassembler = Encoder(syntax, modes), Disassembler(syntax, modes=modes)
    ours = [assemble_one(encoder, line, 0) for line in _texts()]
    together = "\n".join([".code16", *map(_spelled, _texts())])
    assert b"".join(ours).hex(" ") == _theirs(together, tmp_path).hex(" ")
    for line, code in zip(_texts(), ours, strict=True):
        shown = disassembler.one(code, 0)
        assert assemble_one(encoder, f"{shown.mnemonic} {shown.op_str}", 0) == code, line


@pytest.mark.parametrize("first", [".code16", ".code32"])
def test_directives_and_targets(first: str, tmp_path: Path) -> None:
    (tmp_path / "ours.s").write_text(first + TARGETS)
    options = ["--isa", "i386", "--raw", "--base", "0", "-o", str(tmp_path / "ours.bin")]
    done = run(isomorph("asm", *options, str(tmp_path / "ours.s")))
    assert done.status == 0, done.stderr
    assert (tmp_path / "ours.bin").read_bytes().hex(" ") == _theirs(first + TARGETS, tmp_path).hex(" ")
