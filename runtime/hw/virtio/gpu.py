"""virtio-gpu in two dimensions (virtio 1.2, section 5.7): one screen, pictures that the guest copies to the host."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.core.accelerator import BusError
from runtime.hw.display import Display
from runtime.hw.dma import DmaError
from runtime.hw.registry import Option
from runtime.hw.virtio.buffers import Reader
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.hw.device import Platform

__all__ = ["VirtioGpu"]

#: commands (5.7.6.7)
GET_DISPLAY_INFO, CREATE, UNREF, SET_SCANOUT, FLUSH, TRANSFER, ATTACH, DETACH = range(0x100, 0x108)
UPDATE_CURSOR, MOVE_CURSOR = 0x300, 0x301
#: answers
OK, OK_DISPLAY_INFO = 0x1100, 0x1101
UNSPECIFIED, OUT_OF_MEMORY, INVALID_SCANOUT, INVALID_RESOURCE, INVALID_CONTEXT, INVALID_PARAMETER = range(
    0x1200, 0x1206
)

FENCE = 1
EVENT_DISPLAY = 1

#: where red, green and blue stand in the four bytes of each format
FORMATS = {
    1: (2, 1, 0),  # B8G8R8A8
    2: (2, 1, 0),  # B8G8R8X8
    3: (1, 2, 3),  # A8R8G8B8
    4: (1, 2, 3),  # X8R8G8B8
    67: (0, 1, 2),  # R8G8B8A8
    68: (3, 2, 1),  # X8B8G8R8
    121: (3, 2, 1),  # A8B8G8R8
    134: (0, 1, 2),  # R8G8B8X8
}

#: bounds on what a guest may have us keep
MOST_BYTES, MOST_SIDE, MOST_ENTRIES = 256 << 20, 16384, 16384

_HEADER = struct.Struct("<IIQIB3x")
_RECTANGLE = struct.Struct("<IIII")
Rectangle = tuple[int, int, int, int]


class Refused(Exception):
    """A command that cannot be carried out; the answer says why."""

    def __init__(self, answer: int) -> None:
        super().__init__(answer)
        self.answer = answer


class Resource:
    """A picture, and where the guest keeps its own copy."""

    def __init__(self, form: int, width: int, height: int) -> None:
        self.format, self.width, self.height = form, width, height
        self.pixels = bytearray(4 * width * height)
        self.backing: list[tuple[int, int]] = []

    def contains(self, area: Rectangle) -> bool:
        """Whether an area lies within the picture."""
        x, y, width, height = area
        return x + width <= self.width and y + height <= self.height


class VirtioGpu(VirtioDevice):
    """`display` shows what the guest has put on its screen."""

    kind = "virtio-gpu"
    device_id = 16
    queue_sizes = (256, 16)
    OPTIONS = (
        Option("xres", "int", 1280, help="width that the guest is told to use"),
        Option("yres", "int", 800, help="height"),
        Option("packed", "bool", False, help="offer packed queues"),
    )

    def __init__(self, display: Display, width: int = 1280, height: int = 800, *, packed: bool = False) -> None:
        super().__init__(packed=packed)
        self.display = display
        self.width, self.height = width, height
        self.resources: dict[int, Resource] = {}
        self.shown: tuple[int, Rectangle] | None = None
        self.cursor: tuple[int, int, int] = (0, 0, 0)  # x, y, resource
        self.events = 0

    @classmethod
    def make(cls, platform: Platform, name: str, values: Mapping[str, Any]) -> VirtioGpu:
        """By `-device`."""
        width, height = (max(16, min(values[side], MOST_SIDE)) for side in ("xres", "yres"))
        return cls(Display(name), width, height, packed=values["packed"])

    def config(self) -> bytes:
        """5.7.4: events, screens, capability sets."""
        return struct.pack("<IIII", self.events, 0, 1, 0)

    def write_config(self, offset: int, data: bytes) -> None:
        """events_clear."""
        if offset == 4:
            self.events &= ~int.from_bytes(data, "little")

    def resize(self, width: int, height: int) -> None:
        """The viewer's window has another size: ask the guest to follow."""
        self.width, self.height = max(16, min(width, MOST_SIDE)), max(16, min(height, MOST_SIDE))
        self.events |= EVENT_DISPLAY
        self.config_changed()

    def stopped(self) -> None:
        """Nothing is left."""
        self.resources.clear()
        self.shown = None
        self.events = 0
        self.cursor = (0, 0, 0)
        self.display.blank()

    def handle(self, queue: Queue) -> None:
        """Carry commands out."""
        while (chain := self.pop(queue)) is not None:
            reader, writer = self.reader(chain), self.writer(chain)
            kind, flags, fence, context, ring = _HEADER.unpack(reader.exactly(_HEADER.size, "virtio-gpu: a command"))
            body = b""
            try:
                body = self._command(queue.index, kind, reader)
                answer = OK_DISPLAY_INFO if kind == GET_DISPLAY_INFO else OK
            except Refused as refusal:
                answer = refusal.answer
            except struct.error:
                answer = INVALID_PARAMETER  # it is too short
            fence, context, ring = (fence, context, ring) if flags & FENCE else (0, 0, 0)
            written = writer.write(_HEADER.pack(answer, flags & FENCE, fence, context, ring) + body)
            self.push(queue, chain, written)
        self.interrupt(queue)

    def _command(self, queue: int, kind: int, reader: Reader) -> bytes:
        if queue == 1:
            if kind in (UPDATE_CURSOR, MOVE_CURSOR):
                _, x, y, _, resource = struct.unpack("<IIIII", reader.read(20))
                self.cursor = (x, y, resource if kind == UPDATE_CURSOR else self.cursor[2])
                return b""
            raise Refused(UNSPECIFIED)
        if kind == GET_DISPLAY_INFO:
            screen = struct.pack("<IIIIII", 0, 0, self.width, self.height, 1, 0)
            return screen.ljust(16 * len(screen), b"\0")
        commands: dict[int, Callable[[Reader], None]] = {
            CREATE: self._create,
            UNREF: self._unref,
            SET_SCANOUT: self._set_scanout,
            FLUSH: self._flush,
            TRANSFER: self._transfer,
            ATTACH: self._attach,
            DETACH: self._detach,
        }
        if kind not in commands:
            raise Refused(UNSPECIFIED)
        commands[kind](reader)
        return b""

    def _resource(self, identity: int) -> Resource:
        found = self.resources.get(identity)
        if found is None:
            raise Refused(INVALID_RESOURCE)
        return found

    def _create(self, reader: Reader) -> None:
        identity, form, width, height = struct.unpack("<IIII", reader.read(16))
        if identity == 0 or identity in self.resources:
            raise Refused(INVALID_RESOURCE)
        if form not in FORMATS or not 0 < width <= MOST_SIDE or not 0 < height <= MOST_SIDE:
            raise Refused(INVALID_PARAMETER)
        if sum(len(each.pixels) for each in self.resources.values()) + 4 * width * height > MOST_BYTES:
            raise Refused(OUT_OF_MEMORY)
        self.resources[identity] = Resource(form, width, height)

    def _unref(self, reader: Reader) -> None:
        (identity, _) = struct.unpack("<II", reader.read(8))
        self._resource(identity)
        if self.shown is not None and self.shown[0] == identity:
            self.shown = None
            self.display.blank()
        del self.resources[identity]

    def _set_scanout(self, reader: Reader) -> None:
        area = _RECTANGLE.unpack(reader.read(16))
        screen, identity = struct.unpack("<II", reader.read(8))
        if screen != 0:
            raise Refused(INVALID_SCANOUT)
        if identity == 0:
            self.shown = None
            self.display.blank()
            return
        resource = self._resource(identity)
        if not resource.contains(area) or not area[2] or not area[3]:
            raise Refused(INVALID_PARAMETER)
        if self.shown != (identity, area):
            self.shown = (identity, area)
            self._show()

    def _show(self) -> None:
        if self.shown is None:
            self.display.blank()
            return
        identity, (x, y, width, height) = self.shown
        resource = self.resources[identity]

        def pixels() -> bytes | bytearray:
            if (x, y, width, height) == (0, 0, resource.width, resource.height):
                return resource.pixels
            stride = 4 * resource.width
            rows = range(y * stride + 4 * x, (y + height) * stride + 4 * x, stride)
            return b"".join(resource.pixels[row : row + 4 * width] for row in rows)

        self.display.show(width, height, FORMATS[resource.format], pixels)

    def _flush(self, reader: Reader) -> None:
        x, y, width, height = area = _RECTANGLE.unpack(reader.read(16))
        identity, _ = struct.unpack("<II", reader.read(8))
        if not self._resource(identity).contains(area):
            raise Refused(INVALID_PARAMETER)
        if self.shown is not None and self.shown[0] == identity:
            left, top, columns, rows = self.shown[1]
            first, last = max(x, left), min(x + width, left + columns)
            upper, lower = max(y, top), min(y + height, top + rows)
            if first < last and upper < lower:
                self.display.changed(first - left, upper - top, last - first, lower - upper)

    def _attach(self, reader: Reader) -> None:
        identity, count = struct.unpack("<II", reader.read(8))
        resource = self._resource(identity)
        if resource.backing:
            raise Refused(UNSPECIFIED)
        if count > MOST_ENTRIES:
            raise Refused(INVALID_PARAMETER)
        entries = reader.read(16 * count)
        if len(entries) < 16 * count:
            raise Refused(INVALID_PARAMETER)
        resource.backing = [(address, size) for address, size, _ in struct.iter_unpack("<QII", entries)]

    def _detach(self, reader: Reader) -> None:
        (identity, _) = struct.unpack("<II", reader.read(8))
        self._resource(identity).backing = []

    def _transfer(self, reader: Reader) -> None:
        """Copy an area from the guest's memory; its rows are as far apart there as the picture is wide."""
        x, y, width, height = area = _RECTANGLE.unpack(reader.read(16))
        offset, identity, _ = struct.unpack("<QII", reader.read(16))
        resource = self._resource(identity)
        if not resource.contains(area):
            raise Refused(INVALID_PARAMETER)
        if not width or not height:
            return
        stride = 4 * resource.width
        size = (height - 1) * stride + 4 * width
        if offset + size > sum(length for _, length in resource.backing):
            raise Refused(INVALID_PARAMETER)
        source = Reader(self.memory, resource.backing)
        place = y * stride + 4 * x
        try:
            source.skip(offset)
            if width == resource.width:
                resource.pixels[place : place + size] = source.read(size)
                return
            for row in range(height):
                resource.pixels[place : place + 4 * width] = source.read(4 * width)
                place += stride
                if row + 1 < height:
                    source.skip(stride - 4 * width)
        except (BusError, DmaError) as error:
            raise Refused(UNSPECIFIED) from error

    def save_own(self) -> dict[str, Any]:
        """All pictures."""
        return {
            "size": [self.width, self.height],
            "events": self.events,
            "cursor": list(self.cursor),
            "shown": [] if self.shown is None else [self.shown[0], list(self.shown[1])],
            "resources": [
                [identity, each.format, each.width, each.height, bytes(each.pixels), [list(e) for e in each.backing]]
                for identity, each in self.resources.items()
            ],
        }

    def load_own(self, state: Mapping[str, Any]) -> None:
        """What `save_own` gave."""
        self.width, self.height = state["size"]
        self.events = state["events"]
        x, y, cursor = state["cursor"]
        self.cursor = (x, y, cursor)
        self.resources = {}
        for identity, form, width, height, pixels, backing in state["resources"]:
            resource = self.resources[identity] = Resource(form, width, height)
            resource.pixels[:] = pixels
            resource.backing = [(address, size) for address, size in backing]
        self.shown = None
        if state["shown"]:
            identity, (left, top, columns, rows) = state["shown"]
            self.shown = (identity, (left, top, columns, rows))
        self._show()
