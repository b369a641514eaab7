"""GuestMemory: mapping, permissions, hostile ranges, and a comparison with a page-by-page model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.core.env import PAGE_CODE, PAGE_EXEC, PAGE_READ, PAGE_WRITABLE, PAGE_WRITE
from runtime.core.memory import PAGE_SIZE, GuestFault, GuestMemory, GuestRangeError, Region, page_down, page_up

RW = PAGE_READ | PAGE_WRITE
HOSTILE = [-1, -PAGE_SIZE, 1 << 38, (1 << 63) - PAGE_SIZE, 1 << 63, (1 << 64) - PAGE_SIZE, 1 << 64]


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    m = GuestMemory(64)
    yield m
    m.close()


@pytest.mark.parametrize(("bits", "size"), [(12, 1 << 12), (16, 1 << 16), (32, 1 << 32), (38, 1 << 38), (64, 1 << 38)])
def test_size(bits: int, size: int) -> None:
    m = GuestMemory(bits)
    assert m.size == size
    m.map(size - PAGE_SIZE, PAGE_SIZE, RW)
    m.write(size - 4, b"tail")
    assert m.read(size - 4, 4) == b"tail"
    with pytest.raises(GuestFault):
        m.read(size - 4, 5)
    m.close()


def test_many_memories_come_and_go() -> None:
    for _ in range(300):
        m = GuestMemory(64)
        m.map(0x10000, PAGE_SIZE, RW)
        m.write(0x10000, b"x")
        m.close()


def test_contents_survive_protect_and_go_with_unmap(memory: GuestMemory) -> None:
    memory.map(0x10000, 3 * PAGE_SIZE, RW)
    memory.write(0x10FFE, b"abcd")
    assert memory.protect(0x11000, PAGE_SIZE, PAGE_READ)
    assert memory.read(0x10FFE, 4) == b"abcd"
    with pytest.raises(GuestFault) as fault:
        memory.write(0x10FFE, b"1234")
    assert (fault.value.address, fault.value.access) == (0x11000, 1)
    assert memory.read(0x10FFE, 4) == b"abcd", "nothing is written when part of it faults"
    memory.unmap(0x10000, 3 * PAGE_SIZE)
    with pytest.raises(GuestFault):
        memory.read(0x10FFE, 1)
    memory.map(0x10000, 3 * PAGE_SIZE, RW)
    assert memory.read(0x10FFE, 4) == bytes(4)


def test_mapping_over_something_zeroes_it(memory: GuestMemory) -> None:
    memory.map(0x10000, 2 * PAGE_SIZE, RW)
    memory.write(0x10000, b"a" * 2 * PAGE_SIZE)
    memory.map(0x11000, PAGE_SIZE, PAGE_READ)
    assert memory.read(0x10FFF, 2) == b"a\0"


def test_protect_of_a_hole_changes_nothing(memory: GuestMemory) -> None:
    memory.map(0x10000, PAGE_SIZE, RW)
    memory.map(0x12000, PAGE_SIZE, RW)
    assert not memory.protect(0x10000, 3 * PAGE_SIZE, PAGE_READ)
    assert memory.check(0x10000, 1, PAGE_WRITE) is None


def test_regions_split_and_join(memory: GuestMemory) -> None:
    memory.map(0x10000, 0x4000, RW)
    memory.map(0x14000, 0x1000, RW)
    assert list(memory.regions()) == [Region(0x10000, 0x15000, RW)]
    memory.protect(0x12000, 0x1000, PAGE_READ)
    assert [r.start for r in memory.regions()] == [0x10000, 0x12000, 0x13000]
    memory.protect(0x12000, 0x1000, RW)
    assert list(memory.regions()) == [Region(0x10000, 0x15000, RW)]
    memory.rename(0x10000, 0x1000, "[heap]")
    assert memory.region_at(0x10FFF) == Region(0x10000, 0x11000, RW, "[heap]")
    assert memory.region_at(0xFFFF) is None


def test_file_offsets_follow(memory: GuestMemory) -> None:
    memory.map(0x10000, 0x4000, PAGE_READ, "/lib/x", 0x8000)
    memory.unmap(0x11000, 0x1000)
    assert [(r.start, r.offset) for r in memory.regions()] == [(0x10000, 0x8000), (0x12000, 0xA000)]
    memory.map(0x11000, 0x1000, PAGE_READ, "/lib/x", 0x9000)
    assert list(memory.regions()) == [Region(0x10000, 0x14000, PAGE_READ, "/lib/x", 0x8000)]


@pytest.mark.parametrize("bad", HOSTILE)
def test_hostile_addresses(memory: GuestMemory, bad: int) -> None:
    for call in (
        lambda: memory.map(bad & ~0xFFF, PAGE_SIZE, RW),
        lambda: memory.unmap(bad & ~0xFFF, PAGE_SIZE),
        lambda: memory.protect(bad & ~0xFFF, PAGE_SIZE, RW),
    ):
        with pytest.raises(GuestRangeError):
            call()
    for need in (0, PAGE_READ):
        with pytest.raises(GuestFault) as fault:
            memory.read(bad, 8, need)
        assert fault.value.address == bad
        with pytest.raises(GuestFault):
            memory.write(bad, b"x", need)
    assert not memory.is_mapped(bad, PAGE_SIZE)
    assert not memory.is_free(bad, PAGE_SIZE)
    assert memory.region_at(bad) is None


@pytest.mark.parametrize("size", [1 << 38, 1 << 63, 1 << 64])
def test_hostile_sizes(memory: GuestMemory, size: int) -> None:
    memory.map(0x10000, PAGE_SIZE, RW)
    for call in (
        lambda: memory.map(0x10000, size, RW),
        lambda: memory.unmap(0x10000, size),
        lambda: memory.protect(0x10000, size, RW),
    ):
        with pytest.raises(GuestRangeError, match="address space ends"):
            call()
    with pytest.raises(GuestFault) as fault:
        memory.read(0x10000, size)
    assert fault.value.address == 0x11000
    assert memory.find_free(size) is None


@pytest.mark.parametrize(("address", "size"), [(1, PAGE_SIZE), (0x1000, 1), (0x1000, 0), (0x1000, -0x1000)])
def test_ranges_that_are_no_pages(memory: GuestMemory, address: int, size: int) -> None:
    with pytest.raises(GuestRangeError):
        memory.map(address, size, RW)
    with pytest.raises(ValueError, match="permissions"):
        memory.map(0x1000, 0x1000, PAGE_CODE)


def test_find_free(memory: GuestMemory) -> None:
    top = memory.size
    assert memory.find_free(0x3000) == top - 0x3000
    memory.map(top - 0x1000, 0x1000, RW)
    memory.map(top - 0x4000, 0x1000, RW)
    assert memory.find_free(0x2000) == top - 0x3000
    assert memory.find_free(0x3000) == top - 0x7000
    assert memory.find_free(0x1000, hint=0x50000) == 0x50000
    assert memory.find_free(0x1000, hint=top - 0x4000) == top - 0x2000
    assert memory.find_free(0x1000, high=0x100000) == 0xFF000
    assert memory.find_free(0x1000, low=top - 0x5000, high=top - 0x4000) == top - 0x5000
    assert memory.find_free(0x2000, low=top - 0x5000, high=top - 0x4000) is None
    assert memory.find_free(0x10000, alignment=1 << 21) == top - (1 << 21)
    assert memory.find_free(0) is None


def test_strings(memory: GuestMemory) -> None:
    memory.map(0x10000, 2 * PAGE_SIZE, RW)
    memory.write(0x10FFD, b"hello\0rest")
    assert memory.read_string(0x10FFD) == b"hello"
    assert memory.read_string(0x10FFD, 3) == b"hel"
    memory.write(0x11FFE, b"no")
    with pytest.raises(GuestFault) as fault:
        memory.read_string(0x11FFE)
    assert fault.value.address == 0x12000


def test_views(memory: GuestMemory) -> None:
    memory.map(0x10000, PAGE_SIZE, RW)
    with memory.writable(0x10010, 4) as view:
        view[:] = b"view"
    with memory.readable(0x10010, 4) as view:
        assert bytes(view) == b"view"
    with pytest.raises(GuestFault):
        memory.writable(0x10FFF, 2)


def test_changes_to_pages_of_code_are_announced(memory: GuestMemory) -> None:
    told: list[tuple[int, int]] = []

    def drop(first: int, last: int) -> None:
        told.append((first, last))
        for page in range(first, last + 1):
            if memory.table[page] & PAGE_CODE:
                memory.table[page] = PAGE_READ | PAGE_EXEC | PAGE_WRITE

    memory.on_code_change = drop
    for change in (
        lambda: memory.write(0x11FFF, b"12"),
        lambda: memory.writable(0x12000, 1).release(),
        lambda: memory.protect(0x12000, PAGE_SIZE, PAGE_READ),
        lambda: memory.discard(0x10000, 3 * PAGE_SIZE),
        lambda: memory.unmap(0x12000, PAGE_SIZE),
        lambda: memory.map(0x10000, 4 * PAGE_SIZE, RW),
    ):
        memory.map(0x10000, 4 * PAGE_SIZE, RW | PAGE_EXEC)
        memory.table[0x12] = PAGE_READ | PAGE_EXEC | PAGE_CODE | PAGE_WRITABLE
        told.clear()
        change()
        assert told == [(0x12, 0x12)] or told == [(0x11, 0x12)]
        assert not memory.table[0x12] & PAGE_CODE
    memory.write(0x10000, b"no code here")
    assert len(told) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["map", "unmap", "protect"]), st.integers(0, 31), st.integers(1, 12), st.integers(0, 7)
        ),
        max_size=40,
    )
)
def test_against_a_model(actions: list[tuple[str, int, int, int]]) -> None:
    pages = 32
    m = GuestMemory(17)
    model: dict[int, int] = {}
    for action, page, count, permissions in actions:
        count = min(count, pages - page)
        start, size = page * PAGE_SIZE, count * PAGE_SIZE
        covered = range(page, page + count)
        if action == "map":
            m.map(start, size, permissions)
            model |= dict.fromkeys(covered, permissions)
        elif action == "unmap":
            m.unmap(start, size)
            model = {number: bits for number, bits in model.items() if number not in covered}
        else:
            assert m.protect(start, size, permissions) == all(number in model for number in covered)
            if all(number in model for number in covered):
                model |= dict.fromkeys(covered, permissions)
    regions = list(m.regions())
    assert {
        number: region.permissions
        for region in regions
        for number in range(region.start // PAGE_SIZE, region.end // PAGE_SIZE)
    } == model
    assert bytes(m.table[:pages]) == bytes(model.get(number, 0) for number in range(pages))
    for left, right in itertools.pairwise(regions):
        assert left.end <= right.start
        assert left.end < right.start or left.permissions != right.permissions
    free = m.find_free(2 * PAGE_SIZE, low=0)
    places = [number for number in range(pages - 1) if number not in model and number + 1 not in model]
    assert free == (places[-1] * PAGE_SIZE if places else None)
    m.close()


def test_rounding() -> None:
    assert page_down(0x1FFF) == 0x1000
    assert page_up(0x1001) == 0x2000
    assert page_up(0x1000) == 0x1000
