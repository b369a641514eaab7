"""siginfo_t between the host and the guest: who sent a signal, and what comes with it."""

from __future__ import annotations

import errno

from runtime.linux.abi.generic import STRUCTS_64
from runtime.linux.errors import fail
from runtime.linux.host import SIGINFO_BYTES
from runtime.linux.signals import SignalInfo, check
from runtime.linux.structs import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Process

SI_QUEUE, SI_TIMER, SI_TKILL, SI_KERNEL = -1, -2, -6, 0x80
_HOST = {name: Struct(text, 8, False) for name, text in STRUCTS_64.items() if name.startswith("siginfo_")}
_HEAD = ("signo", "errno", "code", "pad")


def layout_of(name: str, code: int) -> str:
    """Which members of siginfo_t a signal uses (siginfo_layout in kernel/signal.c)."""
    if code == SI_TIMER:
        return "siginfo_timer"
    if code <= 0 or code == SI_KERNEL:
        return "siginfo_kill"
    if name == "SIGCHLD":
        return "siginfo_child"
    if name == "SIGIO":
        return "siginfo_poll"
    return "siginfo_fault" if name in ("SIGILL", "SIGTRAP", "SIGBUS", "SIGFPE", "SIGSEGV") else "siginfo_kill"


def from_host(process: Process, data: bytes) -> SignalInfo:
    """A signal as the host tells of it."""
    number = process.signals.guest(int.from_bytes(data[:4], "little"))
    code = int.from_bytes(data[8:12], "little", signed=True)
    layout = layout_of(process.signals.name(number), code)
    fields = _unpack(_HOST[layout], data)
    if layout == "siginfo_fault":
        return SignalInfo(number, code, fields["address"])
    if layout == "siginfo_child" and code != 1:  # not CLD_EXITED: a signal's number
        fields["status"] = process.signals.guest(fields["status"] & 0x7F)
    rest = {name: value for name, value in fields.items() if name not in ("pid", "uid")}
    return SignalInfo(number, code, None, fields.get("pid", 0), fields.get("uid", 0), layout, rest)


def to_host(process: Process, number: int, data: bytes) -> bytes:
    """A siginfo_t that the guest made up, for sending signal `number` with it (rt_sigqueueinfo)."""
    head = process.abi.struct("siginfo_kill")
    code = head.unpack(data[: head.size])["code"]
    host = process.signals.host(check(number)) if number else 0
    if number and not host:
        raise fail(errno.EINVAL)
    layout = layout_of(process.signals.name(number), code)
    fields = _unpack(process.abi.struct(layout), data)
    return _HOST[layout].pack({**fields, "signo": host, "code": code}).ljust(SIGINFO_BYTES, b"\0")


def _unpack(layout: Struct, data: bytes) -> dict[str, int]:
    fields = layout.unpack(data[: layout.size])
    return {name: value for name, value in fields.items() if name not in _HEAD}
