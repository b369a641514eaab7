"""The DHCP server of the user-mode network (RFC 2131, 2132); plain BOOTP clients are served too."""

from __future__ import annotations

import os
import struct

__all__ = ["DhcpServer"]

COOKIE = b"\x63\x82\x53\x63"

#: message types
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)

#: options
(PAD, MASK, ROUTER, DNS, HOST_NAME, DOMAIN, REQUESTED, LEASE, TYPE, SERVER, TFTP_NAME, BOOT_FILE, END) = (
    *(0, 1, 3, 6, 12, 15, 50, 51, 53, 54, 66, 67, 255),
)

LEASE_SECONDS = 86400


class DhcpServer:
    """Hands out addresses from `first` on, one to each MAC."""

    def __init__(
        self,
        *,
        network: bytes,
        mask: bytes,
        gateway: bytes,
        dns: bytes,
        first: bytes,
        host_name: str = "",
        domain: str = "",
        boot_file: str = "",
    ) -> None:
        self.mask, self.gateway, self.dns = mask, gateway, dns
        self._first = int.from_bytes(first, "big")
        self._last = (int.from_bytes(network, "big") | ~int.from_bytes(mask, "big") & 0xFFFF_FFFF) - 1
        self._others = {int.from_bytes(gateway, "big"), int.from_bytes(dns, "big")}
        self.host_name, self.domain, self.boot_file = host_name, domain, boot_file
        self.leases: dict[bytes, bytes] = {}

    def _address(self, mac: bytes) -> bytes | None:
        """The address of a card, a new one if need be; None when there are no more."""
        if mac not in self.leases:
            taken = {int.from_bytes(address, "big") for address in self.leases.values()} | self._others
            free = next((number for number in range(self._first, self._last + 1) if number not in taken), None)
            if free is None:
                return None
            self.leases[mac] = free.to_bytes(4, "big")
        return self.leases[mac]

    def answer(self, request: bytes) -> tuple[bytes, bytes] | None:
        """(the address to send it to, the message) for a client's message, or None."""
        if len(request) < 236 or request[0] != 1 or request[1:3] != b"\x01\x06":
            return None
        mac, transaction, flags = request[28:34], request[4:8], request[10:12]
        asks_from = request[12:16]
        options = _options(request[240:]) if request[236:240] == COOKIE else {}
        kind = options.get(TYPE, b"\0")[:1]
        wanted = options.get(REQUESTED, asks_from)
        address = self._address(mac)
        if address is None:
            return None
        if kind == bytes([RELEASE]) or kind == bytes([DECLINE]):
            del self.leases[mac]
            return None
        if options.get(SERVER, self.gateway) != self.gateway:
            return None  # it has chosen another server
        reply = {bytes([DISCOVER]): OFFER, bytes([REQUEST]): ACK, bytes([INFORM]): ACK, b"\0": 0}.get(kind)
        if reply is None:
            return None
        if kind == bytes([REQUEST]) and wanted not in (address, bytes(4)):
            reply = NAK
        given = bytes(4) if reply == NAK or kind == bytes([INFORM]) else address
        message = (
            struct.pack(">BBBB4sHH", 2, 1, 6, 0, transaction, 0, int.from_bytes(flags, "big"))
            + asks_from
            + given
            + self.gateway
            + bytes(4)
            + mac
            + bytes(10 + 64)
            + os.fsencode(self.boot_file)[:127].ljust(128, b"\0")
            + COOKIE
            + self._reply_options(reply)
        )
        direct = asks_from != bytes(4) and reply != NAK
        return (asks_from if direct else b"\xff\xff\xff\xff"), message.ljust(300, b"\0")

    def _reply_options(self, reply: int) -> bytes:
        told = [(TYPE, bytes([reply]))] if reply else []
        told.append((SERVER, self.gateway))
        if reply != NAK:
            told += [
                (MASK, self.mask),
                (ROUTER, self.gateway),
                (DNS, self.dns),
                (LEASE, struct.pack(">I", LEASE_SECONDS)),
            ]
            for option, value in ((HOST_NAME, self.host_name), (DOMAIN, self.domain), (BOOT_FILE, self.boot_file)):
                if value:
                    told.append((option, value.encode("utf-8", "surrogateescape")[:255]))
        return b"".join(bytes([option, len(value)]) + value for option, value in told) + bytes([END])


def _options(data: bytes) -> dict[int, bytes]:
    """The options of a message; what is cut off is left out."""
    found: dict[int, bytes] = {}
    place = 0
    while place < len(data) and data[place] != END:
        if data[place] == PAD:
            place += 1
            continue
        if place + 1 >= len(data) or place + 2 + data[place + 1] > len(data):
            break
        found[data[place]] = data[place + 2 : place + 2 + data[place + 1]]
        place += 2 + data[place + 1]
    return found
