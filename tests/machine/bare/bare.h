# What the bare programs share: they start in machine mode at the beginning of RAM, write to the UART, and end the
# machine through the test device.  Registers a0-a2 and t0-t6 are anybody's; s11 is where to go on after a trap.
.option norvc
.option nopic
.equ UART, 0x10000000
.equ FINISH, 0x100000
.equ CLINT, 0x2000000
.equ PASS, 0x5555
.equ NOWHERE, 0x90000000                # behind the RAM
.equ USER, 0
.equ SUPERVISOR, 1
.equ MACHINE, 3
.equ MPP, 3 << 11

.macro say char
    li   a0, \char
    call put
.endm
.macro show name, reg                   # a name, a value, the end of the line
    mv   a1, \reg
    la   a2, 88f
    call show_value
    .pushsection .rodata
88: .asciz "\name"
    .popsection
.endm
.macro try_here                         # a trap from here on goes on behind `tried`
    la   s11, 77f
.endm
.macro tried
77:
.endm
.macro run_in mode, label               # run in a mode; the next trap comes back here, in machine mode
    la   s11, 78f
    li   t0, MPP
    csrc mstatus, t0
    li   t0, \mode << 11
    csrs mstatus, t0
    la   t0, \label
    csrw mepc, t0
    mret
78:
.endm
.macro finish
    li   t0, FINISH
    li   t1, PASS
    sw   t1, 0(t0)
9:  j    9b
.endm

.section .text.start, "ax"
.globl _start
_start:
    la   sp, stack
    la   t0, machine_trap
    csrw mtvec, t0
    la   t0, supervisor_trap
    csrw stvec, t0
    li   t0, -1                         # everything is allowed
    csrw pmpaddr0, t0
    li   t0, 0x1f
    csrw pmpcfg0, t0
    j    main

.text
put:
    li   t6, UART
    sb   a0, 0(t6)
    ret
show_value:                             # a2: name, a1: value
    mv   t5, ra
5:  lbu  a0, 0(a2)
    beqz a0, 6f
    call put
    addi a2, a2, 1
    j    5b
6:  say  32
    li   t4, 60
1:  srl  a0, a1, t4
    andi a0, a0, 15
    li   t3, 10
    blt  a0, t3, 2f
    addi a0, a0, 39
2:  addi a0, a0, 48
    call put
    addi t4, t4, -4
    bgez t4, 1b
    say  10
    jr   t5

# Causes 2 and 3 may leave an address or an instruction in mtval, or nothing: it is not shown.
.macro show_trap letter, cause, epc, tval, status
    csrr s9, \cause
    show \letter\()c, s9
    csrr s8, \epc
    show \letter\()e, s8
    csrr s8, \tval
    addi t0, s9, -2
    li   t1, 2
    bgeu t0, t1, 1f
    li   s8, 0
1:  show \letter\()v, s8
    csrr s8, \status
#if __riscv_xlen == 64
    li   t0, ~(15 << 32)                # QEMU lets UXL be written
    and  s8, s8, t0
#endif
    show \letter\()s, s8
.endm
.align 2
machine_trap:
    csrr t0, mcause
    li   t1, 9                          # a trap of the supervisor that has been shown
    bne  t0, t1, 1f
    li   t1, 0x5e7
    bne  a7, t1, 1f
    li   a7, 0
    j    2f
1:  show_trap M, mcause, mepc, mtval, mstatus
2:  li   t0, MPP
    csrs mstatus, t0
    li   t0, 1 << 7                     # MPIE: go on with interrupts off
    csrc mstatus, t0
    csrw mepc, s11
    mret
.align 2
supervisor_trap:
    show_trap S, scause, sepc, stval, sstatus
    li   a7, 0x5e7
    ecall

.bss
.align 4
.space 4096
stack:
.text
