"""A virt board over the fake accelerator, for tests of everything around the processors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runtime.hw.characters import Recorder
from runtime.hw.clock import Clock, HostClock
from runtime.machine.machine import Machine
from runtime.machine.processors import RoundRobin, Threads
from runtime.machine.virt import Cpu, Virt, VirtOptions
from tests.machine.fake import FakeAccelerator, FakeVcpu, Program, forever

CPU = Cpu("rv64", 64, "rv64imafdc_zicsr", "sv48")


class Board:
    """A machine, its board and the other end of its serial port."""

    def __init__(self, program: Program, count: int, clock: Clock | None, threads: bool, options: VirtOptions) -> None:
        self.machine = Machine("virt", clock or HostClock())
        self.serial = Recorder()
        self.virt = Virt(self.machine, CPU, options, self.serial)
        self.machine.attach(FakeAccelerator(program), count)
        self.machine.processors = Threads(self.machine) if threads else RoundRobin(self.machine)

    @property
    def vcpus(self) -> list[FakeVcpu]:
        return self.machine.vcpus


@contextmanager
def board(
    program: Program = forever,
    count: int = 1,
    clock: Clock | None = None,
    threads: bool = False,
    memory: int = 16 << 20,
    bios: str = "none",
) -> Iterator[Board]:
    """A board, closed at the end."""
    made = Board(program, count, clock, threads, VirtOptions(memory=memory, count=count, bios=bios, rtc_base=0))
    try:
        yield made
    finally:
        made.machine.close()
