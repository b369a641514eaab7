"""user_entry_x86_64.s assembled: the level-0 code of a user program's machine, and where its parts are."""

from __future__ import annotations

_PAGE = 4096
_HLT = b"\xf4"
_VECTORS = 32
_PAGE_FAULT = 14

#: offsets of its parts; the first page is for both levels, the second for level 0 alone
CALL, RETURN_CALL, FIRST_VECTOR, RETURN_FRAME = 0, 2, _PAGE, _PAGE + 0x200
VECTOR_BYTES = 16
END = RETURN_FRAME + 2
#: ports that say what happened: a system call, or exception n at EXCEPTION_PORT + n
CALL_PORT, EXCEPTION_PORT = 0x80, 0x40


def _entry(vector: int) -> bytes:
    # push %rax; mov %cr2, %rax
    saved = b"\x50\x0f\x20\xd0" if vector == _PAGE_FAULT else b""
    return (saved + bytes((0xE6, EXCEPTION_PORT + vector))).ljust(VECTOR_BYTES, _HLT)


#: out %al, $CALL_PORT; sysretq
_CALL = bytes((0xE6, CALL_PORT)) + b"\x48\x0f\x07"
CODE = _CALL.ljust(_PAGE, _HLT) + b"".join(map(_entry, range(_VECTORS))) + b"\x48\xcf"
