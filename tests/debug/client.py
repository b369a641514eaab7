"""A small client of GDB's remote protocol, and a guest started for it: what tests of single packets talk through."""

from __future__ import annotations

import select
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtime.debug.packets import Packet, PacketReader, frame
from tests.tools import isomorph

#: seconds after which an answer is not coming any more
PATIENCE = 60


class Client:
    """One connection; `ask` sends a packet and gives the answer."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self._packets = PacketReader()
        self._come: list[bytes] = []
        self.acknowledges = True

    def close(self) -> None:
        self.socket.close()

    def start(self) -> None:
        """Say what gdb says first."""
        self.ask("qSupported:swbreak+;exec-events+")
        assert self.ask("QStartNoAckMode") == b"OK"
        self.acknowledges = False

    def send(self, data: str | bytes) -> None:
        self.socket.sendall(frame(data.encode() if isinstance(data, str) else data))

    def ask(self, data: str | bytes) -> bytes:
        self.send(data)
        return self.receive()

    def receive(self) -> bytes:
        """The next packet; b"" also at the end of the connection."""
        while not self._come:
            data = self.socket.recv(1 << 16)
            if not data:
                return b""
            for item in self._packets.feed(data):
                if isinstance(item, Packet):
                    assert item.good
                    if self.acknowledges:
                        self.socket.sendall(b"+")
                    self._come.append(item.data)
        return self._come.pop(0)

    def silent(self, seconds: float) -> bool:
        """Whether nothing comes for a while."""
        return not self._come and not select.select([self.socket], [], [], seconds)[0]

    def stop(self) -> bytes:
        """The next packet that is no console output."""
        while (data := self.receive())[:1] == b"O" and data != b"OK":
            pass
        return data

    def monitor(self, text: str) -> str:
        self.send(f"qRcmd,{text.encode().hex()}")
        shown = b""
        while (data := self.receive()) != b"OK":
            assert data[:1] == b"O", data
            shown += bytes.fromhex(data[1:].decode())
        return shown.decode()

    def register(self, number: int, size: int = 8) -> int:
        data = bytes.fromhex(self.ask(f"p{number:x}").decode())
        assert len(data) == size
        return int.from_bytes(data, "little")

    def read(self, address: int, size: int) -> bytes:
        answer = self.ask(f"m{address:x},{size:x}")
        return bytes.fromhex(answer.decode())


@contextmanager
def debugged(
    folder: Path, program: Path, *arguments: str, options: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`isomorph run -g` with a program, and the socket's path."""
    path = str(folder / "gdb.sock")
    guest = subprocess.Popen(
        isomorph("run", "-g", path, *options, str(program), *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert guest.stderr is not None
        line = guest.stderr.readline()
        assert b"waiting for gdb" in line, line + guest.stderr.read()
        yield guest, path
    finally:
        guest.kill()
        guest.communicate()


@contextmanager
def connected(
    folder: Path, program: Path, *arguments: str, options: Sequence[str] = ()
) -> Iterator[tuple[Client, subprocess.Popen[bytes]]]:
    """The same, with a client that has said hello."""
    with debugged(folder, program, *arguments, options=options) as (guest, path):
        client = Client(path)
        try:
            client.start()
            yield client, guest
        finally:
            client.close()
