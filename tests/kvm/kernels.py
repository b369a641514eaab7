"""Kernels of ours for -kernel: bzImages of one setup sector, whose code is given."""

from __future__ import annotations

from tests.kvm.kvm import assemble

ORIGIN, SETUP = 0x100000, 0x400


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
