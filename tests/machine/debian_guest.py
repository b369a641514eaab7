"""Debian's kernel for riscv64 and a ramdisk with its busybox: made from packages, kept under build/."""

from __future__ import annotations

import fcntl
import gzip
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.debian import sysroot

KERNEL = "linux-image-6.12.107+deb13-riscv64"
FOLDER = ROOT / "build" / "tests" / "machine"
#: what the kernel starts: mounts, a shell on the console
INIT = """\
#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo 'busybox is ready'
exec setsid cttyhack sh
"""
#: modules of the kernel that the ramdisk brings along, each after those it needs
MODULES = (
    "kernel/drivers/virtio/virtio_mmio.ko.xz",
    "kernel/drivers/block/virtio_blk.ko.xz",
    "kernel/net/core/failover.ko.xz",
    "kernel/drivers/net/net_failover.ko.xz",
    "kernel/drivers/net/virtio_net.ko.xz",
    "kernel/drivers/char/hw_random/virtio-rng.ko.xz",
)


def kernel() -> Path:
    """The kernel's Image."""
    found = sorted((_kernel_root() / "boot").glob("vmlinu*"))
    if not found:
        pytest.skip(f"the package {KERNEL} holds no kernel")
    return found[0]


def modules() -> Path:
    """Where the kernel's modules are."""
    return _kernel_root() / "usr" / "lib" / "modules"


def _kernel_root() -> Path:
    return sysroot("riscv64", "trixie", [KERNEL])


def initramfs(more: Mapping[str, bytes] | None = None, init: str = INIT, target_name: str = "rootfs") -> Path:
    """A ramdisk with busybox, virtio's modules under /modules, and `more` files by path."""
    busybox = sysroot("riscv64", "trixie", ["busybox-static"])
    binary = next(path for path in (busybox / "usr/bin/busybox", busybox / "bin/busybox") if path.exists())
    archive = Archive()
    for folder in ("bin", "dev", "etc", "mnt", "modules", "proc", "sys", "tmp"):
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("bin/busybox", stat.S_IFREG | 0o755, binary.read_bytes())
    archive.add("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    archive.add("init", stat.S_IFREG | 0o755, init.encode())
    for module in MODULES:
        for path in _kernel_root().glob(f"**/modules/*/{module}"):
            archive.add(f"modules/{path.name}", stat.S_IFREG | 0o644, path.read_bytes())
    for name, data in (more or {}).items():
        archive.add(name, stat.S_IFREG | 0o755, data)
    FOLDER.mkdir(parents=True, exist_ok=True)
    data = gzip.compress(archive.finish(), 6, mtime=0)
    target = FOLDER / f"{target_name}.cpio.gz"
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists() or target.read_bytes() != data:
            target.write_bytes(data)
    return target


class Archive:
    """A cpio archive in the format that kernels take (newc; the kernel's buffer-format.rst)."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._number = 0

    def add(self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        """An entry, owned by root."""
        self._number += 1
        fields = (self._number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        self._data += b"070701" + b"".join(b"%08X" % field for field in fields)
        self._data += name.encode() + b"\0"
        self._pad()
        self._data += data
        self._pad()

    def _pad(self) -> None:
        self._data += bytes(-len(self._data) % 4)

    def finish(self) -> bytes:
        """The whole."""
        self.add("TRAILER!!!", 0)
        return bytes(self._data)
