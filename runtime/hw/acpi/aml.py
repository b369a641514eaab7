"""Bytes of AML, as much of it as a description of fixed hardware needs (ACPI 6.4, chapters 19 and 20)."""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_END_TAG = b"\x79\x00"


def integer(value: int) -> bytes:
    """A constant, as short as it can be (20.2.3)."""
    if value in (0, 1):
        return bytes((value,))
    for prefix, size in ((0x0A, 1), (0x0B, 2), (0x0C, 4), (0x0E, 8)):
        if value < 1 << 8 * size:
            return bytes((prefix,)) + value.to_bytes(size, "little")
    raise ValueError(f"AML has no constant {value:#x}")


def _with_length(body: bytes) -> bytes:
    """PkgLength, which counts itself, and the body (20.2.4)."""
    if len(body) + 1 < 0x40:
        return bytes((len(body) + 1,)) + body
    for more in (1, 2, 3):
        whole = len(body) + 1 + more
        if whole < 1 << 4 + 8 * more:
            return bytes((more << 6 | whole & 0x0F,)) + (whole >> 4).to_bytes(more, "little") + body
    raise ValueError("AML: a package of more than 256M")


def path(name: str) -> bytes:
    """A name: up to four characters, or several with dots between; a backslash in front is the root (20.2.2)."""
    root, rest = (b"\\", name[1:]) if name.startswith("\\") else (b"", name)
    parts = [part.ljust(4, "_").encode("ascii") for part in rest.split(".")]
    prefix = b"" if len(parts) == 1 else b"\x2e" if len(parts) == 2 else bytes((0x2F, len(parts)))
    return root + prefix + b"".join(parts)


def name(called: str, value: bytes) -> bytes:
    """Name (called, value)."""
    return b"\x08" + path(called) + value


def scope(where: str, *terms: bytes) -> bytes:
    """Scope (where) { terms }."""
    return b"\x10" + _with_length(path(where) + b"".join(terms))


def device(called: str, *terms: bytes) -> bytes:
    """Device (called) { terms }."""
    return b"\x5b\x82" + _with_length(path(called) + b"".join(terms))


def package(elements: Sequence[bytes]) -> bytes:
    """Package () { elements }."""
    return b"\x12" + _with_length(bytes((len(elements),)) + b"".join(elements))


def buffer(data: bytes) -> bytes:
    """Buffer () { data }."""
    return b"\x11" + _with_length(integer(len(data)) + data)


def eisa_id(text: str) -> bytes:
    """EISAID ("PNP0A03") (19.3.4)."""
    letters = 0
    for letter in text[:3]:
        letters = letters << 5 | ord(letter) - 0x40
    return integer(int.from_bytes((letters << 16 | int(text[3:], 16)).to_bytes(4, "big"), "little"))


# Resources (6.4)


def resources(*descriptors: bytes) -> bytes:
    """A resource template."""
    return buffer(b"".join(descriptors) + _END_TAG)


def ports(start: int, count: int) -> bytes:
    """I/O ports that stay where they are, with 16 bits decoded (6.4.2.5)."""
    return struct.pack("<BBHHBB", 0x47, 1, start, start, 1, count)


def interrupt(number: int) -> bytes:
    """An ISA interrupt, of which an edge counts (6.4.2.1)."""
    return struct.pack("<BH", 0x22, 1 << number)


def _word_range(kind: int, bits: int, start: int, end: int) -> bytes:
    return struct.pack("<BHBBBHHHHH", 0x88, 13, kind, 0x0C, bits, 0, start, end, 0, end - start + 1)


def bus_range(start: int, end: int) -> bytes:
    """PCI buses behind a bridge (6.4.3.5.3)."""
    return _word_range(2, 0, start, end)


def port_range(start: int, end: int) -> bytes:
    """I/O ports that a bridge passes on."""
    return _word_range(1, 3, start, end)


def memory_range(start: int, end: int) -> bytes:
    """Memory below 4 GiB that a bridge passes on (6.4.3.5.2)."""
    return struct.pack("<BHBBBIIIII", 0x87, 23, 0, 0x0C, 1, 0, start, end, 0, end - start + 1)
