"""A disk that our guest reads and writes by DMA: the IDE controller's bus master, driven in two pieces each way."""

from __future__ import annotations

from pathlib import Path

from tests.kvm.kernels import SAY, image
from tests.kvm.kvm import require_kvm
from tests.tools import isomorph, run

#: PIIX3's IDE function, 00:01.1, and where the guest puts its bus master's registers (BAR 4)
_FUNCTION, _MASTER = 0x80000900, 0xC000
_TABLE, _FIRST, _SECOND = 0x50000, 0x60000, 0x61000
_READ_DMA, _WRITE_DMA, _FLUSH = 0xC8, 0xCA, 0xE7
_FROM_DISK, _START = 8, 1


def _configure(register: int, value: int) -> str:
    return f"""
        mov ${_FUNCTION | register:#x}, %eax
        mov $0xcf8, %dx
        out %eax, %dx
        mov ${value:#x}, %eax
        mov $0xcfc, %dx
        out %eax, %dx
    """


def _out(port: int, value: int, register: str = "al") -> str:
    return f"mov ${value:#x}, %{'eax' if register == 'eax' else 'al'}\n mov ${port:#x}, %dx\n out %{register}, %dx\n"


def _transfer(command: int, sector: int, direction: int) -> str:
    """One sector by DMA; its end is waited for at the bus master, whose status and the drive's are printed."""
    return f"""
        {_out(_MASTER + 4, _TABLE, "eax")}
        {_out(_MASTER + 2, 0x06)}       # forget what happened before
        {_out(_MASTER, direction)}
        {_out(0x1F6, 0xE0)}
        {_out(0x1F2, 1)}
        {_out(0x1F3, sector)}
        {_out(0x1F4, 0)}
        {_out(0x1F5, 0)}
        {_out(0x1F7, command)}
        {_out(_MASTER, direction | _START)}
        mov ${_MASTER + 2:#x}, %dx
1:      in %dx, %al
        test $4, %al                    # the drive has interrupted
        jz 1b
        movzbl %al, %ebx
        call number
        {_out(_MASTER, 0)}
        mov $0x1f7, %dx
        in %dx, %al
        movzbl %al, %ebx
        call number
    """


def _kernel() -> bytes:
    code = f"""
        mov $0x90000, %esp
        {_configure(0x20, _MASTER | 1)}
        {_configure(0x04, 5)}           # ports, and it may be the bus' master
        movl ${_FIRST:#x}, {_TABLE:#x}
        movl $0x100, {_TABLE + 4:#x}
        movl ${_SECOND:#x}, {_TABLE + 8:#x}
        movl $0x80000100, {_TABLE + 12:#x}
        {_transfer(_READ_DMA, 1, _FROM_DISK)}
        mov ${_FIRST:#x}, %esi
        call say
        mov ${_SECOND:#x}, %esi
        call say
        movl $0x6b736964, {_SECOND:#x}  # "disk"
        {_transfer(_WRITE_DMA, 3, 0)}
        {_out(0x1F7, _FLUSH)}
        movl $0x80000080, {_TABLE + 4:#x}       # of the sector only the first quarter has a place
        {_transfer(_READ_DMA, 1, _FROM_DISK)}
        movl $0xfffff000, {_TABLE:#x}           # and none at all
        {_transfer(_READ_DMA, 1, _FROM_DISK)}
        jmp end
        {SAY}
    """
    return image("ide", "", code)


def test_dma(tmp_path: Path) -> None:
    require_kvm("DMA of the IDE controller, driven by a guest")
    kernel, disk = tmp_path / "kernel", tmp_path / "disk"
    kernel.write_bytes(_kernel())
    first, second = b"[the first half] \0".ljust(256, b"1"), b"[the second] \0".ljust(256, b"2")
    content = bytearray(64 * 512)
    content[512:1024] = first + second
    disk.write_bytes(content)
    words = ("pc", "-accel", "kvm", "-m", "16M", "-nographic", "-kernel", str(kernel))
    done = run(isomorph("machine", *words, "-drive", f"file={disk},format=raw,if=ide"))
    assert (done.status, done.stderr) == (0, b"")
    read, refused = (
        "00000004 00000050 ",
        "00000006 00000051 ",
    )  # bus master: interrupt (and error); drive: ready (error)
    assert done.stdout.decode() == f"{read}[the first half] [the second] {read}{refused}{refused}"
    content[3 * 512 : 4 * 512] = first + b"disk" + second[4:]
    assert disk.read_bytes() == content
