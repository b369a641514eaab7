"""The devices that `-device` can add, one line each; a device's module is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from runtime.core.record import record
from runtime.hw.device import DeviceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

#: a value of an option, as its kind says
Value = None | bool | int | str


@record
class Option:
    """An option of a device: `-device NAME,option=value`.

    kind   str, int, size (4096, 64K, 2M), bool (on, off), or the kind of back-end that the value names:
           drive, netdev, chardev
    """

    name: str
    kind: str = "str"
    default: Value = None
    help: str = ""


@record
class DeviceKind:
    """A device by the name `-device` knows.

    bus    what it is plugged into: virtio, pci, or system (it takes addresses and interrupts that the board gives)
    load   "module:class"; the class has OPTIONS, a tuple of `Option`, and make(platform, name, values) -> device
    """

    name: str
    bus: str
    summary: str
    load: str

    def factory(self) -> Any:
        """The class."""
        module, _, name = self.load.partition(":")
        return getattr(import_module(module), name)

    def options(self) -> tuple[Option, ...]:
        """What can be said about it."""
        found: tuple[Option, ...] = self.factory().OPTIONS
        return found


_VIRTIO = (
    ("blk", "disk over a -drive", "blk:VirtioBlk"),
    ("net", "network card on a -netdev", "net:VirtioNet"),
    ("console", "console on a -chardev", "console:VirtioConsole"),
    ("rng", "random numbers from the host", "rng:VirtioRng"),
    ("gpu", "screen, two-dimensional", "gpu:VirtioGpu"),
    ("keyboard", "keyboard", "input:VirtioKeyboard"),
    ("mouse", "mouse: relative movements", "input:VirtioMouse"),
    ("tablet", "tablet: the pointer is where the user's is", "input:VirtioTablet"),
)

KINDS: tuple[DeviceKind, ...] = tuple(
    DeviceKind(f"virtio-{name}-{suffix}", bus, summary, f"runtime.hw.virtio.{load}")
    for name, summary, load in _VIRTIO
    for suffix, bus in (("device", "virtio"), ("pci", "pci"))
)

KINDS += (
    DeviceKind("VGA", "pci", "graphics card: text, VGA's modes, and a framebuffer", "runtime.hw.vga.vga:Vga"),
    DeviceKind("bochs-display", "pci", "graphics card: a framebuffer", "runtime.hw.vga.dispi:BochsDisplay"),
)
KINDS += (
    DeviceKind("i6300esb", "pci", "watchdog; -watchdog-action says what it does", "runtime.hw.pci.i6300esb:Watchdog"),
)

DEVICES: dict[str, DeviceKind] = {kind.name: kind for kind in KINDS}


def device_kind(name: str) -> DeviceKind:
    """The device of that name; DeviceError names those that resemble it."""
    if name not in DEVICES:
        from difflib import get_close_matches

        close = get_close_matches(name, DEVICES, 1)
        raise DeviceError(
            f"-device {name}: there is no such device"
            + (f" (did you mean {close[0]}?)" if close else "")
            + "; -device help lists them"
        )
    return DEVICES[name]


def parse_values(
    what: str, options: tuple[Option, ...], given: Mapping[str, str], backend: Callable[[str, str], object]
) -> dict[str, Any]:
    """The values of a device's options: those given, and defaults for the rest; DeviceError.

    `backend(kind, id)` finds what another option made (`-drive id=disk`), DeviceError if there is none.
    """
    known = {option.name: option for option in options}
    for name in given:
        if name not in known:
            raise DeviceError(f"{what}: there is no option {name}; there are {', '.join(known) or 'none'}")
    return {
        name: _value(what, option, given[name], backend) if name in given else option.default
        for name, option in known.items()
    }


def _value(what: str, option: Option, text: str, backend: Callable[[str, str], object]) -> object:
    if option.kind == "str":
        return text
    if option.kind == "bool":
        if text not in ("on", "off"):
            raise DeviceError(f"{what}: {option.name}={text}: it is on or off")
        return text == "on"
    if option.kind in ("int", "size"):
        try:
            return parse_size(text) if option.kind == "size" else int(text, 0)
        except ValueError:
            raise DeviceError(f"{what}: {option.name}={text}: not a number") from None
    return backend(option.kind, text)


def parse_size(text: str, unit: int = 1) -> int:
    """A number of bytes: 4096, 0x1000, 64K, 2M, 1.5G; a bare number counts `unit`s. ValueError."""
    factors = {"B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    last = text[-1:].upper()
    if text[:2].lower() != "0x" and last in factors:
        number, factor = text[:-1], factors[last]
    else:
        number, factor = text, unit
    value = int(float(number) * factor) if "." in number else int(number, 0) * factor
    if value < 0:
        raise ValueError(text)
    return value
