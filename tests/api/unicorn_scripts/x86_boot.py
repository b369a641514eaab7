"""A boot sector's code: segments, BIOS calls, a far jump, ports."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x7C00
DATA = 0x40000
#   xor ax, ax
#   mov ds, ax
#   mov ss, ax
#   mov sp, 0x7c00
#   mov si, OFFSET text
#   again:
#   lodsb
#   test al, al
#   jz done
#   mov ah, 14
#   int 0x10
#   jmp again
#   done:
#   mov ax, 0x4000
#   mov es, ax
#   mov es:[3], sp
#   out 0x20, al
#   pushf
#   cli
#   hlt
#   nop
#   text: .asciz "Boot!"
CODE = bytes.fromhex("31c08ed88ed0bc007cbe277cac84c07406b40ecd10ebf5b800408ec02689260300e6209cfaf490426f6f742100")

uc = Uc(UC_ARCH_X86, UC_MODE_16)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.mem_map(0, 0x7000)
shown = []


def hook_bios(uc, number, user_data):
    print(
        hex(number), hex(uc.reg_read(UC_X86_REG_IP)), hex(uc.reg_read(UC_X86_REG_EIP)), hex(uc.reg_read(UC_X86_REG_AH))
    )
    shown.append(chr(uc.reg_read(UC_X86_REG_AL)))


uc.hook_add(UC_HOOK_INTR, hook_bios)
uc.hook_add(UC_HOOK_CODE, lambda uc, address, size, user_data: print(hex(address), size))
uc.hook_add(
    UC_HOOK_INSN,
    lambda uc, port, size, value, user_data: print("out", hex(port), size, value),
    aux1=UC_X86_INS_OUT,
)
uc.emu_start(ADDRESS, ADDRESS + 0x1000)
print("".join(shown), hex(uc.reg_read(UC_X86_REG_SP)), uc.mem_read(DATA + 3, 2).hex(), hex(uc.reg_read(UC_X86_REG_ES)))
print(hex(uc.reg_read(UC_X86_REG_IP)))
