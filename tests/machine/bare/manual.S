# What the manual says and QEMU 7.2 does otherwise or leaves out; each line's meaning stands beside it.  Not for QEMU.
#include "bare.h"
.macro held name, csr, value            # write, and show what was kept
    li   s7, \value
    csrw \csr, s7
    csrr s7, \csr
    show \name, s7
.endm
main:
    # Counting is exact (3.1.10): the write is not counted, each instruction after it is.
    li   t0, 1000
    csrw minstret, t0
    csrr s0, minstret
    csrr s1, minstret
    show i0, s0                         # 1000
    show i1, s1                         # 1001
    csrwi mcountinhibit, 4              # counted: when it is executed, counting is on
    csrr s0, minstret
    csrwi mcountinhibit, 0
    csrr s1, minstret
    sub  s1, s1, s0
    show i2, s1                         # 0
    # Privilege 2 does not exist (3.1.6.1): MPP keeps what it held.
    li   t1, MPP
    csrs mstatus, t1
    li   t1, 0x800
    csrc mstatus, t1
    csrr s7, mstatus
    li   t1, MPP
    and  s7, s7, t1
    show mp, s7                         # 1800
    # Writing without reading is reserved (3.7.1); reserved bits are zero; locked entries stay (3.7.1.2).
    held c0, pmpcfg0, 0x021f            # 001f
    held c1, pmpcfg0, 0x607f1f          # 001f1f
    li   t0, 0x1000
    csrw pmpaddr2, t0
    csrw pmpaddr3, t0
    held c2, pmpcfg0, 0x88001f          # entry 2 is locked and reaches from 1's address
    held c3, pmpcfg0, 0x9f001f          # 88001f
    held a1, pmpaddr1, 0x55             # 0, as it was: entry 2 reaches from there
    held a2, pmpaddr2, 0x55             # 1000
    held a3, pmpaddr3, 0x55             # 55
    # The most urgent first (3.1.9): MEI, MSI, MTI, SEI, SSI, STI.
    li   t0, CLINT
    li   t1, 1
    sw   t1, 0(t0)
    li   t0, CLINT + 0x4000
    sd   zero, 0(t0)
    li   t0, 0x222
    csrs mip, t0
    li   t0, 0x2aa
    csrw mie, t0
    .irp bit, 3, 7, 9, 1, 5
    try_here
    csrsi mstatus, 8
    nop
    tried
    csrci mstatus, 8
    li   t0, 1 << \bit
    csrc mie, t0
    .endr
    csrw mie, zero
    # A table that is not in memory: the fault of an access, not of a page (4.3.2).
    li   t0, 8 << 60 | NOWHERE >> 12
    csrw satp, t0
    sfence.vma
    la   s11, 1f
    li   t0, MPP
    csrc mstatus, t0
    li   t0, 1 << 11 | 1 << 17
    csrs mstatus, t0
    lb   t0, 64(zero)                   # cause 5
1:  li   t0, 1 << 17
    csrc mstatus, t0
    finish
