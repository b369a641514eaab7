"""Small guests for the API's tests: an emulator with a program at CODE and two pages of data at DATA."""

from __future__ import annotations

from isomorph import Emulator

CODE, DATA = 0x10000, 0x40000

#: sums an array while it fills it; goes through loads, stores, calls, branches and multiplication
PROGRAM = f"""
    li   s0, {DATA}
    li   s1, 20
    li   a0, 1
loop:
    call scramble
    sd   a0, 0(s0)
    lw   a2, 4(s0)
    sb   a2, 9(s0)
    addi s0, s0, 24
    amoadd.d a3, a0, (s0)
    addi s1, s1, -1
    bnez s1, loop
    j    end
scramble:
    slli a1, a0, 7
    xor  a0, a0, a1
    mul  a0, a0, s0
    addi a0, a0, 13
    ret
end:
    ecall
"""

#: rewrites an instruction of its own in a loop: addi a0, a0, 1 becomes addi a0, a0, 2 ...
SELF_MODIFYING = """
    li   s1, 5
    li   a0, 0
again:
    la   t0, patched
    lw   t1, 0(t0)
    lui  t2, 0x100
    add  t1, t1, t2
    sw   t1, 0(t0)
patched:
    addi a0, a0, 0
    addi s1, s1, -1
    bnez s1, again
    ecall
"""


#: floating point, whose flags are gathered on the side, and accesses of every width, across pages too
FLOATING = f"""
    li   s0, {DATA}
    li   s1, 9
    li   s2, {DATA + 4092}
    fcvt.d.l fa0, s1
    fsd  fa0, 0(s2)
again:
    fld  fa1, 0(s2)
    fdiv.d fa2, fa1, fa0
    fmadd.d fa3, fa2, fa1, fa0
    fsd  fa3, 0(s2)
    fcvt.w.d a1, fa3
    sh   a1, 7(s0)
    lhu  a2, 7(s0)
    fsqrt.s ft0, fa1
    frflags a3
    addi s1, s1, -1
    bnez s1, again
    ecall
"""


def emulator(text: str = PROGRAM, isa: str = "riscv64") -> Emulator:
    """A fresh emulator about to run `text`."""
    made = Emulator(isa)
    made.mem.map(CODE, 0x2000)
    made.mem.map(DATA, 0x2000, "rw")
    made.mem.write(CODE, made.isa.assemble(text, CODE))
    made.regs.pc = CODE
    return made


def state(guest: Emulator) -> tuple[dict[str, int], bytes, bytes]:
    """Everything a program can change."""
    return guest.regs.as_dict(), guest.mem.read(DATA, 0x2000), guest.mem.read(CODE, 0x2000)
