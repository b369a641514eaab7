"""Machines saved at any moment: they go on in another process as they would have gone on, disks included."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from isomorph.machines.build import Built, build
from isomorph.machines.options import parse
from runtime.machine.snapshots import Snapshots
from tests.hw.block.test_images import qemu_img
from tests.machine.session import Session
from tests.machine.test_bare import image
from tests.machine.test_boot import OPENSBI, boot, firmware
from tests.tools import require_build, run

PROGRAMS = ("paging", "interrupts")
#: `isomorph machine`, with the slices of the test
_IN_SLICES = """\
import sys
from runtime.machine import processors
processors.SLICE = 499
from isomorph.cli.machine import main
sys.exit(main(sys.argv[1:]))
"""


def built(program: str, *more: str) -> Built:
    words = ["virt", "-bios", str(image(program)), "-m", "16M", "-icount", "shift=3,sleep=off", "-smp", "2"]
    return build(parse([*words, "-serial", "null", "-nodefaults", *more]))


def finish(one: Built) -> tuple[int, int, list[int], str]:
    """Run it to its end: the status, the time, the instructions of each processor, and its memory's sum."""
    ending = one.machine.run()
    ram = one.machine.memories["riscv_virt_board.ram"]
    executed = [vcpu.executed for vcpu in one.machine.vcpus]
    return ending.status, one.machine.clock.now(), executed, str(hash(bytes(ram.bytes[: 4 << 20])))


@pytest.mark.parametrize("program", PROGRAMS)
def test_saved_at_any_moment_it_ends_the_same(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With -icount: at random moments, whole machines in one process, and the last of them in another."""
    require_build("riscv64")
    monkeypatch.setattr("runtime.machine.processors.SLICE", 499)  # so that there are many moments
    wanted = None
    for moment in (None, *random.Random(program).sample(range(2, 50), 2)):
        one = built(program)
        state = str(tmp_path / f"at{moment}")
        try:
            one.machine.start()
            one.machine.settle()
            for _ in range(moment or 0):
                one.machine.turn()
            assert not one.machine.interrupted  # it has not come to its end
            one.machine.settle()
            if moment is not None:
                Snapshots(one.machine).save(state)
            end = finish(one)
        finally:
            one.close()
        wanted = wanted or end
        assert end == wanted  # saving has changed nothing
        if moment is not None:
            other = built(program)
            try:
                other.machine.start()
                Snapshots(other.machine).load(state)
                assert finish(other) == wanted
            finally:
                other.close()
    words = [
        "-bios",
        str(image(program)),
        "-m",
        "16M",
        "-icount",
        "shift=3,sleep=off",
        "-smp",
        "2",
        "-nographic",
        "-loadvm",
        state,
    ]
    command = [sys.executable, "-c", _IN_SLICES, "virt", *words]
    outcome = run(command)
    assert (outcome.status, outcome.stderr) == (0, b"")
    whole = run(command[:-2]).stdout
    assert whole.endswith(outcome.stdout)
    assert 0 < len(outcome.stdout) < len(whole)


def test_a_raw_disk_is_refused_and_qcow2_goes_back(tmp_path: Path) -> None:
    """savevm, changes to the disk, loadvm: in the same machine and in a new one; delvm leaves nothing."""
    require_build("riscv64")
    path, name = tmp_path / "disk", str(tmp_path / "state")
    qemu_img("create", "-f", "qcow2", path, "1M")
    drive = ["-drive", f"file={path},if=virtio,id=d"]
    one = built("paging", *drive)
    assert one.monitor is not None
    disk = one.backends.all("drive")["d"]
    disk.write(0, b"before" * 100)
    one.machine.start(paused=True)
    assert one.monitor.execute(f"savevm {name}") == ""
    disk.write(0, b"after." * 100)
    assert one.monitor.execute(f"loadvm {name}") == ""
    assert disk.read(0, 6) == b"before"
    disk.write(0, b"after." * 100)
    one.close()
    other = built("paging", *drive)
    assert other.monitor is not None
    other.machine.start(paused=True)
    assert other.backends.all("drive")["d"].read(0, 6) == b"after."
    assert other.monitor.execute(f"loadvm {name}") == ""
    assert other.backends.all("drive")["d"].read(0, 6) == b"before"
    assert other.monitor.execute(f"savevm {name}") == ""  # instead of the one before
    assert other.monitor.execute(f"delvm {name}") == ""
    assert "has no snapshot" not in other.monitor.execute(f"loadvm {name}")
    other.close()
    assert "No errors" in qemu_img("check", path)
    assert "state" not in qemu_img("snapshot", "-l", path)
    path.write_bytes(bytes(1 << 20))
    third = built("paging", "-drive", f"file={path},if=virtio,format=raw")
    assert third.monitor is not None
    third.machine.start(paused=True)
    assert third.monitor.execute(f"savevm {name}") == f"{path}: a raw image holds no snapshots; use qcow2, or -snapshot"
    assert not list(tmp_path.glob("state*"))
    third.close()


@pytest.mark.slow
def test_a_disk_in_use_goes_back_with_the_machine(tmp_path: Path) -> None:
    """A kernel that has the disk open: what it writes behind `savevm` is gone behind `loadvm`, in another process."""
    firmware(OPENSBI, "opensbi")
    path, state = tmp_path / "disk.qcow2", str(tmp_path / "state")
    qemu_img("create", "-f", "qcow2", path, "8M")
    drive = ["-drive", f"file={path},if=virtio"]
    read = "echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vda bs=8 count=1 2>/dev/null"
    with boot(*drive) as machine:
        for module in ("virtio_mmio", "virtio_blk"):
            machine.command(f"insmod /modules/{module}.ko.xz")
        machine.command("echo before > /dev/vda; sync")
        machine.type("\x01c")
        machine.expect("(isomorph) ")
        machine.type(f"savevm {state}\n")
        machine.expect("(isomorph) ")
        machine.type("\x01c\n")
        machine.expect("# ")
        machine.command("echo after. > /dev/vda; sync")
        assert "after." in machine.command(read)
        machine.type("\x01x")
        machine.end()
    with Session("virt", "-m", "512M", "-nographic", *drive, "-loadvm", state) as machine:
        machine.type("\n")
        machine.expect("# ")
        assert "before" in machine.command(read)
        machine.type("poweroff -f\n")
        assert machine.end() == 0
    assert "No errors" in qemu_img("check", path)
