"""ioctl: terminals, and what there is for every descriptor."""

from __future__ import annotations

import errno
import fcntl
import os

from runtime.linux.abi import generic
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.linux.abi.model import Abi
    from runtime.linux.process import Thread
    from runtime.linux.structs import Struct

#: ioctls that fill in or take one structure: name -> (structure, whether the call reads it)
_STRUCTURES: dict[str, tuple[str, bool]] = {
    "TCGETS": ("termios", False),
    "TCSETS": ("termios", True),
    "TCSETSW": ("termios", True),
    "TCSETSF": ("termios", True),
    "TCGETS2": ("termios2", False),
    "TCSETS2": ("termios2", True),
    "TCSETSW2": ("termios2", True),
    "TCSETSF2": ("termios2", True),
    "TIOCGWINSZ": ("winsize", False),
    "TIOCSWINSZ": ("winsize", True),
    "TIOCGPGRP": ("int", False),
    "TIOCSPGRP": ("int", True),
    "TIOCGSID": ("int", False),
    "TIOCOUTQ": ("int", False),
    "TIOCGETD": ("int", False),
    "TIOCGEXCL": ("int", False),
    "TIOCGPTN": ("int", False),
    "TIOCSPTLCK": ("int", True),
    "TIOCGPTLCK": ("int", False),
    "TIOCPKT": ("int", True),
    "TIOCGPKT": ("int", False),
    "FIONREAD": ("int", False),
    "FIONBIO": ("int", True),
}
#: what c_cc holds in asm-generic's layout; the others have room for more and use no more
_CHARACTERS = 19
#: ioctls whose argument is a number, or that have none
_NUMBERS = frozenset(
    ("TCSBRK", "TCSBRKP", "TCXONC", "TCFLSH", "TIOCEXCL", "TIOCNXCL", "TIOCSCTTY", "TIOCNOTTY", "TIOCSBRK", "TIOCCBRK")
)


@system_call("fd command pointer")
def ioctl(thread: Thread, fd: int, request: int, address: int) -> int:
    process = thread.process
    descriptor = process.descriptors.get(fd)
    name = process.ioctl_names.get(request)
    if name in ("FIOCLEX", "FIONCLEX"):
        descriptor.close_on_exec = name == "FIOCLEX"
        return 0
    number = (address & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
    if name == "TIOCGPTPEER":
        flags = process.host_open_flags(number) | os.O_CLOEXEC
        host = fcntl.ioctl(descriptor.host, generic.CONSTANTS[name], flags)
        return process.descriptors.add(host, bool(number & process.abi.constants["O_CLOEXEC"]))
    if name in _NUMBERS:
        return int(fcntl.ioctl(descriptor.host, generic.CONSTANTS[name], number))
    if name is None or name not in _STRUCTURES:
        raise fail(errno.ENOTTY)
    structure, reads = _STRUCTURES[name]
    guest = process.abi.struct(structure)
    host_layout = process.abi.host_struct(structure)  # its ioctls are asm-generic, too
    if reads:
        argument = _translate(process.abi, guest, host_layout, thread.memory.read(address, guest.size), False)
    else:
        argument = bytes(host_layout.size)
    answer = fcntl.ioctl(descriptor.host, generic.CONSTANTS[name], argument)
    if not reads:
        thread.memory.write(address, _translate(process.abi, host_layout, guest, answer, True))
    return 0


def _translate(abi: Abi, source: Struct, target: Struct, data: bytes, outward: bool) -> bytes:
    """A structure of the host's as the guest has it (`outward`), or the other way round."""
    terminal = "cc" in source.offsets
    if source.offsets == target.offsets and source.big_endian == target.big_endian and not terminal:
        return data
    fields = source.unpack(data)
    values: dict[str, int | bytes] = dict(fields)
    if terminal:
        values["lflag"] = _modes(fields["lflag"], abi.terminal_modes, outward)
        values["cc"] = _characters(data[source.offsets["cc"] :][:_CHARACTERS], abi.terminal_characters, outward)
    return target.pack(values)


def _modes(value: int, bits: Mapping[int, int], outward: bool) -> int:
    """Local modes of a terminal: those that have another bit elsewhere get it."""
    pairs = [pair if outward else pair[::-1] for pair in bits.items()]
    moved = value & ~sum({bit for pair in pairs for bit in pair})
    return moved | sum(target for source, target in pairs if value & source)


def _characters(data: bytes, places: Sequence[int], outward: bool) -> bytes:
    """Special characters of a terminal, each in its place."""
    found = bytearray(data)
    for generic_place, place in enumerate(places):
        source, target = (generic_place, place) if outward else (place, generic_place)
        found[target] = data[source]
    return bytes(found)
