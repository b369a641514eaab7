"""What a machine got from outside, written down with the moment, so that a run can be repeated exactly (-icount rr=).

With -icount a run is what its instructions are and what comes from outside: characters, frames, keys, a user's reset.
Each comes between two slices of the processor, at a number of executed instructions and a virtual time; that is an
entry.  A wait that something on the host cut short is one too: it makes time stand where nobody could compute it.
A file is a line of JSON that says what it is, and one for each entry.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

from runtime.core.record import record
from runtime.machine.machine import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from runtime.hw.clock import InstructionClock

__all__ = ["Journal"]

_MAGIC, _FORMAT = "isomorph recording", 1
#: entries' sources that are the journal's own: time that was passed over, and the end
_SKIP, _END = "skip", "end"


@record
class Entry:
    """`at` instructions executed, at the time `now`; `until` is a skip's."""

    at: int
    now: int
    source: str
    data: bytes = b""
    until: int = 0


class Journal:
    """Of a machine with one processor.  Recording, `note` writes; replaying, `deliver` hands out what is due.

    place    (instructions executed, virtual time) now; set by who builds the machine, with `clock`
    on_end   called where the recording ends
    """

    def __init__(self, path: str, replaying: bool, about: dict[str, object]) -> None:
        self.path = path
        self.replaying = replaying
        self.clock: InstructionClock | None = None
        self.on_end: Callable[[], None] = lambda: None
        self.index = 0
        self._takers: dict[str, Callable[[bytes], None]] = {}
        self._file: TextIO | None = None
        self._entries: list[Entry] = []
        if replaying:
            self._read(about)
            return
        try:
            self._file = open(path, "w", encoding="ascii", buffering=1)  # noqa: SIM115  # close() ends it
        except OSError as error:
            raise MachineError(f"rrfile={path}: {error.strerror}") from error
        self._file.write(json.dumps({"magic": _MAGIC, "format": _FORMAT, "about": about}) + "\n")

    def _read(self, about: dict[str, object]) -> None:
        try:
            with open(self.path, encoding="ascii") as file:
                head, *lines = file.read().splitlines()
            given = json.loads(head)
            if given["magic"] != _MAGIC or given["format"] != _FORMAT:
                raise ValueError
            for line in lines:
                at, now, source, data, until = json.loads(line)
                self._entries.append(Entry(int(at), int(now), str(source), b64decode(data), int(until)))
        except OSError as error:
            raise MachineError(f"rrfile={self.path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise MachineError(f"rrfile={self.path}: no recording, or a damaged one") from error
        for name, value in given["about"].items():
            if about.get(name) != value:
                raise MachineError(
                    f"rrfile={self.path}: recorded with {name} {value}, and this machine has {about.get(name)}"
                )

    # ------------------------------------------------------------ recording

    @property
    def place(self) -> tuple[int, int]:
        """Where the machine is: instructions executed, virtual time."""
        assert self.clock is not None
        return self.clock.executed(), self.clock.now()

    def note(self, source: str, data: bytes, until: int = 0) -> None:
        """Something comes from outside, now."""
        if self._file is not None:
            entry = [*self.place, source, b64encode(data).decode("ascii"), until]
            self._file.write(json.dumps(entry) + "\n")

    def skipped(self, until: int) -> None:
        """It is about to be `until` for no reason that the guest knows."""
        self.note(_SKIP, b"", until)

    def close(self) -> None:
        """The run is over."""
        if self._file is not None:
            self.note(_END, b"")
            self._file.close()
            self._file = None

    # ------------------------------------------------------------ replaying

    def taker(self, source: str, take: Callable[[bytes], None]) -> None:
        """Who is given what came from a source."""
        self._takers[source] = take

    @property
    def coming(self) -> Entry | None:
        """The next entry."""
        return self._entries[self.index] if self.replaying and self.index < len(self._entries) else None

    @property
    def end(self) -> int:
        """Where the recording ends, by instructions."""
        return self._entries[-1].at if self._entries else 0

    def left(self, most: int) -> int:
        """Instructions until the next entry; `most` at most, and at least one."""
        entry = self.coming
        return most if entry is None else max(1, min(most, entry.at - self.place[0]))

    def deliver(self) -> None:
        """Hand out what came at this moment."""
        while (entry := self.coming) is not None:
            at, now = self.place
            if entry.at > at or (entry.at == at and entry.now > now):
                return
            if (entry.at, entry.now) != (at, now):
                raise MachineError(
                    f"rrfile={self.path}: the replay is not what was recorded: at instruction {at} it has gone another "
                    "way; were the disks and the options the same?"
                )
            self.index += 1
            if entry.source == _SKIP:
                assert self.clock is not None
                self.clock.skip(entry.until)
                self.clock.run_due()
            elif entry.source == _END:
                self.on_end()
            elif entry.source in self._takers:
                self._takers[entry.source](entry.data)
            else:
                raise MachineError(f"rrfile={self.path}: there is no {entry.source} in this machine")
