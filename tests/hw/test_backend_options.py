"""-drive, -netdev and the devices they are for: what is said, what it makes, and what each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.hw.block.drive import parse_drive
from runtime.hw.block.overlay import Overlay
from runtime.hw.device import DeviceError
from runtime.hw.net.link import Link
from runtime.hw.net.netdev import parse_forward, parse_netdev
from runtime.hw.net.stream import StreamLink
from runtime.hw.net.user import Forward, UserNetwork
from runtime.hw.option_text import Words
from runtime.hw.registry import KINDS, device_kind, parse_values
from runtime.hw.virtio.blk import VirtioBlk
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.net import VirtioNet
from tests.hw.machine import Bench
from tests.hw.net.guest import Loop


def test_words() -> None:
    """A comma written twice, a first word without a name, words without a value, names that come twice."""
    words = Words("-o", "first,a=1,b=x,,y,c,a=2", "name")
    assert words.take("name") == "first"
    assert words.take_all("a") == ["1", "2"]
    assert words.take("b") == "x,y"
    assert words.take_switch("c")
    words.done()
    words = Words("-o", "a,z=1", "name")
    words.take("name")
    with pytest.raises(DeviceError, match=r"-o a,z=1: there is no option z; there are a, b"):
        words.done("a", "b")


def test_drives(tmp_path: Path) -> None:
    """Names, formats, snapshot, read-only."""
    path = tmp_path / "disk,1"
    path.write_bytes(bytes(4096))
    text = f"file={str(path).replace(',', ',,')},format=raw,if=none,id=d0,snapshot=on,cache=unsafe"
    drive = parse_drive(text)
    assert (drive.file, drive.name, drive.interface) == (str(path), "d0", "none")
    image = drive.open()
    assert isinstance(image, Overlay)
    image.close()
    assert parse_drive("x.qcow2", 3).name == "virtio3"
    image = parse_drive(f"{str(path).replace(',', ',,')},readonly=on,read-only=on,media=disk").open()
    assert image.read_only
    image.close()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("if=none", "it needs file=PATH"),
        ("x,if=scsi", "if=scsi: there are none, virtio, ide, pflash"),
        ("x,format=vdi", "format=vdi: there are qcow2, raw"),
        ("x,cache=fast", "cache=fast"),
        ("x,snapshot=maybe", "snapshot=maybe: it is on or off"),
        ("x,colour=red", "there is no option colour"),
        ("x,if=none,", "empty word"),
    ],
)
def test_wrong_drives(text: str, complaint: str) -> None:
    """One line that says what is wrong."""
    with pytest.raises(DeviceError, match=complaint):
        parse_drive(text)


def test_a_drive_that_is_not_there() -> None:
    """The file is named."""
    with pytest.raises(DeviceError, match=r"-drive virtio0: /nowhere/disk: No such file"):
        parse_drive("/nowhere/disk").open()


def test_netdevs() -> None:
    """Everything that -netdev user knows; socket; what is opened."""
    text = "user,id=n,net=192.168.0.0/255.255.0.0,host=192.168.0.9,dns=192.168.0.8,dhcpstart=192.168.1.1,restrict=on,"
    text += "hostname=box,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=udp::0-192.168.1.7:53,ipv6=off"
    netdev = parse_netdev(text)
    assert netdev.user is not None
    assert (netdev.name, netdev.user.prefix, netdev.user.restrict) == ("n", 16, True)
    assert netdev.user.forwards == (
        Forward("tcp", "127.0.0.1", 0, "", 22),
        Forward("udp", "", 0, "192.168.1.7", 53),
    )
    loop = Loop()
    link = netdev.open(loop, loop, 2)
    assert isinstance(link, UserNetwork)
    assert len(link.describe()["forwards"]) == 2
    assert VirtioNet.make(Bench().platform, "n", {"netdev": link, "mac": "", "packed": False}).mac[-1] == 0x58
    link.close()
    listener = parse_netdev("socket,listen=127.0.0.1:0", number=4).open(loop, loop)
    assert isinstance(listener, StreamLink)
    assert listener.name == "net4"
    listener.close()
    assert not loop.callbacks


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("vde,id=n", "no network of kind vde; there are user, socket, tap"),
        ("user,hostfwd=22", "hostfwd=22: not tcp:HOST:PORT-GUEST:PORT"),
        ("user,hostfwd=tcp::99999-:22", "hostfwd=tcp::99999-:22"),
        ("user,net=10.0.2.0/255.0.255.0", "no mask of a network"),
        ("user,ipv6=on", "has no IPv6"),
        ("user,colour=red", "there is no option colour"),
        ("socket,id=n", "it needs listen="),
        ("socket,udp=:1", "it needs listen="),
        ("tap,script=/etc/up", "only script=no"),
    ],
)
def test_wrong_netdevs(text: str, complaint: str) -> None:
    """One line that says what is wrong."""
    with pytest.raises(DeviceError, match=complaint):
        parse_netdev(text)


def test_forwards() -> None:
    """QEMU's spellings."""
    assert parse_forward("tcp::2222-:22") == Forward("tcp", "", 2222, "", 22)
    assert parse_forward("::80-10.0.2.15:8080") == Forward("tcp", "", 80, "10.0.2.15", 8080)
    assert parse_forward("udp:0.0.0.0:53-:53") == Forward("udp", "0.0.0.0", 53, "", 53)


def test_every_device_of_the_registry(tmp_path: Path) -> None:
    """Each is made from its options, and says what it is; what it needs and does not get is told."""
    (tmp_path / "disk").write_bytes(bytes(4096))
    platform = Bench().platform

    def backend(kind: str, name: str) -> object:
        return parse_drive(str(tmp_path / "disk")).open() if kind == "drive" else Link(name)

    for kind in KINDS:
        given = {"drive": "d"} if "blk" in kind.name else {"netdev": "n"} if "net" in kind.name else {}
        values = parse_values(kind.name, kind.options(), given, backend)
        device = kind.factory().make(platform, kind.name, values)
        if isinstance(device, VirtioDevice):
            assert kind.name.startswith(device.kind)
            assert "no driver" in device.describe()
        assert kind.summary
        assert all(option.help for option in kind.options())
        device.close()
    assert device_kind("virtio-blk-device").factory() is VirtioBlk
    with pytest.raises(DeviceError, match="it needs drive=ID"):
        VirtioBlk.make(platform, "disk0", {"drive": None, "serial": "", "packed": False})
    with pytest.raises(DeviceError, match="did you mean virtio-blk-device"):
        device_kind("virtio-blk-devise")
