"""The pc machine: SeaBIOS to its boot prompt, and a boot sector of ours from disk, by the command line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.kvm.kvm import assemble, require_kvm
from tests.machine.session import PATIENCE, Session
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
        mov $0xf000, %ax
        mov %ax, %es
        xor %di, %di
4:      cmpl $0x20445352, %es:(%di)         # "RSD "
        je 5f
        add $16, %di
        jnz 4b
        jmp 6f
5:      cmpl $0x20525450, %es:4(%di)        # "PTR "
        jne 6f
        mov $acpi, %si
        call print
6:      mov ${STATUS}, %al
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
acpi:   .asciz "[ACPI] "
        .org 510
        .word 0xaa55
        .asciz "[the second sector]    "
        .org 1024
"""


def _require() -> None:
    require_kvm("SeaBIOS on the pc machine")
    if not BIOS.exists():
        pytest.skip(f"no {BIOS} (Debian package seabios)")


def _disk(folder: Path) -> str:
    disk = folder / "disk"
    disk.write_bytes(assemble(_BOOT, "boot", 0x7C00).ljust(1 << 20, b"\0"))
    return f"file={disk},format=raw"


def _said_through_the_uart(output: bytes) -> None:
    """In order, but not in one piece: a timer has the BIOS send what it kept back, by the same UART."""
    rest = iter(output)
    assert all(character in rest for character in b"[through the UART]"), output


def test_boot_sector_from_disk(tmp_path: Path) -> None:
    """SeaBIOS finds PCI and the disk on it, and leaves the ACPI tables where they are looked for."""
    _require()
    drive = f"{_disk(tmp_path)},if=ide"
    done = run(isomorph("machine", "pc", "-accel", "kvm", "-nographic", "-drive", drive), timeout=300)
    assert done.status == 2 * STATUS + 1
    assert b"SeaBIOS (version" in done.stdout
    _said_through_the_uart(done.stdout)
    for text in (b"[through the BIOS]", b"[the second sector]", b"[ACPI]"):
        assert text in done.stdout


def test_boot_from_virtio_with_a_screen(tmp_path: Path) -> None:
    """The same with interrupt controllers of the kernel's, a virtio disk, and VGA: the screen says it, too."""
    _require()
    serial = tmp_path / "serial"
    with Session(
        "pc", "-M", "kernel-irqchip=on", "-accel", "kvm", "-device", "VGA", "-display", "none", "-no-shutdown",
        "-drive", f"{_disk(tmp_path)},if=virtio", "-serial", f"file:{serial}", "-monitor", "stdio",
        folder=tmp_path,
    ) as machine:  # fmt: skip
        screen = b""
        deadline = time.monotonic() + 3 * PATIENCE
        while b"[ACPI]" not in screen and time.monotonic() < deadline:
            machine.type("info screen\n")
            machine.expect("info screen")
            screen = machine.expect("(isomorph) ")
        machine.type("screendump screen.png\nquit\n")
        assert machine.end() == 0
    for text in (b"SeaBIOS (version", b"[through the BIOS]", b"[the second sector]", b"[ACPI]"):
        assert text in screen
    _said_through_the_uart(serial.read_bytes())
    picture = (tmp_path / "screen.png").read_bytes()
    assert picture[16:24] == (720).to_bytes(4, "big") + (400).to_bytes(4, "big")


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
