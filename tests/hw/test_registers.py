"""Registers declared once: widths, access kinds, banks, arrays, the log, reset and saved state."""

from __future__ import annotations

import pytest

from runtime.hw.device import DeviceError
from runtime.hw.registers import Field, Register, RegisterDevice
from tests.hw.machine import Bench, fuzz


class Sample(RegisterDevice):
    """One register of each kind."""

    kind = "sample"
    REGISTERS = (
        Register("CONTROL", 0x0, fields=(Field("ENABLE", 0), Field("MODE", 4, 2)), writable=0x31, reset=0x10),
        Register("STATUS", 0x4, access="w1c", reset=0xF),
        Register("COUNT", 0x8, 8, access="ro"),
        Register("DATA", 0x10, 1, access="wo"),
        Register("SLOT", 0x20, count=4),
        Register("LOW", 0x11, 1, bank="low"),
        Register("HIGH", 0x11, 1, bank="high"),
    )
    STATE = ("sent",)

    def __init__(self) -> None:
        super().__init__("sample0", 0x100)
        self.sent: list[int] = []

    def bank(self, offset: int, write: bool) -> str:
        return "high" if self.field("CONTROL", "ENABLE") else "low"

    def read_count(self) -> int:
        return 0x1122334455667788

    def write_data(self, value: int) -> None:
        self.sent.append(value)

    def write_slot(self, index: int, value: int) -> None:
        self.sent.append(index << 8 | value)


@pytest.fixture(name="sample")
def _sample() -> Sample:
    return Sample()


def test_kinds_of_access(sample: Sample) -> None:
    sample.write(0, 4, 0xFFFFFFFF)
    assert sample.read(0, 4) == 0x31, "only the bits that can be written"
    assert sample.field("CONTROL", "MODE") == 3
    sample.set_field("CONTROL", "MODE", 5)
    assert sample.read(0, 4) == 0x11, "a field keeps to its bits"
    sample.write(4, 4, 0x5)
    assert sample.read(4, 4) == 0xA, "ones clear"
    sample.write(8, 8, 0)
    assert sample.read(8, 8) == 0x1122334455667788
    sample.write(0x10, 1, 7)
    assert (sample.read(0x10, 1), sample.sent) == (0, [7])


def test_widths_that_do_not_fit(sample: Sample) -> None:
    assert sample.read(9, 1) == 0x77
    assert sample.read(4, 8) == 0x5566778800000000 + 0xF, "two registers at once"
    sample.write(0x20, 8, 0x0000000200000001)
    assert sample.array["SLOT"] == [1, 2, 0, 0]
    assert sample.sent == [0x001, 0x102]
    sample.write(0x25, 1, 3)
    assert sample.array["SLOT"][1] == 0x302, "the other bytes stay"
    assert sample.read(0xF0, 8) == 0, "nothing is there"


def test_banks(sample: Sample) -> None:
    sample.write(0x11, 1, 5)
    sample.write(0, 1, 1)
    assert sample.read(0x11, 1) == 0
    sample.write(0x11, 1, 6)
    assert (sample.value["LOW"], sample.value["HIGH"]) == (5, 6)


def test_the_log_names_registers_and_fields(sample: Sample) -> None:
    lines: list[str] = []
    sample.log = lambda item, text: lines.append(f"{item} {text}")
    sample.write(0, 4, 0x31)
    sample.read(0x24, 4)
    sample.write(8, 4, 1)
    sample.read(0xF0, 1)
    assert lines == [
        "io sample0: CONTROL := 0x31 (ENABLE=0x1 MODE=0x3)",
        "io sample0: SLOT[1] is 0x0",
        "io sample0: COUNT := 0x1",
        "guest_errors sample0: store to COUNT, which is read-only",
        "guest_errors sample0: load from 0xf0, where no register is",
    ]


def test_reset_and_saved_state(sample: Sample) -> None:
    sample.write(0, 4, 1)
    sample.write(0x20, 4, 9)
    other = Sample()
    other.load(sample.save())
    assert other.save() == sample.save()
    sample.sent.append(1)
    assert other.sent == [9], "a copy, not the same list"
    sample.reset()
    assert (sample.read(0, 4), sample.read(0x20, 4)) == (0x10, 0)
    good = sample.save()
    for bad in ({}, {**good, "sent": 3}, {**good, "registers": {}}, {"sent": [], "registers": {"CONTROL": 1}}):
        with pytest.raises(DeviceError):
            other.load(bad)
    registers = dict(good["registers"])
    for name, value in (("CONTROL", 1 << 32), ("CONTROL", "x"), ("SLOT", [1]), ("SLOT", 3)):
        with pytest.raises(DeviceError):
            other.load({**good, "registers": {**registers, name: value}})


def test_two_registers_in_one_place_are_refused() -> None:
    with pytest.raises(TypeError, match="A and B share a byte"):

        class Wrong(RegisterDevice):
            REGISTERS = (Register("A", 0), Register("B", 2))


@pytest.mark.parametrize("seed", range(3))
def test_random_accesses(seed: int) -> None:
    bench, sample = Bench(), Sample()
    bench.put(sample)
    sample.log = bench.platform.log
    fuzz(bench, sample, seed)
