"""A network interface of the host (tap): the guest is on the host's own network.  Making one needs CAP_NET_ADMIN."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Mapping

from runtime.hw.net.link import Events, Link, NetError

__all__ = ["TapLink"]

#: linux/if_tun.h
TUNSETIFF = 0x4004_54CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000


class TapLink(Link):
    """`interface` is made if it is not there; its address and whether it is up are the host's business."""

    kind = "tap"

    def __init__(self, name: str, events: Events, interface: str = "") -> None:
        super().__init__(name)
        self.events = events
        if len(os.fsencode(interface)) > 15:
            raise NetError(f"{name}: ifname={interface}: a name of at most 15 bytes")
        try:
            self._descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            mend = "taps need that device and the right to use it; -netdev user needs neither"
            raise NetError(f"{name}: /dev/net/tun: {error.strerror}: {mend}") from error
        try:
            request = struct.pack("16sH22x", os.fsencode(interface), IFF_TAP | IFF_NO_PI)
            answer = fcntl.ioctl(self._descriptor, TUNSETIFF, request)
        except OSError as error:
            os.close(self._descriptor)
            mend = f"; `ip tuntap add {interface or 'tap0'} mode tap user $USER` as root makes one for you"
            raise NetError(f"{name}: tap,ifname={interface}: {error.strerror}{mend}") from error
        self.interface = answer[:16].rstrip(b"\0").decode()
        events.on_readable(self._descriptor, self._readable)

    def send(self, frame: bytes) -> None:
        """The guest sends a frame."""
        try:
            os.write(self._descriptor, frame)
        except OSError:
            self.dropped += 1  # the interface is down, or its queue full

    def _readable(self) -> None:
        for _ in range(64):
            try:
                self.deliver(os.read(self._descriptor, 65550))
            except OSError:
                return

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            self.events.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def describe(self) -> Mapping[str, object]:
        """For a monitor."""
        return {**super().describe(), "interface": self.interface}
