# Exceptions of every kind, in every mode, taken by the machine and by the supervisor; privileged instructions.
#include "bare.h"
.macro three label
    run_in MACHINE, \label
    run_in SUPERVISOR, \label
    run_in USER, \label
.endm
main:
    li   s10, 0                         # first all to the machine, then what can be to the supervisor
again:
    .irp label, call_, break_, illegal, load_fault, store_fault, fetch_fault, misaligned, machine_csr, supervisor_csr
    three \label
    .endr
    .irp label, do_mret, do_sret, do_fence, read_satp
    run_in SUPERVISOR, \label
    run_in USER, \label
    .endr
    run_in USER, do_wfi
    csrwi mideleg, 2                    # with something pending that is not taken, waiting is short
    csrsi mip, 2
    csrsi mie, 2
    run_in SUPERVISOR, do_wfi
    csrci mie, 2
    csrci mip, 2
    li   t0, 7 << 20                    # TVM, TW, TSR
    csrs mstatus, t0
    .irp label, do_sret, do_wfi, do_fence, read_satp
    run_in SUPERVISOR, \label
    .endr
    li   t0, 7 << 20
    csrc mstatus, t0
    bnez s10, over
    li   s10, 1
    li   t0, 0xb1ff
    csrw medeleg, t0
    csrr s7, medeleg
    li   t0, 0xb3ff
    and  s7, s7, t0
    show ed, s7
    j    again
over:
    # From the supervisor's trap to where it came from: SPP and SPIE.
    la   t0, returned
    csrw sepc, t0
    li   t0, 1 << 8 | 1 << 5            # SPP, SPIE
    csrs sstatus, t0
    run_in SUPERVISOR, return_
    li   t0, 1 << 8
    csrc sstatus, t0
    run_in SUPERVISOR, return_
    # MPRV holds until a return to less than machine mode.
    la   s11, 1f
    li   t0, MPP | 1 << 17 | 1 << 7
    csrs mstatus, t0
    la   t0, 1f
    csrw mepc, t0
    mret
1:  csrr s7, mstatus
    show pr, s7
    run_in USER, call_
    finish
return_:
    sret
returned:
    ecall

call_:       ecall
break_:      ebreak
illegal:     .word 0xffffffff
load_fault:
    li   t0, NOWHERE + 1
    lb   t0, 0(t0)
store_fault:
    li   t0, NOWHERE + 8
    sd   t0, 0(t0)
fetch_fault:
    li   t0, NOWHERE + 4
    jr   t0
misaligned:
    la   t0, word
    lr.w t1, (t0)
    addi t0, t0, 2
    lr.w t1, (t0)
machine_csr:
    csrr t0, mscratch
    ecall
supervisor_csr:
    csrr t0, sscratch
    ecall
do_mret:
    mret
do_sret:
    la   t0, 1f
    csrw sepc, t0
    sret
1:  ecall
do_wfi:
    wfi
    ecall
do_fence:
    sfence.vma
    sfence.vma t0, t0
    ecall
read_satp:
    csrr t0, satp
    ecall
.data
.align 3
word: .dword 0, 0
.text
