"""Real firmware and Debian's own kernel on the virt board: a session at the console, and what it leaves behind."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.machine.debian_guest import initramfs, kernel
from tests.machine.session import Session
from tests.tools import require_machine

OPENSBI = Path("/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin")
U_BOOT = Path("/usr/lib/u-boot")
MEGABYTES = 16


@pytest.fixture(autouse=True)
def _generated() -> None:
    require_machine("riscv64")


def firmware(path: Path, package: str) -> str:
    if not path.exists():
        pytest.skip(f"no {path.name} (Debian package {package})")
    return str(path)


@pytest.mark.parametrize("count", [1, 3])
def test_opensbi_finds_the_board(count: int) -> None:
    firmware(OPENSBI, "opensbi")
    with Session("virt", "-nographic", "-smp", str(count)) as machine:
        machine.expect("OpenSBI v")
        text = machine.expect("Boot HART MEDELEG").decode()
        for line in (
            "Platform Name             : riscv-virtio,qemu",
            f"Platform HART Count       : {count}",
            "Platform IPI Device       : aclint-mswi",
            "Platform Timer Device     : aclint-mtimer @ 10000000Hz",
            "Platform Console Device   : uart8250",
            "Platform Shutdown Device  : sifive_test",
            "Boot HART Base ISA        : rv64imafdc",
        ):
            assert line in text
        machine.type("\x01x")
        assert machine.end() == 0


def test_u_boot_without_other_firmware() -> None:
    path = firmware(U_BOOT / "qemu-riscv64" / "u-boot.bin", "u-boot-qemu")
    with Session("virt", "-nographic", "-bios", path) as machine:
        machine.expect("U-Boot 20")
        machine.expect("Model: riscv-virtio,qemu")
        machine.expect("Hit any key")
        machine.type("\n")
        machine.expect("=> ")
        machine.type("version\n")
        machine.expect("riscv64-linux-gnu-gcc")
        machine.expect("=> ")
        machine.type("poweroff\n")
        assert machine.end() == 0


def test_u_boot_behind_opensbi_resets_the_board() -> None:
    firmware(OPENSBI, "opensbi")
    path = firmware(U_BOOT / "qemu-riscv64_smode" / "u-boot.bin", "u-boot-qemu")
    with Session("virt", "-nographic", "-kernel", path, "-no-reboot") as machine:
        machine.expect("U-Boot 20")
        machine.expect("Hit any key")
        machine.type("\n")
        machine.expect("=> ")
        machine.type("reset\n")
        assert machine.end() == 0


def boot(*options: str) -> Session:
    """Debian's kernel with a ramdisk, at its prompt."""
    firmware(OPENSBI, "opensbi")
    disk = ["-kernel", str(kernel()), "-initrd", str(initramfs()), "-append", "console=ttyS0"]
    machine = Session("virt", "-m", "512M", "-nographic", *disk, *options)
    machine.expect("busybox is ready")
    machine.expect("~ # ")
    return machine


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 8])
def test_debian(count: int, tmp_path: Path) -> None:
    """A session: the kernel, a disk written and read, the network, time; and what the disk holds afterwards."""
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    devices = ["-drive", f"file={image},format=raw,if=virtio", "-nic", "user", "-device", "virtio-rng-device"]
    with boot("-smp", str(count), *devices) as machine:
        assert "6.12" in machine.command("uname -a")
        assert machine.command("nproc") == f"{count}\n"
        modules = "virtio_mmio virtio_blk failover net_failover virtio_net"
        machine.command(f"for each in {modules}; do insmod /modules/$each.ko.xz; done")
        machine.command(f"dd if=/dev/urandom of=/dev/vda bs=1M count={MEGABYTES} 2>/dev/null && sync")
        machine.command("echo 3 > /proc/sys/vm/drop_caches")
        digest = machine.command(f"dd if=/dev/vda bs=1M count={MEGABYTES} 2>/dev/null | sha256sum").split()[0]
        machine.command("ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up")
        assert "2 packets received" in machine.command("ping -c 2 10.0.2.2")
        assert machine.command("date +%s").strip().isdecimal()
        machine.type("poweroff -f\n")
        assert machine.end() == 0
    data = image.read_bytes()[: MEGABYTES << 20]
    assert hashlib.sha256(data).hexdigest() == digest
    assert data.count(0) < len(data) // 100


@pytest.mark.slow
def test_a_machine_goes_on_in_another_process(tmp_path: Path) -> None:
    """Saved at a shell's prompt, it answers there after a `loadvm` in a new process."""
    state = str(tmp_path / "state")
    with boot() as machine:
        machine.command("echo remembered > /tmp/file; cd /tmp")
        machine.type("\x01c")
        machine.expect("(isomorph) ")
        machine.type(f"savevm {state}\n")
        machine.expect("(isomorph) ")
        machine.type("quit\n")
        assert machine.end() == 0
    assert os.path.getsize(state) > 1 << 20
    with Session("virt", "-m", "512M", "-nographic", "-loadvm", state) as machine:
        machine.type("\n")
        machine.expect("# ")
        assert machine.command("cat file") == "remembered\n"
        machine.type("poweroff -f\n")
        assert machine.end() == 0


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_counted_time_repeats(count: int) -> None:
    """With -icount the kernel says the same each time, to the microsecond, whether its code is compiled or not.

    Interrupts are counted in /proc/interrupts."""
    firmware(OPENSBI, "opensbi")
    init = (
        "#!/bin/sh\nbusybox mount -t proc proc /proc\nbusybox cat /proc/uptime /proc/interrupts\nbusybox poweroff -f\n"
    )
    ramdisk = initramfs(init=init.replace("busybox", "/bin/busybox"), target_name="short")
    printed = []
    for threshold in (2000, 100, 0):
        compiling = ["-accel", f"tcg,tier1-threshold={threshold}"]
        options = [
            *compiling,
            "-icount",
            "shift=3,sleep=off",
            "-serial",
            "stdio",
            "-monitor",
            "none",
            "-display",
            "none",
        ]
        given = ["-kernel", str(kernel()), "-initrd", str(ramdisk), "-append", "console=ttyS0"]
        with Session("virt", "-m", "512M", "-smp", str(count), *options, *given) as machine:
            assert machine.end() == 0
            printed.append(machine.output)
    assert printed[0] == printed[1]
    assert printed[0] == printed[2]
    assert b"reboot: Power down" in printed[0]
