"""pc_entry_x86.s assembled: from a processor's reset to a kernel, and the values that it is given on the way."""

from __future__ import annotations

import struct

from runtime.core.record import record

#: where it lies in memory, and how much of that is its own
ENTRY, SIZE = 0x1000, 0x400
#: where its values are in it, and the descriptor of the kernel's code
VALUES, DESCRIPTORS = 0x80, 0xA0
_LIMIT = struct.pack("<HI", 39, ENTRY + DESCRIPTORS)
_DATA, _CODE_32, _CODE_64 = 0x00CF93000000FFFF, 0x00CF9B000000FFFF, 0x00AF9B000000FFFF
_KERNEL_SEGMENT = 0x10

CODE = bytes.fromhex(
    "fa2e660f01169410"  # cli; lgdtl table
    "0f20c00c010f22c066ea181000002000"  # protected mode
    "b8180000008ed88ec08ed08ee08ee8bc00140000"  # data segments, stack
    "8b35881000008b1d8c10000031ed31ff"  # esi, ebx, ebp, edi
    "8b159010000085d27506ff2d80100000"  # without page tables: the kernel
    "0f20e00c200f22e00f22da"  # PAE, cr3
    "b9800000c00f320d000100000f30"  # EFER.LME
    "0f20c00d000000800f22c0ea7710000010008b042580100000ffe0"  # paging; the kernel
)


@record
class Entry:
    """How a kernel is entered.

    kernel       its first instruction
    parameters   what is in esi: Linux's boot parameters
    start_info   what is in ebx: PVH's start information
    pages        the page table for 64-bit mode; 0: it begins in 32-bit mode
    """

    kernel: int
    parameters: int = 0
    start_info: int = 0
    pages: int = 0

    def code(self) -> bytes:
        """The bytes at ENTRY."""
        values = struct.pack("<IHHIII", self.kernel, _KERNEL_SEGMENT, 0, self.parameters, self.start_info, self.pages)
        code = CODE.ljust(VALUES, b"\x90") + values + _LIMIT
        kernel = _CODE_64 if self.pages else _CODE_32
        return code.ljust(DESCRIPTORS, b"\0") + struct.pack("<5Q", 0, 0, kernel, _DATA, _CODE_32)
