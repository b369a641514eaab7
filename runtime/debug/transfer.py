"""qXfer: objects that gdb reads in pieces."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from runtime.debug.packets import PACKET_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.debug.target import Target

#: objects that there may be none of just now
_KNOWN = ("features", "siginfo")


def read_object(target: Target, words: bytes) -> bytes:
    """The answer to qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH; empty for what there is not.  ValueError."""
    word, operation, annex, place = words.split(b":", 3)
    name = word.decode("ascii")
    if operation != b"read":
        return b""
    offset, length = (int(word, 16) for word in place.split(b","))
    if offset < 0 or length < 0:
        return b"E01"
    data = _object(target, name, annex.decode("ascii"))
    if data is None:
        return b"E00" if name in _KNOWN else b""
    piece = data[offset : offset + min(length, PACKET_BYTES // 2 - 1)]
    return (b"m" if offset + len(piece) < len(data) else b"l") + piece


def _object(target: Target, name: str, annex: str) -> bytes | None:
    if name == "features":
        return target.description.xml.encode("utf-8") if annex == "target.xml" else None
    if name == "threads":
        return threads_xml(target).encode("utf-8")
    return target.object(name)


def threads_xml(target: Target) -> str:
    """The thread list."""
    lines = ['<?xml version="1.0"?>', "<threads>"]
    for tid in target.threads():
        name = target.thread_name(tid)
        lines.append(f'  <thread id="{tid:x}" name={quoteattr(name)}>{escape(name)}</thread>')
    return "\n".join([*lines, "</threads>", ""])
