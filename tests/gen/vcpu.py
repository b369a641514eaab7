"""A vCPU of an instruction set that a test has generated."""

from __future__ import annotations

from pathlib import Path

from runtime.core.cpu import load_isa
from runtime.core.memory import GuestMemory
from runtime.tcg.loop import Tcg, TcgVcpu


class OneVcpu:
    """Memory with the pages of `mapped` (address: bytes and permissions), and one vCPU on it."""

    def __init__(self, folder: Path, width: int, mapped: dict[int, tuple[int, int]]) -> None:
        self.isa = load_isa(folder)
        self.memory = GuestMemory(width)
        self.tcg = Tcg(self.isa, self.memory)
        self.cpu = TcgVcpu(self.tcg)
        for address, (size, permissions) in mapped.items():
            self.memory.map(address, size, permissions)

    def close(self) -> None:
        """Free everything."""
        self.cpu.close()
        self.tcg.close()
        self.memory.close()
