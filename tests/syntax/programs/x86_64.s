# x86-64, as GNU as reads its Intel syntax: prints, and exits with 42.
        .intel_syntax noprefix
        .globl  _start
_start: mov     eax, 1
        mov     edi, 1
        lea     rsi, [rip + text]
        mov     edx, offset length
        syscall
        mov     rcx, qword ptr [rip + counter]
        inc     qword ptr [rip + counter]
        lea     rbx, table[rip]
        mov     rdi, qword ptr [rbx + rcx*8]
        call    twice
        mov     edi, eax
        mov     eax, 60
        syscall
twice:  push    rbp
        mov     rbp, rsp
        lea     eax, [rdi + rdi]
        pop     rbp
        ret
        .data
counter: .quad  1
table:  .quad   4, 21, 7
        .section .rodata
text:   .ascii  "hello from x86-64\n"
        .equ    length, . - text
