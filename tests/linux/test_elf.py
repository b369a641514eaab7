"""ELF headers: what can be run is read right, everything else gets a message that says what is wrong and what to do."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest

from runtime.linux.elf import ElfError, Image, open_executable, read_image

CODE = bytes.fromhex("13000000")
EXEC_FLAGS, WRITE_FLAGS = 5, 6


def segment(
    kind: int = 1,
    flags: int = EXEC_FLAGS,
    offset: int = 0,
    address: int = 0x10000,
    file_bytes: int = 0x200,
    memory_bytes: int = 0x200,
) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, file_bytes, memory_bytes, 0x1000)


def executable(
    *segments: bytes, machine: int = 243, kind: int = 2, entry: int = 0x10100, size: int = 0x400, **fields: int
) -> bytes:
    """A 64-bit little-endian ELF file."""
    header = struct.pack(
        "<HHIQQQIHHHHHH",
        kind,
        machine,
        1,
        entry,
        fields.get("table", 64),
        0,
        0,
        64,
        fields.get("entry_bytes", 56),
        fields.get("count", len(segments)),
        0,
        0,
        0,
    )
    identification = b"\x7fELF" + bytes((fields.get("elf_class", 2), fields.get("encoding", 1), 1)) + bytes(9)
    return (identification + header + b"".join(segments)).ljust(size, b"\0")


def read(tmp_path: Path, data: bytes, top: int | None = 1 << 38) -> Image:
    path = tmp_path / "program"
    path.write_bytes(data)
    descriptor = open_executable(str(path))
    try:
        return read_image(str(path), descriptor, top)
    finally:
        os.close(descriptor)


def message(tmp_path: Path, data: bytes) -> str:
    """The error, without the path that begins it."""
    with pytest.raises(ElfError) as caught:
        read(tmp_path, data)
    path, text = str(tmp_path / "program"), str(caught.value)
    assert text.startswith(f"{path}: ")
    return text[len(path) + 2 :]


def test_a_good_file(tmp_path: Path) -> None:
    data = segment(offset=0x200, address=0x12200, flags=WRITE_FLAGS, file_bytes=0x100, memory_bytes=0x1000)
    image = read(tmp_path, executable(segment(), data))
    assert (image.machine, image.bits, image.big_endian, image.entry) == (243, 64, False, 0x10100)
    assert [(part.address, part.end) for part in image.segments] == [(0x10000, 0x10200), (0x12200, 0x13200)]
    assert (image.low, image.high) == (0x10000, 0x13200)
    assert (image.headers_address, image.header_bytes, image.header_count) == (0x10040, 56, 2)
    assert image.machine_name == "riscv64"
    assert not image.executable_stack
    assert not image.position_independent


def test_32_bit_big_endian(tmp_path: Path) -> None:
    header = struct.pack(">HHIIIIIHHHHHH", 2, 20, 1, 0x10054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    part = struct.pack(">IIIIIIII", 1, 0, 0x10000, 0x10000, 0x60, 0x60, 5, 0x1000)
    image = read(tmp_path, (b"\x7fELF\x01\x02\x01" + bytes(9) + header + part).ljust(0x100, b"\0"))
    assert (image.bits, image.big_endian, image.entry) == (32, True, 0x10054)
    assert image.machine_name == "ppc, 32-bit, big-endian"


def test_a_note_far_away_is_no_note(tmp_path: Path) -> None:
    image = read(tmp_path, executable(segment(kind=4, offset=(1 << 64) - 1), segment()))
    assert not image.isa


def test_segments_come_sorted_and_may_touch(tmp_path: Path) -> None:
    image = read(tmp_path, executable(segment(address=0x11000), segment(memory_bytes=0x1000)))
    assert [part.address for part in image.segments] == [0x10000, 0x11000]


GOOD = executable(segment())


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "the file is empty; give the path of a Linux executable"),
        (b"MZ\x90\0", "not an ELF file (it begins with 4d 5a 90 00); give the path of a Linux executable"),
        (b"#!/bin/sh\n", "not an ELF file (it begins with 23 21 2f 62); a script: run its interpreter"),
        (b"\x7fE", "truncated: the ELF header needs 52 or 64 bytes, the file has 2; copy it again"),
        (GOOD[:40], "truncated: the ELF header needs 64 bytes, the file has 40"),
        (executable(segment(), elf_class=3), "damaged: ELF class 3, neither 1 (32-bit) nor 2 (64-bit)"),
        (
            executable(segment(), encoding=0),
            "damaged: ELF data encoding 0, neither 1 (little-endian) nor 2 (big-endian)",
        ),
        (executable(segment(), kind=1), "an object file, not an executable; link it first"),
        (executable(segment(), kind=4), "a core dump, not an executable; link it first"),
        (executable(segment(), kind=99), "of ELF type 99, not an executable; link it first"),
        (executable(), "no program headers: nothing to load; link it as an executable"),
        (executable(segment(), entry_bytes=32), "damaged: program headers of 32 bytes, 56 expected"),
        (executable(segment(), count=5000), "damaged: 5000 program headers are more than Linux accepts"),
        (
            executable(segment(), table=0x3F0),
            "truncated: the program headers end at byte 0x428, the file at 0x400; copy it again",
        ),
        (
            executable(segment(), table=(1 << 64) - 8),
            "truncated: the program headers end at byte 0x10000000000000030, the file at 0x400; copy it again",
        ),
        (
            executable(segment(kind=3, file_bytes=1), segment()),
            "damaged: the name of its dynamic linker (PT_INTERP) is no string",
        ),
        (executable(segment(kind=4)), "no segment to load; link it as an executable"),
        (
            executable(segment(file_bytes=0x300)),
            "segment 0 is damaged: 0x300 bytes in the file, 0x200 in memory",
        ),
        (
            executable(segment(file_bytes=0x500, memory_bytes=0x500)),
            "segment 0 is truncated: it ends at byte 0x500, the file at 0x400; copy it again",
        ),
        (
            executable(segment(file_bytes=1 << 63, memory_bytes=1 << 63)),
            "segment 0 is truncated: it ends at byte 0x8000000000000000, the file at 0x400; copy it again",
        ),
        (
            executable(segment(memory_bytes=1 << 63)),
            "segment 0 does not fit: addresses 0x10000 to 0x8000000000010000, the address space ends at 0x4000000000",
        ),
        (
            executable(segment(address=(1 << 64) - 0x1000, memory_bytes=0x2000)),
            "segment 0 does not fit: addresses 0xfffffffffffff000 to 0x10000000000001000, "
            "the address space ends at 0x4000000000",
        ),
        (
            executable(segment(address=0x10080)),
            "segment 0 is damaged: address 0x10080 and file offset 0x0 differ within a page",
        ),
        (
            executable(segment(memory_bytes=0x3000), segment(address=0x12000)),
            "damaged: segments overlap: 0x10000 to 0x13000 and 0x12000 to 0x12200",
        ),
        (
            executable(segment(), entry=0x20000),
            "damaged: the entry point 0x20000 lies in no executable segment",
        ),
        (
            executable(segment(flags=WRITE_FLAGS)),
            "damaged: the entry point 0x10100 lies in no executable segment",
        ),
    ],
    ids=range(26),
)
def test_bad_files(tmp_path: Path, data: bytes, expected: str) -> None:
    assert message(tmp_path, data).removeprefix(": ") == expected


def test_what_is_no_file(tmp_path: Path) -> None:
    for path, expected in (
        (str(tmp_path), "a directory; give the path of a Linux executable"),
        ("/dev/null", "not a regular file; give the path of a Linux executable"),
        (str(tmp_path / "none"), "No such file or directory"),
    ):
        with pytest.raises(ElfError) as caught:
            open_executable(path)
        assert str(caught.value) == f"{path}: {expected}"
    with pytest.raises(ElfError, match="cannot hold a NUL byte"):
        open_executable("a\0b")


def test_damaged_files_never_surprise(tmp_path: Path) -> None:
    """Any change of a good file is read or refused with an ElfError, and what is read is sound."""
    source = random.Random(1)
    data = executable(segment(), segment(offset=0x200, address=0x12200, flags=WRITE_FLAGS, memory_bytes=0x1000))
    refused = 0
    for _ in range(2000):
        damaged = bytearray(data)
        for _ in range(source.randrange(1, 4)):
            damaged[source.randrange(64 + 2 * 56)] = source.choice((0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)))
        if source.randrange(4) == 0:
            del damaged[source.randrange(len(damaged)) :]
        try:
            image = read(tmp_path, bytes(damaged))
        except ElfError:
            refused += 1
            continue
        for part in image.segments:
            assert part.offset + part.file_bytes <= len(damaged)
            assert part.end <= 1 << 38
    assert 500 < refused < 2000
