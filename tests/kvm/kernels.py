"""Kernels of ours for -kernel: bzImages of one setup sector, whose code is given."""

from __future__ import annotations

from tests.kvm.kvm import assemble

ORIGIN, SETUP = 0x100000, 0x400
#: for code in 32-bit or 64-bit mode: over the serial port `say` the text at esi, a `letter` in al, the `number` in ebx;
#: and `end` by ACPI
SAY = """
say:    lodsb
        test %al, %al
        jz 1f
        mov $0x3f8, %dx
        out %al, %dx
        jmp say
1:      ret
letter: mov $0x3f8, %dx
        out %al, %dx
        ret
number: mov $8, %ecx                    # in hexadecimal
2:      rol $4, %ebx
        mov %bl, %al
        and $15, %al
        add $0x30, %al
        cmp $0x3a, %al
        jb 3f
        add $0x27, %al
3:      mov $0x3f8, %dx
        out %al, %dx
        dec %ecx
        jnz 2b
        mov $0x20, %al
        jmp letter
end:    mov $0x604, %dx
        mov $0x2000, %ax
        out %ax, %dx
4:      hlt
        jmp 4b
"""


def image(name: str, narrow: str, wide: str = "") -> bytes:
    """A bzImage: what it does in 32-bit mode, or, if there is `wide`, in 64-bit mode."""
    source = f"""
        .code32
        .org 0x1f1
        .byte 1
        .org 0x1fe
        .word 0xaa55
        .byte 0xeb, 0x66                # the header ends at 0x268
        .ascii "HdrS"
        .word 0x020f
        .org 0x211
        .byte 1
        .long {ORIGIN}
        .org 0x22c
        .long 0x7fffffff
        .long 0x1000
        .byte 1, 12                     # relocatable
        .word {int(bool(wide))}
        .long 64
        .org 0x258
        .quad {ORIGIN}
        .long 0x8000
        .org {SETUP}
        {narrow if not wide else "hlt"}
        .org {SETUP} + 0x200
        .code64
        {wide}
    """
    return assemble(source, name, ORIGIN - SETUP)
