"""What every device is: a name, registers at offsets, a reset state, saved state, and a node in the device tree."""

from __future__ import annotations

from abc import ABC, abstractmethod

from runtime.core.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import RLock
    from typing import ClassVar

    from runtime.hw.clock import Clock
    from runtime.hw.device_tree import Node, Place
    from runtime.hw.dma import Dma
    from runtime.hw.events import EventLoop

_ALL_SIZES = frozenset((1, 2, 4, 8))


class DeviceError(Exception):
    """A device that cannot be made as asked, or state that is not its own; one line for the user."""


@record
class Platform:
    """What a machine offers its devices.

    memory    guest RAM, for those that read and write it themselves
    events    the main thread's loop, for those that talk to the host
    lock      held whenever a device is entered; the loop and the bus take it
    power_off(status), reset()   what a device does to the machine
    watchdog()                   a watchdog has run out: the user has said what then
    log(item, text)              a line for the `-d` log, if its item is wanted
    """

    memory: Dma
    clock: Clock
    events: EventLoop
    lock: RLock
    power_off: Callable[[int], None]
    reset: Callable[[], None]
    watchdog: Callable[[], None]
    log: Callable[[str, str], None]


@record
class Doorbell:
    """A register whose stores say nothing but that there is work: they may be counted and told of a little later.

    value   the one that is meant; None: any
    """

    offset: int
    size: int
    value: int | None = None


class Device(ABC):
    """A device.  Subclasses give `kind`, and either `read` and `write`, or REGISTERS (registers.py).

    kind      what it is, as listings and `-device` call it
    STATE     names of the attributes that are saved with it: plain values (numbers, bytes, lists, dicts)
    size      bytes of address space its registers take
    sizes     access sizes it answers; others are a bus error
    doorbells registers that an accelerator may watch for it, so that the processor need not wait for the answer
    log       where accesses and the guest's mistakes are told, once a machine has set it
    """

    kind: ClassVar[str] = "device"
    STATE: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.sizes = _ALL_SIZES
        self.doorbells: tuple[Doorbell, ...] = ()
        self.log: Callable[[str, str], None] | None = None

    @abstractmethod
    def read(self, offset: int, size: int) -> int:
        """A load of `size` bytes, which lie within the device."""

    @abstractmethod
    def write(self, offset: int, size: int, value: int) -> None:
        """A store."""

    def reset(self) -> None:
        """The state after power-on; a machine's reset comes here, too."""

    def save(self) -> dict[str, object]:
        """Its state."""
        return {name: _copied(getattr(self, name)) for name in self.STATE}

    def load(self, state: dict[str, object]) -> None:
        """What `save` gave; DeviceError if that is not a state of such a device."""
        for name in self.STATE:
            if name not in state or type(state[name]) is not type(getattr(self, name)):
                raise DeviceError(f"{self.name}: the saved state has no fitting {name}")
            setattr(self, name, _copied(state[name]))

    def device_tree_node(self, place: Place) -> Node | None:
        """Its node for a guest's device tree, if it has one."""
        return None

    def describe(self) -> str:
        """What `info qtree` says of it besides its name and place."""
        return ""

    def close(self) -> None:
        """The machine ends: give back what is the host's."""

    def complain(self, text: str) -> None:
        """The guest did what no driver should (`-d guest_errors`)."""
        if self.log is not None:
            self.log("guest_errors", f"{self.name}: {text}")


def give_state(part: object, names: tuple[str, ...]) -> dict[str, object]:
    """The state of a part of a device: these attributes, plain values."""
    return {name: _copied(getattr(part, name)) for name in names}


def take_state(owner: str, part: object, names: tuple[str, ...], state: object) -> None:
    """What `give_state` gave; DeviceError if it is not that."""
    for name in names:
        value = state.get(name) if isinstance(state, dict) else None
        if type(value) is not type(getattr(part, name)):
            raise DeviceError(f"{owner}: the saved state has no fitting {name}")
        setattr(part, name, _copied(value))


def _copied(value: object) -> object:
    """Plain data of its own."""
    if isinstance(value, bytearray):
        return bytearray(value)
    if isinstance(value, list):
        return [_copied(item) for item in value]
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return value
