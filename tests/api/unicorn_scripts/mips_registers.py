"""Registers of MIPS."""

from unicorn import *
from unicorn.mips_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mult $a0, $a1
#   add.s $f2, $f0, $f1
#   add.d $f4, $f6, $f8
#   rdhwr $t0, $29
#   nop
#   nop
CODE = bytes.fromhex("0085001846010080462831007c08e83b0000000000000000")

uc = Uc(UC_ARCH_MIPS, UC_MODE_MIPS32 | UC_MODE_BIG_ENDIAN)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
names = [*map(str, range(1, 32)), "HI", "LO"]
for number, name in enumerate(names):
    uc.reg_write(globals()["UC_MIPS_REG_" + name], 0x11111111 * (number + 1))
print([hex(uc.reg_read(globals()["UC_MIPS_REG_" + name])) for name in names])
for name in ("AT", "V0", "A0", "A3", "T0", "T7", "S0", "S7", "S8", "FP", "T8", "T9", "K0", "K1", "GP", "SP", "RA"):
    print(name, hex(uc.reg_read(globals()["UC_MIPS_REG_" + name])))
uc.reg_write(UC_MIPS_REG_CP0_USERLOCAL, 0xABCD)
uc.reg_write(UC_MIPS_REG_F0, 0x3FC00000)
uc.reg_write(UC_MIPS_REG_F1, 0x40200000)
uc.reg_write(UC_MIPS_REG_F7, 0x40080000)
uc.reg_write(UC_MIPS_REG_F9, 0x3FF80000)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
for name in ("HI", "LO", "F0", "F1", "F2", "F4", "F5", "T0", "FCSR"):
    print(name, hex(uc.reg_read(globals()["UC_MIPS_REG_" + name])))
