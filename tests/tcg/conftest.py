"""A machine of the toy instruction set, fresh for each test; its native code is compiled once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE
from runtime.core.memory import GuestMemory, page_up
from runtime.tcg.blobs import Blob
from runtime.tcg.loop import Tcg, TcgVcpu
from tests.tcg.toy import toy_blob, toy_isa

CODE, DATA = 0x10000, 0x40000


class Machine:
    """Memory, accelerator and one vCPU about to run `program` at CODE; a page of data is at R[7]."""

    def __init__(self, code: Blob, program: bytes = b"", cache_bytes: int = 1 << 20, segments: int = 4) -> None:
        self.memory = GuestMemory(38)
        self.tcg = Tcg(toy_isa(), self.memory, cache_bytes, segments, code)
        self.cache = self.tcg.cache
        self.cpu = TcgVcpu(self.tcg)
        self.memory.map(CODE, page_up(max(len(program), 1)), PAGE_READ | PAGE_WRITE | PAGE_EXEC)
        self.memory.map(DATA, 0x1000, PAGE_READ | PAGE_WRITE)
        self.memory.write(CODE, program)
        self.cpu.pc = CODE
        self.cpu.set("R", DATA, 7)

    def register(self, index: int) -> int:
        return self.cpu.get("R", index)

    def close(self) -> None:
        self.cpu.close()
        self.tcg.close()
        self.memory.close()


@pytest.fixture(scope="session")
def toy_code(tmp_path_factory: pytest.TempPathFactory) -> Blob:
    return toy_blob(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def machine(toy_code: Blob) -> Iterator[Callable[..., Machine]]:
    made: list[Machine] = []

    def make(program: bytes = b"", cache_bytes: int = 1 << 20, segments: int = 4) -> Machine:
        made.append(Machine(toy_code, program, cache_bytes, segments))
        return made[-1]

    yield make
    for one in made:
        one.close()
