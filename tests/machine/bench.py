"""A machine of the small test instruction set: RAM, a page of a device's registers, page tables made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from runtime.core.accelerator import BusError, Ram
from runtime.core.buffer import HostBuffer
from runtime.core.cpu import Isa
from runtime.syntax.assemble import assemble_text
from runtime.syntax.image import Image
from runtime.tcg.system import TcgAccelerator
from runtime.tcg.system_vcpu import MachineVcpu
from runtime.tcg.tier_options import OFF, TierOptions

RAM, RAM_BYTES = 0x8000_0000, 1 << 20
ROM, ROM_BYTES = 0x1000, 1 << 12
DEVICE = 0x1000_0000
PAGE = 4096
#: where page tables go; the root is the first
TABLES = RAM + 0x40000
V, R, W, X, U, A, D = 1, 2, 4, 8, 16, 64, 128
SV39 = 8 << 60
PRIV_S, PRIV_U = 1, 0
LOAD_FAULT, STORE_FAULT, FETCH_FAULT = 5, 7, 1
FETCH_PAGE, LOAD_PAGE, STORE_PAGE = 12, 13, 15


@dataclass
class TestBus:
    """RAM and ROM in host memory, and registers that keep what is written and log each access."""

    __test__ = False
    memory: HostBuffer = field(default_factory=lambda: HostBuffer(RAM_BYTES))
    rom: HostBuffer = field(default_factory=lambda: HostBuffer(ROM_BYTES))
    registers: bytearray = field(default_factory=lambda: bytearray(PAGE))
    log: list[tuple[str, int, int, int]] = field(default_factory=list)
    #: called at each access to the device, before it is answered
    on_access: Callable[[str, int], None] = lambda kind, offset: None
    more: list[Ram] = field(default_factory=list)
    listeners: list[Callable[[], None]] = field(default_factory=list)

    def ram(self) -> Sequence[Ram]:
        rom = Ram(ROM, self.rom.address, ROM_BYTES, False, "rom")
        ram = Ram(RAM, self.memory.address, RAM_BYTES, True, "ram")
        return sorted([rom, ram, *self.more], key=lambda run: run.address)

    def read(self, address: int, size: int) -> int:
        offset = self._offset("load", address, size)
        value = int.from_bytes(self.registers[offset : offset + size], "little")
        self.log.append(("load", offset, size, value))
        return value

    def write(self, address: int, size: int, value: int) -> None:
        offset = self._offset("store", address, size)
        self.log.append(("store", offset, size, value))
        self.registers[offset : offset + size] = value.to_bytes(size, "little")

    def _offset(self, kind: str, address: int, size: int) -> int:
        offset = address - DEVICE
        if not 0 <= offset <= PAGE - size:
            raise BusError(address, size)
        self.on_access(kind, offset)
        return offset

    def on_ram_change(self, listener: Callable[[], None]) -> None:
        self.listeners.append(listener)


class Bench:
    """A machine with one processor or more, about to run `text` at RAM in machine mode."""

    def __init__(
        self,
        isa: Isa,
        text: str = "",
        count: int = 1,
        icount: int | None = 0,
        threaded: bool = False,
        tier: TierOptions = OFF,
    ) -> None:
        self.isa = isa
        self.bus = TestBus()
        self.vm = TcgAccelerator(isa, icount, threaded, tier=tier).make_vm(self.bus)
        self.cpus = [self.vm.make_vcpu(index) for index in range(count)]
        self.cpu: MachineVcpu = self.cpus[0]
        self._next_table = TABLES
        self.image: Image | None = None
        if text:
            self.image = self.load(text)
            for cpu in self.cpus:
                cpu.pc = RAM

    def close(self) -> None:
        self.vm.close()

    # ------------------------------------------------------------ physical memory

    def load(self, text: str, address: int = RAM) -> Image:
        """Assemble a text to an address; its labels are right if that is a page's first."""
        image = assemble_text(self.isa.module("syntax"), text, "test.s", address & -PAGE)
        self.write(address, image.section(".text").data)
        return image

    def symbol(self, name: str) -> int:
        assert self.image is not None
        return self.image.symbol(name)

    def write(self, address: int, data: bytes) -> None:
        self.bus.memory.memory[address - RAM : address - RAM + len(data)] = data
        self.vm.memory_changed(address, len(data))

    def read(self, address: int, size: int = 8) -> int:
        return int.from_bytes(self.bus.memory.memory[address - RAM : address - RAM + size], "little")

    def put(self, address: int, value: int, size: int = 8) -> None:
        self.write(address, value.to_bytes(size, "little"))

    # ------------------------------------------------------------ page tables

    def table(self) -> int:
        """An empty page table."""
        self._next_table += PAGE
        self.write(self._next_table - PAGE, bytes(PAGE))
        return self._next_table - PAGE

    def entry(self, va: int, level: int = 0) -> int:
        """Where the entry for an address stands, tables being made as needed; level 2 is the root."""
        if self._next_table == TABLES:
            self.table()
        table = TABLES
        for at in range(2, level, -1):
            place = table + (va >> 12 + 9 * at & 511) * 8
            if not self.read(place) & V:
                self.put(place, self.table() >> 12 << 10 | V)
            table = self.read(place) >> 10 << 12
        return table + (va >> 12 + 9 * level & 511) * 8

    def map(self, va: int, pa: int, bits: int, level: int = 0) -> None:
        """Let the page at `va` be the one at `pa`."""
        self.put(self.entry(va, level), pa >> 12 << 10 | bits | V)

    def paging(self, pc: int, privilege: int = PRIV_S) -> None:
        """Go on at a virtual address, translated, with a handler for traps that stays where it is at RAM + 0xff0."""
        self.load("stay: jal zero, stay", RAM + 0xFF0)
        self.cpu.set_register("satp", SV39 | TABLES >> 12)
        self.cpu.set_register("mtvec", RAM + 0xFF0)
        self.cpu.set_register("PRIV", privilege)
        self.cpu.pc = pc

    # ------------------------------------------------------------ the processor

    def x(self, index: int) -> int:
        return self.cpu.get("X", index)

    def trapped(self) -> tuple[int, int, int] | None:
        """(cause, value, pc) of the trap that `paging`'s handler stands in, and back to where it came from."""
        if self.cpu.pc != RAM + 0xFF0:
            return None
        found = self.cpu.get("mcause"), self.cpu.get("mtval"), self.cpu.get("mepc")
        mode = self.cpu.get("mstatus") >> 11 & 3
        self.cpu.set_mode("PRIV", mode)
        return found
