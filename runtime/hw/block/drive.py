"""`-drive file=F,if=T,…`: what it asks for, and the image opened."""

from __future__ import annotations

from runtime.core.record import record
from runtime.hw.block.backend import BlockBackend, ImageError
from runtime.hw.block.images import FORMATS, open_image
from runtime.hw.device import DeviceError
from runtime.hw.option_text import Words

__all__ = ["Drive", "parse_drive"]

INTERFACES = ("none", "virtio", "ide", "pflash")
CACHES = ("writeback", "none", "writethrough", "directsync", "unsafe")

#: what QEMU knows and makes no difference here
_WITHOUT_EFFECT = ("aio", "bus", "detect-zeroes", "discard", "index", "media", "rerror", "unit", "werror")


@record
class Drive:
    """A disk.  `interface` none: a -device names it by `name`; virtio: it gets a virtio-blk device of its own; ide: it
    is the next disk of the board's own controller."""

    file: str
    name: str
    interface: str = "virtio"
    format: str | None = None
    read_only: bool = False
    snapshot: bool = False
    cache: str = "writeback"  # unsafe: what the guest flushes need not be durable
    serial: str = ""

    def open(self, *, snapshot: bool = False) -> BlockBackend:
        """The image; `snapshot`: -snapshot was given for all.  DeviceError with one line that names the file."""
        try:
            return open_image(
                self.file,
                format=self.format,
                read_only=self.read_only,
                snapshot=self.snapshot or snapshot,
                durable=self.cache != "unsafe",
            )
        except ImageError as error:
            raise DeviceError(f"-drive {self.name}: {error}") from error


def parse_drive(text: str, number: int = 0) -> Drive:
    """What `-drive text` says, the `number`th; DeviceError."""
    words = Words("-drive", text, "file")
    file = words.take("file")
    if not file:
        raise DeviceError(f"-drive {text}: it needs file=PATH")
    interface = words.take("if", "virtio")
    if interface not in INTERFACES:
        raise DeviceError(f"-drive {text}: if={interface}: there are {', '.join(INTERFACES)}")
    format = words.take("format") or None
    if format is not None and format not in FORMATS:
        raise DeviceError(f"-drive {text}: format={format}: there are {', '.join(FORMATS)}")
    cache = words.take("cache", "writeback")
    if cache not in CACHES:
        raise DeviceError(f"-drive {text}: cache={cache}: there are {', '.join(CACHES)}")
    read_only = words.take_switch("read-only") | words.take_switch("readonly")
    drive = Drive(
        file,
        words.take("id") or f"{interface}{number}",
        interface,
        format,
        read_only,
        words.take_switch("snapshot"),
        cache,
        words.take("serial"),
    )
    for name in _WITHOUT_EFFECT:
        words.take(name)
    words.done("file", "if", "id", "format", "readonly", "snapshot", "cache", "serial", *_WITHOUT_EFFECT)
    return drive
