# Says hello.  Assemble and run it with
#     isomorph asm examples/hello.s -o hello && isomorph run ./hello

        .equ    write, 64               # Linux system calls
        .equ    exit, 93

        .text
        .globl  _start
_start:
        li      a0, 1                   # standard output
        la      a1, message
        li      a2, length
        li      a7, write
        ecall
        li      a0, 0
        li      a7, exit
        ecall

        .rodata
message:
        .ascii  "Hello from an instruction set written once.\n"
        .equ    length, . - message
