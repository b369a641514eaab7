"""Unicorn's hooks on code and memory as ours, and the numbers of accesses that are not possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from isomorph.compat.unicorn import unicorn_const as uc
from isomorph.emulator import Emulator
from isomorph.stop import Access

if TYPE_CHECKING:
    from isomorph.compat.unicorn.engine import Uc

Callback = Callable[..., Any]

#: for each access (the hook's bit, the number callbacks are given, the error)
UNMAPPED = {
    Access.READ: (uc.UC_HOOK_MEM_READ_UNMAPPED, uc.UC_MEM_READ_UNMAPPED, uc.UC_ERR_READ_UNMAPPED),
    Access.WRITE: (uc.UC_HOOK_MEM_WRITE_UNMAPPED, uc.UC_MEM_WRITE_UNMAPPED, uc.UC_ERR_WRITE_UNMAPPED),
    Access.FETCH: (uc.UC_HOOK_MEM_FETCH_UNMAPPED, uc.UC_MEM_FETCH_UNMAPPED, uc.UC_ERR_FETCH_UNMAPPED),
}
PROTECTED = {
    Access.READ: (uc.UC_HOOK_MEM_READ_PROT, uc.UC_MEM_READ_PROT, uc.UC_ERR_READ_PROT),
    Access.WRITE: (uc.UC_HOOK_MEM_WRITE_PROT, uc.UC_MEM_WRITE_PROT, uc.UC_ERR_WRITE_PROT),
    Access.FETCH: (uc.UC_HOOK_MEM_FETCH_PROT, uc.UC_MEM_FETCH_PROT, uc.UC_ERR_FETCH_PROT),
}
_WIDEST = 8  # bytes of one access, as callbacks see it: wider ones are several


class Accesses:
    """Makes our hooks' functions of Unicorn's callbacks, for one machine."""

    def __init__(self, machine: Uc) -> None:
        self._machine = machine
        #: whether a callback is looking at an access right now
        self.looking = False
        #: whether a callback said that it had mapped what it had not
        self.map_error = False

    def functions(self, htype: int, callback: Callback, user_data: Any) -> Iterator[tuple[str, Callback]]:
        """Our kinds of hooks for Unicorn's types, and the functions to call."""
        machine = self._machine

        def code(_: Emulator, address: int, size: int) -> None:
            callback(machine, address, size, user_data)

        def fetch(_: Emulator, address: int, size: int) -> None:
            callback(machine, uc.UC_MEM_FETCH, address, size, 0, user_data)

        for bit, kind, function in (
            (uc.UC_HOOK_CODE, "code", code),
            (uc.UC_HOOK_BLOCK, "block", code),
            (uc.UC_HOOK_MEM_FETCH, "mem_fetch", fetch),
        ):
            if htype & bit:
                yield kind, function
        for bit, kind, access in (
            (uc.UC_HOOK_MEM_READ, "mem_read", uc.UC_MEM_READ),
            (uc.UC_HOOK_MEM_WRITE, "mem_write", uc.UC_MEM_WRITE),
        ):
            if htype & bit:
                yield kind, self._memory(callback, user_data, access)
        if htype & uc.UC_HOOK_MEM_UNMAPPED:
            yield "unmapped", self._fault(callback, user_data, htype, UNMAPPED)
        if htype & uc.UC_HOOK_MEM_PROT:
            yield "protected", self._fault(callback, user_data, htype, PROTECTED)

    def _memory(self, callback: Callback, user_data: Any, access: int) -> Callback:
        def memory(emulator: Emulator, address: int, size: int, value: int) -> None:
            self.looking = True
            try:
                for at, part, shown in _pieces(address, size, value, emulator.mem.order):
                    callback(self._machine, access, at, part, 0 if access == uc.UC_MEM_READ else shown, user_data)
            finally:
                self.looking = False

        return memory

    def _fault(
        self, callback: Callback, user_data: Any, htype: int, table: dict[Access, tuple[int, int, int]]
    ) -> Callback:
        def fault(emulator: Emulator, access: Access, address: int, size: int, value: int) -> bool:
            machine = self._machine
            bit, number, _ = table[access]
            if not htype & bit:
                return False
            if access is Access.FETCH:
                size = machine.architecture.size_of_fetch(machine.bank)
            _, part, shown = next(_pieces(address, size, value, emulator.mem.order))
            handled = bool(callback(machine, number, address, part, shown, user_data))
            if handled and table is UNMAPPED and not emulator.mem.is_mapped(address, size):
                self.map_error = True
                emulator.stop()
            return handled

        return fault


def _pieces(address: int, size: int, value: int, order: str) -> Iterator[tuple[int, int, int]]:
    """An access as (address, bytes, value) of pieces that are not too wide, values as signed 64-bit integers."""
    for offset in range(0, size, _WIDEST):
        part = min(_WIDEST, size - offset)
        behind = offset if order == "little" else size - offset - part
        piece = value >> 8 * behind & (1 << 8 * part) - 1
        yield address + offset, part, piece - (1 << 64) if part == 8 and piece >> 63 else piece
