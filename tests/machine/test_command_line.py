"""isomorph machine's options: listings, what they build, and that every wrong one ends in one line that names it."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from random import Random

import pytest

from isomorph.cli.machine import main
from isomorph.machines.build import build
from isomorph.machines.options import UsageError, memory_size, parse, settings
from runtime.hw.device_tree import read_tree
from runtime.hw.virtio.mmio import VirtioMmio
from runtime.hw.virtio.rng import VirtioRng
from tests.tools import isomorph as command
from tests.tools import require_machine, run, tool


def test_listings(capsys: pytest.CaptureFixture[str]) -> None:
    for words, text in (
        (["help"], "virt       RISC-V"),
        (["-M", "help"], "virt       RISC-V"),
        (["virt", "-cpu", "help"], "rv64 "),
        (["-device", "help"], "virtio-blk-device "),
        (["-device", "virtio-net-device,help"], "mac=<str>"),
        (["virt,help"], "dumpdtb"),
        (["-d", "help"], "guest_errors"),
        (["--help"], "usage: isomorph machine NAME"),
    ):
        assert main(words) == 0
        assert text in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "no machine is named"),
        ("pdp11", "there is no machine 'pdp11'; there are"),
        ("virt -kernl x", "there is no option -kernl (did you mean -kernel?)"),
        ("virt -m", "-m needs a value"),
        ("virt -m lots", "-m lots: not a size"),
        ("virt -smp 0", "-smp 0: 1 to 256 processors"),
        ("virt -smp 257", "-smp 257: 1 to 256 processors"),
        ("virt -cpu z80", "-cpu z80: virt has no processor z80; there are rv64, rv32"),
        ("virt -cpu rv64,x=1", "there is no option x"),
        ("virt -accel warp", "there is no accelerator warp; there are"),
        ("virt -accel tcg,thread=many", "thread=many: it is single or multi"),
        ("virt -accel tcg,workers=many", "-accel tcg,workers=many: not a number"),
        ("virt -accel tcg,cache=here", "-accel tcg,cache=here: on or off"),
        ("virt -accel tcg,color=red", "there is no option color; there are thread, tb-size, tier1-threshold"),
        ("virt -icount shift=99", "-icount shift=99: shift is auto, or 0 to 10"),
        ("virt -icount 3 -accel tcg,thread=multi", "-icount counts"),
        ("virt,color=red", "there is no option color"),
        ("virt -rtc tomorrow", "-rtc tomorrow: there is no option tomorrow"),
        ("virt -bios /", "-bios /: a directory"),
        ("virt -device floppy", "-device floppy: there is no such device"),
        ("virt -device virtio-blk-devic,drive=x", "did you mean virtio-blk-device?"),
        ("virt -device virtio-blk-device", "it needs drive=ID"),
        ("virt -device virtio-blk-device,drive=d", "there is no -drive with id=d"),
        ("virt -device virtio-rng-device,color=1", "there is no option color"),
        ("virt -drive if=virtio", "it needs file=PATH"),
        ("virt -drive file=/nowhere/disk", "/nowhere/disk"),
        ("virt -netdev wire,id=n", "there is no network of kind wire"),
        ("virt -serial carrier", "carrier: no character device"),
        ("virt -serial tcp:localhost:x,server", "is not HOST:PORT"),
        ("virt -monitor chardev:c", "there is no -chardev with id=c"),
        ("virt -chardev null", "-chardev null: it needs id=NAME"),
        ("virt -kernel /nowhere/Image -bios none", "-kernel /nowhere/Image: No such file or directory"),
        ("virt -bios /nowhere/fw", "-bios /nowhere/fw: No such file or directory"),
        ("virt -initrd x -bios none", "-initrd needs -kernel"),
        ("pc -append quiet", "-append needs -kernel"),
        ("virt -dtb /nowhere/dtb -bios none", "-dtb /nowhere/dtb: No such file"),
        ("virt -dtb /etc/hostname -bios none", "device tree"),
        ("virt -rtc base=yesterday", "base is utc, or a date"),
        ("virt -d everything", "-d everything: there is no such item"),
        ("virt -dfilter 0..0xfff", "-dfilter 0..0xfff: it narrows what -d logs, and there is no -d"),
        ("virt -dfilter everywhere", "-dfilter everywhere: not start..end"),
        ("virt -seed often", "-seed often: not a number"),
        ("virt -seed -1", "-seed -1: not a number"),
        ("virt -fw_cfg name=x", "-fw_cfg name=x: it needs"),
        ("virt -serial stdio -monitor stdio", "stdio is taken already"),
        ("virt -watchdog-action bark", "-watchdog-action bark: it is one of reset, shutdown,"),
        ("virt -device i6300esb,color=1", "there is no option color"),
        ("virt -bios none -vnc :1,websocket=x", "websocket is on, with a display's number, or a port"),
        ("virt -bios none -vnc :1", "-vnc :1: the machine has no screen; -device virtio-gpu-device adds one"),
        ("virt -bios none -vnc 5901 -device virtio-gpu-device", "-vnc 5901: it is HOST:N"),
        ("virt -bios none -vnc :1,color=1 -device virtio-gpu-device", "there is no option color"),
        ("virt -bios none -vnc unix:/nowhere/vnc -device virtio-gpu-device", "-vnc unix:/nowhere/vnc: No such file"),
        ("virt -bios none -vnc 192.0.2.1:1 -device virtio-gpu-device", "cannot listen at port 5901"),
        ("virt -bios none -display gtk", "-display gtk: there are none, and vnc=HOST:N"),
        ("virt -pflash /nowhere/flash", "/nowhere/flash: No such file"),
        ("virt -pflash a -pflash b -pflash c", "two flash banks"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    line: str, message: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.isatty", lambda descriptor: False)
    words = line.split()
    if words and "-serial" not in words:
        words = ["-serial", "null", *words]
    assert main(words) in (1, 2)
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("isomorph: machine: ")
    assert message in error


def test_a_megabyte_is_enough_to_name() -> None:
    assert memory_size("") == 128 << 20
    assert [memory_size(text) for text in ("64", "64M", "size=1G", "2048K")] == [64 << 20, 64 << 20, 1 << 30, 2 << 20]
    for text in ("0", "512K", "2000G", "-5"):
        with pytest.raises(UsageError):
            memory_size(text)


def test_words_between_commas() -> None:
    given = settings("-x", "kind,path=a,,b,flag,n=0x10")
    assert (given.kind, given.take("path"), given.take_switch("flag"), given.take_number("n", 0)) == (
        "kind",
        "a,b",
        True,
        16,
    )
    with pytest.raises(UsageError, match="empty word"):
        settings("-x", "kind,a=1,=2")
    assert parse(["virt", "--nographic", "-machine", "accel=tcg"]).machine == ["virt", "accel=tcg"]


def test_device_tree(tmp_path: Path) -> None:
    path = tmp_path / "virt.dtb"
    assert (
        main(
            [
                "virt",
                "-M",
                f"dumpdtb={path},aclint=on",
                "-smp",
                "3",
                "-kernel",
                "Image",
                "-append",
                "quiet",
                "-serial",
                "null",
            ]
        )
        == 0
    )
    root = read_tree(path.read_bytes())
    for node in ("cpus/cpu@2", "soc/plic", "soc/mswi", "soc/sswi", "soc/mtimer", "soc/serial@10000000", "poweroff"):
        assert root.get(node) is not None, node
    chosen = root.get("chosen")
    assert chosen is not None
    assert chosen.strings("bootargs") == ["quiet"]
    dtc = tool("dtc", "device-tree-compiler")
    done = subprocess.run([dtc, "-I", "dtb", "-O", "dts", str(path)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert b"ERROR" not in done.stderr
    assert b"virtio_mmio@10008000" in done.stdout


def test_a_seed_makes_the_random_numbers_of_the_guest(tmp_path: Path) -> None:
    """What the kernel is given differs from run to run unless a seed is given, and then by the seed."""
    seen = []
    for number, words in enumerate(([], [], ["-seed", "7"], ["-seed", "7"], ["-seed", "8"])):
        path = tmp_path / f"{number}.dtb"
        assert main(["virt", "-M", f"dumpdtb={path}", "-bios", "none", "-serial", "null", *words]) == 0
        chosen = read_tree(path.read_bytes()).get("chosen")
        assert chosen is not None
        seen.append(b"".join(part for part in chosen.properties["rng-seed"] if isinstance(part, bytes)))
    first, second, seven, again, eight = seen
    assert len({first, second, seven, eight}) == 4
    assert seven == again
    assert len(seven) == 32


def test_a_seed_is_that_of_the_devices_too() -> None:
    words = ["virt", "-bios", "none", "-serial", "null", "-seed", "7", "-device", "virtio-rng-device,id=a"]
    built = build(parse([*words, "-device", "virtio-rng-device,id=b,seed=8"]))
    try:
        places = [built.machine.devices[f"virtio-mmio.{number}"].device for number in range(8)]
        devices = [place.device for place in places if isinstance(place, VirtioMmio)]
        states = [device.save_own()["words"] for device in devices if isinstance(device, VirtioRng)]
    finally:
        built.close()
    assert sorted(states) == sorted(list(Random(seed).getstate()[1]) for seed in (7, 8))


def test_exit_status_is_the_guests(tmp_path: Path) -> None:
    """Five instructions in an ELF file, without firmware: they store 3 << 16 | FAIL into the finisher."""
    require_machine("riscv64")
    code = struct.pack("<5I", 0x001002B7, 0x00033337, 0x33330313, 0x0062A023, 0x0000006F)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 243, 1, 0x80000000, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0x1000, 0x80000000, 0x80000000, len(code), len(code), 0x1000)
    program = tmp_path / "finish"
    program.write_bytes((header + segment).ljust(0x1000, b"\0") + code)
    done = run(command("machine", "virt", "-bios", "none", "-kernel", str(program), "-nographic"))
    assert (done.status, done.stderr) == (3, b"")
