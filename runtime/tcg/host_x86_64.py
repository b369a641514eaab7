"""What lowered code and its compiler know of an x86-64 host: the target, and its FP flags in MXCSR.

MXCSR is reached by inline assembly: LLVM's intrinsics for it are declared to touch nothing but the memory they store
to, so two reads around FP operations would be taken for one.
"""

from __future__ import annotations

TRIPLE = "x86_64-unknown-linux-gnu"
#: instructions that store MXCSR to, and load it from, 4 bytes at a pointer
STORE_FP_STATE = 'call void asm sideeffect "stmxcsr $0", "=*m,~{memory}"(ptr elementtype(i32) %s) #0'
LOAD_FP_STATE = 'call void asm sideeffect "ldmxcsr $0", "*m,~{memory}"(ptr elementtype(i32) %s) #0'
#: bit of MXCSR (AMD64 volume 1, 4.2.2) and bit of the op fpflags_get, for: invalid, divide by zero, overflow,
#: underflow, inexact.  Bit 1, a denormal operand, has no counterpart in IEEE 754.
FP_FLAGS = ((0, 4), (2, 3), (3, 2), (4, 1), (5, 0))
FP_FLAGS_MASK = 0x3F
