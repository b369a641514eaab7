"""ioctl: terminals, and what there is for every descriptor."""

from __future__ import annotations

import errno
import fcntl
import os

from runtime.linux.abi import generic
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
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
        argument = _translate(guest, host_layout, thread.memory.read(address, guest.size))
    else:
        argument = bytes(host_layout.size)
    answer = fcntl.ioctl(descriptor.host, generic.CONSTANTS[name], argument)
    if not reads:
        thread.memory.write(address, _translate(host_layout, guest, answer))
    return 0


def _translate(source: Struct, target: Struct, data: bytes) -> bytes:
    """A structure in another ABI's layout; its array of characters goes over as it is."""
    if source.offsets == target.offsets and source.big_endian == target.big_endian:
        return data
    values: dict[str, int | bytes] = dict(source.unpack(data))
    if "cc" in source.offsets:
        values["cc"] = data[source.offsets["cc"] :][:19]
    return target.pack(values)
