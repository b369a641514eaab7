"""TCP between the guest and sockets of the host (RFC 9293): one connection here for each of the guest's.

The guest's segments end here and become bytes in a host socket, and back.  What the guest has sent is acknowledged when
there is room for it, so that a slow reader on the host's side closes the guest's window, and the guest's window decides
how much is read from the host's socket.  The link loses nothing, but a guest may drop what it has no memory for: what
is not acknowledged in time is sent again.
"""

from __future__ import annotations

import errno
import socket
import struct
from contextlib import suppress

from runtime.hw.net.packets import ACK, FIN, PSH, RST, SYN, Tcp, tcp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.net.user import UserNetwork

__all__ = ["TcpConnection"]

#: bytes kept for either side
MOST_TO_HOST = 256 << 10
MOST_TO_GUEST = 256 << 10
SCALE = 3  # our window is told in units of 8 bytes

CONNECTING, SYN_RECEIVED, SYN_SENT, ESTABLISHED, CLOSED = (
    *("connecting", "syn-received", "syn-sent", "established", "closed"),
)

#: tries to have the guest take something, a second apart at first, then two, four...
MOST_TRIES = 8

End = tuple[bytes, int]


def _ahead(number: int, of: int) -> int:
    """How far a sequence number is ahead of another; negative if behind."""
    return ((number - of + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


class TcpConnection:
    """One connection.  `guest` and `remote` are its ends as the guest sees them."""

    def __init__(self, network: UserNetwork, guest: End, remote: End, host: socket.socket) -> None:
        self.network = network
        self.guest = guest
        self.remote = remote
        self.host = host
        self.state = CONNECTING
        self.first = network.first_sequence()
        self.next_expected = 0  # the guest's next byte
        self.acknowledged = self.first  # ours that the guest has
        self.next_sent = self.first
        self.furthest = self.first  # what was sent at any time
        self.end: int | None = None  # the sequence number behind our FIN, once sent
        self.guest_window = 0
        self.guest_scale = 0
        self.scale = 0
        self.segment = 536
        self.to_host = bytearray()
        self.to_guest = bytearray()  # from `acknowledged` on
        self.guest_ended = False  # its FIN has come
        self.host_shut = False  # and was passed on
        self.host_ended = False  # nothing more can be read from the socket
        self.must_acknowledge = False
        self.told_window = 0
        self._watched = (False, False)  # for reading, for writing
        self.tries = 0
        self.silence = 0  # the network's ticks without an answer that was due

    # How it begins

    def connect(self, segment: Tcp, address: tuple[str, int]) -> None:
        """The guest has asked for a connection: make it with the host."""
        self._take_options(segment)
        self.next_expected = (segment.sequence + 1) & 0xFFFF_FFFF
        self.guest_window = segment.window
        error = self.host.connect_ex(address)
        if error in (0, errno.EINPROGRESS):
            self.network.events.on_writable(self.host.fileno(), self._connected)
        else:
            self.refuse()

    def accept(self) -> None:
        """Somebody has connected to a forwarded port: ask the guest."""
        self.state = SYN_SENT
        self._send_syn()

    def _connected(self) -> None:
        self.network.events.on_writable(self.host.fileno(), None)
        if self.host.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.refuse()
            return
        self.state = SYN_RECEIVED
        self._send_syn()

    def _take_options(self, segment: Tcp) -> None:
        size = segment.option(2)
        if size is not None and len(size) == 2:
            self.segment = max(64, min(1460, int.from_bytes(size, "big")))
        scale = segment.option(3)
        if scale is not None and len(scale) == 1:
            self.guest_scale, self.scale = min(scale[0], 14), SCALE

    def _send_syn(self) -> None:
        options = struct.pack(">BBH", 2, 4, 1460)
        if self.state == SYN_SENT or self.scale:
            options += struct.pack(">BBBB", 1, 3, 3, SCALE)
        flags = SYN if self.state == SYN_SENT else SYN | ACK
        window = min(MOST_TO_HOST, 0xFFFF)
        self._emit(flags, self.first, b"", options, window)
        self._sent_up_to(self.first + 1)
        self.network.expect_answer()

    def refuse(self) -> None:
        """There will be no connection."""
        self._emit(RST | ACK, 0 if self.state == CONNECTING else self.next_sent)
        self.close()

    # What the guest sends

    def take(self, segment: Tcp) -> None:
        """A segment of the guest's."""
        if segment.flags & RST:
            if self.state == SYN_SENT:
                valid = segment.flags & ACK and segment.acknowledged == self.next_sent
            else:
                valid = _ahead(segment.sequence, self.next_expected) in range(-1, MOST_TO_HOST + 1)
            if valid:
                self._reset_host()
                self.close()
            return
        if self.state == CONNECTING:
            return  # a SYN sent again
        if self.state == SYN_SENT:
            self._take_syn_answer(segment)
            return
        if segment.flags & SYN:
            if self.state == SYN_RECEIVED:
                self._send_syn()
            else:
                self._acknowledge()
            return
        if not segment.flags & ACK:
            return
        self._take_acknowledgement(segment)
        if self.state != ESTABLISHED:
            return
        self._take_data(segment)
        self.network.touched(self)

    def _take_syn_answer(self, segment: Tcp) -> None:
        if segment.flags & ACK and segment.acknowledged != self.next_sent:
            self._emit(RST, segment.acknowledged)
            return
        if segment.flags & (SYN | ACK) != SYN | ACK:
            return
        self._take_options(segment)
        self.next_expected = (segment.sequence + 1) & 0xFFFF_FFFF
        self.guest_window = segment.window
        self._establish()
        self._acknowledge()

    def _establish(self) -> None:
        self.state = ESTABLISHED
        self.acknowledged = self.next_sent
        self.tries = 0
        self.told_window = MOST_TO_HOST
        self.read_host()
        self._watch()

    def _take_acknowledgement(self, segment: Tcp) -> None:
        gained = _ahead(segment.acknowledged, self.acknowledged)
        if gained < 0:
            return
        if gained > _ahead(self.furthest, self.acknowledged):
            self.must_acknowledge = True  # of what was never sent
            return
        if self.state == SYN_RECEIVED:
            if gained != 1:
                return
            self.guest_window = segment.window << self.guest_scale
            self._establish()
            return
        self.guest_window = segment.window << self.guest_scale
        if gained:
            self.tries = self.silence = 0
            del self.to_guest[: min(gained, len(self.to_guest))]
            self.acknowledged = segment.acknowledged
            if _ahead(self.acknowledged, self.next_sent) > 0:
                self.next_sent = self.acknowledged  # it had what we were about to send again
            self._finish()

    def _take_data(self, segment: Tcp) -> None:
        payload, ends = segment.payload, bool(segment.flags & FIN)
        if not payload and not ends:
            # a probe for whether we are there has a sequence number that was used already
            self.must_acknowledge |= segment.sequence != self.next_expected
            return
        self.must_acknowledge = True
        skipped = _ahead(self.next_expected, segment.sequence)
        if skipped < 0 or skipped > len(payload) or self.guest_ended:
            return
        room = MOST_TO_HOST - len(self.to_host)
        fresh = payload[skipped:]
        if len(fresh) > room:
            fresh, ends = fresh[:room], False
        self.next_expected = (self.next_expected + len(fresh)) & 0xFFFF_FFFF
        if fresh and not self.host_shut:
            self.to_host += fresh
        if ends:
            self.next_expected = (self.next_expected + 1) & 0xFFFF_FFFF
            self.guest_ended = True
        self.write_host()

    # The host's socket

    def write_host(self) -> None:
        """Give the host what the guest has sent."""
        try:
            while self.to_host:
                sent = self.host.send(self.to_host)
                del self.to_host[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.abort()
            return
        if not self.to_host and self.guest_ended and not self.host_shut:
            self.host_shut = True
            with suppress(OSError):
                self.host.shutdown(socket.SHUT_WR)
            self._finish()
        if self.state == CLOSED:
            return
        self._watch()
        # 3.8.6.2.2 of RFC 9293: tell a window that has opened by a fair amount
        if self._window() - self.told_window >= MOST_TO_HOST // 4:
            self.must_acknowledge = True
            self.network.touched(self)

    def _host_writable(self) -> None:
        self.write_host()
        self.network.flush()

    def _host_readable(self) -> None:
        self.read_host()
        self.network.flush()

    def read_host(self) -> None:
        """Take what the host's side has sent, as much as there is room for."""
        room = MOST_TO_GUEST - len(self.to_guest)
        if room <= 0 or self.host_ended or self.state != ESTABLISHED or self.network.congested:
            self._watch()
            return
        try:
            data = self.host.recv(min(room, 1 << 16))
        except BlockingIOError:
            return
        except OSError:
            self.abort()
            return
        if data:
            self.to_guest += data
        else:
            self.host_ended = True
        self.network.touched(self)
        self._watch()

    def _watch(self) -> None:
        """Listen to the socket for what can be used."""
        if self.state != ESTABLISHED:
            return
        events, descriptor = self.network.events, self.host.fileno()
        readable = not self.host_ended and len(self.to_guest) < MOST_TO_GUEST and not self.network.congested
        writable = bool(self.to_host)
        before, self._watched = self._watched, (readable, writable)
        if readable != before[0]:
            events.on_readable(descriptor, self._host_readable if readable else None)
        if writable != before[1]:
            events.on_writable(descriptor, self._host_writable if writable else None)

    # What we send

    def work(self) -> None:
        """Send what can be sent: data in the guest's window, our end, an acknowledgement if nothing else carries it."""
        if self.state != ESTABLISHED:
            return
        largest = self.network.largest_payload
        most = largest if largest > 1460 else self.segment
        while True:
            flying = _ahead(self.next_sent, self.acknowledged)
            if flying >= len(self.to_guest):
                break
            size = min(most, len(self.to_guest) - flying, self.guest_window - flying)
            if size <= 0 or self.network.congested:
                break
            payload = bytes(self.to_guest[flying : flying + size])
            last = flying + size == len(self.to_guest)
            self._emit(ACK | (PSH if last else 0), self.next_sent, payload)
            self._sent_up_to(self.next_sent + size)
            self.network.expect_answer()
        unsent = len(self.to_guest) - _ahead(self.next_sent, self.acknowledged)
        if self.host_ended and unsent == 0 and self.next_sent != self.end:
            self._emit(FIN | ACK, self.next_sent)
            self._sent_up_to(self.next_sent + 1)
            self.end = self.next_sent
            self.network.expect_answer()
        if unsent > 0:
            self.network.expect_answer()  # a window that is shut may open unseen
        if self.must_acknowledge:
            self._acknowledge()
        self._watch()

    def _sent_up_to(self, sequence: int) -> None:
        self.next_sent = sequence & 0xFFFF_FFFF
        if _ahead(self.next_sent, self.furthest) > 0:
            self.furthest = self.next_sent

    def is_waiting(self) -> bool:
        """Whether the guest owes us an answer."""
        return self.state in (SYN_SENT, SYN_RECEIVED) or (
            self.state == ESTABLISHED and (self.next_sent != self.acknowledged or bool(self.to_guest))
        )

    def try_again(self) -> None:
        """The guest has not answered for a while."""
        self.tries += 1
        if self.tries > MOST_TRIES:
            self.abort()
        elif self.state in (SYN_SENT, SYN_RECEIVED):
            self._send_syn()
        elif self.state == ESTABLISHED:
            if self.guest_window == 0 and self.to_guest:
                self.tries = 0  # it is alive, and slow: ask for its window with one byte (3.8.6.1)
                self._emit(ACK, self.acknowledged, bytes(self.to_guest[:1]))
                if self.next_sent == self.acknowledged:
                    self._sent_up_to(self.acknowledged + 1)
                return
            self.next_sent = self.acknowledged
            self.network.touched(self)

    def _window(self) -> int:
        return MOST_TO_HOST - len(self.to_host)

    def _acknowledge(self) -> None:
        self._emit(ACK, self.next_sent)

    def _emit(
        self, flags: int, sequence: int, payload: bytes = b"", options: bytes = b"", window: int | None = None
    ) -> None:
        if window is None:
            self.told_window = self._window()
            window = min(self.told_window >> self.scale, 0xFFFF)
            self.must_acknowledge = False
        acknowledged = self.next_expected if flags & ACK else 0
        self.network.send_tcp(
            self.guest[0],
            self.remote[0],
            tcp(
                self.remote,
                self.guest,
                sequence,
                acknowledged,
                flags,
                window,
                payload,
                options,
                partial=len(payload) > 1460,
            ),
        )

    # How it ends

    def _finish(self) -> None:
        """Close if both directions have ended."""
        if self.host_shut and self.end is not None and self.acknowledged == self.end:
            if self.must_acknowledge:
                self._acknowledge()
            self.close()

    def abort(self) -> None:
        """The host's side broke off: so does the guest's."""
        if self.state not in (CONNECTING, CLOSED):
            self._emit(RST | ACK, self.next_sent)
        self.close()

    def _reset_host(self) -> None:
        """The guest broke off: so does the host's side."""
        with suppress(OSError):
            self.host.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        """Forget it."""
        if self.state != CLOSED:
            self.state = CLOSED
            self.network.events.forget(self.host.fileno())
            self.host.close()
            self.network.forget(self)
