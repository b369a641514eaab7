"""An accelerator whose processors are Python generators: what a machine does is tested without any instruction set."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from runtime.core.accelerator import Bus, Clock, Idle, Running, VcpuExit, Watched

#: a program: it yields what ends a slice, or a number of instructions it has executed
Program = Callable[["FakeVcpu"], Iterator["VcpuExit | int"]]


class FakeVcpu:
    """Executes its program from the beginning at each reset; `inputs` are its wires."""

    def __init__(self, vm: FakeVm, index: int) -> None:
        self.vm = vm
        self.bus = vm.bus
        self.index = index
        self.pc = 0
        self.executed = 0
        self.counter = 0
        self.inputs: dict[str, int] = {}
        self.resets = 0
        self.kicked = threading.Event()
        self._program: Iterator[VcpuExit | int] = iter(())

    def run(self, instructions: int) -> VcpuExit:
        left = instructions
        while left > 0 and not self.kicked.is_set():
            step = next(self._program, None)
            if step is None:
                return Idle(None)
            if not isinstance(step, int):
                return step
            self.executed += step
            left -= step
        self.kicked.clear()
        return Running()

    def step(self) -> VcpuExit:
        return self.run(1)

    def kick(self) -> None:
        self.kicked.set()

    def set_input(self, name: str, level: int) -> None:
        self.inputs[name] = level

    def registers(self) -> Mapping[str, int]:
        return {"pc": self.pc, "counter": self.counter}

    def set_register(self, name: str, value: int) -> None:
        if name != "counter":
            raise KeyError(name)
        self.counter = value

    def translate(self, address: int, access: int = 0) -> int | None:
        return None if address >= 1 << 32 else address

    def reset(self) -> None:
        self.resets += 1
        self.counter = 0
        self._program = self.vm.program(self)

    def save(self) -> bytes:
        return struct.pack("<QQ", self.executed, self.counter)

    def load(self, state: bytes) -> None:
        if len(state) != 16:
            raise ValueError("a saved processor of another kind")
        self.executed, self.counter = struct.unpack("<QQ", state)


class FakeVm:
    """Remembers what it was told."""

    def __init__(self, bus: Bus, program: Program) -> None:
        self.bus = bus
        self.program = program
        self.vcpus: list[FakeVcpu] = []
        self.changes: list[tuple[int, int]] = []
        self.breakpoints: list[int] = []
        self.acknowledge: Callable[[], int] | None = None
        self.most_breakpoints: int | None = None
        self.has_watchpoints = False
        #: (address, size, value) -> eventfd; None: it watches no stores
        self.watches: dict[tuple[int, int, int | None], int] | None = None

    def make_vcpu(self, index: int) -> FakeVcpu:
        self.vcpus.append(FakeVcpu(self, index))
        return self.vcpus[-1]

    def set_line(self, line: int, level: int) -> None:
        raise AssertionError("it has no interrupt controller")

    def send_message(self, address: int, data: int) -> None:
        raise AssertionError("it has no interrupt controller")

    def watch_store(self, address: int, size: int, value: int | None, event: int, on: bool = True) -> bool:
        if self.watches is None:
            return False
        if on:
            self.watches[address, size, value] = event
        else:
            del self.watches[address, size, value]
        return True

    def memory_changed(self, address: int, size: int) -> None:
        self.changes.append((address, size))

    def set_breakpoints(self, addresses: Iterable[int]) -> None:
        self.breakpoints = list(addresses)

    def set_watchpoints(self, ranges: Iterable[Watched]) -> None:
        raise AssertionError("it has no watchpoints")

    def reset(self) -> None:
        pass

    def save(self) -> bytes:
        return b""

    def load(self, state: bytes) -> None:
        assert state == b""

    def close(self) -> None:
        pass


class FakeAccelerator:
    """Makes FakeVms that run `program`."""

    name = "fake"

    def __init__(self, program: Program) -> None:
        self.program = program

    def make_vm(self, bus: Bus, ports: Bus | None = None, clock: Clock | None = None) -> FakeVm:
        return FakeVm(bus, self.program)


def forever(vcpu: FakeVcpu) -> Iterator[VcpuExit | int]:
    """Counts."""
    while True:
        vcpu.counter += 1
        yield 1000
