# All that runs at level 0 in the machine of a user program: user_entry_x86_64.py holds it assembled.
#
# It hands over and takes back, nothing else: an OUT leaves the machine, its port says what happened, and the emulator
# goes on at `return_call` or `return_frame`.

        # One page that user level may execute, too: some KVMs leave the level at 3 when they carry out SYSCALL.
call:                                           # IA32_LSTAR: rcx and r11 hold the program's rip and flags
        out     %al, $0x80
return_call:
        sysretq

        # A page that user level cannot see.
        .org    0x1000, 0xf4
vector = 0
        .rept   32                              # an entry every 16 bytes, for each exception
        .balign 16, 0xf4
        .if     vector == 14
        push    %rax
        mov     %cr2, %rax
        .endif
        out     %al, $0x40 + vector
vector = vector + 1
        .endr
        .org    0x1200, 0xf4
return_frame:                                   # rsp points to rip, cs, flags, rsp, ss
        iretq
