"""A program as it finds itself at its entry point: segments, heap, stack, auxiliary vector."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.core.cpu import Vcpu
from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE
from runtime.core.memory import GuestMemory
from runtime.linux import loader
from runtime.linux.abi import load as load_abi
from runtime.linux.elf import ElfError, open_executable, read_image
from runtime.linux.process import Process, Thread, host_environment
from tests.linux.guest import make_isa
from tests.linux.test_elf import WRITE_FLAGS, executable, segment

TOP = 1 << 38


def launch(
    tmp_path: Path, data: bytes, arguments: tuple[bytes, ...] = (b"prog",), stack: int | None = 1 << 20
) -> Thread:
    """Load and start, without an engine."""
    path = tmp_path / "program"
    path.write_bytes(data)
    abi = load_abi("riscv64")
    memory = GuestMemory(abi.bits)
    process = Process(abi, memory)
    thread = process.add_thread(Vcpu(make_isa(abi), memory))
    descriptor = open_executable(str(path))
    try:
        image = read_image(str(path), descriptor, abi.address_top)
        bias = loader.load(process, image, descriptor)
    finally:
        os.close(descriptor)
    assert bool(bias) == image.position_independent
    loader.start(process, thread, image, bias, arguments, (b"A=1", b"B=two"), stack)
    return thread


def test_segments(tmp_path: Path) -> None:
    data = bytearray(
        executable(
            segment(), segment(offset=0x200, address=0x12200, flags=WRITE_FLAGS, file_bytes=8, memory_bytes=0x2000)
        )
    )
    data[0x200:0x208] = b"contents"
    thread = launch(tmp_path, bytes(data))
    memory = thread.memory
    assert memory.read(0x10000, 4) == b"\x7fELF"
    assert memory.read(0x121F8, 24) == bytes(8) + b"contents" + bytes(8)
    assert memory.check(0x12000, 0x3000, PAGE_READ | PAGE_WRITE) is None
    assert memory.check(0x10000, 1, PAGE_EXEC) is None
    assert memory.check(0x10000, 1, PAGE_WRITE) == 0x10000
    assert thread.process.space.heap_start == 0x15000
    assert thread.vcpu.pc == 0x10100
    names = [region.name for region in memory.regions()]
    assert names == [str(tmp_path / "program"), str(tmp_path / "program"), "", "[stack]", "[vdso]"]


def test_segments_that_share_a_page(tmp_path: Path) -> None:
    second = segment(offset=0x300, address=0x10300, flags=WRITE_FLAGS, file_bytes=0x100, memory_bytes=0x100)
    data = bytearray(executable(segment(), second))
    data[0x300:0x304] = b"data"
    memory = launch(tmp_path, bytes(data)).memory
    assert memory.read(0x10000, 4) == b"\x7fELF"
    assert memory.read(0x10300, 4) == b"data"
    assert memory.check(0x10000, 4096, PAGE_READ | PAGE_WRITE | PAGE_EXEC) is None


def test_stack(tmp_path: Path) -> None:
    thread = launch(tmp_path, executable(segment()), (b"prog", b"x y"))
    memory, pointer = thread.memory, thread.get(("X", 2))
    assert pointer % 16 == 0

    def word(index: int) -> int:
        return int.from_bytes(memory.read(pointer + 8 * index, 8), "little")

    assert word(0) == 2
    assert [memory.read_string(word(index)) for index in (1, 2)] == [b"prog", b"x y"]
    assert word(3) == 0
    assert [memory.read_string(word(index)) for index in (4, 5)] == [b"A=1", b"B=two"]
    assert word(6) == 0
    auxiliary = {}
    at = 7
    while word(at):
        auxiliary[word(at)] = word(at + 1)
        at += 2
    assert auxiliary[loader.AT_PHDR] == 0x10040
    assert (auxiliary[loader.AT_PHENT], auxiliary[loader.AT_PHNUM]) == (56, 1)
    assert auxiliary[loader.AT_PAGESZ] == 4096
    assert auxiliary[loader.AT_ENTRY] == 0x10100
    assert auxiliary[loader.AT_UID] == os.getuid()
    assert auxiliary[loader.AT_SECURE] == 0
    assert len(set(memory.read(auxiliary[loader.AT_RANDOM], 16))) > 2
    assert memory.read_string(auxiliary[loader.AT_EXECFN]) == os.fsencode(tmp_path / "program")
    assert thread.process.auxiliary[:8] == loader.AT_HWCAP.to_bytes(8, "little")


def test_the_stack_is_guarded(tmp_path: Path) -> None:
    thread = launch(tmp_path, executable(segment()), stack=0x10000)
    memory, space = thread.memory, thread.process.space
    low = TOP - 4096 - 0x10000
    assert memory.check(low, 0x10000, PAGE_READ | PAGE_WRITE) is None
    assert memory.check(low, 0x10000, PAGE_EXEC) == low
    assert space.mmap_top == low - 0x100000
    assert memory.is_free(low - 0x100000, 0x100000)
    assert thread.process.limits["RLIMIT_STACK"][0] == 0x10000


def test_the_shells_limit_is_the_stack(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(executable(segment()))
    thread = launch(tmp_path, executable(segment()), stack=None)
    sizes = [region.size for region in thread.memory.regions() if region.name == "[stack]"]
    limit = thread.process.limits["RLIMIT_STACK"][0]
    assert sizes == [-(-limit // 4096) * 4096]


def test_an_executable_stack_if_asked_for(tmp_path: Path) -> None:
    stack = segment(kind=0x6474E551, flags=7, file_bytes=0, memory_bytes=0)
    thread = launch(tmp_path, executable(segment(), stack))
    assert thread.memory.check(TOP - 8192, 4096, PAGE_EXEC) is None


def test_position_independent(tmp_path: Path) -> None:
    thread = launch(tmp_path, executable(segment(address=0), kind=3, entry=0x100))
    base = thread.vcpu.pc - 0x100
    assert base % 4096 == 0
    assert TOP // 2 < base < TOP // 3 * 2 + 1
    assert thread.memory.read(base, 4) == b"\x7fELF"
    assert thread.process.space.heap_start == base + 4096


def test_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ElfError, match="addresses below 0x10000 are Linux's; link it higher"):
        launch(tmp_path, executable(segment(address=0x1000), entry=0x1100))
    with pytest.raises(ElfError, match="do not fit above"):
        launch(tmp_path, executable(segment(address=0, memory_bytes=1 << 37), kind=3, entry=0x100))
    with pytest.raises(loader.StartError, match="does not fit into the guest's address space"):
        launch(tmp_path, executable(segment()), stack=1 << 40)
    with pytest.raises(loader.StartError, match="does not fit into the guest's address space"):
        launch(tmp_path, executable(segment(address=TOP - 0x10000), entry=TOP - 0xFF00))
    with pytest.raises(loader.StartError, match="more than a quarter of the stack"):
        launch(tmp_path, executable(segment()), (b"x" * 5000,), stack=16384)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environb", {b"KEPT": b"1", b"GONE": b"2", b"SET": b"3"})
    made = host_environment(["SET=a=b", "NEW="], ["GONE", "NEVER"])
    assert sorted(made) == [b"KEPT=1", b"NEW=", b"SET=a=b"]
