# Interrupts: priorities, delegation, vectored traps, waiting.
#include "bare.h"
.equ SSI, 1 << 1
.equ MSI, 1 << 3
.equ STI, 1 << 5
.equ MTI, 1 << 7
.equ SEI, 1 << 9
.macro clear
    csrw mie, zero
    csrw mip, zero
    csrw mideleg, zero
    li   t0, CLINT
    sw   zero, 0(t0)
    li   t0, CLINT + 0x4000
    li   t1, -1
    sd   t1, 0(t0)
    li   t0, 0xa                        # SIE, MIE
    csrc mstatus, t0
.endm
.macro pend bits
    li   t0, \bits
    csrs mip, t0
.endm
.macro enable bits
    li   t0, \bits
    csrs mie, t0
.endm
.macro arrived                          # wait for a wire from the CLINT to be seen
    .rept 8
    csrr t0, mip
    .endr
.endm
main:
    clear
    # Machine mode takes what is pending and enabled if MIE is set.
    li   t0, CLINT
    li   t1, 1
    sw   t1, 0(t0)
    li   t0, CLINT + 0x4000
    sd   zero, 0(t0)
    pend SSI | STI | SEI
    csrr s7, mip
    show p0, s7
    .irp which, 0, MSI, MTI, SEI, SSI, STI
    li   t0, \which
    csrw mie, t0
    try_here
    csrsi mstatus, 8
    nop
    tried
    csrci mstatus, 8
    .endr
    clear
    # Delegated ones are not for machine mode, and are for user mode even with SIE clear.
    li   t0, SSI | STI | SEI
    csrw mideleg, t0
    pend SSI
    enable SSI | STI | SEI
    try_here
    csrsi mstatus, 8
    nop
    tried
    csrci mstatus, 8
    run_in SUPERVISOR, call_            # SIE is clear: only the call
    run_in USER, call_
    li   t0, 2
    csrs mstatus, t0
    csrr s7, sip
    show sp, s7
    run_in SUPERVISOR, call_
    li   t0, 2
    csrc mstatus, t0
    run_in SUPERVISOR, enable_and_call
    # What the supervisor may see and clear.
    li   t0, SSI
    csrw mideleg, t0
    pend STI
    csrr s7, sip
    show sp, s7
    csrr s7, sie
    show se, s7
    li   t0, -1
    csrc sip, t0
    csrr s7, mip
    show mp, s7
    csrs sie, t0
    csrr s7, mie
    show me, s7
    clear
    # Vectored: a table of jumps, four bytes each.
    la   t0, table + 1
    csrw mtvec, t0
    li   t0, CLINT
    li   t1, 1
    sw   t1, 0(t0)
    arrived
    enable MSI
    try_here
    csrsi mstatus, 8
    nop
    tried
    la   t0, machine_trap
    csrw mtvec, t0
    clear
    # Waiting ends with something pending and enabled, whether or not it is taken.
    li   t0, CLINT + 0xbff8
    ld   t1, 0(t0)
    li   t2, 20000                      # two milliseconds
    add  t1, t1, t2
    li   t0, CLINT + 0x4000
    sd   t1, 0(t0)
    enable MTI
    wfi
    csrr s7, mip
    show w0, s7
    clear
    # The supervisor's own timer.
    li   t0, 1 << 63
    csrs menvcfg, t0
    li   t0, -1
    csrw stimecmp, t0
    pend STI                            # no longer software's
    csrr s7, mip
    show w1, s7
    enable STI
    rdtime t1
    li   t2, 20000
    add  t1, t1, t2
    csrw stimecmp, t1
    wfi
    csrr s7, mip
    show w2, s7
    li   t0, STI
    csrw mideleg, t0
    run_in USER, call_
    li   t0, -1
    csrw stimecmp, t0
    csrr s7, mip
    show w3, s7
    finish
call_:
    ecall
enable_and_call:
    csrsi sstatus, 2
    ecall
.align 2
table:
    .rept 16
    j    1f
    .endr
1:  csrr s7, mcause
    show vc, s7
    j    machine_trap
