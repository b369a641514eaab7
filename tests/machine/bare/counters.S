# Counters: set, inhibited, and kept from less privileged modes.
#include "bare.h"
main:
    li   t0, 1000
    csrw minstret, t0
    csrr s0, minstret
    csrr s1, minstret
    sltu s1, s0, s1
    show i0, s1
    li   t1, 1000
    sltu s0, s0, t1
    show i1, s0
    li   t0, 4
    csrw mcountinhibit, t0
    csrr s0, minstret
    nop
    csrr s1, minstret
    sub  s1, s1, s0
    show i2, s1
    li   t0, 77
    csrw minstret, t0
    csrr s1, minstret
    show i3, s1
    csrw mcountinhibit, zero
    csrr s0, minstret
    csrr s1, minstret
    sltu s1, s0, s1
    show i4, s1
    csrw mcounteren, zero
    csrw scounteren, zero
    run_in SUPERVISOR, read_time
    run_in USER, read_time
    li   t0, 2
    csrw mcounteren, t0
    run_in SUPERVISOR, read_time
    run_in USER, read_time
    run_in USER, read_instret
    csrw scounteren, t0
    run_in USER, read_time
    li   t0, 7
    csrw mcounteren, t0
    csrw scounteren, t0
    run_in USER, read_instret
    csrw mcounteren, zero
    run_in USER, read_instret
    # stimecmp is the supervisor's only if menvcfg and mcounteren say so.
    run_in SUPERVISOR, read_deadline
    li   t0, 1 << 63
    csrs menvcfg, t0
    run_in SUPERVISOR, read_deadline
    li   t0, 2
    csrw mcounteren, t0
    run_in SUPERVISOR, read_deadline
    run_in USER, read_deadline
    finish
read_time:
    rdtime t0
    ecall
read_instret:
    rdinstret t0
    ecall
read_deadline:
    csrr t0, stimecmp
    ecall
