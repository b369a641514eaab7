"""Loads and stores, one and many."""

from unicorn import *
from unicorn.arm_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   ldr r0, [r2]
#   str r0, [r2, #4]
#   strb r0, [r2, #9]
#   ldrsh r1, [r2, #2]
#   ldm r2, {r4, r5, r6}
#   push {r4, r5, lr}
#   strd r4, r5, [r2, #16]
#   pop {r7, r8, r9}
#   nop
CODE = bytes.fromhex("000092e5040082e50900c2e5f210d2e1700092e830402de9f041c2e18003bde800f020e3")

uc = Uc(UC_ARCH_ARM, UC_MODE_ARM)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_memory(uc, access, address, size, value, user_data):
    kind = "write" if access == UC_MEM_WRITE else "read"
    print(kind, hex(address), size, hex(value) if kind == "write" else "", hex(uc.reg_read(UC_ARM_REG_PC)))


uc.mem_write(DATA, bytes(range(0x80, 0xA0)))
uc.reg_write(UC_ARM_REG_R2, DATA)
uc.reg_write(UC_ARM_REG_SP, DATA + 0x100)
uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, hook_memory)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print([hex(uc.reg_read(UC_ARM_REG_R0 + n)) for n in range(10)], uc.mem_read(DATA, 24).hex())
