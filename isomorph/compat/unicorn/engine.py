"""`Uc`: Unicorn's engine class over Emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from isomorph.compat.unicorn import riscv_const as riscv
from isomorph.compat.unicorn import unicorn_const as uc
from isomorph.emulator import Emulator
from isomorph.errors import MemoryAccessError, MemoryMapError
from isomorph.hooks import Hook
from isomorph.stop import Access, GuestException, StopKind, StopReason

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
    uc.UC_ERR_EXCEPTION: "Unhandled CPU exception (UC_ERR_EXCEPTION)",
}

_UNMAPPED = {
    Access.READ: (uc.UC_HOOK_MEM_READ_UNMAPPED, uc.UC_MEM_READ_UNMAPPED, uc.UC_ERR_READ_UNMAPPED),
    Access.WRITE: (uc.UC_HOOK_MEM_WRITE_UNMAPPED, uc.UC_MEM_WRITE_UNMAPPED, uc.UC_ERR_WRITE_UNMAPPED),
    Access.FETCH: (uc.UC_HOOK_MEM_FETCH_UNMAPPED, uc.UC_MEM_FETCH_UNMAPPED, uc.UC_ERR_FETCH_UNMAPPED),
}
_PROTECTED = {
    Access.READ: (uc.UC_HOOK_MEM_READ_PROT, uc.UC_MEM_READ_PROT, uc.UC_ERR_READ_PROT),
    Access.WRITE: (uc.UC_HOOK_MEM_WRITE_PROT, uc.UC_MEM_WRITE_PROT, uc.UC_ERR_WRITE_PROT),
    Access.FETCH: (uc.UC_HOOK_MEM_FETCH_PROT, uc.UC_MEM_FETCH_PROT, uc.UC_ERR_FETCH_PROT),
}
#: bits of a hook's type whose callbacks have the same shape: a hook is of one such group
_GROUPS = (
    uc.UC_HOOK_INTR,
    uc.UC_HOOK_CODE | uc.UC_HOOK_BLOCK,
    uc.UC_HOOK_MEM_UNMAPPED | uc.UC_HOOK_MEM_PROT,
    uc.UC_HOOK_MEM_VALID,
    uc.UC_HOOK_INSN_INVALID,
)
_FETCHED = 2  # bytes Unicorn names for a fetch that fails
_TRAP = 4  # by which it moves the pc on before it shows an exception

Callback = Callable[..., Any]


class UcError(Exception):
    """An error with Unicorn's number."""

    def __init__(self, errno: int, *arguments: object) -> None:
        super().__init__(*arguments)
        self.errno = errno

    def __str__(self) -> str:
        message = _MESSAGES.get(self.errno, "Unknown error code")
        return ": ".join([message, *map(str, self.args)])


class UcContext:
    """Registers, saved; memory is not part of it."""

    def __init__(self, registers: dict[str, int]) -> None:
        self.registers = registers


def uc_version() -> tuple[int, int, int]:
    """The version of Unicorn that this behaves as."""
    return uc.UC_VERSION_MAJOR, uc.UC_VERSION_MINOR, uc.UC_VERSION_PATCH


def uc_arch_supported(arch: int) -> bool:
    """Whether `Uc(arch, ...)` works."""
    return arch == uc.UC_ARCH_RISCV


def _register_names() -> dict[int, str]:
    """Unicorn's number -> our name."""
    names = {riscv.UC_RISCV_REG_X0 + number: f"x{number}" for number in range(32)}
    names |= {riscv.UC_RISCV_REG_F0 + number: f"f{number}" for number in range(32)}
    return names | {riscv.UC_RISCV_REG_PC: "pc", riscv.UC_RISCV_REG_FFLAGS: "fflags", riscv.UC_RISCV_REG_FRM: "frm"}


_NAMES = _register_names()
_NUMBERS = {value for name, value in vars(riscv).items() if name.startswith("UC_RISCV_REG_")}
_ISAS = {uc.UC_MODE_RISCV32: "riscv32", uc.UC_MODE_RISCV64: "riscv64"}


def _require_register(reg_id: int) -> None:
    """Refuses a number that is no register's: one of another architecture's constants, most often."""
    if reg_id not in _NUMBERS:
        raise UcError(uc.UC_ERR_ARG, f"there is no RISC-V register with number {reg_id}")


class Uc:
    """A machine: `Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)`."""

    def __init__(self, arch: int, mode: int, cpu: int | None = None) -> None:
        if arch != uc.UC_ARCH_RISCV:
            raise UcError(uc.UC_ERR_ARCH, "only RISC-V is here; isomorph.Emulator has the other instruction sets")
        if mode not in _ISAS:
            raise UcError(uc.UC_ERR_MODE)
        self._arch = arch
        self._mode = mode
        self._emulator = Emulator(_ISAS[mode])
        self._hooks: dict[int, list[Hook[Any]]] = {}
        self._interrupts: dict[int, tuple[Callback, Any]] = {}
        self._invalid: dict[int, tuple[Callback, Any]] = {}
        self._last_handle = 0
        self._accessing = False
        self._map_error = False
        self._emulator.hook.exception(self._exception)

    @property
    def emulator(self) -> Emulator:
        """The Emulator underneath, for what Unicorn does not have."""
        return self._emulator

    # ------------------------------------------------------------ running

    def emu_start(self, begin: int, until: int, timeout: int = 0, count: int = 0) -> None:
        """Run from `begin` until the pc is `until`, for `timeout` microseconds or `count` instructions at most."""
        self._map_error = False
        reason = self._emulator.run(begin, until, count or None, timeout / uc.UC_SECOND_SCALE if timeout else None)
        self._raise(reason)

    def _raise(self, reason: StopReason) -> None:
        if self._map_error:
            raise UcError(uc.UC_ERR_MAP)
        if reason.kind is StopKind.EXCEPTION and reason.exception is not None:
            if reason.exception.name == "Breakpoint":
                raise UcError(uc.UC_ERR_INSN_INVALID)
            self._emulator.regs.pc = reason.pc + _TRAP
            raise UcError(uc.UC_ERR_EXCEPTION)
        if reason.access is not None:
            table = _UNMAPPED if reason.kind is StopKind.UNMAPPED else _PROTECTED
            raise UcError(table[reason.access][2])

    def emu_stop(self) -> None:
        """End the run: in a code hook before the instruction, in a memory hook after it."""
        if self._accessing:
            self._emulator.stop_after_instruction()
        else:
            self._emulator.stop()

    # ------------------------------------------------------------ memory

    def mem_map(self, address: int, size: int, perms: int = uc.UC_PROT_ALL) -> None:
        """Map zeroed pages."""
        self._check_pages(address, size)
        try:
            self._emulator.mem.map(address, size, _letters(perms))
        except MemoryMapError:
            raise UcError(uc.UC_ERR_MAP) from None

    def mem_unmap(self, address: int, size: int) -> None:
        """Unmap pages."""
        self._check_pages(address, size)
        try:
            self._emulator.mem.unmap(address, size)
        except MemoryMapError:
            raise UcError(uc.UC_ERR_NOMEM) from None

    def mem_protect(self, address: int, size: int, perms: int = uc.UC_PROT_ALL) -> None:
        """Change pages' permissions."""
        self._check_pages(address, size)
        try:
            self._emulator.mem.protect(address, size, _letters(perms))
        except MemoryMapError:
            raise UcError(uc.UC_ERR_NOMEM) from None

    def mem_read(self, address: int, size: int) -> bytearray:
        """Bytes of memory, whatever the guest may do there."""
        try:
            return bytearray(self._emulator.mem.read(address, size))
        except MemoryAccessError:
            raise UcError(uc.UC_ERR_READ_UNMAPPED) from None

    def mem_write(self, address: int, data: bytes) -> None:
        """Store bytes, whatever the guest may do there."""
        try:
            self._emulator.mem.write(address, data)
        except MemoryAccessError:
            raise UcError(uc.UC_ERR_WRITE_UNMAPPED) from None

    def mem_regions(self) -> Iterator[tuple[int, int, int]]:
        """(first address, last address, permissions) of what is mapped."""
        for region in self._emulator.mem.regions():
            yield region.start, region.end - 1, region.permissions

    def mmio_map(
        self,
        address: int,
        size: int,
        read_cb: Callback | None,
        user_data_read: Any,
        write_cb: Callback | None,
        user_data_write: Any,
    ) -> None:
        """Pages whose loads ask `read_cb(uc, offset, size, user_data)` and whose stores tell `write_cb` the value."""
        self.mem_map(address, size, uc.UC_PROT_READ | uc.UC_PROT_WRITE)

        def read(emulator: Emulator, at: int, length: int, _: int) -> None:
            if read_cb is not None:
                emulator.mem.write_int(at, int(read_cb(self, at - address, length, user_data_read)), length)

        def write(_: Emulator, at: int, length: int, value: int) -> None:
            if write_cb is not None:
                write_cb(self, at - address, length, value, user_data_write)

        self._emulator.hook.mem_read(read, begin=address, end=address + size)
        self._emulator.hook.mem_write(write, begin=address, end=address + size)

    @staticmethod
    def _check_pages(address: int, size: int) -> None:
        if address % 4096 or size % 4096 or size <= 0:
            raise UcError(uc.UC_ERR_ARG)

    # ------------------------------------------------------------ registers

    def reg_read(self, reg_id: int, aux: Any = None) -> int:
        """A register by Unicorn's number."""
        registers = self._emulator.regs
        if reg_id == riscv.UC_RISCV_REG_FCSR:
            return registers.frm << 5 | registers.fflags
        name = _NAMES.get(reg_id)
        if name is None:
            _require_register(reg_id)
            return 0
        return registers[name]

    def reg_write(self, reg_id: int, value: int) -> None:
        """Write a register; too large values are cut, and registers that user mode has not are ignored."""
        registers = self._emulator.regs
        if reg_id == riscv.UC_RISCV_REG_FCSR:
            registers.frm, registers.fflags = value >> 5 & 7, value & 31
        elif reg_id in _NAMES:
            name = _NAMES[reg_id]
            registers[name] = value & ((1 << registers.width(name)) - 1)
        else:
            _require_register(reg_id)

    def reg_read_batch(self, reg_data: Sequence[int]) -> tuple[int, ...]:
        """Several registers at once."""
        return tuple(self.reg_read(reg_id) for reg_id in reg_data)

    def reg_write_batch(self, reg_data: Sequence[tuple[int, int]]) -> None:
        """Write several registers: (number, value) each."""
        for reg_id, value in reg_data:
            self.reg_write(reg_id, value)

    def context_save(self) -> UcContext:
        """The registers, for context_restore."""
        return UcContext(self._emulator.regs.as_dict())

    def context_update(self, context: UcContext) -> None:
        """Save into a context that exists."""
        context.registers = self._emulator.regs.as_dict()

    def context_restore(self, context: UcContext) -> None:
        """Registers as they were saved."""
        for name, value in context.registers.items():
            self._emulator.regs[name] = value

    # ------------------------------------------------------------ hooks

    def hook_add(
        self,
        htype: int,
        callback: Callback,
        user_data: Any = None,
        begin: int = 1,
        end: int = 0,
        aux1: int = 0,
        aux2: int = 0,
    ) -> int:
        """Add a hook of one or several types with callbacks of the same shape; begin > end means everywhere."""
        if not htype or not any(htype & group and not htype & ~group for group in _GROUPS):
            raise UcError(uc.UC_ERR_ARG)
        self._last_handle += 1
        handle = self._last_handle
        if htype == uc.UC_HOOK_INTR:
            self._interrupts[handle] = callback, user_data
        elif htype == uc.UC_HOOK_INSN_INVALID:
            self._invalid[handle] = callback, user_data
        else:
            low, high = (0, None) if begin > end else (begin, end + 1)
            self._hooks[handle] = [
                self._emulator.hook.add(kind, function, low, high)
                for kind, function in self._functions(htype, callback, user_data)
            ]
        return handle

    def hook_del(self, handle: int) -> None:
        """Remove a hook."""
        self._interrupts.pop(handle, None)
        self._invalid.pop(handle, None)
        for hook in self._hooks.pop(handle, ()):
            hook.remove()

    def _functions(self, htype: int, callback: Callback, user_data: Any) -> Iterator[tuple[str, Callback]]:
        """Our kinds of hooks for Unicorn's types, and the functions to call."""

        def code(_: Emulator, address: int, size: int) -> None:
            callback(self, address, size, user_data)

        for bit, kind in ((uc.UC_HOOK_CODE, "code"), (uc.UC_HOOK_BLOCK, "block")):
            if htype & bit:
                yield kind, code
        for bit, kind, access in (
            (uc.UC_HOOK_MEM_READ, "mem_read", uc.UC_MEM_READ),
            (uc.UC_HOOK_MEM_WRITE, "mem_write", uc.UC_MEM_WRITE),
        ):
            if htype & bit:
                yield kind, self._memory_function(callback, user_data, access)
        if htype & uc.UC_HOOK_MEM_FETCH:
            yield "mem_fetch", lambda _, address, size: callback(self, uc.UC_MEM_FETCH, address, size, 0, user_data)
        if htype & uc.UC_HOOK_MEM_UNMAPPED:
            yield "unmapped", self._fault_function(callback, user_data, htype, _UNMAPPED)
        if htype & uc.UC_HOOK_MEM_PROT:
            yield "protected", self._fault_function(callback, user_data, htype, _PROTECTED)

    def _memory_function(self, callback: Callback, user_data: Any, access: int) -> Callback:
        def memory(_: Emulator, address: int, size: int, value: int) -> None:
            self._accessing = True
            try:
                shown = _signed(value, size) if access == uc.UC_MEM_WRITE else 0
                callback(self, access, address, size, shown, user_data)
            finally:
                self._accessing = False

        return memory

    def _fault_function(
        self, callback: Callback, user_data: Any, htype: int, table: dict[Access, tuple[int, int, int]]
    ) -> Callback:
        def fault(emulator: Emulator, access: Access, address: int, size: int, value: int) -> bool:
            bit, number, _ = table[access]
            if not htype & bit:
                return False
            if access is Access.FETCH:
                size = _FETCHED
            handled = bool(callback(self, number, address, size, _signed(value, size), user_data))
            if handled and table is _UNMAPPED and not emulator.mem.is_mapped(address, size):
                self._map_error = True
                emulator.stop()
            return handled

        return fault

    def _exception(self, emulator: Emulator, exception: GuestException) -> bool:
        """Exceptions that are not accesses: interrupts, as Unicorn calls them."""
        if exception.name in ("LoadFault", "StoreFault", "FetchFault"):
            return False
        if exception.name == "Breakpoint":
            return any(callback(self, user_data) for callback, user_data in list(self._invalid.values()))
        if not self._interrupts:
            return False
        emulator.regs.pc = exception.pc + _TRAP
        emulator.count_instruction()
        for callback, user_data in list(self._interrupts.values()):
            callback(self, exception.code, user_data)
        return True

    # ------------------------------------------------------------ the rest

    def query(self, prop: int) -> int:
        """What Unicorn's uc_query tells."""
        answers = {uc.UC_QUERY_MODE: self._mode, uc.UC_QUERY_PAGE_SIZE: 4096, uc.UC_QUERY_ARCH: self._arch}
        if prop not in answers:
            raise UcError(uc.UC_ERR_ARG)
        return answers[prop]

    def ctl_remove_cache(self, begin: int, end: int) -> None:
        """Nothing to do: translated code is always up to date."""

    def ctl_flush_tb(self) -> None:
        """Nothing to do, either."""


def _letters(perms: int) -> str:
    return "".join(letter for bit, letter in ((1, "r"), (2, "w"), (4, "x")) if perms & bit)


def _signed(value: int, size: int) -> int:
    """A value as Unicorn hands it over: a signed 64-bit integer."""
    return value - (1 << 64) if size == 8 and value >> 63 else value
