# Translation as programs see it: rights, accessed and dirty bits, SUM, MXR, MPRV, stale translations.
#include "bare.h"
.equ V, 1
.equ R, 2
.equ W, 4
.equ X, 8
.equ U, 16
.equ A, 64
.equ D, 128
.equ AT, 0x40000000                     # the virtual address looked at: entry 1 of the root, a table of one page
.macro leaf bits                        # the page at AT is `page`, with these bits
    la   t0, page
    srli t0, t0, 2
    ori  t0, t0, \bits & 0x7ff
    la   t1, low
    sd   t0, 0(t1)
    sfence.vma
.endm
.macro shown
    la   t1, low
    ld   s7, 0(t1)
    andi s7, s7, 0xff
    show pt, s7
.endm
.macro both label
    run_in SUPERVISOR, \label
    run_in USER, \label
    shown
.endm
main:
    # The root maps RAM for the supervisor, the devices, and AT.
    la   t0, root
    li   t1, V | R | W | A | D
    sd   t1, 0(t0)                      # the first gigabyte
    li   t1, 0x80000000 >> 2 | V | R | W | X | A | D
    sd   t1, 16(t0)
    li   t1, 0x80000000 >> 2 | V | R | W | X | U | A | D
    sd   t1, 24(t0)                     # RAM again, at 0xc0000000, for users
    la   t1, middle
    srli t1, t1, 2
    ori  t1, t1, V
    sd   t1, 8(t0)
    la   t0, middle
    la   t1, low
    srli t1, t1, 2
    ori  t1, t1, V
    sd   t1, 0(t0)
    la   t0, root
    srli t0, t0, 12
    li   t1, 8 << 60
    or   t0, t0, t1
    csrw satp, t0
    sfence.vma
    .irp bits, 0, V, V | R, V | R | W, V | W, V | X, V | R | W | X, V | R | A, V | R | W | A | D
    leaf \bits
    run_in SUPERVISOR, load
    shown
    run_in SUPERVISOR, store
    shown
    run_in SUPERVISOR, jump
    shown
    .endr
    # A user's page: the supervisor's if SUM, never to be executed.
    leaf V | R | W | X | U
    run_in SUPERVISOR, load
    li   t0, 1 << 18
    csrs mstatus, t0
    run_in SUPERVISOR, load
    run_in SUPERVISOR, store
    run_in SUPERVISOR, jump
    li   t0, 1 << 18
    csrc mstatus, t0
    run_in SUPERVISOR, store
    shown
    # MXR
    leaf V | X
    run_in SUPERVISOR, load
    li   t0, 1 << 19
    csrs mstatus, t0
    run_in SUPERVISOR, load
    run_in SUPERVISOR, store
    li   t0, 1 << 19
    csrc mstatus, t0
    run_in SUPERVISOR, load
    # MPRV: machine mode as if it were the supervisor.
    leaf V | R
    li   t0, MPP
    csrc mstatus, t0
    li   t0, 1 << 11 | 1 << 17
    csrs mstatus, t0
    try_here
    li   t0, AT
    ld   s7, 0(t0)
    show mp, s7
    li   t0, AT
    sd   t0, 0(t0)
    tried
    li   t0, 1 << 17
    csrc mstatus, t0
    shown
    # What is not canonical, and a superpage that is not aligned.
    run_in SUPERVISOR, far
    la   t0, middle
    li   t1, 0x80001000 >> 2 | V | R | W | A | D
    sd   t1, 0(t0)
    sfence.vma
    run_in SUPERVISOR, load
    la   t0, middle
    la   t1, low
    srli t1, t1, 2
    ori  t1, t1, V
    sd   t1, 0(t0)
    sfence.vma
    # User mode runs from the copy of RAM that is its own.
    leaf V | R | W | U
    la   s11, 1f
    li   t0, MPP
    csrc mstatus, t0
    la   t0, user
    li   t1, 0x40000000
    add  t0, t0, t1
    csrw mepc, t0
    mret
1:  shown
    # Protection of physical memory counts, too: the page is not to be written.
    la   t0, page
    srli t0, t0, 2
    ori  t0, t0, 0x1ff
    csrw pmpaddr0, t0
    li   t0, -1
    csrw pmpaddr1, t0
    li   t0, 0x1f19
    csrw pmpcfg0, t0
    leaf V | R | W
    run_in SUPERVISOR, load
    run_in SUPERVISOR, store
    finish
load:
    li   t0, AT
    ld   t1, 0(t0)
    ecall
store:
    li   t0, AT
    sd   t1, 8(t0)
    ecall
jump:
    li   t0, AT + 16
    jr   t0
far:
    li   t0, 1 << 40
    ld   t0, 0(t0)
user:
    li   t0, AT
    ld   t1, 0(t0)
    li   t0, 0x80000000
    ld   t1, 0(t0)
.data
.align 12
root:   .space 4096
middle: .space 4096
low:    .space 4096
page:   .dword 0x1234
        .dword 0
        .word 0x73                      # ecall
        .space 4076
.text
