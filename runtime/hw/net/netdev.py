"""`-netdev KIND,id=I,…`, and the part of `-nic` behind its model: what it asks for, and the network opened."""

from __future__ import annotations

import re

from runtime.core.record import record
from runtime.hw.device import DeviceError
from runtime.hw.net.link import Events, Link, NetError
from runtime.hw.net.stream import DatagramLink, StreamLink
from runtime.hw.net.tap import TapLink
from runtime.hw.net.user import Clock, Forward, UserNetwork, UserOptions
from runtime.hw.option_text import Words

__all__ = ["KINDS", "Netdev", "parse_forward", "parse_netdev"]

KINDS = ("user", "socket", "tap")

_FORWARD = re.compile(r"(?:(tcp|udp)?:)?([^:]*):(\d{1,5})-([^:]*):(\d{1,5})")


@record
class Netdev:
    """A network: `user` for the user-mode one, else what the others take."""

    kind: str
    name: str
    user: UserOptions | None = None
    listen: str = ""
    connect: str = ""
    udp: str = ""
    local: str = ""
    interface: str = ""

    def open(self, events: Events, clock: Clock, number: int = 0) -> Link:
        """Set it up; `number` counts a machine's networks.  DeviceError with one line."""
        try:
            link = self._open(events, clock)
        except NetError as error:
            raise DeviceError(f"-netdev {error}") from error
        link.number = number
        return link

    def _open(self, events: Events, clock: Clock) -> Link:
        if self.kind == "user":
            return UserNetwork(self.name, events, clock, self.user)
        if self.kind == "tap":
            return TapLink(self.name, events, self.interface)
        if self.udp:
            return DatagramLink(self.name, events, local=self.local, remote=self.udp)
        return StreamLink(self.name, events, listen=self.listen, connect=self.connect)


def parse_netdev(text: str, *, option: str = "-netdev", number: int = 0) -> Netdev:
    """What `-netdev text` says; DeviceError.  Without an id it is netN."""
    words = Words(option, text, "type")
    kind = words.take("type")
    name = words.take("id") or f"net{number}"
    if kind == "user":
        return Netdev(kind, name, user=_user(words))
    if kind == "tap":
        interface = words.take("ifname")
        for script in ("script", "downscript"):
            if words.take(script, "no") != "no":
                raise DeviceError(f"{words.what}: {script}: only {script}=no; set the interface up beforehand")
        words.done("id", "ifname", "script", "downscript")
        return Netdev(kind, name, interface=interface)
    if kind == "socket":
        listen, connect = words.take("listen"), words.take("connect")
        udp, local = words.take("udp"), words.take("localaddr")
        words.done("id", "listen", "connect", "udp", "localaddr")
        if sum(map(bool, (listen, connect, udp))) != 1 or bool(udp) != bool(local):
            raise DeviceError(f"{words.what}: it needs listen=, connect=, or udp= with localaddr=")
        return Netdev(kind, name, listen=listen, connect=connect, udp=udp, local=local)
    raise DeviceError(f"{words.what}: there is no network of kind {kind}; there are {', '.join(KINDS)}")


def _user(words: Words) -> UserOptions:
    network, _, prefix = words.take("net", "10.0.2.0/24").partition("/")
    words.take("ipv4")
    if words.take_switch("ipv6"):
        raise DeviceError(f"{words.what}: ipv6=on: the user network has no IPv6")
    options = UserOptions(
        network=network,
        prefix=_prefix(words, prefix or "24"),
        gateway=words.take("host"),
        dns=words.take("dns"),
        first=words.take("dhcpstart"),
        restrict=words.take_switch("restrict"),
        host_name=words.take("hostname"),
        domain=words.take("domainname"),
        boot_file=words.take("bootfile"),
        forwards=tuple(parse_forward(each, words.what) for each in words.take_all("hostfwd")),
    )
    words.done(
        *("id", "net", "host", "dns", "dhcpstart", "restrict", "hostname", "domainname", "bootfile", "hostfwd"),
        *("ipv4", "ipv6"),
    )
    return options


def _prefix(words: Words, text: str) -> int:
    """24, or 255.255.255.0."""
    if text.isdecimal():
        return int(text)
    parts = text.split(".")
    bits = "".join(f"{int(part):08b}" for part in parts if part.isdecimal() and int(part) < 256)
    if len(parts) != 4 or len(bits) != 32 or "01" in bits:
        raise DeviceError(f"{words.what}: net=…/{text}: no mask of a network")
    return bits.count("1")


def parse_forward(text: str, what: str = "hostfwd") -> Forward:
    """`[tcp|udp]:[HOST]:PORT-[GUEST]:PORT`; DeviceError.  Without HOST only this host can reach it."""
    match = _FORWARD.fullmatch(text)
    if match is None or max(int(match.group(3)), int(match.group(5))) > 65535:
        raise DeviceError(f"{what}: hostfwd={text}: not tcp:HOST:PORT-GUEST:PORT (HOST and GUEST may be empty)")
    return Forward(match.group(1) or "tcp", match.group(2), int(match.group(3)), match.group(4), int(match.group(5)))
