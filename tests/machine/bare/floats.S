# mstatus.FS: off, initial, clean, dirty.
#include "bare.h"
.macro state n
    li   t0, 3 << 13
    csrc mstatus, t0
    li   t0, \n << 13
    csrs mstatus, t0
.endm
.macro after text:vararg
    try_here
    \text
    tried
    csrr s7, mstatus
    show fs, s7
.endm
main:
    la   s6, value
    .irp n, 0, 1, 2, 3
    state \n
    after fld fa0, 0(s6)
    state \n
    after fsd fa0, 0(s6)
    state \n
    after fadd.d fa1, fa0, fa0
    state \n
    after fmv.x.d t0, fa0
    state \n
    after fmv.d.x fa0, zero
    state \n
    after csrw fcsr, zero
    state \n
    after csrr t0, fcsr
    .endr
    state 2
    run_in USER, add_
    csrr s7, sstatus
    show ss, s7
    finish
add_:
    fadd.s fa1, fa0, fa0
    ecall
.data
.align 3
value: .double 1.5
.text
