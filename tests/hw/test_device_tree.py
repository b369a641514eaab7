"""Device trees: what is written is read back, and by dtc; whatever is wrong with one is told in one line."""

from __future__ import annotations

import random
import subprocess

import pytest

from runtime.hw.device_tree import DeviceTreeError, Node, Place, flatten, read_tree, wide
from tests.tools import tool


def sample() -> Node:
    root = Node("").set("#address-cells", 2).set("#size-cells", 2).set("compatible", "riscv-virtio")
    cpus = root.add("cpus").set("#address-cells", 1).set("#size-cells", 0)
    cpu = cpus.add("cpu@0").set("device_type", "cpu").set("reg", 0).set("status", "okay")
    controller = cpu.add("interrupt-controller").set("#interrupt-cells", 1).set("interrupt-controller")
    soc = root.add("soc").set("compatible", "simple-bus", "other").set("ranges").set("big", bytes(range(7)))
    plic = soc.add(Place(0xC000000, 0x600000).node("plic", "sifive,plic-1.0.0"))
    plic.set("#interrupt-cells", 1).set("interrupt-controller").set(
        "interrupts-extended", controller, 11, controller, 9
    )
    soc.add(Place(0x10000000, 0x100, plic, ((10,),)).node("serial", "ns16550a"))
    root.add("memory@80000000").set("device_type", "memory").set("reg", *wide(0x8000_0000), *wide(1 << 33))
    return root


def test_round_trip() -> None:
    data = flatten(sample(), reserved=[(0x8000_0000, 0x20_0000)])
    root = read_tree(data)
    assert [node.name for node in root.walk()] == [node.name for node in sample().walk()]
    serial = root.get("/soc/serial@10000000")
    assert serial is not None
    assert serial.cells("reg") == [0, 0x10000000, 0, 0x100]
    assert serial.strings("compatible") == ["ns16550a"]
    controller = root.get("/cpus/cpu/interrupt-controller")
    assert controller is not None
    plic = root.get("soc/plic")
    assert plic is not None
    assert serial.cells("interrupt-parent") == [plic.phandle]
    assert plic.cells("interrupts-extended") == [controller.phandle, 11, controller.phandle, 9]
    assert root.get("/soc/nothing") is None
    assert root.get("memory@80000000") is not None
    again = flatten(root)
    assert read_tree(again).get("/soc/serial") is not None


def test_dtc_reads_it() -> None:
    dtc = tool("dtc", "device-tree-compiler")
    data = flatten(sample(), reserved=[(0x8000_0000, 0x20_0000)])
    done = subprocess.run([dtc, "-I", "dtb", "-O", "dts"], input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert "/memreserve/\t0x0000000080000000 0x0000000000200000;" in text
    assert "simple-bus" in text
    assert "interrupts = <0x0a>;" in text
    back = subprocess.run(
        [dtc, "-I", "dts", "-O", "dtb"], input=done.stdout, capture_output=True, timeout=60, check=True
    )
    ours, theirs = read_tree(data), read_tree(back.stdout)
    assert [(node.name, {name: node.bytes(name) for name in node.properties}) for node in theirs.walk()] == [
        (node.name, {name: node.bytes(name) for name in node.properties}) for node in ours.walk()
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "too few"),
        (bytes(64), "no flattened device tree"),
        (flatten(sample())[:200], "cut short"),
        (flatten(sample())[:20] + (99).to_bytes(4, "big") * 2 + flatten(sample())[28:], "version 99"),
    ],
)
def test_bad_trees(data: bytes, message: str) -> None:
    with pytest.raises(DeviceTreeError, match=message):
        read_tree(data)


def test_damaged_trees_are_refused_or_read() -> None:
    good, dice = flatten(sample()), random.Random(1)
    refused = 0
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.choice((0, 1, 2, 9, 0xFF, dice.randrange(256)))
        try:
            read_tree(bytes(data))
        except DeviceTreeError:
            refused += 1
    assert 100 < refused < 2000


def test_what_cannot_be_written() -> None:
    with pytest.raises(DeviceTreeError, match="does not fit a cell"):
        flatten(Node("").set("reg", 1 << 32))
