"""Guard pages: what the table refuses the host refuses, resuming compiled code, and the emulator may all the same."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.core import faults_x86_64
from runtime.core.buffer import HostBuffer
from runtime.core.env import PAGE_READ, PAGE_WRITE
from runtime.core.host_faults import host_faults, protect
from runtime.core.memory import PAGE_SIZE, GuestMemory
from runtime.core.watch import Watch
from tests.tools import tool

Load = Callable[[int], int]
ROOT = Path(__file__).parents[2]
READ_WRITE = PAGE_READ | PAGE_WRITE
BASE = 0x10000
#: `load(rdi)`: mov rax, [rdi]; ret; and where a refused one goes on: mov eax, 99; ret
LOAD = bytes.fromhex("488b07c3") + bytes.fromhex("b863000000c3")


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    """Two pages to read and write, one to read, one mapped without permissions; guarded."""
    memory = GuestMemory(64)
    memory.map(BASE, 2 * PAGE_SIZE, READ_WRITE)
    memory.map(BASE + 2 * PAGE_SIZE, PAGE_SIZE, PAGE_READ)
    memory.map(BASE + 3 * PAGE_SIZE, PAGE_SIZE, 0)
    memory.enable_guard()
    yield memory
    memory.close()


@pytest.fixture
def load() -> Iterator[Load]:
    """A function that loads a word from a host address, and gives 99 when the host refuses."""
    code = HostBuffer(PAGE_SIZE)
    code.memory[: len(LOAD)] = LOAD
    at = 64
    code.memory[at : at + 8] = struct.pack("<ii", -at, 4 - (at + 4))
    protect(code.address, PAGE_SIZE, mmap.PROT_READ | mmap.PROT_EXEC)
    entry = host_faults().add_code(code.address, code.address + len(LOAD), code.address + at, 1)
    yield ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)(code.address)
    host_faults().remove_code(entry)
    code.close()


def test_what_is_mapped_is_not_refused_while_guarding_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may be in a system call: neither its own stores nor the host's fail, and new pages are seen."""
    memory = GuestMemory(64)
    memory.map(BASE, PAGE_SIZE, READ_WRITE)
    steps = 0

    def step(address: int, size: int, protection: int) -> None:
        nonlocal steps
        protect(address, size, protection)
        memory.write(BASE, b"x" * 16)
        with open("/dev/zero", "rb", buffering=0) as zeros:
            assert zeros.readinto(memory.writable(BASE, 16)) == 16
        steps += 1
        if steps == 4:  # as another thread might
            memory.map(BASE + 16 * PAGE_SIZE, PAGE_SIZE, READ_WRITE)

    monkeypatch.setattr("runtime.core.guard.protect", step)
    memory.enable_guard()
    assert steps > 4
    with open("/dev/zero", "rb", buffering=0) as zeros:
        assert zeros.readinto(memory.writable(BASE + 16 * PAGE_SIZE, 16)) == 16
    assert memory.guard is not None
    assert not memory.guard.opened[0]
    memory.close()


def test_compiled_code_goes_on_at_its_landing(memory: GuestMemory, load: Load) -> None:
    """A refused access resumes where the table says; one that is allowed does not notice."""
    memory.write(BASE, (7).to_bytes(8, "little"))
    assert load(memory.base + BASE) == 7
    assert load(memory.base + BASE + 2 * PAGE_SIZE) == 0
    for address in (BASE + 3 * PAGE_SIZE, 0, BASE - 8, BASE + 3 * PAGE_SIZE - 4, memory.size - 8, memory.size - 4):
        assert load(memory.base + address) == 99, hex(address)
    assert load(memory.base - (1 << 29)) == 99
    assert load(memory.base + memory.size + (1 << 29)) == 99
    assert memory.guard is not None
    assert not memory.guard.opened[0]


@pytest.mark.parametrize("permissions", [0, PAGE_READ, READ_WRITE])
def test_protection_follows_the_table(memory: GuestMemory, load: Load, permissions: int) -> None:
    """What mprotect and munmap of the guest take away the host refuses from then on."""
    memory.protect(BASE, PAGE_SIZE, permissions)
    assert load(memory.base + BASE) == (0 if permissions else 99)
    memory.unmap(BASE, PAGE_SIZE)
    assert load(memory.base + BASE) == 99
    memory.map(BASE, PAGE_SIZE, PAGE_READ)
    assert load(memory.base + BASE) == 0


def test_hooked_loads_are_refused(memory: GuestMemory, load: Load) -> None:
    """A mark that takes the inline permission away (core/watch.py) reaches the host."""
    watch = Watch(memory, lambda start, end: None, lambda address: None)
    watch.set_ranges([(BASE, BASE + 8)], [], [])
    assert load(memory.base + BASE) == 99
    watch.set_ranges([], [], [])
    assert load(memory.base + BASE) == 0


def test_the_emulator_may_do_what_the_guest_may_not(memory: GuestMemory, load: Load) -> None:
    """Python's own access opens the page and notes it; closing puts the guest's protection back."""
    guard = memory.guard
    assert guard is not None
    memory.view[BASE + 3 * PAGE_SIZE] = 5
    memory.view[BASE + 2 * PAGE_SIZE] = 6
    assert guard.opened[0] == 2
    assert load(memory.base + BASE + 3 * PAGE_SIZE) == 5
    guard.close_opened()
    assert not guard.opened[0]
    assert load(memory.base + BASE + 3 * PAGE_SIZE) == 99
    assert memory.view[BASE + 2 * PAGE_SIZE] == 6


def test_many_opened_pages(memory: GuestMemory, load: Load) -> None:
    """More than the note has room for: all are closed all the same."""
    guard = memory.guard
    assert guard is not None
    start, count = 1 << 20, 600
    memory.map(start, count * PAGE_SIZE, PAGE_READ)
    for page in range(count):
        memory.view[start + page * PAGE_SIZE] = 1
    assert guard.opened[0] == count
    memory.protect(start, count * PAGE_SIZE, 0)
    guard.close_opened()
    assert all(load(memory.base + start + page * PAGE_SIZE) == 99 for page in (0, 510, 511, 512, count - 1))


def test_moved_pages(memory: GuestMemory, load: Load) -> None:
    """mremap of pages whose protections differ on the host moves them with their permissions."""
    memory.write(BASE + PAGE_SIZE, b"\x09")
    watch = Watch(memory, lambda start, end: None, lambda address: None)
    watch.set_ranges([(BASE, BASE + 1)], [], [])
    target = 1 << 24
    memory.move(BASE, 2 * PAGE_SIZE, target, 3 * PAGE_SIZE)
    assert load(memory.base + target + PAGE_SIZE) == 9
    assert load(memory.base + BASE) == 99
    watch.close()


def test_other_faults_are_fatal(memory: GuestMemory) -> None:
    """What is nobody's has the host's default effect."""
    child = os.fork()
    if not child:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # no report of the test runner's
        host_faults().set_next(signal.SIGSEGV, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        ctypes.string_at(8)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGSEGV


def test_machine_code(tmp_path: Path) -> None:
    """What faults_x86_64.py holds is faults_x86_64.s assembled."""
    source = ROOT / "runtime" / "core" / "faults_x86_64.s"
    subprocess.run([tool("as", "binutils"), "-o", tmp_path / "f.o", source], check=True)
    subprocess.run(
        [tool("objcopy", "binutils"), "-O", "binary", "-j", ".text", tmp_path / "f.o", tmp_path / "f.bin"], check=True
    )
    assert (tmp_path / "f.bin").read_bytes()[:4096].rstrip(b"\0") == faults_x86_64.CODE
    listing = subprocess.run(
        [tool("nm", "binutils"), tmp_path / "f.o"], check=True, capture_output=True, text=True
    ).stdout
    places = {line.split()[2]: int(line.split()[0], 16) for line in listing.splitlines()}
    for name in ("HANDLER", "RESTORER", "TABLES", "GUARDED", "BEFORE_SEGV", "BEFORE_BUS"):
        assert places[name.lower()] == getattr(faults_x86_64, name), name
