"""gdb on a whole machine: the reset vector, steps, a breakpoint where firmware hands over, processors as threads."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.debug.client import Client
from tests.debug.gdb_client import gdb
from tests.machine.debian_guest import initramfs, kernel
from tests.machine.session import Session
from tests.machine.test_boot import OPENSBI, firmware
from tests.tools import require_machine, tool

U_BOOT = Path("/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin")


def test_gdb_attaches(tmp_path: Path) -> None:
    require_machine("riscv64")
    if not U_BOOT.exists() or not Path("/usr/lib/riscv64-linux-gnu/opensbi").exists():
        pytest.skip("no firmware (Debian packages opensbi, u-boot-qemu)")
    place = tmp_path / "gdb"
    commands = [
        "set architecture riscv:rv64",
        f"target remote {place}",
        "x/2i $pc",
        "stepi",
        "stepi",
        "print $pc",
        "break *0x80200000",
        "continue",
        "info threads",
        "print/x $a1 & 0xfff",
        "monitor info status",
        "delete",
        "detach",
    ]
    options = ["-smp", "2", "-S", "-gdb", f"unix:{place}"]
    with Session("virt", "-nographic", "-kernel", str(U_BOOT), *options) as machine:
        machine.expect("waiting for gdb")
        told = gdb(*commands)
        for text in (
            "0x1000:\tauipc\tt0,0x0",
            "$1 = (void (*)()) 0x1008",
            'Thread 1 "CPU#0" hit Breakpoint 1, 0x0000000080200000',
            "Thread 2 ",
            "$2 = 0x0",
        ):
            assert text in told, told
        assert "VM status: paused (debug)" in told
        machine.expect("U-Boot 20")
        machine.type("\x01x")
        assert machine.end() == 0


def test_a_processor_that_came_to_a_breakpoint_without_a_word_hits_it(tmp_path: Path) -> None:
    """Its slice ended there, or somebody set its pc: only what has been told of is passed."""
    require_machine("riscv64")
    place = tmp_path / "gdb"
    with Session("virt", "-nographic", "-bios", "none", "-smp", "2", "-S", "-gdb", f"unix:{place}") as machine:
        machine.expect("waiting for gdb")
        with closing(Client(str(place))) as client:
            client.start()
            assert client.ask("Hg2") == b"OK"
            assert client.ask("P20=" + (0x1008).to_bytes(8, "little").hex()) == b"OK"
            assert client.ask("Z0,1008,4") == b"OK"
            assert client.ask("Z0,100c,4") == b"OK"
            for address in (0x1008, 0x100C):
                assert client.ask("vCont;c:2") == b"T05thread:2;swbreak:;"
                assert client.register(32) == address
            assert client.ask("vKill;1") == b"OK"
        machine.end()


#: counts down in memory at 0x80001000: a store, a load, an atomic change; then the power switch
_COUNTS = """
        lui     t0, 0x80001
        slli    t0, t0, 32
        srli    t0, t0, 32
        li      t1, 9
1:      sw      t1, 0(t0)
        lw      t2, 0(t0)
        amoadd.w zero, t1, (t0)
        addi    t1, t1, -1
        bnez    t1, 1b
        li      t0, 0x100000
        li      t1, 0x5555
        sw      t1, 0(t0)
        j       .
"""


def test_watchpoints(tmp_path: Path) -> None:
    """gdb's watch, rwatch and awatch over a machine: it stops behind the access, with both values; and the end."""
    require_machine("riscv64")
    source, program, raw, place = (tmp_path / name for name in ("counts.s", "counts.o", "counts.bin", "gdb"))
    source.write_text(_COUNTS)
    for command in (
        [tool("riscv64-linux-gnu-as", "binutils-riscv64-linux-gnu"), "-march=rv64ima", "-o", str(program), str(source)],
        [
            tool("riscv64-linux-gnu-objcopy", "binutils-riscv64-linux-gnu"),
            "-O",
            "binary",
            "-j",
            ".text",
            str(program),
            str(raw),
        ],
    ):
        subprocess.run(command, check=True, capture_output=True)
    commands = ["set architecture riscv:rv64", f"target remote {place}", "watch *(int *)0x80001000", "continue"]
    commands += ["continue", "stepi", "stepi", "stepi", "delete", "rwatch *(int *)0x80001000", "continue", "delete"]
    commands += ["awatch *(short *)0x80001002", "continue", "print $t1", "delete", "continue"]
    with Session("virt", "-nographic", "-bios", str(raw), "-S", "-gdb", f"unix:{place}") as machine:
        machine.expect("waiting for gdb")
        told = gdb(*commands)
        for text in (
            "Old value = 0\nNew value = 9",
            "Old value = 9\nNew value = 18",
            "Old value = 18\nNew value = 8",  # by a step
            "Hardware read watchpoint 2: *(int *)0x80001000\n\nValue = ",
            "Hardware access (read/write) watchpoint 3: *(short *)0x80001002\n\nValue = 0",
            "$1 = ",
        ):
            assert text in told, told
            told = told.partition(text)[2]
        assert machine.end() == 0


@pytest.mark.slow
def test_gdb_in_the_kernel(tmp_path: Path) -> None:
    """Debian's kernel under gdb: a breakpoint in start_kernel, by its address; where it came from, steps, and on."""
    tool("gdb-multiarch", "gdb-multiarch")
    firmware(OPENSBI, "opensbi")
    words = ["-m", "256M", "-kernel", str(kernel()), "-initrd", str(initramfs()), "-append", "console=ttyS0 nokaslr"]
    with Session("virt", "-nographic", *words) as machine:
        machine.expect("busybox is ready")
        machine.expect("# ")
        line = machine.command("grep -w start_kernel /proc/kallsyms; grep -w -A1 _start_kernel /proc/kallsyms")
        addresses = {name: int(word, 16) for word, _, name in (one.split()[:3] for one in line.split("\n") if one)}
        machine.type("poweroff -f\n")
        assert machine.end() == 0
    place, where = tmp_path / "gdb", addresses["start_kernel"]
    commands = [
        "set architecture riscv:rv64",
        f"target remote {place}",
        f"break *{where:#x}",
        "continue",
        "print/x $pc",
        'printf "called from %#lx\\n", $ra',
        "x/3i $pc",
        "stepi",
        "stepi",
        "print/x $pc",
        "x/s $a1",
        "info registers satp",
        "monitor info mem",
        "delete",
        "detach",
    ]
    with Session("virt", "-nographic", *words, "-S", "-gdb", f"unix:{place}") as machine:
        machine.expect("waiting for gdb")
        told = gdb(*commands, patience=300)
        assert f"$1 = {where:#x}" in told
        called = int(told.partition("called from ")[2].split()[0], 16)
        assert addresses["_start_kernel"] < called < addresses["_start_kernel"] + 0x1000
        assert f"Breakpoint 1, {where:#018x} in" in told
        assert f"$2 = {where:#x}" not in told
        assert "ffffffff80000000" in told  # the kernel's mapping
        machine.expect("busybox is ready")
        machine.type("\x01x")
        machine.end()
