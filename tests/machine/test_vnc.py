"""The VNC server of a machine that runs, as a public client library sees it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from runtime.hw.display import Display
from runtime.hw.seat import Seat
from runtime.hw.virtio.gpu import VirtioGpu
from runtime.hw.virtio.input import VirtioKeyboard, VirtioTablet
from runtime.hw.vnc import FIRST_PORT
from runtime.hw.vnc.server import VncServer
from runtime.machine.examine import Examiner
from runtime.machine.monitor import Monitor
from runtime.machine.snapshots import Snapshots
from tests.machine.boards import board


class Noted:
    """A keyboard and a tablet that note what comes."""

    end = 100

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.enough = threading.Event()

    def key(self, code: int, pressed: bool) -> None:
        self.told.append((code, pressed))

    def wheel(self, steps: int) -> None:
        self.told.append(("wheel", steps))

    def move(self, x: int, y: int) -> None:
        self.told.append(("at", x, y))

    def button(self, name: str, pressed: bool) -> None:
        self.told.append((name, pressed))
        if not pressed:
            self.enough.set()


def test_asyncvnc() -> None:
    client_of: Any = pytest.importorskip("asyncvnc", reason="no asyncvnc (pip install asyncvnc)")
    display, hands = Display("screen"), Noted()
    picture = bytearray(b"\x30\x20\x10\0" * (64 * 48))
    picture[:4] = b"\1\2\3\0"

    async def talk(port: int) -> None:
        async with client_of.connect("127.0.0.1", port) as client:
            pixels = await asyncio.wait_for(client.screenshot(), 60)
            assert pixels.shape == (48, 64, 4)
            assert pixels[0, 0].tolist() == [3, 2, 1, 255]
            assert pixels[47, 63].tolist() == [0x10, 0x20, 0x30, 255]
            client.keyboard.press("Ctrl", "c")
            client.mouse.move(63, 0)
            client.mouse.click()
            await client.drain()
            await asyncio.get_running_loop().run_in_executor(None, hands.enough.wait, 60)

    with board() as made:
        machine = made.machine
        display.show(64, 48, (2, 1, 0), lambda: picture)
        place = ("127.0.0.1", FIRST_PORT + 100, FIRST_PORT + 900)
        server = VncServer(machine.events, display, Seat([hands, _Screen(display)]), place)
        machine.start()
        thread = threading.Thread(target=machine.run)
        thread.start()
        try:
            asyncio.run(talk(int(server.where.rpartition(":")[2])))
        finally:
            machine.power_off(0, "host-signal")
            thread.join(60)
            server.close()
    assert hands.told == [
        (29, True),
        (46, True),
        (46, False),
        (29, False),
        ("at", 100, 0),
        ("left", True),
        ("left", False),
    ]


class _Screen:
    def __init__(self, display: Display) -> None:
        self.display = display


def test_a_seat_takes_what_there_is() -> None:
    """The first keyboard and screen, and a tablet rather than a mouse; `sendkey` presses what it names."""
    keyboard, tablet, screen = VirtioKeyboard(), VirtioTablet(), VirtioGpu(Display("screen"))
    seat = Seat([screen, VirtioKeyboard(), keyboard, tablet])
    assert seat.keyboard is not keyboard
    assert seat.pointer is tablet
    assert seat.displays == [screen.display]
    noted = Noted()
    with board() as made:
        from isomorph.machines.monitors import send_keys

        machine = made.machine
        seat = Seat([noted])
        monitor = Monitor(machine, Examiner(machine), Snapshots(machine), press=lambda keys: send_keys(seat, keys))
        assert monitor.execute("sendkey ctrl-alt-f1 100") == ""
        assert noted.told == [(29, True), (56, True), (59, True), (59, False), (56, False), (29, False)]
        assert monitor.execute("sendkey contrl") == "there is no key 'contrl' (did you mean ctrl, ctrl_r?)"
        assert monitor.execute("sendkey").startswith("it needs keys")
