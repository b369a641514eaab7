"""Snapshots: registers and memory together, nested, in any order, and true after whatever happens in between."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isomorph import Emulator, IsomorphError, Snapshot, StopKind
from tests.api.guest import CODE, DATA, SELF_MODIFYING, emulator, state


def everything(guest: Emulator) -> tuple[object, ...]:
    regions = [(r.start, r.end, r.permissions) for r in guest.mem.regions()]
    return guest.regs.as_dict(), regions, [guest.mem.read(start, end - start) for start, end, _ in regions]


def test_nested_and_in_any_order() -> None:
    with emulator() as guest:
        taken: list[tuple[Snapshot, tuple[object, ...], int]] = []
        while guest.run(count=23).kind is StopKind.COUNT:
            taken.append((guest.snapshot(), everything(guest), guest.instructions))
        end = everything(guest)
        for snapshot, expected, count in [*taken, *reversed(taken), *taken[::3]]:
            guest.restore(snapshot)
            assert everything(guest) == expected
            assert guest.instructions == count
        guest.run()
        assert everything(guest) == end


def test_mappings_and_permissions_are_part_of_it() -> None:
    with emulator() as guest:
        guest.mem[DATA:] = b"kept"
        snapshot = guest.snapshot()
        before = everything(guest)
        guest.mem.unmap(DATA, 0x1000)
        guest.mem.map(0x90000, 0x3000)
        guest.mem[0x90000:] = b"new"
        guest.mem.protect(CODE, 0x1000, "r")
        after = everything(guest)
        later = guest.snapshot()
        guest.restore(snapshot)
        assert everything(guest) == before
        assert guest.run().kind is StopKind.EXCEPTION
        guest.restore(later)
        assert everything(guest) == after
        assert guest.run(CODE).kind is StopKind.PROTECTED


def test_translated_code_follows() -> None:
    with emulator(SELF_MODIFYING) as guest:
        start = guest.snapshot()
        for _ in range(3):
            guest.run()
            assert guest.regs.a0 == 15
            guest.restore(start)
        guest.mem.write(CODE, guest.isa.assemble("li a0, 77\n ecall", CODE))
        guest.run(CODE)
        assert guest.regs.a0 == 77
        guest.restore(start)
        guest.run()
        assert guest.regs.a0 == 15


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_mixture_of_writes_hooks_and_restores(data: st.DataObject) -> None:
    with emulator() as guest:
        kept: list[tuple[Snapshot, tuple[object, ...]]] = [(guest.snapshot(), everything(guest))]
        for _ in range(data.draw(st.integers(3, 12))):
            match data.draw(st.integers(0, 6)):
                case 0:
                    kept.append((guest.snapshot(), everything(guest)))
                case 1:
                    guest.run(count=data.draw(st.integers(1, 60)))
                case 2:
                    guest.mem[DATA + data.draw(st.integers(0, 0x1FFF))] = data.draw(st.integers(0, 255))
                case 3:
                    guest.hook.mem_write(lambda *_: None, begin=DATA, end=DATA + data.draw(st.integers(1, 0x2000)))
                case 4:
                    guest.hook.clear()
                case 5:
                    place = DATA + 0x1000 * data.draw(st.integers(0, 1))
                    guest.mem.protect(place, 0x1000, data.draw(st.sampled_from(("r", "rw"))))
                case 6:
                    snapshot, expected = data.draw(st.sampled_from(kept))
                    guest.restore(snapshot)
                    assert everything(guest) == expected
        for snapshot, expected in kept:
            guest.restore(snapshot)
            assert everything(guest) == expected


def test_pages_that_did_not_change_are_shared() -> None:
    with emulator() as guest:
        guest.mem.map(0x100000, 0x400000, "rw")
        for page in range(0x100000, 0x500000, 0x1000):
            guest.mem[page] = 1
        first = guest.snapshot()
        guest.mem[0x100000] = 2
        second = guest.snapshot()
        pages, others = first._memory.pages, second._memory.pages
        assert sum(pages[page] is not others[page] for page in pages) == 1


def test_restoring_in_a_hook() -> None:
    with emulator("addi a0, a0, 1\n addi a1, a1, 1\n ecall") as guest:
        start = guest.snapshot()
        rounds: list[int] = []

        @guest.hook.syscall
        def again(emulator: Emulator) -> bool:
            rounds.append(emulator.regs.a0)
            if len(rounds) < 3:
                emulator.restore(start)
                return True
            return False

        reason = guest.run()
        assert rounds == [1, 1, 1]
        assert reason.kind is StopKind.EXCEPTION


def test_a_snapshot_belongs_to_its_emulator() -> None:
    with emulator() as one, emulator() as other:
        assert state(one) == state(other)
        with pytest.raises(IsomorphError, match="another emulator"):
            other.restore(one.snapshot())


def test_to_disk_and_back_in_another_emulator(tmp_path: Path) -> None:
    path = tmp_path / "machine.snapshot"
    with emulator() as guest:
        guest.run(count=57)
        guest.snapshot().save(path)
        middle = everything(guest)
        guest.run()
        end = everything(guest)
    with Emulator("riscv64") as other:
        other.mem.map(0x900000, 0x1000, "rw")  # is not in it, and goes
        snapshot = other.load_snapshot(path)
        for _ in range(2):
            other.restore(snapshot)
            assert everything(other) == middle
            assert other.instructions == 57
            other.run()
            assert everything(other) == end


def test_a_file_that_is_no_snapshot_of_ours_says_so(tmp_path: Path) -> None:
    path = tmp_path / "machine.snapshot"
    with emulator() as guest, Emulator("riscv32") as narrow:
        guest.snapshot().save(path)
        with pytest.raises(IsomorphError, match="a snapshot of riscv64; this emulator is of riscv32"):
            narrow.load_snapshot(path)
        path.write_bytes(b"something else")
        with pytest.raises(IsomorphError, match="not a snapshot"):
            guest.load_snapshot(path)


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_refused_or_harmless(place: float, byte: int, cut: bool) -> None:
    with emulator() as guest, TemporaryDirectory() as folder:
        path = Path(folder) / "damaged"
        guest.snapshot().save(path)
        data = bytearray(path.read_bytes())
        at = int(place * len(data))
        if cut:
            del data[at:]
        else:
            data[at] = byte
        path.write_bytes(data)
        with suppress(IsomorphError):
            guest.restore(guest.load_snapshot(path))
        guest.run(count=100)
