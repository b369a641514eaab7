"""The pc machine: SeaBIOS to its boot prompt, and a boot sector of ours from disk, by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kvm.kvm import assemble, require_kvm
from tests.tools import isomorph, run

BIOS = Path("/usr/share/seabios/bios.bin")
STATUS = 21

#: says so through the UART and through the BIOS, reads the next sector by the BIOS, prints that, ends the machine
_BOOT = f"""
        .code16
        xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov $0x7c00, %sp
        mov $uart, %si
        mov $0x3f8, %dx
1:      lodsb
        out %al, %dx
        test %al, %al
        jnz 1b
        mov $bios, %si
        call print
        mov $0x0201, %ax
        mov $0x0002, %cx
        mov $0x0080, %dx
        mov $0x8000, %bx
        int $0x13
        mov $0x8000, %si
        call print
        mov ${STATUS}, %al
        mov $0x501, %dx
        out %al, %dx
2:      hlt
        jmp 2b
print:  lodsb
        test %al, %al
        jz 3f
        mov $0x0e, %ah
        mov $7, %bx
        push %si
        int $0x10
        pop %si
        jmp print
3:      ret
uart:   .asciz "[through the UART]"
bios:   .asciz "[through the BIOS]"
        .org 510
        .word 0xaa55
        .asciz "[the second sector]    "
        .org 1024
"""


def _require() -> None:
    require_kvm("SeaBIOS on the pc machine")
    if not BIOS.exists():
        pytest.skip(f"no {BIOS} (Debian package seabios)")


@pytest.mark.parametrize(("controllers", "interface"), [("off", "ide"), ("on", "virtio")])
def test_boot_sector_from_disk(controllers: str, interface: str, tmp_path: Path) -> None:
    """SeaBIOS finds PCI and both kinds of disk on it, with interrupt controllers of the machine's own or the kernel's."""
    _require()
    disk = tmp_path / "disk"
    disk.write_bytes(assemble(_BOOT, "boot", 0x7C00).ljust(1 << 20, b"\0"))
    board = f"pc,kernel-irqchip={controllers}"
    drive = f"file={disk},format=raw,if={interface}"
    done = run(isomorph("machine", "-M", board, "-accel", "kvm", "-nographic", "-drive", drive), timeout=300)
    assert done.status == 2 * STATUS + 1
    assert b"SeaBIOS (version" in done.stdout
    # The BIOS keeps its last character back until the next: the first of ours may come before it.
    for text in (b"through the UART]", b"[through the BIOS]", b"[the second sector]"):
        assert text in done.stdout


def test_firmware_that_is_not_there(tmp_path: Path) -> None:
    require_kvm("that a missing BIOS is one clear line")
    done = run(isomorph("machine", "pc", "-accel", "kvm", "-nographic", "-bios", str(tmp_path / "none")))
    assert done.status == 1
    assert done.stderr.count(b"\n") == 1
    assert b"-bios names another" in done.stderr


def test_machines_of_other_processors_are_refused() -> None:
    done = run(isomorph("machine", "virt", "-accel", "kvm", "-nographic", "-bios", "none"))
    assert done.status == 2
    assert b"use -accel tcg" in done.stderr
