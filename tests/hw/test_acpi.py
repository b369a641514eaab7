"""ACPI tables: as firmware builds them from the script, as a board places them, and what ACPICA reads in them."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from runtime.hw.acpi import aml
from runtime.hw.acpi.tables import Tables
from runtime.hw.pci.host import Window
from runtime.machine.pc_tables import pc_tables
from tests.tools import tool

BASE = 0x7FE0000


def make() -> Tables:
    return pc_tables(2, True, Window(0x80000000, 0x7EC00000))


def by_name(tables: Tables) -> dict[str, bytes]:
    """The tables, found the way an operating system does: from the root, by the list of 64-bit addresses."""
    root, data = tables.at(BASE)
    assert root[:8] == b"RSD PTR "
    assert sum(root[:20]) % 256 == sum(root) % 256 == 0

    def table(address: int) -> bytes:
        at = address - BASE
        return data[at : at + int.from_bytes(data[at + 4 : at + 8], "little")]

    listed = table(int.from_bytes(root[24:32], "little"))
    found = {"XSDT": listed, "RSDT": table(int.from_bytes(root[16:20], "little"))}
    for address in struct.unpack(f"<{(len(listed) - 36) // 8}Q", listed[36:]):
        found[table(address)[:4].decode()] = table(address)
    found["DSDT"] = table(int.from_bytes(found["FACP"][140:148], "little"))
    facs = int.from_bytes(found["FACP"][36:40], "little") - BASE
    assert data[facs : facs + 4] == b"FACS"
    assert facs % 64 == 0
    return found


def test_tables_and_checksums() -> None:
    found = by_name(make())
    assert sorted(found) == ["APIC", "DSDT", "FACP", "RSDT", "XSDT"]
    for name, table in found.items():
        assert sum(table) % 256 == 0, name
    narrow, wide = found["RSDT"][36:], found["XSDT"][36:]
    assert struct.unpack("<2I", narrow) == struct.unpack("<2Q", wide)
    assert "APIC" not in by_name(pc_tables(1, False, Window(0x80000000, 0x1000)))


def test_the_script_gives_the_same() -> None:
    """What firmware does with the files and the script is what the board does itself."""
    tables = make()
    files = {name: bytearray(data) for name, data in tables.files().items()}
    script = bytes(files.pop("etc/table-loader"))
    places: dict[str, int] = {}

    def name(data: bytes) -> str:
        return data.rstrip(b"\0").decode()

    for at in range(0, len(script), 128):
        command, entry = int.from_bytes(script[at : at + 4], "little"), script[at + 4 : at + 128]
        if command == 1:
            which, align, zone = struct.unpack_from("<56sIB", entry)
            places[name(which)] = BASE if zone == 1 else 0xF5000
            assert places[name(which)] % align == 0
        elif command == 2:
            pointer, pointee, offset, size = struct.unpack_from("<56s56sIB", entry)
            file = files[name(pointer)]
            value = int.from_bytes(file[offset : offset + size], "little") + places[name(pointee)]
            file[offset : offset + size] = value.to_bytes(size, "little")
        else:
            assert command == 3
            which, offset, start, length = struct.unpack_from("<56sIII", entry)
            file = files[name(which)]
            file[offset] = 0
            file[offset] = -sum(file[start : start + length]) & 0xFF
    assert (bytes(files["etc/acpi/rsdp"]), bytes(files["etc/acpi/tables"])) == tables.at(BASE)


def test_constants_are_as_short_as_they_can_be() -> None:
    assert [aml.integer(value).hex() for value in (0, 1, 2, 0x1234, 0x12345678, 1 << 40)] == [
        "00", "01", "0a02", "0b3412", "0c78563412", "0e0000000000010000",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no constant"):
        aml.integer(1 << 64)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("DSDT", ['EisaId ("PNP0A03")', "0x0003FFFF", 'EisaId ("PNP0501")', "0x7EC00000", r"Name (\_S5"]),
        ("FACP", ["PM1A Control Block Address : 00000604", "SCI Interrupt : 0009", "Value to cause reset : 06"]),
        ("APIC", ["Interrupt : 00000002", "[I/O APIC]", "Trigger Mode : 3"]),
    ],
)
def test_acpica_reads_them(table: str, says: list[str], tmp_path: Path) -> None:
    compiler = tool("iasl", "acpica-tools")
    (tmp_path / "table.dat").write_bytes(by_name(make())[table])
    done = subprocess.run([compiler, "-d", "table.dat"], cwd=tmp_path, capture_output=True, text=True, check=False)
    text = (tmp_path / "table.dsl").read_text()
    assert done.returncode == 0, done.stderr
    assert not any(word in done.stdout + done.stderr + text for word in ("Error", "Warning", "Invalid"))
    for expected in says:
        assert expected in " ".join(text.split()), expected
    if table == "DSDT":  # and what it reads, it compiles without a complaint
        again = subprocess.run([compiler, "table.dsl"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stdout + again.stderr
        assert "0 Errors, 0 Warnings" in again.stdout
