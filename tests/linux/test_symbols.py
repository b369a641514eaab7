"""Names of addresses from symbol tables, and nothing worse than no names from damaged ones."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from runtime.linux.symbols import Symbols

HEADER = 64
NAMES = b"\0main\0late\0$x\0data\0"


def table() -> bytes:
    """A file with one executable section, a symbol table and its strings."""
    symbols = b"".join(
        struct.pack("<IBBHQQ", *fields)
        for fields in (
            (0, 0, 0, 0, 0, 0),
            (1, 2, 0, 1, 0x1000, 0x20),  # main, a function
            (6, 2, 0, 1, 0x1100, 0),  # late, without a size
            (11, 0, 0, 1, 0x1000, 0),  # $x, a mark
            (14, 1, 0, 1, 0x1200, 8),  # data
        )
    )
    at = HEADER
    sections = b"".join(
        struct.pack("<IIQQQQIIQQ", *fields)
        for fields in (
            (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
            (0, 1, 6, 0x1000, 0, 0x40, 0, 0, 4, 0),
            (0, 2, 0, 0, at, len(symbols), 3, 1, 8, 24),
            (0, 3, 0, 0, at + len(symbols), len(NAMES), 0, 0, 1, 0),
        )
    )
    header = bytearray(HEADER)
    header[40:48] = (at + len(symbols) + len(NAMES)).to_bytes(8, "little")
    header[58:62] = struct.pack("<HH", 64, 4)
    return bytes(header) + symbols + NAMES + sections


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(table())
    return path


def test_names(path: Path) -> None:
    symbols = Symbols(str(path), 64, False)
    assert symbols.describe(0x1000) == "main"
    assert symbols.describe(0x101F) == "main+0x1f"
    assert symbols.describe(0x1020) == ""
    assert symbols.describe(0x11FF) == "late+0xff"
    assert symbols.describe(0x1204) == "data+0x4"
    assert symbols.describe(0xFFF) == ""
    assert symbols.named("main") == (0x1000, 0x1020)
    assert symbols.named("none") is None
    assert symbols.addresses() == [0x1000, 0x1100, 0x1200]


def test_a_shifted_program(path: Path) -> None:
    symbols = Symbols(str(path), 64, False, bias=0x10000)
    assert symbols.describe(0x11004) == "main+0x4"
    assert symbols.named("main") == (0x11000, 0x11020)


def test_a_thumb_functions_address_is_even(path: Path) -> None:
    """Its value has bit 0 set (AAELF32, 5.5.3); of other machines, and of data, that is a part of the address."""
    data = bytearray(table())
    data[HEADER + 24 + 8] |= 1  # the value of main
    path.write_bytes(data)
    assert Symbols(str(path), 64, False).describe(0x1000) == ""
    data[18:20] = (40).to_bytes(2, "little")
    path.write_bytes(data)
    assert Symbols(str(path), 64, False).describe(0x1000) == "main"


def test_damage_means_no_names(path: Path) -> None:
    source = random.Random(2)
    data = table()
    for _ in range(1000):
        damaged = bytearray(data)
        for _ in range(source.randrange(1, 4)):
            damaged[source.randrange(len(damaged))] = source.choice((0, 0x80, 0xFF, source.randrange(256)))
        damaged = damaged[: source.choice((len(data), source.randrange(len(data))))]
        path.write_bytes(damaged)
        Symbols(str(path), 64, False).describe(0x1010)
        Symbols(str(path), 32, True).describe(0x1010)
    assert Symbols(str(path.parent / "none"), 64, False).describe(0) == ""
