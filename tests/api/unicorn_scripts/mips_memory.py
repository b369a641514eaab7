"""MIPS in both byte orders: memory, calls, and a store that a hook has to map."""

from unicorn import *
from unicorn.mips_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   lui $t0, 4
#   lw $t1, 0($t0)
#   sw $t1, 8($t0)
#   sb $t1, 13($t0)
#   lhu $t2, 2($t0)
#   lui $t4, 9
#   sw $t1, 4($t4)
#   lw $t5, 4($t4)
#   nop
#   nop
WORDS = bytes.fromhex("3c0800048d090000ad090008a109000d950a00023c0c0009ad8900048d8d00040000000000000000")
LITTLE = b"".join(WORDS[at : at + 4][::-1] for at in range(0, len(WORDS), 4))

for order, code in ((UC_MODE_BIG_ENDIAN, WORDS), (UC_MODE_LITTLE_ENDIAN, LITTLE)):
    uc = Uc(UC_ARCH_MIPS, UC_MODE_MIPS32 | order)
    uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
    uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
    uc.mem_write(ADDRESS, code)
    uc.mem_write(DATA, bytes(range(0x81, 0x91)))

    def hook_memory(uc, access, address, size, value, user_data):
        kind = "write" if access == UC_MEM_WRITE else "read"
        if address < 0x90000:
            print(kind, hex(address), size, hex(value) if kind == "write" else "", hex(uc.reg_read(UC_MIPS_REG_PC)))

    def hook_invalid(uc, access, address, size, value, user_data):
        print(access, hex(address), size, hex(value), hex(uc.reg_read(UC_MIPS_REG_PC)))
        uc.mem_map(address & ~0xFFF, 0x1000)
        return True

    uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, hook_memory)
    uc.hook_add(UC_HOOK_MEM_UNMAPPED, hook_invalid)
    uc.emu_start(ADDRESS, ADDRESS + len(code))
    print([hex(uc.reg_read(UC_MIPS_REG_T0 + n)) for n in range(6)], uc.mem_read(DATA, 16).hex())
