"""MIPS, 32-bit, little-endian: o32 as mips.py has it."""

from __future__ import annotations

from runtime.linux.abi.mips import o32

ABI = o32("mipsel", False)
