"""Saved machines: everything a guest can tell, in memory or in a file.

A file is a line of JSON that says what the rest is, and then pieces compressed with zlib: the processors' states, and
the memory that is not zero.  Whatever is wrong with one is told in one line; nothing in it is executed.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from runtime.core.failure import EngineError
from runtime.hw.device import DeviceError
from runtime.machine.machine import Machine, MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

_MAGIC = "isomorph machine state"
_FORMAT = 2
_PIECE = 1 << 20
_LONGEST_HEADER = 64 << 20
_ZEROS = bytes(_PIECE)


@dataclass(frozen=True)
class SavedMachine:
    """What `save` took down.

    controllers   what is the accelerator's own besides the processors
    processors    whose turn it is, and who waits
    memories   name -> {offset: up to a megabyte of contents}; what is not there is zero
    """

    machine: str
    accelerator: str
    clock: dict[str, object]
    devices: dict[str, dict[str, object]]
    vcpus: tuple[bytes, ...]
    memories: dict[str, dict[int, bytes]] = field(default_factory=dict)
    controllers: bytes = b""
    processors: dict[str, object] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return sum(len(piece) for pieces in self.memories.values() for piece in pieces.values())


def save(machine: Machine, like: SavedMachine | None = None) -> SavedMachine:
    """The state of a machine whose processors stand still; it shares with `like` the memory that is the same."""
    devices = {name: placed.device.save() for name, placed in machine.devices.items()}
    memories = {}
    for name, memory in machine.memories.items():
        pieces: dict[int, bytes] = {}
        known = {} if like is None else like.memories.get(name, {})
        for at in range(0, memory.size, _PIECE):
            piece = bytes(memory.bytes[at : at + _PIECE])
            if piece != _ZEROS[: len(piece)]:
                pieces[at] = known[at] if known.get(at) == piece else piece
        memories[name] = pieces
    return SavedMachine(
        machine.name,
        machine.accelerator,
        machine.clock.save(),
        devices,
        tuple(vcpu.save() for vcpu in machine.vcpus),
        memories,
        b"" if machine.vm is None else machine.vm.save(),
        {} if machine.processors is None else machine.processors.save(),
    )


def load(machine: Machine, saved: SavedMachine) -> None:
    """Make a machine of the same kind what it was; MachineError, and then the machine is to be reset."""
    check(machine, saved)
    for name, memory in machine.memories.items():
        memory.discard()
        for at, piece in saved.memories[name].items():
            memory.bytes[at : at + len(piece)] = piece
    try:
        machine.clock.load(saved.clock)
        for name, placed in machine.devices.items():
            placed.device.load(saved.devices[name])
    except DeviceError as error:
        raise MachineError(f"the saved state does not fit: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise MachineError(f"the saved state is damaged: {error!r}") from error
    for ram in machine.space.ram():
        if machine.vm is not None and ram.writable:
            machine.vm.memory_changed(ram.address, ram.size)
    if machine.vm is not None:
        try:
            machine.vm.load(saved.controllers)
        except (ValueError, EngineError) as error:
            raise MachineError(f"the saved state does not fit the accelerator: {error}") from error
    for vcpu, state in zip(machine.vcpus, saved.vcpus, strict=True):
        try:
            vcpu.load(state)
        except (ValueError, EngineError) as error:
            raise MachineError(f"the saved state does not fit processor {vcpu.index}: {error}") from error
    machine.clock.load(saved.clock)  # the processors' counts are part of the time, with -icount
    for line in machine.lines:
        line.set(1 - line.level)
        line.set(1 - line.level)
    if machine.processors is not None:
        machine.processors.forget()
        machine.processors.load(saved.processors)


def check(machine: Machine, saved: SavedMachine) -> None:
    """MachineError unless the state is of a machine like this."""
    if saved.machine != machine.name:
        raise MachineError(f"the saved state is of the machine {saved.machine}, and this is {machine.name}")
    if saved.accelerator != machine.accelerator:
        raise MachineError(f"it was saved under {saved.accelerator}, and this runs under {machine.accelerator}")
    if len(saved.vcpus) != len(machine.vcpus):
        raise MachineError(f"the saved state has {len(saved.vcpus)} processors, the machine {len(machine.vcpus)}")
    if missing := saved.devices.keys() ^ machine.devices.keys():
        raise MachineError(f"the saved machine had other devices than this one: {', '.join(sorted(missing))}")
    if saved.memories.keys() != machine.memories.keys():
        raise MachineError("the saved machine had other memories than this one")
    for name, pieces in saved.memories.items():
        size = machine.memories[name].size
        if any(at < 0 or at + len(piece) > size for at, piece in pieces.items()):
            raise MachineError(f"the saved state has more memory than the machine: start it with the same -m ({name})")


# -------------------------------------------------------------------- files


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return {"bytes": b64encode(value).decode("ascii")}
    if isinstance(value, bytearray):
        return {"bytearray": b64encode(value).decode("ascii")}
    if isinstance(value, dict):
        return {"dict": [[_plain(key), _plain(item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_plain(item) for item in value]}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _unplain(value: Any) -> Any:
    if isinstance(value, list):
        return [_unplain(item) for item in value]
    if isinstance(value, dict):
        (kind, content), *_ = value.items()
        if kind == "bytes":
            return b64decode(content)
        if kind == "bytearray":
            return bytearray(b64decode(content))
        if kind == "tuple":
            return tuple(_unplain(item) for item in content)
        return {_unplain(key): _unplain(item) for key, item in content}
    return value


def write(saved: SavedMachine, file: BinaryIO) -> None:
    """Into a file."""
    pieces: list[bytes] = [saved.controllers, *saved.vcpus]
    places = []
    for name, contents in saved.memories.items():
        for at, piece in contents.items():
            places.append([name, at])
            pieces.append(piece)
    compressed = [zlib.compress(piece, 1) for piece in pieces]
    header = {
        "magic": _MAGIC,
        "format": _FORMAT,
        "machine": saved.machine,
        "accelerator": saved.accelerator,
        "clock": _plain(saved.clock),
        "devices": _plain(saved.devices),
        "processors": _plain(saved.processors),
        "vcpus": len(saved.vcpus),
        "memories": list(saved.memories),
        "places": places,
        "sizes": [len(piece) for piece in compressed],
    }
    file.write(json.dumps(header).encode("ascii") + b"\n")
    for piece in compressed:
        file.write(piece)


def read(file: BinaryIO, name: str) -> SavedMachine:
    """From a file; MachineError."""
    line = file.readline(_LONGEST_HEADER)
    try:
        header = json.loads(line)
        if header["magic"] != _MAGIC:
            raise ValueError
        if header["format"] != _FORMAT:
            raise MachineError(f"{name}: a saved machine of format {header['format']}; this reads {_FORMAT}")
        pieces = []
        for size in header["sizes"]:
            data = file.read(size)
            if len(data) != size:
                raise MachineError(f"{name}: the saved machine is cut short")
            decompress = zlib.decompressobj()
            pieces.append(decompress.decompress(data, 16 << 20))
            if not decompress.eof:
                raise ValueError
        count = header["vcpus"] + 1
        memories: dict[str, dict[int, bytes]] = {memory: {} for memory in header["memories"]}
        for (memory, at), piece in zip(header["places"], pieces[count:], strict=True):
            memories[memory][int(at)] = piece
        clock, devices = _unplain(header["clock"]), _unplain(header["devices"])
        processors = _unplain(header.get("processors", {"dict": []}))
        if not isinstance(processors, dict):
            raise ValueError
        return SavedMachine(
            *(header["machine"], header["accelerator"], clock, devices, tuple(pieces[1:count]), memories),
            *(bytes(pieces[0]), processors),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error):
        raise MachineError(f"{name}: no saved machine, or a damaged one") from None
