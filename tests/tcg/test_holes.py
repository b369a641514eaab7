"""Guest memory never has a hole: what another thread of the emulator maps meanwhile would be mapped into it."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable
from ctypes import addressof, c_char
from pathlib import Path

import pytest

from runtime.core.env import PAGE_READ, PAGE_WRITE
from runtime.core.memory import PAGE_SIZE, Backing, GuestMemory, Region

PAGES = 64


def strangers_while(memory: GuestMemory, act: Callable[[], None]) -> list[int]:
    """Addresses in guest memory at which another thread's mappings came to be while `act` ran again and again."""
    inside: list[int] = []
    mapped: list[mmap.mmap] = []
    over = threading.Event()

    def maps() -> None:
        # Kept, so that the holes there are elsewhere are filled one by one; memory of the emulator's is mapped alike.
        while not over.is_set() and len(mapped) < 20000:
            mapped.append(mmap.mmap(-1, PAGE_SIZE))
            at = addressof(c_char.from_buffer(mapped[-1]))
            if memory.base <= at < memory.base + memory.size:
                inside.append(at - memory.base)

    thread = threading.Thread(target=maps)
    thread.start()
    try:
        for _ in range(1500):
            act()
    finally:
        over.set()
        thread.join()
        for one in mapped:
            one.close()
    return inside


@pytest.fixture
def memory() -> GuestMemory:
    return GuestMemory(32)


def test_pages_that_move(memory: GuestMemory) -> None:
    start, elsewhere, size = 0x100000, 0x800000, PAGES * PAGE_SIZE
    memory.map(start, size, PAGE_READ | PAGE_WRITE)
    memory.write(start, b"moved")
    places = [start, elsewhere]

    def move() -> None:
        memory.move(places[0], size, places[1], size)
        places.reverse()

    assert strangers_while(memory, move) == []
    assert memory.read(places[0], 5) == b"moved"
    memory.close()


def test_a_shared_file_that_grows(memory: GuestMemory, tmp_path: Path) -> None:
    """What is stored in the part that was there and the part that came can be read from the file."""
    start, size = 0x100000, PAGES * PAGE_SIZE
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * size))
    backing = Backing(file=(0, 0), data_end=2 * size)
    with path.open("r+b") as file:

        def grow() -> None:
            memory.map_backed(
                Region(start, start + size, PAGE_READ | PAGE_WRITE, str(path), 0, True, backing), file.fileno()
            )
            memory.grow(start, size, 2 * size)
            memory.unmap(start + size, size)

        assert strangers_while(memory, grow) == []
        memory.grow(start, size, 2 * size)
        memory.write(start + size - 3, b"middle")
    assert path.read_bytes()[size - 3 : size + 3] == b"middle"
    memory.close()
