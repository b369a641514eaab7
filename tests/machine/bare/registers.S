# What machine-mode registers keep of ones, zeros and a pattern, and which of them there are.  Masks leave out what
# belongs to extensions, and what QEMU lets be written against the manual.
#include "bare.h"
.macro keeps name, csr, mask=-1
    try_here
    csrr s7, \csr
    li   s6, \mask
    and  s7, s7, s6
    show \name, s7
    li   s5, -1
    csrw \csr, s5
    csrr s7, \csr
    and  s7, s7, s6
    show \name, s7
    li   s5, 0x5a5a5a5a5a5a5a5a
    csrrc s4, \csr, s5
    and  s4, s4, s6
    show \name, s4
    csrr s7, \csr
    and  s7, s7, s6
    show \name, s7
    csrrwi s4, \csr, 9
    csrrsi s4, \csr, 6
    csrr s7, \csr
    and  s7, s7, s6
    show \name, s7
    csrw \csr, zero
    tried
.endm
main:
    keeps st, mstatus, 0x80000000007e79aa
    keeps ss, sstatus, 0x80000000000c6122
    keeps ed, medeleg, 0xb3ff
    keeps id, mideleg, 0x222
    keeps ie, mie, 0xaaa
    keeps se, sie
    li   t0, 0x222
    csrw mideleg, t0
    keeps ip, mip, 0x222
    keeps si, sip, 0xfff
    keeps sI, sie, 0xfff
    keeps me, mepc, ~1
    keeps Se, sepc, ~1
    keeps mc, mcause
    keeps Sc, scause
    keeps mv, mtval
    keeps Sv, stval
    keeps mx, mscratch
    keeps Sx, sscratch
    keeps ce, mcounteren, 7
    keeps cS, scounteren, 7
    keeps mi, menvcfg, 0x8000000000000001
    keeps Si, senvcfg, 1
    keeps a1, pmpaddr1, (1 << 54) - 1
    keeps af, pmpaddr15, (1 << 54) - 1
    keeps tc, stimecmp
    keeps fc, fcsr                    # with the unit off: illegal
    li   t0, 3 << 13
    csrs mstatus, t0
    keeps Fc, fcsr
    keeps ff, fflags
    keeps fr, frm
    keeps sa, satp, 0x0fffffffffffffff  # what mode there is with all ones is not one
    li   t0, 8 << 60 | 5
    csrw satp, t0
    li   t1, 3 << 60 | 7                # a mode there is none of: nothing changes
    csrw satp, t1
    csrr s7, satp
    show sm, s7
    csrw satp, zero
    la   t0, machine_trap
    ori  t1, t0, 1
    csrw mtvec, t1
    csrr s7, mtvec
    show tv, s7
    csrw mtvec, t0
    # There are none of these, or they cannot be written.
    .irp csr, 0x7a0 + 0x1f, 0x5c0, 0x000, 0xfc0, 0xcff, 0x600 + 0x7f
    try_here
    csrr s7, \csr
    say  63
    tried
    .endr
    .irp csr, mhartid, mvendorid, cycle, time
    try_here
    csrw \csr, zero
    say  63
    tried
    .endr
    csrr s7, mhartid
    show hi, s7
    finish
