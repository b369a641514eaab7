"""A machine whose compiled regions are installed by hand: what the tests of regions share."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.core.cpu import load_isa
from runtime.core.env import ADDRESS_BITS, ENV, GUEST_STATE, PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.host_faults import host_faults
from runtime.core.memory import PAGE_SIZE, GuestMemory
from runtime.tcg.loop import SLICE, Tcg, TcgVcpu, cpu_exec
from runtime.tcg.region import RegionBlock, RegionRequest
from runtime.tcg.region_compiler import CompiledRegion, RegionCompiler
from runtime.tcg.tb import TCG_CONTEXT

CODE = 0x10000
DATA = 0x40000
DATA_SIZE = 3 * PAGE_SIZE
_NEVER = 1 << 40


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a run came to, in full."""

    reason: Exit
    pc: int
    exception: tuple[int, tuple[int, int, int]]
    executed: int
    state: bytes
    memory: bytes

    def differences(self, other: Ending) -> list[str]:
        """What differs, shortly."""
        found = [
            f"{name}: {getattr(self, name)} / {getattr(other, name)}"
            for name in ("reason", "pc", "exception", "executed")
            if getattr(self, name) != getattr(other, name)
        ]
        for name in ("state", "memory"):
            one, two = getattr(self, name), getattr(other, name)
            for at in range(0, len(one), 8):
                if one[at : at + 8] != two[at : at + 8]:
                    found.append(f"{name}+{at:#x}: {one[at : at + 8][::-1].hex()} / {two[at : at + 8][::-1].hex()}")
        return found


class MappedRegion:
    """A region's code, executable."""

    def __init__(self, region: CompiledRegion) -> None:
        self.region = region
        size = -(-len(region.code) // mmap.PAGESIZE) * mmap.PAGESIZE
        self._map = mmap.mmap(-1, size, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._map.write(region.code)
        self._bytes = (ctypes.c_char * size).from_buffer(self._map)
        base = ctypes.addressof(self._bytes)
        self.address = base + region.entry
        self._entry = host_faults().add_code(base, base + size, base + region.table, region.table_entries)

    def close(self) -> None:
        """Nothing runs there any more."""
        host_faults().remove_code(self._entry)


class RegionMachine:
    """One vCPU with code at CODE and data at DATA, between pages that nothing may touch."""

    def __init__(self, folder: Path, checks: str) -> None:
        self.isa = load_isa(folder)
        self.memory = GuestMemory(min(ADDRESS_BITS, self.isa.layout.pc_width))
        if checks == "guard":
            self.memory.enable_guard()
        self.memory.map(CODE, 4 * PAGE_SIZE, PAGE_READ | PAGE_EXEC)
        self.memory.map(DATA, DATA_SIZE, PAGE_READ | PAGE_WRITE)
        self.tcg = Tcg(self.isa, self.memory)
        words = memoryview((ctypes.c_char * TCG_CONTEXT["bytes"]).from_address(self.tcg.cache.address)).cast("B")
        words.cast("Q")[TCG_CONTEXT["hot_threshold"] // 8] = _NEVER  # blocks get count records, and never become hot
        self.vcpu = TcgVcpu(self.tcg)
        self.compiler = RegionCompiler(self.isa, checks=checks)
        self._installed: list[MappedRegion] = []

    def close(self) -> None:
        """Free everything."""
        self._uninstall()
        self.vcpu.close()
        self.tcg.close()
        self.memory.close()

    def request(self, code: bytes, starts: Sequence[int], flags: int = 0) -> RegionRequest:
        """Blocks that begin at these offsets of `code`, the first of them being the entry, and end where others do."""
        ends = [*sorted(starts), len(code)]
        blocks = tuple(RegionBlock(CODE + at, code[at : ends[ends.index(at) + 1]], 1) for at in starts)
        return RegionRequest(CODE + starts[0], flags, blocks)

    def load(self, code: bytes) -> None:
        """Put code in place, and forget all blocks."""
        self.memory.write(CODE, code, 0)
        self.tcg.cache.flush_all()
        self._uninstall()

    def _uninstall(self) -> None:
        """No block runs the regions any more: the host's handler must forget them before their memory is used anew."""
        for region in self._installed:
            region.close()
        self._installed.clear()

    def install(self, compiled: CompiledRegion, pc: int) -> None:
        """Have the block at `pc` run the region, as the engine does it."""
        region = MappedRegion(compiled)
        self._installed.append(region)
        self.vcpu.pc = pc
        block = self.tcg.find(self.vcpu.address)
        assert block is not None
        record = self.tcg.cache.block(block).tc_ptr
        ctypes.c_uint64.from_address(record).value = region.address

    def run(self, pc: int, state: bytes, data: bytes, budget: int = SLICE, executed: int = 0) -> Ending:
        """From this state, in which so many instructions were executed, until an exception or the budget's end."""
        vcpu = self.vcpu
        vcpu.reset()
        vcpu.octets[GUEST_STATE : GUEST_STATE + len(state)] = state
        self.memory.write(DATA, data, 0)
        vcpu.pc = pc
        vcpu.set_budget(budget)
        vcpu.words[ENV["budget_base"] // 8] = budget + executed
        vcpu.stop_requested = True
        if self.memory.guard is not None:
            self.memory.guard.close_opened()
        reason = cpu_exec(vcpu)
        raised = (vcpu.exception, vcpu.arguments) if reason == Exit.EXCEPTION else (0, (0, 0, 0))
        return Ending(
            reason,
            vcpu.pc,
            raised,
            vcpu.executed,
            bytes(vcpu.octets[GUEST_STATE:]),
            bytes(self.memory.read(DATA, DATA_SIZE)),
        )
