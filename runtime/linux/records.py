"""Descriptors read in records of the host's kernel: counters, signals, changes of files, in a guest's byte order.

Linux makes these records itself, so a guest finds them as its own kernel would have made them: where its byte order or
its numbers of signals are not the host's, what was read is translated.
"""

from __future__ import annotations

import os

from runtime.linux.structs import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.linux.descriptors import Descriptor
    from runtime.linux.process import Process

#: what /proc/self/fd says -> the kind of records
_KINDS = {
    "anon_inode:[eventfd]": "counter",
    "anon_inode:[timerfd]": "counter",
    "anon_inode:[signalfd]": "signal",
    "anon_inode:inotify": "change",
}
#: include/uapi/linux/signalfd.h: struct signalfd_siginfo, and its bytes with what is reserved
_SIGNAL = (
    "signo:u32 errno:s32 code:s32 pid:u32 uid:u32 fd:s32 tid:u32 band:u32 overrun:u32 trap:u32 status:s32 int:s32 "
    "pointer:u64 user:u64 system:u64 address:u64 lsb:u16 pad:u16 syscall:s32 call:u64 arch:u32"
)
_SIGNAL_BYTES = 128
#: include/uapi/linux/inotify.h: struct inotify_event, before the name
_CHANGE = "watch:s32 mask:u32 cookie:u32 length:u32"
_CHANGE_BYTES = 16
_CLD_EXITED, _CLD_CONTINUED = 1, 6


def kind_of(descriptor: Descriptor) -> str:
    """ "counter", "signal", "change", or "" for bytes that nobody but the program gives a meaning."""
    if descriptor.records is None:
        try:
            shown = os.readlink(f"/proc/self/fd/{descriptor.host}")
        except OSError:
            shown = ""
        descriptor.records = _KINDS.get(shown, "")
    return descriptor.records


def translated(process: Process, kind: str, data: bytes) -> bytes:
    """What was read from the host, or is to be written to it, for the other."""
    return _TRANSLATIONS[kind](process, data)


def _counter(process: Process, data: bytes) -> bytes:
    if not process.abi.big_endian:
        return data
    whole = len(data) & ~7
    return b"".join(data[at : at + 8][::-1] for at in range(0, whole, 8)) + data[whole:]


def _signals(process: Process, data: bytes) -> bytes:
    host = Struct(_SIGNAL, 8, False)
    guest = Struct(_SIGNAL, 8, process.abi.big_endian)
    told = bytearray()
    for at in range(0, len(data) - _SIGNAL_BYTES + 1, _SIGNAL_BYTES):
        fields = host.unpack(data[at : at + host.size])
        number = process.signals.guest(fields["signo"])
        if process.signals.name(number) == "SIGCHLD" and _CLD_EXITED < fields["code"] <= _CLD_CONTINUED:
            fields["status"] = process.signals.guest(fields["status"] & 0x7F)
        told += guest.pack({**fields, "signo": number}).ljust(_SIGNAL_BYTES, b"\0")
    return bytes(told)


def _changes(process: Process, data: bytes) -> bytes:
    host, guest = Struct(_CHANGE, 8, False), Struct(_CHANGE, 8, process.abi.big_endian)
    told, at = bytearray(), 0
    while at + _CHANGE_BYTES <= len(data):
        fields = host.unpack(data[at : at + _CHANGE_BYTES])
        end = at + _CHANGE_BYTES + fields["length"]
        told += guest.pack(fields) + data[at + _CHANGE_BYTES : end]
        at = end
    return bytes(told)


_TRANSLATIONS: dict[str, Callable[[Process, bytes], bytes]] = {
    "": lambda process, data: data,
    "counter": _counter,
    "signal": _signals,
    "change": _changes,
}
