"""GNU objdump's reading of RISC-V words, in the spelling of its newer versions: see `_IMMEDIATE`."""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.tools import tool

_PACKAGE = "binutils-riscv64-linux-gnu"
_LINE = re.compile(r"\s*([0-9a-f]+):\s+[0-9a-f]{4,16}\s+(\S+)(?:\s+(.*))?$")
_TARGET = re.compile(r"^((?:c\.)?(?:j|jal|beq|bne|blt|bge|bltu|bgeu|beqz|bnez) (?:[^ ]*,)?)([0-9a-f]+)$")
_TARGET_ALIAS = re.compile(r"^((?:j|jal|(?:beq|bne|blt|bge|bgt|ble)[zu]?) (?:[^ ]*,)?)([0-9a-f]+)$")
#: binutils 2.40 calls instructions with a constant by the name of those without, where pseudo-instructions are shown
_IMMEDIATE = re.compile(
    r"^(add|sll|srl|sra|and|or|xor|slt|bclr|bext|binv|bset|ror)(u?)(w?) ([^ ]*,)(0x[0-9a-f]+|-?\d+)$"
)
_CSR_IMMEDIATE = re.compile(r"^(csrr?[wsc]|fsrm|fsflags) ((?:[^ ]*,)?)(\d+)$")
_EXTENSIONS = "_zba_zbb_zbs"


def _elf(folder: Path, data: bytes, xlen: int) -> Path:
    """An object file of nothing but these bytes that says which extensions they are of."""
    (folder / "words.bin").write_bytes(data)
    source = folder / "words.s"
    source.write_text(f'.text\n.incbin "{folder}/words.bin"\n')
    target = folder / "words.o"
    abi = "lp64d" if xlen == 64 else "ilp32d"
    assembler = tool("riscv64-linux-gnu-as", _PACKAGE)
    options = [f"-march=rv{xlen}gc{_EXTENSIONS}", f"-mabi={abi}"]
    subprocess.run([assembler, *options, str(source), "-o", str(target)], check=True)
    # Without the symbol "$d", which says that these are data.
    subprocess.run([tool("riscv64-linux-gnu-objcopy", _PACKAGE), "--strip-all", str(target)], check=True)
    return target


def _raw(data: bytes, xlen: int, aliases: bool = False) -> list[tuple[int, str]]:
    with tempfile.TemporaryDirectory() as folder:
        target = _elf(Path(folder), data, xlen)
        program, options = (
            tool("riscv64-linux-gnu-objdump", _PACKAGE),
            ["-D", "-z", "-j", ".text", *([] if aliases else ["-M", "no-aliases"])],
        )
        text = subprocess.run([program, *options, str(target)], check=True, capture_output=True, text=True).stdout
    found = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is not None:
            operands = re.sub(r"\s*#.*|\s*<[^>]*>", "", match[3] or "")
            found.append((int(match[1], 16), f"{match[2]} {operands}".strip()))
    return found


def disassemble(words: Sequence[int], size: int, xlen: int, aliases: bool = False) -> list[str]:
    """One text per word of `size` bytes; "" for what objdump does not know.  Word i stands at address i * size."""
    data = b"".join(struct.pack("<I" if size == 4 else "<H", word) for word in words)
    lines = _raw(data, xlen, aliases)
    assert [at for at, _ in lines] == list(range(0, len(data), size)), "objdump lost step"
    return [_plain(text) for _, text in lines]


def _plain(text: str) -> str:
    if text.startswith((".4byte", ".2byte", ".word", ".short")):
        return ""
    if text.endswith(",unknown"):
        return f"{text.split()[0]} unknown"
    text = _IMMEDIATE.sub(r"\1i\2\3 \4\5", _CSR_IMMEDIATE.sub(r"\1i \2\3", numbered(text)))
    target = _TARGET.match(text) or _TARGET_ALIAS.match(text)
    return f"{target[1]}0x{target[2]}" if target is not None else text


def numbered(text: str) -> str:
    """With numbers for the names of control and status registers."""
    mnemonic, _, operands = text.partition(" ")
    if not mnemonic.startswith("csr"):
        return text
    numbers = csr_numbers()
    shown = [f"{numbers[part]:#x}" if part in numbers else part for part in operands.split(",")]
    return f"{mnemonic} {','.join(shown)}"


@cache
def csr_numbers() -> dict[str, int]:
    """What objdump calls each of the 4096 control and status registers."""
    words = b"".join(struct.pack("<I", number << 20 | 0x2073) for number in range(4096))
    names = [text.split(",")[1] for _, text in _raw(words, 64)]  # csrrs zero,NAME,zero
    return {name: number for number, name in enumerate(names)}
