"""ACPI tables in one piece, with the addresses in them open until it is known where they lie.

A board that boots a kernel itself places them (`at`); firmware gets them as `files`, one of them a script that says
where addresses and checksums go: QEMU's "etc/table-loader", which SeaBIOS carries out.
"""

from __future__ import annotations

import struct

from runtime.core.record import record

__all__ = ["HEADER", "RSDP_SIZE", "TABLES_FILE", "Tables"]

HEADER = 36
RSDP_SIZE = 36
_ID, _TABLE_ID, _CREATOR = b"ISOMPH", b"ISOMORPH", b"ISOM"
_CHECKSUM = 9

ROOT_FILE, TABLES_FILE, SCRIPT_FILE = "etc/acpi/rsdp", "etc/acpi/tables", "etc/table-loader"
_ALLOCATE, _ADD_POINTER, _ADD_CHECKSUM = 1, 2, 3
_HIGH, _LOW_SEGMENT = 1, 2
_COMMAND = 128


@record
class _Pointer:
    """An address of a table, at an offset of the whole."""

    offset: int
    size: int
    target: int


class Tables:
    """The tables; `add` each, those it points to first, then `root`."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.root = bytearray()
        self._pointers: list[_Pointer] = []
        self._sums: list[tuple[int, int]] = []  # start and length of each table that has a checksum
        self._offsets: list[int] = []

    def add_bytes(self, data: bytes, align: int = 16) -> int:
        """Something without a header (the FACS); its offset."""
        self.data += bytes(-len(self.data) % align)
        at = len(self.data)
        self.data += data
        return at

    def add(
        self, signature: str, revision: int, body: bytes, pointers: dict[int, tuple[int, int]] | None = None,
        listed: bool = True,
    ) -> int:  # fmt: skip
        """A table; `pointers` are {offset in it: (size, offset of what it points to)}.  Its offset."""
        head = struct.pack(
            "<4sIBB6s8sI4sI", signature.encode("ascii"), HEADER + len(body), revision, 0, _ID, _TABLE_ID, 1, _CREATOR, 1
        )
        at = self.add_bytes(head + body)
        for place, (size, target) in (pointers or {}).items():
            self._point(at + place, size, target)
        self._sums.append((at, HEADER + len(body)))
        if listed:
            self._offsets.append(at)
        return at

    def _point(self, offset: int, size: int, target: int) -> None:
        self.data[offset : offset + size] = target.to_bytes(size, "little")
        self._pointers.append(_Pointer(offset, size, target))

    def finish(self) -> None:
        """The lists of all tables, of both widths, and what leads to them (5.2.5.3, 5.2.7, 5.2.8)."""
        listed = tuple(self._offsets)

        def table(signature: str, size: int) -> int:
            pointers = {HEADER + size * index: (size, offset) for index, offset in enumerate(listed)}
            return self.add(signature, 1, bytes(size * len(listed)), pointers, listed=False)

        self._narrow, self._wide = table("RSDT", 4), table("XSDT", 8)
        self.root[:] = struct.pack("<8sB6sBIIQB3x", b"RSD PTR ", 0, _ID, 2, self._narrow, RSDP_SIZE, self._wide, 0)

    def at(self, address: int) -> tuple[bytes, bytes]:
        """The root and the tables, as they are when the tables lie at an address."""
        data, root = bytearray(self.data), bytearray(self.root)
        for pointer in self._pointers:
            data[pointer.offset : pointer.offset + pointer.size] = (address + pointer.target).to_bytes(
                pointer.size, "little"
            )
        for start, length in self._sums:
            data[start + _CHECKSUM] = -sum(data[start : start + length]) & 0xFF
        root[16:20] = (address + self._narrow).to_bytes(4, "little")
        root[24:32] = (address + self._wide).to_bytes(8, "little")
        root[8] = -sum(root[:20]) & 0xFF
        root[32] = -sum(root) & 0xFF
        return bytes(root), bytes(data)

    def files(self) -> dict[str, bytes]:
        """What firmware is given."""
        script = [
            _command("<I56sIB", _ALLOCATE, _file(ROOT_FILE), 16, _LOW_SEGMENT),
            _command("<I56sIB", _ALLOCATE, _file(TABLES_FILE), 64, _HIGH),
        ]
        tables, root = _file(TABLES_FILE), _file(ROOT_FILE)
        script += [
            _command("<I56s56sIB", _ADD_POINTER, tables, tables, pointer.offset, pointer.size)
            for pointer in self._pointers
        ]
        script += [
            _command("<I56sIII", _ADD_CHECKSUM, tables, start + _CHECKSUM, start, length)
            for start, length in self._sums
        ]
        script += [
            _command("<I56s56sIB", _ADD_POINTER, root, tables, 16, 4),
            _command("<I56s56sIB", _ADD_POINTER, root, tables, 24, 8),
            _command("<I56sIII", _ADD_CHECKSUM, root, 8, 0, 20),
            _command("<I56sIII", _ADD_CHECKSUM, root, 32, 0, RSDP_SIZE),
        ]
        return {ROOT_FILE: bytes(self.root), TABLES_FILE: bytes(self.data), SCRIPT_FILE: b"".join(script)}


def _file(name: str) -> bytes:
    return name.encode("ascii")


def _command(form: str, *values: object) -> bytes:
    return struct.pack(form, *values).ljust(_COMMAND, b"\0")
