"""Registers of ARM: banks of vectors, status, the thread's."""

from unicorn import *
from unicorn.arm_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mrc p15, 0, r0, c13, c0, 3
#   adds r1, r1, r1
#   vadd.f32 s0, s1, s2
#   vmul.f64 d8, d2, d3
#   vadd.i32 q2, q2, q2
#   vmrs r3, fpscr
#   nop
CODE = bytes.fromhex("700f1dee011091e0810a30ee038b22ee444824f2103af1ee00f020e3")

uc = Uc(UC_ARCH_ARM, UC_MODE_ARM)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.reg_write(UC_ARM_REG_C1_C0_2, uc.reg_read(UC_ARM_REG_C1_C0_2) | 0xF << 20)
uc.reg_write(UC_ARM_REG_FPEXC, 0x40000000)
uc.reg_write(UC_ARM_REG_C13_C0_3, 0x12345678)
uc.reg_write(UC_ARM_REG_R1, 0x80000000)
uc.reg_write(UC_ARM_REG_S1, 0x3FC00000)
uc.reg_write(UC_ARM_REG_S2, 0x40200000)
uc.reg_write(UC_ARM_REG_D2, 0x4008000000000000)
uc.reg_write(UC_ARM_REG_D3, 0x3FF8000000000000)
print(hex(uc.reg_read(UC_ARM_REG_Q1)), hex(uc.reg_read(UC_ARM_REG_S6)), hex(uc.reg_read(UC_ARM_REG_D1)))
print(hex(uc.reg_read(UC_ARM_REG_CPSR)), hex(uc.reg_read(UC_ARM_REG_APSR)), hex(uc.reg_read(UC_ARM_REG_FPSCR)))
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
for name in ("R0", "R1", "S0", "D8", "Q2", "R3", "CPSR", "APSR", "APSR_NZCV", "FPSCR", "FPEXC", "PC", "R15"):
    print(name, hex(uc.reg_read(globals()["UC_ARM_REG_" + name])))
uc.reg_write(UC_ARM_REG_APSR, 0xA8050000)
print(hex(uc.reg_read(UC_ARM_REG_APSR)), hex(uc.reg_read(UC_ARM_REG_CPSR)))
uc.reg_write(UC_ARM_REG_CPSR, 0x60000010)
print(hex(uc.reg_read(UC_ARM_REG_APSR)), hex(uc.reg_read(UC_ARM_REG_CPSR)))
uc.reg_write(UC_ARM_REG_FPSCR, 0xF8C00015)
print(hex(uc.reg_read(UC_ARM_REG_FPSCR)))
for name in ("R13", "R14", "SP", "LR", "FP", "IP", "SL", "SB", "R12"):
    uc.reg_write(globals()["UC_ARM_REG_" + name], 0x1111111111)
    print(
        name,
        [hex(value) for value in uc.reg_read_batch([UC_ARM_REG_R0 + n for n in range(13)])],
        uc.reg_read(UC_ARM_REG_SP),
    )
uc.reg_write(UC_ARM_REG_PC, ADDRESS + 1)
print(hex(uc.reg_read(UC_ARM_REG_PC)), hex(uc.reg_read(UC_ARM_REG_CPSR)))
