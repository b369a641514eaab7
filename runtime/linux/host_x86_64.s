# What the Linux layer needs in machine code on an x86-64 host: host_x86_64.py holds it assembled.
#
# A system call made for the guest must not sleep if a signal for the guest came just before it.  So `call` looks at
# `pending` right before the syscall instruction, and a handler that interrupts it between the look and the sleep sends
# it to `interrupted`: the two are as one.

        .intel_syntax noprefix

# long call(number, a, b, c, d, e, f): -errno as Linux gives it; -512, and nothing done, when a signal is pending
call:
        mov     rax, rdi
        mov     rdi, rsi
        mov     rsi, rdx
        mov     rdx, rcx
        mov     r10, r8
        mov     r8, r9
        mov     r9, [rsp + 8]
begin:
        cmp     dword ptr [rip + pending], 0
        jne     interrupted
        syscall
end:
        ret
interrupted:
        mov     rax, -512
        ret

# The same whatever is pending: for calls that do not wait.
        .balign 16
plain:
        mov     rax, rdi
        mov     rdi, rsi
        mov     rsi, rdx
        mov     rdx, rcx
        mov     r10, r8
        mov     r8, r9
        mov     r9, [rsp + 8]
        syscall
        ret

# The handler of every signal the guest wants to know of: (signal, siginfo, ucontext).
        .balign 16
handler:
        mov     eax, [rsi + 8]                  # si_code: above 0 it may be a fault of the emulator's own
        test    eax, eax
        jle     sent
        mov     ecx, edi
        mov     eax, 0x9b0                      # SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV
        bt      rax, rcx
        jc      fault
sent:
        mov     dword ptr [rip + pending], 1
        lea     rdi, [rip + information]
        mov     ecx, 16
        rep movsq
        mov     qword ptr [rdx + 296], -1       # uc_sigmask: no further signal until this one is taken
        mov     rax, [rdx + 168]                # the interrupted rip
        lea     rcx, [rip + begin]
        cmp     rax, rcx
        jb      done
        lea     rcx, [rip + end]
        cmp     rax, rcx
        jae     done
        lea     rcx, [rip + interrupted]
        mov     [rdx + 168], rcx
done:
        ret
fault:                                          # rt_sigaction(signal, default, 0, 8): the fault repeats and kills
        lea     rsi, [rip + default]
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
pending:
        .quad   0
        .org 4096 + 64
information:
        .zero   128
default:
        .zero   32
