"""One floating-point instruction on many operands: a loop in guest code, so that a million cases take seconds."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from runtime.core.cpu import load_isa
from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.memory import PAGE_SIZE, GuestMemory, page_up
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from tests.conftest import ROOT

_CODE = 0x10000
_DATA = 0x100000
_CASE = struct.Struct("<QQQQQII")  # three operands, fa0, a0, flags, padding
_POINTER, _END, _FLAGS = 15, 14, 12  # a5, a4, a2


def _load(width: int, opcode: int, rd: int, offset: int) -> int:
    return offset << 20 | _POINTER << 15 | width << 12 | rd << 7 | opcode


def _store(width: int, opcode: int, rs2: int, offset: int) -> int:
    return offset >> 5 << 25 | rs2 << 20 | _POINTER << 15 | width << 12 | (offset & 31) << 7 | opcode


def _loop(word: int, xlen: int, mode: int) -> bytes:
    """For each case: load fa1 to fa3 and a1, clear the flags, do it, store fa0, a0 and the flags; then ebreak."""
    integer = 3 if xlen == 64 else 2
    body = [
        _load(3, 0x07, 11, 0),
        _load(3, 0x07, 12, 8),
        _load(3, 0x07, 13, 16),
        _load(integer, 0x03, 11, 0),
        0x00101073,  # csrrw zero,fflags,zero
        word,
        0x00102073 | _FLAGS << 7,  # csrrs a2,fflags,zero
        _store(3, 0x27, 10, 24),
        _store(integer, 0x23, 10, 32),
        _store(2, 0x23, _FLAGS, 40),
        _CASE.size << 20 | _POINTER << 15 | _POINTER << 7 | 0x13,  # addi
    ]
    back = -4 * len(body)
    branch = (back >> 12 & 1) << 31 | (back >> 5 & 63) << 25 | (back >> 1 & 15) << 8 | (back >> 11 & 1) << 7
    body.append(branch | _END << 20 | _POINTER << 15 | 1 << 12 | 0x63)  # bne
    # csrrwi zero,frm,mode first, ebreak last
    return struct.pack(f"<{len(body) + 2}I", 0x00205073 | mode << 15, *body, 0x00100073)


class Batch:
    """build/riscv64 or build/riscv32 on the native engine."""

    def __init__(self, xlen: int) -> None:
        isa = load_isa(ROOT / "build" / f"riscv{xlen}")
        self.xlen = xlen
        self.memory = GuestMemory(xlen)
        self.memory.map(_CODE, PAGE_SIZE, PAGE_READ | PAGE_EXEC)
        self.tcg = Tcg(isa, self.memory)
        self.vcpu = TcgVcpu(self.tcg)

    def close(self) -> None:
        """Free everything."""
        self.vcpu.close()
        self.tcg.close()
        self.memory.close()

    def run(self, word: int, cases: Sequence[tuple[int, ...]], mode: int) -> list[tuple[int, int, int]]:
        """fa0, a0 and the flags after `word` on each case's operands, frm being `mode`."""
        data = b"".join(_CASE.pack(*case, *(0,) * (3 - len(case)), 0, 0, 0, 0) for case in cases)
        self.memory.map(_DATA, page_up(len(data)), PAGE_READ | PAGE_WRITE)
        self.memory.write(_DATA, data)
        code = _loop(word, self.xlen, mode)
        self.memory.write(_CODE, code, 0)
        self.vcpu.reset()
        self.vcpu.set("X", _DATA, _POINTER)
        self.vcpu.set("X", _DATA + len(data), _END)
        self.vcpu.pc = _CODE
        assert cpu_exec(self.vcpu) == Exit.EXCEPTION
        assert self.vcpu.pc == _CODE + len(code) - 4, f"stopped at {self.vcpu.pc:#x}"
        found = [_CASE.unpack_from(block)[3:6] for block in _blocks(self.memory.read(_DATA, len(data)))]
        return [(f, x, flags) for f, x, flags in found]


def _blocks(data: bytes) -> list[bytes]:
    return [data[at : at + _CASE.size] for at in range(0, len(data), _CASE.size)]
