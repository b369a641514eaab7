# A processor of 32 bits: what it says of itself, arithmetic, traps of each mode, and Sv32 with pages of both sizes.
#include "bare.h"
.equ LEAF, 0xcf                         # V R W X A D
.equ READ_ONLY, 0x43                    # V R A
main:
    csrr s7, misa
    srli s7, s7, 30
    show xl, s7
    li   t0, 1 << 13                   # floating point: FS
    csrs mstatus, t0
    li   s0, 0x87654321
    li   s1, 0xfedcba98
    mulhu s7, s0, s1
    show mu, s7
    div  s7, s0, s1
    show di, s7
    fcvt.d.w fa0, s0
    fcvt.d.wu fa1, s1
    fmul.d fa0, fa0, fa1
    fclass.d s7, fa0
    show fc, s7
    fcvt.w.d s7, fa0
    show fw, s7
    .irp label, call_, illegal, load_fault
    run_in MACHINE, \label
    run_in SUPERVISOR, \label
    run_in USER, \label
    .endr
    run_in SUPERVISOR, do_sret
    li   t0, 2                          # it waits for a software interrupt that is there, and is not taken
    csrs mip, t0
    csrs mie, t0
    wfi
    csrc mie, t0
    csrc mip, t0
    la   t0, root
    li   t1, 0x80000000 >> 2 | LEAF     # where the program is, as it is: 4 MB
    li   t2, 4 * 512
    add  t2, t2, t0
    sw   t1, 0(t2)
    li   t1, UART >> 2 | LEAF
    sw   t1, 4 * 64(t0)
    la   t1, second                     # 4 MB of small pages, two of them there
    srli t1, t1, 12
    slli t1, t1, 10
    ori  t1, t1, 1
    sw   t1, 4(t0)
    la   t1, page
    srli t1, t1, 12
    slli t1, t1, 10
    la   t2, second
    ori  t3, t1, READ_ONLY
    sw   t3, 4(t2)
    ori  t3, t1, LEAF
    sw   t3, 0(t2)
    srli t0, t0, 12
    li   t1, 1 << 31
    or   t0, t0, t1
    csrw satp, t0
    csrr s7, satp
    srli s7, s7, 22
    show sa, s7
    sfence.vma
    run_in SUPERVISOR, mapped
    run_in SUPERVISOR, read_only
    run_in SUPERVISOR, nowhere
    run_in USER, mapped
    la   t0, page
    lw   s7, 0(t0)
    show pg, s7
    finish

call_:
    ecall
illegal:
    .word 0
load_fault:
    li   t0, NOWHERE
    lw   s7, 0(t0)
do_sret:
    la   t0, 1f
    csrw sepc, t0
    sret
1:  ecall
mapped:
    li   t0, 0x400000
    lw   s7, 0(t0)
    addi s7, s7, 1
    sw   s7, 0(t0)
    show ma, s7
    ecall
read_only:
    li   t0, 0x401000
    lw   s7, 0(t0)
    show ro, s7
    sw   s7, 0(t0)
nowhere:
    li   t0, 0x402000
    lw   s7, 4(t0)
.data
.align 12
root: .space 4096
second: .space 4096
page: .word 0x1234
    .space 4092
.text
