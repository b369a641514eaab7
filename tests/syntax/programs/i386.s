# i386, as GNU as reads its Intel syntax: prints, and exits with 42.
        .intel_syntax noprefix
        .globl  _start
_start: mov     eax, 4
        mov     ebx, 1
        mov     ecx, offset text
        mov     edx, offset length
        int     0x80
        mov     eax, dword ptr counter
        add     dword ptr [counter], 41
        mov     ebx, dword ptr [counter]
        mov     esi, 1
        mov     ebx, dword ptr [table + esi*4]
        mov     eax, 1
        int     0x80
        .data
counter: .long  1
table:  .long 7, 42
        .section .rodata
text:   .ascii  "hello from i386\n"
        .equ    length, . - text
