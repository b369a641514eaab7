"""Recorded runs: what a user typed and a network answered comes again, at the same instructions, from nobody."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from isomorph.cli.machine import main
from tests.debug.gdb_client import gdb
from tests.machine.session import Session
from tests.machine.test_bare import image
from tests.machine.test_boot import U_BOOT, firmware
from tests.tools import isomorph, require_build, run, tool


def machine(tmp_path: Path, mode: str, *more: str) -> list[str]:
    require_build("riscv64")
    path = firmware(U_BOOT / "qemu-riscv64" / "u-boot.bin", "u-boot-qemu")
    words = ["virt", "-nographic", "-bios", path, "-nic", "user", "-device", "virtio-rng-device"]
    return [*words, "-icount", f"shift=8,rr={mode},rrfile={tmp_path / 'recording'}", *more]


def test_a_session_is_replayed(tmp_path: Path) -> None:
    """U-Boot: keys, a command that waits, addresses by DHCP, a ping; the replay prints every byte of it."""
    with Session(*machine(tmp_path, "record")) as guest:
        guest.expect("Hit any key")
        guest.type("\n")
        guest.expect("=> ")
        for line, answer in (
            ("sleep 1; echo sl''ept", "slept"),
            ("setenv autoload no; dhcp", "DHCP client bound to address 10.0.2.15"),
            ("ping 10.0.2.2", "host 10.0.2.2 is alive"),
        ):
            guest.type(f"{line}\n")
            guest.expect(answer)
            guest.expect("=> ")
        guest.type("poweroff\n")
        assert guest.end() == 0
        printed = guest.output
    text = (tmp_path / "recording").read_text()
    assert all(f'"{source}"' in text for source in ("serial0", "net.net0"))
    done = run(isomorph("machine", *machine(tmp_path, "replay")))
    assert (done.status, done.stderr) == (0, b"")
    assert done.stdout == printed


def test_a_recording_ends_where_it_ended(tmp_path: Path) -> None:
    """Ended by the user in the middle: so is the replay.  Another machine's recording is refused with one line."""
    with Session(*machine(tmp_path, "record")) as guest:
        guest.expect("U-Boot 20")
        guest.type("\x01x")
        assert guest.end() == 0
        printed = guest.output.removesuffix(b"\r\nisomorph: ended by Ctrl-A x\r\n")
    done = run(isomorph("machine", *machine(tmp_path, "replay")))
    assert (done.status, done.stdout, done.stderr) == (0, printed, b"")
    other = run(isomorph("machine", *machine(tmp_path, "replay", "-m", "64M")))
    assert other.status == 1
    assert b"recorded with memory 128M, and this machine has 64M" in other.stderr
    lines = (tmp_path / "recording").read_text().splitlines()
    (tmp_path / "recording").write_text("\n".join([lines[0], '[5, 7, "serial0", "", 0]', *lines[1:]]))
    other = run(isomorph("machine", *machine(tmp_path, "replay")))
    assert other.status == 1
    assert b"the replay is not what was recorded" in other.stderr


@pytest.mark.slow
def test_gdb_goes_back_in_a_replay(tmp_path: Path) -> None:
    """To each breakpoint before, step by step, to the beginning, and forward again: the same instructions each time."""
    require_build("riscv64")
    tool("gdb-multiarch", "gdb-multiarch")
    words = ["virt", "-nographic", "-m", "16M", "-bios", str(image("floats"))]
    log = tmp_path / "log"
    mode = f"shift=3,rr=record,rrfile={tmp_path / 'recording'}"
    recorded = run(isomorph("machine", *words, "-icount", mode, "-d", "exec", "-D", str(log)))
    assert recorded.status == 0
    blocks = Counter(re.findall(r"\[00000000/(\w+)/", log.read_text()))
    count, often = min((count, address) for address, count in blocks.items() if count >= 12)
    place = tmp_path / "gdb"
    where, forward = "monitor info cpus", [f"break *0x{often}", f"ignore 1 {count - 10}"]
    for _ in range(4):
        forward += ["continue", where, "print/x $a0 + $t0 + $s7"]
    back = ["stepi 5", where, "reverse-stepi", where]
    for _ in range(4):
        back += ["reverse-continue", where, "print/x $a0 + $t0 + $s7"]
    again = ["delete", "reverse-continue", where, f"tbreak *0x{often}", "continue", where, "kill"]
    commands = ["set architecture riscv:rv64", f"target remote {place}", where, *forward, *back, *again]
    with Session(*words, "-icount", mode.replace("record,", "replay,"), "-S", "-gdb", f"unix:{place}") as machine:
        machine.expect("waiting for gdb")
        told = gdb(*commands, patience=500)
    places = [int(word) for word in re.findall(r"executed=(\d+)", told)]
    values = re.findall(r"\$\d+ = (0x\w+)", told)
    assert len(places) == 13, told
    begin, hits, stepped = places[0], places[1:5], places[5:7]
    assert begin == 0
    assert hits == sorted(set(hits))
    assert stepped == [hits[3] + 5, hits[3] + 4]
    assert places[7:11] == hits[::-1]
    assert values[4:] == values[3::-1]
    assert places[11] == begin < places[12] < hits[0]
    assert told.count("No more reverse-execution history") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-icount 3,rr=record", "it is rr=record,rrfile=FILE"),
        ("-icount 3,rr=again,rrfile=x", "it is rr=record,rrfile=FILE"),
        ("-icount 3,rr=record,rrfile=x -smp 2", "one processor"),
        ("-icount 3,rr=replay,rrfile=/nowhere/x", "rrfile=/nowhere/x: No such file"),
        ("-icount 3,rr=replay,rrfile=/etc/hostname", "no recording, or a damaged one"),
        ("-icount 3,rr=record,rrfile=x -drive file=/dev/null,format=raw", "rr=record needs -snapshot"),
    ],
)
def test_what_is_wrong(
    words: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["virt", "-bios", "none", "-serial", "null", *words.split()]) in (1, 2)
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
