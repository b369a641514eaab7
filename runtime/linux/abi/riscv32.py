"""RISC-V, 32-bit: the Linux ABI of riscv32-linux-gnu programs, which differs from 64-bit in widths and numbers only."""

from __future__ import annotations

from runtime.linux.abi import generic
from runtime.linux.abi.riscv import riscv_abi

ABI = riscv_abi(32, 0xC0000000, generic.NUMBERS_32, generic.STRUCTS_32)
