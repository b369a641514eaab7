"""gdb on a whole machine: the reset vector, steps, a breakpoint where firmware hands over, processors as threads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.machine.session import Session
from tests.tools import tool

U_BOOT = Path("/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin")


def test_gdb_attaches(tmp_path: Path) -> None:
    if not (ROOT / "build" / "riscv64" / "system.blob").exists():
        pytest.skip("riscv64 is generated without what machines need (make gen ISA=riscv64)")
    if not U_BOOT.exists() or not Path("/usr/lib/riscv64-linux-gnu/opensbi").exists():
        pytest.skip("no firmware (Debian packages opensbi, u-boot-qemu)")
    gdb = tool("gdb-multiarch", "gdb-multiarch")
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
        arguments = [word for command in commands for word in ("-ex", command)]
        done = subprocess.run(
            [gdb, "-nx", "-batch", *arguments], capture_output=True, text=True, timeout=100, check=False
        )
        for text in (
            "0x1000:\tauipc\tt0,0x0",
            "$1 = (void (*)()) 0x1008",
            'Thread 1 "CPU#0" hit Breakpoint 1, 0x0000000080200000',
            "Thread 2 ",
            "$2 = 0x0",
        ):
            assert text in done.stdout, done.stdout + done.stderr
        assert "VM status: paused (debug)" in done.stderr + done.stdout
        machine.expect("U-Boot 20")
        machine.type("\x01x")
        assert machine.end() == 0
