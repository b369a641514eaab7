"""The same session, scripted in the ramdisk, on our machine and on QEMU's: they print the same lines.

And a machine that is killed in the middle of its writes: what its guest has flushed is on the disk.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import random
import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.machine import debian_guest
from tests.machine.session import Session
from tests.machine.test_debian_devices import LEASE, MODULES, SIZE, START, Server, disk
from tests.tools import require_build, tool

#: how long a whole session may take: QEMU's, too
_PATIENCE = 400
#: each line's outcome is compared; what differs from run to run is left out by the script itself
_SESSION = """\
echo 'the session begins'
uname -a
grep -c ^processor /proc/cpuinfo
date +%Y-%m
cat /sys/block/vda/size /sys/block/vda/serial
echo
ip link set eth0 up
udhcpc -i eth0 -n -q -s /lease.sh 2>/dev/null
ip addr show eth0 | grep 'inet '
ping -c 2 10.0.2.2 | grep transmitted
mount /dev/vda /mnt && echo mounted
wget -q -O /mnt/data http://10.0.2.2:PORT/file; echo "fetched: $?"
sync
umount /mnt && echo 3 > /proc/sys/vm/drop_caches && mount /dev/vda /mnt && echo 'mounted again'
ls -l /mnt/data | cut -c 1-40
sha256sum < /mnt/data
dd if=/mnt/data of=/mnt/copy bs=64k conv=fsync 2>/dev/null; cmp /mnt/data /mnt/copy; echo "the copy differs: $?"
wget -q -O /dev/null http://10.0.2.2:1/ 2>&1; echo "nobody there: $?"
nc 10.0.2.2 SINK < /mnt/data; echo "sent: $?"
ls /sys/bus/virtio/drivers
rm /mnt/copy; umount /mnt; echo "unmounted: $?"
echo 'the session ends'
poweroff -f
"""
_WRITER = """\
number=0
while true; do
  tr '\\0' "\\\\$(printf %o $((number % 255 + 1)))" < /dev/zero |
    dd of=/dev/vda bs=64k count=1 seek=$number conv=fsync iflag=fullblock 2>/dev/null && echo "flushed $number"
  number=$((number + 1))
done
"""


def options(script: str, name: str) -> list[str]:
    """A kernel whose first process is the script."""
    more = {"lease.sh": LEASE.encode()}
    for module in MODULES:
        (path,) = debian_guest.modules().glob(f"**/{module}.ko.xz")
        more[f"modules/{module}.ko"] = lzma.decompress(path.read_bytes())
    ramdisk = debian_guest.initramfs(more, START.replace("MODULES", " ".join(MODULES)) + script, name)
    words = ["-kernel", str(debian_guest.kernel()), "-initrd", str(ramdisk)]
    return ["-m", "256M", *words, "-append", "console=ttyS0 quiet", "-monitor", "none", "-serial", "stdio"]


def printed(command: list[str] | None, words: list[str], folder: Path) -> tuple[list[str], str]:
    """What a session prints, and the sum of what its host's server was sent."""
    folder.mkdir()
    image, server = disk(folder), Server()
    port, sink = server.http.server_address[1], server.sink.getsockname()[1]
    script = _SESSION.replace("PORT", str(port)).replace("SINK", str(sink))
    devices = ["-drive", f"file={image},if=none,id=d,format=qcow2", "-device", "virtio-blk-device,drive=d,serial=one"]
    devices += ["-netdev", "user,id=n", "-device", "virtio-net-device,netdev=n", "-rtc", "base=2031-05-04T12:00:00"]
    try:
        given = [*options(script, f"session-{os.getpid()}"), *devices, *words]
        with Session(*given, command=command) as guest:
            guest.expect("the session begins\r\n", _PATIENCE)
            text = guest.expect("the session ends", _PATIENCE).decode()
            assert guest.end(_PATIENCE) == 0
        server.drain.join(60)
    finally:
        server.http.shutdown()
        server.http.server_close()
        server.sink.close()
    check = [tool("qemu-img", "qemu-utils"), "check", str(image)]
    assert "No errors" in subprocess.run(check, check=True, capture_output=True, text=True, timeout=60).stdout
    return text.replace("\r", "").splitlines(), server.received.hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_same_session_under_qemu(count: int, tmp_path: Path) -> None:
    """One vCPU after the other, each on a thread, and QEMU: line by line the same, and the right sums."""
    require_build("riscv64")
    qemu = tool("qemu-system-riscv64", "qemu-system-misc")
    smp = ["-smp", str(count)]
    known = [qemu, "-M", "virt", "-display", "none", "-nodefaults", "-no-reboot"]
    wanted, sent = printed(known, smp, tmp_path / "qemu")
    whole = hashlib.sha256(random.Random(1).randbytes(SIZE)).hexdigest()
    assert sent == whole
    assert f"{whole}  -" in wanted
    for thread in ("single", "multi") if count > 1 else ("single",):
        lines, sent = printed(None, ["virt", *smp, "-accel", f"tcg,thread={thread}"], tmp_path / thread)
        assert lines == wanted
        assert sent == whole


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_a_kill_loses_nothing_that_was_flushed(kind: str, tmp_path: Path) -> None:
    """The guest writes blocks, each flushed; the emulator is killed while it does."""
    require_build("riscv64")
    size, chance = 32 << 20, random.Random(kind)
    image = tmp_path / "disk"
    make = [tool("qemu-img", "qemu-utils"), "create", "-q", "-f", kind, str(image), str(size)]
    subprocess.run(make, check=True, timeout=60)
    drive = ["-drive", f"file={image},format={kind},if=virtio"]
    blocks = chance.randrange(20, 60)
    with Session("virt", *options(_WRITER, "writer"), *drive) as guest:
        guest.expect(f"flushed {blocks}\r\n", _PATIENCE)
        guest.process.send_signal(signal.SIGKILL)
        assert guest.end() == -signal.SIGKILL
        done = guest.output.decode().replace("\r", "").split()
    last = max(int(word) for before, word in pairwise(done) if before == "flushed")
    if kind == "qcow2":
        check = subprocess.run(
            [make[0], "check", "-f", kind, str(image)], capture_output=True, text=True, timeout=60, check=False
        )
        assert check.returncode in (0, 3), check.stdout  # 3: clusters that nobody uses, and nothing worse
    raw = tmp_path / "raw"
    subprocess.run([make[0], "convert", "-f", kind, "-O", "raw", str(image), str(raw)], check=True, timeout=60)
    data = raw.read_bytes()
    for number in range(last + 1):
        block = data[number << 16 : (number + 1) << 16]
        assert block == bytes((number % 255 + 1,)) * 65536, number
