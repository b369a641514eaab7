# Timers that come while the processor is falling asleep: 4,000 of them, up to 12.7 us ahead, and none is slept through.
#include "bare.h"
.equ STI, 1 << 5
main:
    li   t0, 1 << 63                    # menvcfg.STCE
    csrs menvcfg, t0
    li   t0, STI
    csrs mie, t0
    li   s0, 4000
    li   s1, 0
    li   s2, STI
again:
    andi t2, s0, 127
    rdtime t1
    add  t1, t1, t2
    csrw stimecmp, t1
    wfi
    csrr t1, mip
    and  t1, t1, s2
    snez t1, t1
    add  s1, s1, t1
    li   t0, -1
    csrw stimecmp, t0
    addi s0, s0, -1
    bnez s0, again
    show woken, s1
    finish
