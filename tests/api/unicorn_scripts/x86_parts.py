"""Parts of registers, read and written."""

from unicorn import *
from unicorn.x86_const import *

uc = Uc(UC_ARCH_X86, UC_MODE_64)
names = (
    "RAX EAX AX AL AH RBX EBX BX BL BH RCX ECX CX CL CH RDX EDX DX DL DH RSI ESI SI SIL RDI EDI DI DIL "
    "RBP EBP BP BPL RSP ESP SP SPL " + " ".join(f"R{n} R{n}D R{n}W R{n}B" for n in range(8, 16))
).split()
for number, name in enumerate(names):
    uc.reg_write(globals()["UC_X86_REG_" + name], 0x1122334455667788 + 0x0101010101010101 * number)
    print(name, [hex(uc.reg_read(globals()["UC_X86_REG_" + other])) for other in names])
for value in (0x202, 0xCD7, 0xFFFFFFFF, 0):
    uc.reg_write(UC_X86_REG_EFLAGS, value)
    print([hex(uc.reg_read(r)) for r in (UC_X86_REG_EFLAGS, UC_X86_REG_RFLAGS, UC_X86_REG_FLAGS)])
uc.reg_write(UC_X86_REG_RIP, 0x123456789)
print([hex(uc.reg_read(r)) for r in (UC_X86_REG_RIP, UC_X86_REG_EIP, UC_X86_REG_IP)])
uc.reg_write(UC_X86_REG_XMM3, 0x112233445566778899AABBCCDDEEFF00)
uc.reg_write(UC_X86_REG_YMM4, 0x1234 << 200 | 5)
print([hex(uc.reg_read(r)) for r in (UC_X86_REG_XMM3, UC_X86_REG_YMM3, UC_X86_REG_XMM4, UC_X86_REG_YMM4)])
uc.reg_write_batch(((UC_X86_REG_RAX, 1), (UC_X86_REG_R15, 2), (UC_X86_REG_XMM0, 3 << 64)))
print(uc.reg_read_batch((UC_X86_REG_RAX, UC_X86_REG_R15, UC_X86_REG_XMM0, UC_X86_REG_EAX)))
for name in (
    "CS",
    "DS",
    "ES",
    "SS",
    "FS",
    "GS",
    "CR0",
    "CR2",
    "CR3",
    "CR4",
    "DR0",
    "DR7",
    "GDTR",
    "IDTR",
    "TR",
    "LDTR",
):
    print(name, uc.reg_read(globals()["UC_X86_REG_" + name]))
for name in ("DS", "ES", "CR2", "DR0"):
    uc.reg_write(globals()["UC_X86_REG_" + name], 0x10)
    print(name, uc.reg_read(globals()["UC_X86_REG_" + name]))
uc.reg_write(UC_X86_REG_GDTR, (0, 0x3000, 0x1000, 0))
print(uc.reg_read(UC_X86_REG_GDTR))
for register, value in ((UC_X86_REG_FP0, 5), (UC_X86_REG_GDTR, (1, 2)), (UC_X86_REG_RAX, (1, 2))):
    try:
        uc.reg_write(register, value)
    except TypeError:
        print("TypeError", register)
