"""-kernel on the pc machine: kernels of ours by Linux's boot protocol and PVH tell what they were given."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kvm.kernels import ORIGIN, SAY, SETUP, image
from tests.kvm.kvm import assemble, require_kvm
from tests.tools import isomorph, run, tool

_LINUX = """
        mov %esi, %ebp                  # the boot parameters
        mov 0x228(%ebp), %esi
        call say
        mov $0x20, %al
        call letter
        mov 0x218(%ebp), %esi           # the ramdisk, whose text ends in a zero
        call say
        mov $0x20, %al
        call letter
        movzbl 0x1e8(%ebp), %ebx
        call number
        mov 0x070(%ebp), %esi
        mov (%esi), %ebx
        call number
        mov 0x2d0+8(%ebp), %ebx
        call number
        jmp end
"""

_PVH = f"""
        .section .note.Xen, "a", @note
        .long 4, 4, 18
        .asciz "Xen"
        .long start
        .text
        .code32
        .globl start
start:  mov $stack, %esp
        mov %ebx, %ebp
        mov $0x50, %al
        call letter
        mov (%ebp), %ebx
        call number
        mov 24(%ebp), %esi
        call say
        mov $0x20, %al
        call letter
        mov 16(%ebp), %esi              # the first module
        mov (%esi), %esi
        call say
        mov $0x20, %al
        call letter
        mov 48(%ebp), %ebx
        call number
        mov 32(%ebp), %esi
        mov (%esi), %ebx
        call number
        mov 40(%ebp), %esi
        mov 8(%esi), %ebx
        call number
        jmp end
        {SAY}
        .bss
        .space 256
stack:
"""


def _kernel(wide: bool) -> bytes:
    """The same in both modes: first says which it is."""
    code = f"""
        mov ${0x36 if wide else 0x33}, %al
        mov $0x90000, %esp
        call letter
        mov ${0x34 if wide else 0x32}, %al
        call letter
        {_LINUX if not wide else _LINUX.replace("%ebp)", "%rbp)").replace("(%esi)", "(%rsi)")}
        {SAY}
    """
    return image(f"linux-{wide}", code, code if wide else "")


def _run(kernel: bytes, folder: Path, *more: str) -> tuple[int, bytes, bytes]:
    (folder / "kernel").write_bytes(kernel)
    (folder / "ramdisk").write_bytes(b"[a ramdisk]\0")
    command = ("machine", "pc", "-accel", "kvm", "-m", "16M", "-nographic", "-kernel", str(folder / "kernel"))
    done = run(isomorph(*command, *more))
    return done.status, done.stdout, done.stderr


RAMDISK_AND_TEXT = ("-append", "hello=there two")


@pytest.mark.parametrize("wide", [False, True], ids=["32-bit", "64-bit"])
def test_linux_protocol(wide: bool, tmp_path: Path) -> None:
    require_kvm("Linux's boot protocol")
    kernel = _kernel(wide)
    given = (*RAMDISK_AND_TEXT, "-initrd", str(tmp_path / "ramdisk"))
    status, said, errors = _run(kernel, tmp_path, *given)
    assert (status, errors) == (0, b"")
    # Three ranges of memory, "RSD " at the root of the ACPI tables, 640 KiB of RAM first.
    expected = b"hello=there two [a ramdisk] 00000003 20445352 000a0000 "
    assert said == (b"64" if wide else b"32") + expected


def test_pvh(tmp_path: Path) -> None:
    require_kvm("PVH")
    source, listing, program = tmp_path / "pvh.s", tmp_path / "pvh.o", tmp_path / "pvh"
    source.write_text(_PVH)
    for command in (
        [tool("as", "binutils"), "--32", "-o", str(listing), str(source)],
        [
            tool("ld", "binutils"),
            "-melf_i386",
            f"-Ttext-segment={ORIGIN:#x}",
            "-estart",
            "-o",
            str(program),
            str(listing),
        ],
    ):
        subprocess.run(command, check=True, capture_output=True)
    given = (*RAMDISK_AND_TEXT, "-initrd", str(tmp_path / "ramdisk"))
    status, said, errors = _run(program.read_bytes(), tmp_path, *given)
    assert (status, errors) == (0, b"")
    assert said == b"P336ec578 hello=there two [a ramdisk] 00000003 20445352 000a0000 "


@pytest.mark.parametrize(
    ("kernel", "given", "says"),
    [
        (b"neither", (), b"neither a bzImage nor an ELF file"),
        ("short", (), b"the file is cut short"),
        ("old", (), b"its boot protocol is 2.00; 2.06 is the least there is here"),
        ("large", (), b"of memory; give the machine more (-m)"),
        ("here", ("-append", "x" * 65), b"-append: this kernel takes 64 bytes"),
        ("here", ("-bios", "x"), b"-bios: with -kernel, the pc machine runs no firmware"),
        ("here", ("-initrd", "/nowhere"), b"-initrd /nowhere: No such file"),
    ],
    ids=["neither", "short", "old", "large", "append", "bios", "initrd"],
)
def test_what_cannot_be_booted_is_one_clear_line(
    kernel: bytes | str, given: tuple[str, ...], says: bytes, tmp_path: Path
) -> None:
    require_kvm("that a wrong -kernel is refused")
    if isinstance(kernel, str):
        image = bytearray(_kernel(True))
        if kernel == "short":
            del image[SETUP:]
        elif kernel == "old":
            image[0x206:0x208] = b"\x00\x02"
        elif kernel == "large":
            image[0x260:0x264] = (1 << 30).to_bytes(4, "little")
        kernel = bytes(image)
    status, said, errors = _run(kernel, tmp_path, *given)
    assert status in (1, 2)
    assert said == b""
    assert says in errors
    assert errors.count(b"\n") == 1


def test_the_entry_is_its_source() -> None:
    """pc_entry_x86.py holds what GNU as makes of pc_entry_x86.s, but for the values that a board fills in."""
    from runtime.machine import pc_entry_x86 as entry
    from tests.conftest import ROOT

    source = (ROOT / "runtime/machine/pc_entry_x86.s").read_text()
    made = assemble(source, "pc-entry", entry.ENTRY)
    assert made[: entry.VALUES] == entry.CODE.ljust(entry.VALUES, b"\x90")
    plain = entry.Entry(0).code()
    assert plain[entry.VALUES : entry.DESCRIPTORS] == made[entry.VALUES : entry.DESCRIPTORS]
    assert made[entry.DESCRIPTORS + 24 : entry.DESCRIPTORS + 40] == plain[entry.DESCRIPTORS + 24 :]
    assert len(made) == entry.SIZE
