"""virtio-input (virtio 1.2, section 5.8): keyboard, mouse and tablet; events are Linux's."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runtime.hw.registry import Option
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.queue import Queue

if TYPE_CHECKING:
    from runtime.hw.device import Platform

__all__ = ["ABSOLUTE_END", "BUTTONS", "VirtioInput", "VirtioKeyboard", "VirtioMouse", "VirtioTablet"]

EVENTS, STATUS = 0, 1

#: what the configuration space is asked for (5.8.2)
NAME, SERIAL, IDS, PROPERTIES, EVENT_BITS, ABSOLUTE = 1, 2, 3, 0x10, 0x11, 0x12

#: linux/input-event-codes.h
EV_SYN, EV_KEY, EV_REL, EV_ABS, EV_LED, EV_REP = 0, 1, 2, 3, 0x11, 0x14
REL_X, REL_Y, REL_WHEEL, ABS_X, ABS_Y = 0, 1, 8, 0, 1
BUTTONS = {"left": 0x110, "right": 0x111, "middle": 0x112, "side": 0x113, "extra": 0x114}
KEY_LAST = 0xF7  # what a keyboard has
BUS_VIRTUAL = 6

#: a tablet's coordinates go from 0 to here
ABSOLUTE_END = 0x7FFF

#: events that the guest has no buffers for; older ones are kept, newer are lost
MOST_WAITING = 1024

Event = tuple[int, int, int]


def _bitmap(codes: Sequence[int]) -> bytes:
    bits = bytearray(max(codes, default=-1) // 8 + 1)
    for code in codes:
        bits[code // 8] |= 1 << code % 8
    return bytes(bits)


class VirtioInput(VirtioDevice):
    """What the kinds share.  `send` gives the guest events that belong together."""

    kind = "virtio-input"
    device_id = 18
    queue_sizes = (64, 64)
    OPTIONS: tuple[Option, ...] = (
        Option("serial", default="", help="serial number"),
        Option("packed", "bool", False, help="offer packed queues"),
    )
    title = ""
    product = 0
    #: event type -> its codes
    codes: Mapping[int, Sequence[int]] = {}

    def __init__(self, *, serial: str = "", packed: bool = False) -> None:
        super().__init__(packed=packed)
        self.serial = serial.encode("utf-8", "surrogateescape")[:128]
        self.select = self.subselect = 0
        self.lights = 0  # the LEDs that the guest has switched on, a bit each
        self._waiting: deque[Event] = deque()

    @classmethod
    def make(cls, platform: Platform, name: str, values: Mapping[str, Any]) -> VirtioInput:
        """By `-device`."""
        return cls(serial=values["serial"], packed=values["packed"])

    def config(self) -> bytes:
        """What was selected."""
        answer = self._answer(self.select, self.subselect)
        return bytes([self.select, self.subselect, len(answer), 0, 0, 0, 0, 0]) + answer.ljust(128, b"\0")

    def _answer(self, select: int, subselect: int) -> bytes:
        if select == EVENT_BITS:
            return _bitmap(self.codes.get(subselect, ()))
        if select == ABSOLUTE and subselect in self.codes.get(EV_ABS, ()):
            return struct.pack("<IIIII", 0, ABSOLUTE_END, 0, 0, 0)
        if subselect:
            return b""
        if select == NAME:
            return self.title.encode()
        if select == SERIAL:
            return self.serial
        if select == IDS:
            return struct.pack("<HHHH", BUS_VIRTUAL, 0x0627, self.product, 1)
        return b""

    def write_config(self, offset: int, data: bytes) -> None:
        """select and subsel."""
        for place, byte in enumerate(data, offset):
            if place == 0:
                self.select = byte
            elif place == 1:
                self.subselect = byte

    def stopped(self) -> None:
        """Nobody listens."""
        self.select = self.subselect = self.lights = 0
        self._waiting.clear()

    def send(self, *events: Event) -> None:
        """Events that happen at once, and the mark behind them."""
        if self.running and len(self._waiting) + len(events) < MOST_WAITING:
            self._waiting += [*events, (EV_SYN, 0, 0)]
            self.guarded(self._deliver)

    def _deliver(self) -> None:
        queue = self.queues[EVENTS]
        while self._waiting and (chain := self.pop(queue)) is not None:
            kind, code, value = self._waiting.popleft()
            event = struct.pack("<HHI", kind, code, value & 0xFFFF_FFFF)
            self.push(queue, chain, self.writer(chain).write(event))
        self.interrupt(queue)

    def handle(self, queue: Queue) -> None:
        """More room for events; or the guest switches lights."""
        if queue.index == EVENTS:
            self._deliver()
            return
        while (chain := self.pop(queue)) is not None:
            reader = self.reader(chain)
            kind, code, value = struct.unpack("<HHI", reader.exactly(8, "virtio-input: an event"))
            if kind == EV_LED and code < 16:
                self.lights = self.lights & ~(1 << code) | bool(value) << code
            self.push(queue, chain, 0)
        self.interrupt(queue)

    def save_own(self) -> dict[str, Any]:
        """What is selected and waiting."""
        return {
            "select": [self.select, self.subselect],
            "lights": self.lights,
            "waiting": [list(event) for event in self._waiting],
        }

    def load_own(self, state: Mapping[str, Any]) -> None:
        """What `save_own` gave."""
        self.select, self.subselect = state["select"]
        self.lights = state["lights"]
        self._waiting = deque((kind, code, value) for kind, code, value in state["waiting"])


class VirtioKeyboard(VirtioInput):
    """A keyboard; keys are Linux's key codes."""

    kind = "virtio-keyboard"
    title = "Isomorph Virtio Keyboard"
    product = 1
    codes: Mapping[int, Sequence[int]] = {
        EV_KEY: range(1, KEY_LAST + 1),
        EV_LED: range(3),
        EV_REP: range(2),
    }

    def key(self, code: int, pressed: bool) -> None:
        """A key goes down, or up."""
        self.send((EV_KEY, code, int(pressed)))


class _Pointer(VirtioInput):
    def button(self, name: str, pressed: bool) -> None:
        """One of BUTTONS goes down, or up."""
        self.send((EV_KEY, BUTTONS[name], int(pressed)))

    def wheel(self, steps: int) -> None:
        """The wheel is turned: away from the user is positive."""
        self.send((EV_REL, REL_WHEEL, steps))


class VirtioMouse(_Pointer):
    """A mouse: relative movements."""

    kind = "virtio-mouse"
    title = "Isomorph Virtio Mouse"
    product = 2
    codes: Mapping[int, Sequence[int]] = {
        EV_KEY: tuple(BUTTONS.values()),
        EV_REL: (REL_X, REL_Y, REL_WHEEL),
    }

    def move(self, x: int, y: int) -> None:
        """So much to the right and down."""
        self.send((EV_REL, REL_X, x), (EV_REL, REL_Y, y))


class VirtioTablet(_Pointer):
    """A tablet: places on the screen, so that the guest's pointer is where the user's is."""

    kind = "virtio-tablet"
    title = "Isomorph Virtio Tablet"
    product = 3
    codes: Mapping[int, Sequence[int]] = {
        EV_KEY: tuple(BUTTONS.values()),
        EV_REL: (REL_WHEEL,),
        EV_ABS: (ABS_X, ABS_Y),
    }
    end = ABSOLUTE_END

    def move(self, x: int, y: int) -> None:
        """The place, from 0 to ABSOLUTE_END each."""
        self.send((EV_ABS, ABS_X, min(max(x, 0), ABSOLUTE_END)), (EV_ABS, ABS_Y, min(max(y, 0), ABSOLUTE_END)))
