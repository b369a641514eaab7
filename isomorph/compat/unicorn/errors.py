"""`UcError` and what Unicorn says of its numbers."""

from __future__ import annotations

from isomorph.compat.unicorn import unicorn_const as uc

_MESSAGES = {
    uc.UC_ERR_OK: "OK (UC_ERR_OK)",
    uc.UC_ERR_NOMEM: "No memory available or memory not present (UC_ERR_NOMEM)",
    uc.UC_ERR_ARCH: "Invalid/unsupported architecture (UC_ERR_ARCH)",
    uc.UC_ERR_HANDLE: "Invalid handle (UC_ERR_HANDLE)",
    uc.UC_ERR_MODE: "Invalid mode (UC_ERR_MODE)",
    uc.UC_ERR_READ_UNMAPPED: "Invalid memory read (UC_ERR_READ_UNMAPPED)",
    uc.UC_ERR_WRITE_UNMAPPED: "Invalid memory write (UC_ERR_WRITE_UNMAPPED)",
    uc.UC_ERR_FETCH_UNMAPPED: "Invalid memory fetch (UC_ERR_FETCH_UNMAPPED)",
    uc.UC_ERR_HOOK: "Invalid hook type (UC_ERR_HOOK)",
    uc.UC_ERR_INSN_INVALID: "Invalid instruction (UC_ERR_INSN_INVALID)",
    uc.UC_ERR_MAP: "Invalid memory mapping (UC_ERR_MAP)",
    uc.UC_ERR_WRITE_PROT: "Write to write-protected memory (UC_ERR_WRITE_PROT)",
    uc.UC_ERR_READ_PROT: "Read from non-readable memory (UC_ERR_READ_PROT)",
    uc.UC_ERR_FETCH_PROT: "Fetch from non-executable memory (UC_ERR_FETCH_PROT)",
    uc.UC_ERR_ARG: "Invalid argument (UC_ERR_ARG)",
    uc.UC_ERR_READ_UNALIGNED: "Read from unaligned memory (UC_ERR_READ_UNALIGNED)",
    uc.UC_ERR_WRITE_UNALIGNED: "Write to unaligned memory (UC_ERR_WRITE_UNALIGNED)",
    uc.UC_ERR_EXCEPTION: "Unhandled CPU exception (UC_ERR_EXCEPTION)",
}


class UcError(Exception):
    """An error with Unicorn's number; what more there is to say stands behind Unicorn's own message."""

    def __init__(self, errno: int, *arguments: object) -> None:
        super().__init__(*arguments)
        self.errno = errno

    def __str__(self) -> str:
        message = _MESSAGES.get(self.errno, "Unknown error code")
        return ": ".join([message, *map(str, self.args)])
