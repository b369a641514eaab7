# What the Linux layer needs in machine code on an x86-64 host: host_x86_64.py holds it assembled.
#
# A system call made for the guest must not sleep if a signal for the guest came just before it.  So `call` looks at
# its thread's `pending` right before the syscall instruction, and a handler that interrupts it between the look and the
# sleep sends it to `interrupted`: the two are as one.
#
# Every host thread that runs a guest has a slot: pending (byte 0: a signal came; 1: somebody wants the thread to look
# around; 2: it found a page of a mapped file gone), its thread number, how many signals are noted, and up to two.

        .intel_syntax noprefix
        .equ    lost_one, 2
        .equ    tid, 4
        .equ    noted, 8
        .equ    siginfo, 16
        .equ    slot_bytes, 320
        .equ    kick_code, -77                  # si_code of a signal that only ends a system call

# long call(number, a, b, c, d, e, f, slot): -errno as Linux gives it; -512, and nothing done, when a signal is pending
call:
        mov     rax, rdi
        mov     rdi, rsi
        mov     rsi, rdx
        mov     rdx, rcx
        mov     r10, r8
        mov     r8, r9
        mov     r9, [rsp + 8]
        mov     r11, [rsp + 16]
begin:
        cmp     dword ptr [r11], 0
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
        call    own_slot
        cmp     dword ptr [rsi + 8], kick_code
        je      look
        lea     rdi, [r8 + siginfo]
        cmp     dword ptr [r8 + noted], 0
        je      note
        lea     rdi, [r8 + siginfo + 128]       # SIGSEGV and SIGBUS are never blocked: they may come while one waits
note:
        mov     ecx, 16
        rep movsq
        inc     dword ptr [r8 + noted]
tell:
        mov     byte ptr [r8], 1
        mov     rax, ~0x440
        or      [rdx + 296], rax                # uc_sigmask: no further signal until this one is taken
look:
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
own_slot:                                       # r8: this thread's
        mov     eax, 186                        # gettid
        syscall
        lea     r8, [rip + slots]
        mov     ecx, [rip + count]
search:
        sub     ecx, 1
        jb      stranger
        cmp     [r8 + tid], eax
        je      owner
        add     r8, slot_bytes
        jmp     search
stranger:                                       # no thread of the guest's: the first one is told
        lea     r8, [rip + slots]
owner:
        ret
# The kernel's own SIGBUS in guest memory: a mapped file was cut short.  Its page is put aside, the access goes on in a
# page of zeros in its place, and Python is told (Host.take).
fault:
        cmp     edi, 7
        jne     die
        mov     rax, [rsi + 16]                 # si_addr
        sub     rax, [rip + mapped]
        jb      die
        cmp     rax, [rip + mapped + 8]
        jae     die
        mov     ecx, 1
        xchg    ecx, [rip + losing]             # one thread at a time
        test    ecx, ecx
        jnz     again
        mov     r9, [rip + lost]
        cmp     r9, 64                          # no more room: what waits for Python comes first
        jae     die
        lea     r8, [rip + lost_pages]
        mov     [r8 + 8 * r9], rax              # as the guest counts
        shr     rax, 12
        add     rax, [rip + mapped + 16]
        mov     byte ptr [rax], 0               # no access without a fault of the guest's own from now on
        push    rdi
        push    rsi
        push    rdx
        mov     r8, r9
        shl     r8, 12
        add     r8, [rip + aside]
        mov     rdi, [rsi + 16]
        and     rdi, -4096
        push    rdi
        mov     esi, 4096
        mov     edx, 4096
        mov     r10d, 7                         # MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP: no hole is left
        mov     eax, 25                         # mremap
        syscall
        pop     rdi
        cmp     rax, -4096
        ja      put_back
        mov     esi, 4096
        mov     edx, 3                          # PROT_READ | PROT_WRITE
        mov     r10d, 0x4032                    # MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE
        mov     r8, -1
        xor     r9d, r9d
        mov     eax, 9                          # mmap
        syscall
put_back:
        pop     rdx
        pop     rsi
        pop     rdi
        cmp     rax, -4096
        ja      die
        inc     qword ptr [rip + lost]
        mov     dword ptr [rip + losing], 0
        call    own_slot
        mov     byte ptr [r8 + lost_one], 1
        # A handler of guest instructions ends its block soon: its budget (rdi, as in every handler) is taken away, and
        # from env's budget_base (r13) as well, so that the count of instructions stays right.
        mov     rax, [rdx + 168]
        sub     rax, [rip + handlers]
        jb      tell
        cmp     rax, [rip + handlers + 8]
        jae     tell
        mov     rcx, 1 << 40
        sub     [rdx + 104], rcx
        mov     rax, [rdx + 80]
        add     rax, [rip + handlers + 16]
        sub     [rax], rcx
        jmp     tell
again:                                          # the access is made again, and if need be this
        ret
die:                                            # rt_sigaction(signal, default, 0, 8): the fault repeats and kills
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

        .org 4096                               # pages of their own, writable
count:                                          # of slots that were ever used
        .long   0
losing:                                         # 1 while a thread puts a page aside
        .long   0
default:
        .zero   32
mapped:                                         # guest memory that holds mapped files: address, bytes, permission table
        .quad   0, 0, 0
handlers:                                       # the engine's handlers: address, bytes; where env has budget_base
        .quad   0, 0, 0
aside:                                          # 64 pages to put lost ones
        .quad   0
lost:                                           # how many, and the addresses whose access found them so
        .quad   0
lost_pages:
        .zero   512
        .org 4096 + 640
slots:
