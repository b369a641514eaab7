# Exits with 1*2 + 3*4 + 5*6 = 44, added up by the instruction of custom_instruction.isa.
        .equ    exit, 93
        .globl  _start
_start: la      s0, numbers
        li      s1, 3
        li      a0, 0
next:   ld      a1, 0(s0)
        ld      a2, 8(s0)
        mac     a0, a1, a2
        addi    s0, s0, 16
        addi    s1, s1, -1
        bnez    s1, next
        li      a7, exit
        ecall
        .rodata
        .balign 8
numbers:
        .dword  1, 2, 3, 4, 5, 6
