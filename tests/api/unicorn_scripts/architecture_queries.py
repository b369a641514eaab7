"""What a machine says of itself, and machines there are not."""

from unicorn import *
from unicorn.x86_const import *

uc = Uc(UC_ARCH_X86, UC_MODE_64)
for arch, mode in (
    (UC_ARCH_X86, UC_MODE_16),
    (UC_ARCH_X86, UC_MODE_64),
    (UC_ARCH_ARM, UC_MODE_THUMB),
    (UC_ARCH_MIPS, UC_MODE_MIPS32 | UC_MODE_BIG_ENDIAN),
    (UC_ARCH_RISCV, UC_MODE_RISCV64),
):
    machine = Uc(arch, mode)
    print(machine.query(UC_QUERY_ARCH), machine.query(UC_QUERY_MODE))
    print(uc_arch_supported(arch))
for arch, mode in ((UC_ARCH_X86, 1), (UC_ARCH_MIPS, 0)):
    try:
        Uc(arch, mode)
    except UcError as error:
        print(error.errno)
for kind in (0, 12345):
    try:
        uc.hook_add(UC_HOOK_INSN, print, None, 1, 0, kind)
    except UcError as error:
        print(error.errno)
