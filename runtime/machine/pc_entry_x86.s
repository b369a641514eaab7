# How a kernel that -kernel names is entered without firmware: pc_entry_x86.py holds it assembled, at ENTRY.
#
# A processor that was reset begins here in real mode with all segments at 0.  It goes to flat 32-bit mode and, if there
# are page tables for it, on to long mode; then to the kernel, with the registers that its boot protocol asks for.

        .code16
        cli
        cs lgdtl table
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmpl   $0x20, $flat

        .code32
flat:   mov     $0x18, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        mov     $stack, %esp
        mov     parameters, %esi
        mov     start_info, %ebx
        xor     %ebp, %ebp
        xor     %edi, %edi
        mov     pages, %edx
        test    %edx, %edx
        jnz     long
        ljmp    *kernel
long:   mov     %cr4, %eax
        or      $0x20, %al                      # PAE
        mov     %eax, %cr4
        mov     %edx, %cr3
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x100, %eax                    # EFER.LME
        wrmsr
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        ljmp    $0x10, $wide
        .code64
wide:   mov     kernel, %eax
        jmp     *%rax

        .org    0x80                            # what the board fills in
kernel: .long   0
        .word   0x10, 0
parameters:
        .long   0
start_info:
        .long   0
pages:  .long   0
table:  .word   39
        .long   descriptors
        .org    0xa0
descriptors:
        .quad   0, 0, 0, 0x00cf93000000ffff, 0x00cf9b000000ffff
        .org    0x400
stack:
