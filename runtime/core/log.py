"""The `-d` log: which items are wanted, for which guest addresses, and where the text goes."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing's own takes longer to import than all this
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

#: item -> what it adds to the log, in the order that `-d help` lists them; names are QEMU's
ITEMS: dict[str, str] = {
    "out_asm": "show the op records of each block, and the host code of their handlers",
    "in_asm": "show the guest's code of each block that is translated",
    "op": "show the TCG ops of each block",
    "op_opt": "show the TCG ops after optimization",
    "exec": "show each block before it runs",
    "cpu": "show the registers before each block",
    "int": "machines: show each exception and interrupt",
    "mmu": "machines: show each translation of an address that the TLB does not hold",
    "commit": "machines: show each instruction and what it has written, as Spike's commit log does",
    "nochain": "do not let blocks jump straight into each other",
    "io": "machines: show each access to a device, naming its register and fields",
    "guest_errors": "machines: show what the guest's drivers do wrong",
    "cpu_reset": "machines: show why a processor was reset",
}


class LogError(ValueError):
    """Options of the log that make no sense; the message is for the user."""


class Log:
    """The items wanted and the stream they go to.

    A stream that takes no more (a full disk, a closed pipe) ends the log, with a message on stderr; the guest goes on.
    """

    def __init__(
        self, items: Iterable[str], stream: TextIO | None = None, ranges: Iterable[tuple[int, int]] = ()
    ) -> None:
        self.items = frozenset(items)
        self._stream: TextIO | None = stream or sys.stderr
        self._ranges = tuple(ranges)

    def __contains__(self, item: str) -> bool:
        return item in self.items

    def covers(self, address: int) -> bool:
        """Whether the filter, if there is one, lets through what happens at a guest address."""
        return not self._ranges or any(start <= address < end for start, end in self._ranges)

    def write(self, text: str) -> None:
        """Add text to the log."""
        if self._stream is not None:
            try:
                self._stream.write(text)
            except OSError as error:
                self._end(error)

    def flush(self) -> None:
        """Have everything written, before the guest writes to the same terminal or the process ends."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except OSError as error:
                self._end(error)

    def _end(self, error: OSError) -> None:
        """Write no more."""
        stream, self._stream = self._stream, None
        if stream is None or stream is sys.stderr:
            return
        # The interpreter would try what is in the stream's buffer again at its end, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno(), inheritable=False)
        print(f"isomorph: -D {stream.name}: {error.strerror}: the log ends here", file=sys.stderr)


def open_log(items: str | None, path: str | None = None, ranges: str | None = None) -> Log | None:
    """The log that the options `-d items -D path -dfilter ranges` ask for; None without items.

    In `path`, %d stands for the process id.  LogError says what is wrong with an option.
    """
    parsed = [_range(part) for part in ranges.split(",")] if ranges is not None else []
    if not items:
        if parsed:
            raise LogError(f"-dfilter {ranges}: it narrows what -d logs, and there is no -d")
        return None
    names = [name.strip() for name in items.split(",") if name.strip()]
    for name in names:
        if name not in ITEMS:
            raise LogError(f"-d {name}: there is no such item; there are {', '.join(ITEMS)}")
    stream = None
    if path is not None:
        place = path.replace("%d", str(os.getpid()))
        try:
            stream = open(place, "w", encoding="utf-8")  # noqa: SIM115  # as long as the process
        except OSError as error:
            raise LogError(f"-D {place}: {error.strerror}") from error
    return Log(names, stream, parsed)


def help_text() -> str:
    """What `-d help` prints."""
    width = max(map(len, ITEMS))
    return "".join(f"{name:{width}}  {text}\n" for name, text in ITEMS.items())


def _range(text: str) -> tuple[int, int]:
    """`start..end` (end included), `start+size` or `start-size` (the bytes before and at start): [start, end)."""
    try:
        if ".." in text:
            first, last = (int(part, 0) for part in text.split(".."))
            start, end = first, last + 1
        elif "+" in text:
            first, size = (int(part, 0) for part in text.split("+"))
            start, end = first, first + size
        else:
            first, size = (int(part, 0) for part in text.split("-"))
            start, end = first - size + 1, first + 1
    except ValueError:
        raise LogError(f"-dfilter {text}: not start..end, start+size or start-size") from None
    if start >= end or end <= 0:
        raise LogError(f"-dfilter {text}: an empty range")
    return max(start, 0), end
