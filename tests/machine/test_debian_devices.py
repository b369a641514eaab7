"""Debian's kernel drives our devices with its own drivers: a disk, a network, random numbers, a screen, keys.

The same session over virtio-mmio and over PCI.  What the guest says of its data is compared with the host's own sums.
"""

from __future__ import annotations

import hashlib
import http.server
import lzma
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hw.virtio.test_devices import unpng
from tests.hw.vnc_client import NEW_SIZE, ZRLE, VncClient
from tests.machine import debian_guest
from tests.machine.session import PATIENCE, Session
from tests.tools import require_build, tool

SIZE = 16 << 20

#: the kernel's modules that are used, each after those it needs
MODULES = (
    *("failover", "net_failover", "virtio_mmio", "virtio_blk", "virtio_net", "virtio-rng"),
    *("crc16", "crc32c_generic", "libcrc32c", "mbcache", "jbd2", "ext4", "evdev", "virtio_input"),
)

SCREEN = ("virtio_dma_buf", "drm", "drm_kms_helper", "drm_shmem_helper", "virtio-gpu")

LEASE = """\
#!/bin/sh
[ "$1" = bound ] && ip addr add $ip/$mask dev $interface && ip route add default via $router && echo "leased $ip"
exit 0
"""

#: how each ramdisk begins
START = """\
#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo 1 > /proc/sys/kernel/printk
for module in MODULES; do insmod /modules/$module.ko; done
"""
INIT = f"""\
{START}echo 'the modules are in'
exec setsid cttyhack sh
"""


@pytest.fixture(scope="module")
def boot() -> list[str]:
    """Options for the kernel and a ramdisk with its modules, as plain files."""
    require_build("riscv64")
    more = {"lease.sh": LEASE.encode()}
    for name in (*MODULES, *SCREEN):
        (path,) = debian_guest.modules().glob(f"**/{name}.ko.xz")
        more[f"modules/{name}.ko"] = lzma.decompress(path.read_bytes())
    ramdisk = debian_guest.initramfs(more, INIT.replace("MODULES", " ".join(MODULES)), "devices")
    words = ["-m", "256M", "-kernel", str(debian_guest.kernel()), "-initrd", str(ramdisk)]
    return ["virt", "-nographic", *words, "-append", "console=ttyS0 quiet"]


class Server:
    """A file to fetch and a port that counts, on the host's loopback."""

    def __init__(self) -> None:
        self.data = random.Random(1).randbytes(SIZE)
        self.received = hashlib.sha256()
        data = self.data

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.sink = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.drain = threading.Thread(target=self._drain, daemon=True)
        self.drain.start()

    def _drain(self) -> None:
        try:
            connection, _ = self.sink.accept()
        except OSError:
            return
        with connection:
            while data := connection.recv(1 << 20):
                self.received.update(data)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()
    made.sink.close()


def disk(folder: Path) -> Path:
    """A qcow2 image with an empty ext4 in it."""
    raw, image = folder / "raw", folder / "disk.qcow2"
    with raw.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run([tool("mkfs.ext4", "e2fsprogs"), "-q", "-F", str(raw)], check=True, timeout=60)
    convert = [tool("qemu-img", "qemu-utils"), "convert", "-O", "qcow2", str(raw), str(image)]
    subprocess.run(convert, check=True, timeout=60)
    raw.unlink()
    return image


@pytest.mark.slow
@pytest.mark.parametrize("bus", ["device", "pci"])
def test_disk_and_network(bus: str, boot: list[str], server: Server, tmp_path: Path) -> None:
    """16 MB to a file system and back; DHCP, ping, a file fetched and one sent; then the disk holds what it should."""
    image = disk(tmp_path)
    devices = ["-drive", f"file={image},if=none,id=d", "-device", f"virtio-blk-{bus},drive=d,serial=isomorph-1"]
    devices += ["-netdev", "user,id=n,hostname=guest", "-device", f"virtio-net-{bus},netdev=n"]
    with Session(*boot, *devices, "-device", f"virtio-rng-{bus}") as guest:
        guest.expect("the modules are in")
        guest.expect("# ")
        assert guest.command("cat /sys/block/vda/serial") == "isomorph-1"
        guest.command("dd if=/dev/urandom of=/tmp/data bs=1M count=16 2>/dev/null")
        sent = guest.command("sha256sum < /tmp/data").split()[0]
        assert guest.command("mount /dev/vda /mnt && dd if=/tmp/data of=/mnt/data bs=64k conv=fsync 2>/dev/null") == ""
        assert guest.command("umount /mnt && echo 3 > /proc/sys/vm/drop_caches && mount /dev/vda /mnt") == ""
        assert guest.command("sha256sum < /mnt/data").split()[0] == sent
        assert len(guest.command("dd if=/dev/hwrng bs=16 count=1 2>/dev/null | hexdump -v -e '1/1 \"%02x\"'")) >= 32
        guest.command("ip link set eth0 up")
        assert "leased 10.0.2.15" in guest.command("udhcpc -i eth0 -n -q -s /lease.sh 2>&1")
        assert "3 packets received" in guest.command("ping -c 3 10.0.2.2")
        port = server.http.server_address[1]
        guest.command(f"wget -q -O /tmp/got http://10.0.2.2:{port}/file")
        assert guest.command("sha256sum < /tmp/got").split()[0] == hashlib.sha256(server.data).hexdigest()
        guest.command(f"nc 10.0.2.2 {server.sink.getsockname()[1]} < /tmp/data")
        assert guest.command("umount /mnt") == ""
        guest.type("poweroff -f\n")
        assert guest.end() == 0
    server.drain.join(60)
    assert server.received.hexdigest() == sent
    check = [tool("qemu-img", "qemu-utils"), "check", str(image)]
    assert "No errors" in subprocess.run(check, check=True, capture_output=True, text=True, timeout=60).stdout
    raw = tmp_path / "back"
    subprocess.run(
        [tool("qemu-img", "qemu-utils"), "convert", "-O", "raw", str(image), str(raw)], check=True, timeout=60
    )
    words = [tool("debugfs", "e2fsprogs"), "-R", "cat data", str(raw)]
    data = subprocess.run(words, check=True, capture_output=True, timeout=60).stdout
    assert hashlib.sha256(data).hexdigest() == sent


@pytest.mark.slow
def test_a_viewer(boot: list[str], tmp_path: Path) -> None:
    """A VNC viewer sees the kernel's frame buffer, and what it types and points at comes out of the kernel's events."""
    devices = ["-device", "virtio-gpu-pci,xres=640,yres=480", "-device", "virtio-keyboard-pci"]
    devices += ["-device", "virtio-tablet-pci", "-vnc", f"unix:{tmp_path}/vnc"]
    with Session(*boot, *devices) as guest, socket.socket(socket.AF_UNIX) as connection:
        guest.expect("the modules are in")
        guest.expect("# ")
        connection.connect(f"{tmp_path}/vnc")
        viewer = VncClient(connection, lambda: time.sleep(0.05))
        viewer.encodings(ZRLE, NEW_SIZE)
        for name in SCREEN:
            assert guest.command(f"insmod /modules/{name}.ko") == ""
        guest.command("echo 0 > /sys/class/vtconsole/vtcon1/bind")  # the kernel's console leaves the screen
        guest.command("head -c 1228800 /dev/zero | tr '\\0' '\\100' > /dev/fb0")
        wanted = b"\x40\x40\x40" * (640 * 480)
        viewer.ask(incremental=False)
        deadline = time.monotonic() + PATIENCE
        while True:
            viewer.update()
            seen = bytes(byte for place, byte in enumerate(viewer.pixels) if place % 4 != 3)
            if seen == wanted:
                break
            assert time.monotonic() < deadline, "the viewer does not see what the guest shows"
            viewer.ask()
        assert (viewer.width, viewer.height) == (640, 480)
        found = guest.command("grep -l Isomorph /sys/class/input/event*/device/name").split()
        names = [guest.command(f"cat {path}").strip() for path in found]
        for title, act, event in (
            ("Isomorph Virtio Keyboard", lambda: viewer.key(0xFF0D, True), "01001c0001000000"),
            ("Isomorph Virtio Tablet", lambda: viewer.point(639, 479), "03000000ff7f0000"),
        ):
            device = "/dev/input/" + found[names.index(title)].split("/")[4]
            guest.type(
                f"exec 3<{device}; echo it is op''en; head -c 24 <&3 | tail -c 8 | hexdump -v -e '1/1 \"%02x\"'\n"
            )
            guest.expect("it is open")
            act()
            guest.expect(event)
            guest.expect("# ")
        guest.type("\x01x")
        guest.end()


@pytest.mark.slow
def test_a_screen(boot: list[str], tmp_path: Path) -> None:
    """The kernel's frame buffer is what a screendump shows."""
    devices = ["-device", "virtio-gpu-device,xres=640,yres=480"]
    with Session(*boot, *devices) as guest:
        guest.expect("the modules are in")
        guest.expect("# ")
        for name in SCREEN:
            assert guest.command(f"insmod /modules/{name}.ko") == ""
        assert guest.command("cat /sys/class/graphics/fb0/virtual_size").strip() == "640,480"
        guest.command("echo 0 > /sys/class/vtconsole/vtcon1/bind")  # the kernel's console leaves the screen
        guest.command("head -c 614400 /dev/zero | tr '\\0' '\\377' > /dev/fb0")  # the upper half
        guest.command("head -c 614400 /dev/zero | dd of=/dev/fb0 bs=614400 seek=1 2>/dev/null")
        guest.command("sleep 1")
        guest.type("\x01c")
        guest.expect("(isomorph)")
        guest.type(f"screendump {tmp_path}/screen.png\n")
        guest.expect("(isomorph)")
        guest.type("quit\n")
        guest.end()
    width, height, rgb = unpng((tmp_path / "screen.png").read_bytes())
    assert (width, height) == (640, 480)
    assert rgb == b"\xff" * 460800 + b"\0" * 460800
