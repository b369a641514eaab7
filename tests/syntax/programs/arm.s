# A32, and where THUMB is defined Thumb-2: words beside the code, addresses by halves: prints, and exits with 42.
        @ a comment
        .syntax unified
        .arch   armv7-a
        .globl  _start
        .text
        .ifdef  THUMB
        .thumb
        .thumb_func
        .endif
_start: mov     r0, #1
        ldr     r1, =text
        mov     r2, #length
        mov     r7, #4
        svc     #0
        adr     r3, table
        ldr     r0, [r3, #4]
        ldr     r4, counter
        add     r0, r0, r4
        movw    r5, #:lower16:text
        movt    r5, #:upper16:text
        ldr     r6, =0x12345678
        push    {r4, lr}
        pop     {r4, lr}
        mov     r7, #1
        svc     #0
table:  .word   7, 41
counter: .word  1
        .ltorg
        .section .rodata
text:   .ascii  "hello from ARM\n"
        .equ    length, . - text
