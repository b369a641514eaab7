# The host's SIGSEGV and SIGBUS on an x86-64 host, in machine code: faults_x86_64.py holds it assembled.
#
# Compiled guest code touches guest memory without asking first.  An access the host refuses comes here, and goes on
# where the table of its code says (`tables`, made by the compiler beside the code).  Any other access to guest memory
# is the emulator's own, and allowed: the page is opened and noted (`opened`), for whoever enters guest code next to
# close it.  What is neither is handed on to the handler there was before.

        .intel_syntax noprefix

# handler(signal, siginfo, ucontext)
handler:
        mov     eax, [rsi + 8]                  # si_code: 0 or below when somebody sent it
        test    eax, eax
        jle     pass_on
        mov     r8, [rdx + 168]                 # the rip of the access
        lea     r9, [rip + tables]
        mov     rcx, [r9]                       # how many
        mov     r9, [r9 + 8]                    # {first byte of code, end, first entry, entries} each
next_table:
        sub     rcx, 1
        jb      not_compiled
        mov     rax, rcx
        shl     rax, 5
        cmp     r8, [r9 + rax]
        jb      next_table
        cmp     r8, [r9 + rax + 8]
        jae     next_table
        mov     r10, [r9 + rax + 16]
        mov     r11, [r9 + rax + 24]
next_entry:                                     # {access - here, landing - here}, 32 bits each
        sub     r11, 1
        jb      next_table
        movsxd  rax, dword ptr [r10]
        add     rax, r10
        cmp     rax, r8
        je      found
        add     r10, 8
        jmp     next_entry
found:
        movsxd  rax, dword ptr [r10 + 4]
        lea     rax, [r10 + rax + 4]
        mov     [rdx + 168], rax
        ret

not_compiled:
        cmp     edi, 11                         # SIGBUS: the page is behind its file's end
        jne     pass_on
        mov     r8, [rsi + 16]                  # si_addr
        and     r8, -4096
        lea     r9, [rip + guarded]
        mov     rcx, [r9]
        mov     r9, [r9 + 8]                    # {first byte, end, where opened pages are noted, -} each
next_memory:
        sub     rcx, 1
        jb      pass_on
        mov     rax, rcx
        shl     rax, 5
        cmp     r8, [r9 + rax]
        jb      next_memory
        cmp     r8, [r9 + rax + 8]
        jae     next_memory
        mov     r10, [r9 + rax + 16]            # u64: how many, then addresses of pages
        push    rdi
        push    rsi
        push    rdx
        push    r8
        push    r10
        mov     rdi, r8
        mov     esi, 4096
        mov     edx, 3                          # PROT_READ | PROT_WRITE
        mov     eax, 10                         # mprotect
        syscall
        pop     r10
        pop     r8
        pop     rdx
        pop     rsi
        pop     rdi
        test    rax, rax
        jnz     pass_on
        mov     eax, 1
        lock xadd [r10], rax
        cmp     rax, 511                        # past that only the count matters: all are closed then
        jae     done
        mov     [r10 + 8 * rax + 8], r8
done:
        ret

pass_on:
        lea     r9, [rip + before_segv]
        lea     rax, [rip + before_bus]
        cmp     edi, 11
        cmovne  r9, rax
        mov     rax, [r9]
        cmp     rax, 1
        jbe     default
        jmp     rax
default:                                        # rt_sigaction(signal, default, 0, 8): the fault repeats and kills
        lea     rsi, [rip + nothing]
        xor     edx, edx
        mov     r10d, 8
        mov     eax, 13
        syscall
        ret

        .balign 16
restorer:
        mov     eax, 15                         # rt_sigreturn
        syscall

        .org 4096                               # a page of its own, writable
tables:
        .quad   0, 0
guarded:
        .quad   0, 0
before_segv:
        .quad   0
before_bus:
        .quad   0
nothing:
        .zero   32
