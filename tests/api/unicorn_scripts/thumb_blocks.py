"""Thumb: IT blocks, 32-bit encodings, and into A32 and back."""

from unicorn import *
from unicorn.arm_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   movs r0, #1
#   cmp r0, #1
#   ite eq
#   moveq r1, #11
#   movne r1, #22
#   itt ne
#   movne r2, #33
#   addne r2, r2, #1
#   movw r3, #0x1234
#   sub.w r4, r3, #0x34
#   blx other
#   movs r5, #7
#   b last
#   .align 2
#   .arm
#   other:
#   add r6, pc, #0
#   bx lr
#   .thumb
#   last:
#   nop
CODE = bytes.fromhex("012001280cbf0b2116211cbf2122013241f23423a3f1340400f002e8072503e000608fe21eff2fe100bf00bf")

uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_code(uc, address, size, user_data):
    cpsr = uc.reg_read(UC_ARM_REG_CPSR)
    print(f"{address:#x} size {size} thumb {cpsr >> 5 & 1} flags {cpsr >> 28:#x}")


uc.hook_add(UC_HOOK_CODE, hook_code, None, ADDRESS + 0x10, ADDRESS + 0x100)
uc.emu_start(ADDRESS | 1, ADDRESS + len(CODE))
print([hex(uc.reg_read(UC_ARM_REG_R0 + n)) for n in range(7)], hex(uc.reg_read(UC_ARM_REG_LR)))
