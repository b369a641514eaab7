"""RISC-V, 64-bit: the Linux ABI of riscv64-linux-gnu programs."""

from __future__ import annotations

from runtime.linux.abi import generic
from runtime.linux.abi.riscv import riscv_abi

#: Sv39: user space is half of 39 bits
ABI = riscv_abi(64, 1 << 38, generic.NUMBERS, generic.STRUCTS_64)
