"""`Uc`: Unicorn's engine class over Emulator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from isomorph.compat.unicorn import unicorn_const as uc
from isomorph.compat.unicorn import x86_const as x86
from isomorph.compat.unicorn.accesses import PROTECTED, UNMAPPED, Accesses, Callback
from isomorph.compat.unicorn.architectures import SUPPORTED, architecture_of
from isomorph.compat.unicorn.errors import UcError
from isomorph.compat.unicorn.interrupts import Interrupts
from isomorph.compat.unicorn.registers import Bank, Saved
from isomorph.emulator import Emulator
from isomorph.errors import MemoryAccessError, MemoryMapError
from isomorph.hooks import Hook
from isomorph.stop import StopKind, StopReason

#: bits of a hook's type whose callbacks have the same shape: a hook is of one such group
_GROUPS = (
    uc.UC_HOOK_INTR,
    uc.UC_HOOK_INSN,
    uc.UC_HOOK_CODE | uc.UC_HOOK_BLOCK,
    uc.UC_HOOK_MEM_UNMAPPED | uc.UC_HOOK_MEM_PROT,
    uc.UC_HOOK_MEM_VALID,
    uc.UC_HOOK_INSN_INVALID,
)
_ASKED = (uc.UC_HOOK_INTR, uc.UC_HOOK_INSN, uc.UC_HOOK_INSN_INVALID)
_PAGE = 4096


class UcContext:
    """Registers, saved; memory is not part of it."""

    def __init__(self, machine: Uc, saved: Saved) -> None:
        self.saved = saved
        self._bank: Bank | None = machine.bank

    def reg_read(self, reg_id: int, aux: Any = None) -> Any:
        """A saved register by Unicorn's number."""
        return self._within(lambda bank: bank.read(reg_id, aux))

    def reg_write(self, reg_id: int, value: Any) -> None:
        """Change a saved register."""
        self._within(lambda bank: bank.write(reg_id, value))

    def _within(self, action: Any) -> Any:
        """Do something with the registers as if they had been restored."""
        if self._bank is None:
            raise UcError(uc.UC_ERR_HANDLE, "the context was read from a file: restore it first")
        before = self._bank.save()
        self._bank.restore(self.saved)
        try:
            found = action(self._bank)
            self.saved = self._bank.save()
        finally:
            self._bank.restore(before)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {"saved": self.saved, "_bank": None}


def uc_version() -> tuple[int, int, int]:
    """The version of Unicorn that this behaves as: major, minor, and all of it in one number."""
    combined = uc.UC_VERSION_MAJOR << 24 | uc.UC_VERSION_MINOR << 16 | uc.UC_VERSION_PATCH << 8 | uc.UC_VERSION_EXTRA
    return uc.UC_VERSION_MAJOR, uc.UC_VERSION_MINOR, combined


def uc_arch_supported(arch: int) -> bool:
    """Whether `Uc(arch, ...)` works."""
    return arch in SUPPORTED


class Uc:
    """A machine: `Uc(UC_ARCH_X86, UC_MODE_64)`; there is one processor for each architecture, whatever `cpu` says."""

    def __init__(self, arch: int, mode: int, cpu: int | None = None) -> None:
        self.architecture = architecture_of(arch, mode)
        self._arch = arch
        self._mode = mode
        self._emulator = Emulator(self.architecture.isa)
        self.bank = Bank(self._emulator, self.architecture.name, self.architecture.registers)
        self.architecture.reset(self.bank)
        self._slot = self._emulator.isa.generated.layout.slot
        self._hooks: dict[int, list[Hook[Any]]] = {}
        self._last_handle = 0
        self._accesses = Accesses(self)
        self._interrupts = Interrupts(self)

    @property
    def emulator(self) -> Emulator:
        """The Emulator underneath, for what Unicorn does not have."""
        return self._emulator

    # ------------------------------------------------------------ running

    def emu_start(self, begin: int, until: int, timeout: int = 0, count: int = 0) -> None:
        """Run from `begin` until the pc is `until`, for `timeout` microseconds or `count` instructions at most."""
        self._accesses.map_error = False
        self._interrupts.begin()
        self.architecture.start(self.bank, begin)
        end = self.architecture.end(begin, until)
        reason = self._emulator.run(None, end, count or None, timeout / uc.UC_SECOND_SCALE if timeout else None)
        while reason.kind is StopKind.COUNT and self._slot and self._emulator.regs[self._slot]:
            reason = self._emulator.run(count=1)  # a branch and what stands in its delay slot are done together
        self._raise(reason)

    def _raise(self, reason: StopReason) -> None:
        if self._accesses.map_error:
            raise UcError(uc.UC_ERR_MAP)
        if reason.access is not None:
            table = UNMAPPED if reason.kind is StopKind.UNMAPPED else PROTECTED
            raise UcError(table[reason.access][2])
        if self._interrupts.error is not None:
            self._emulator.regs.pc = self._interrupts.pc
            raise UcError(self._interrupts.error)

    def emu_stop(self) -> None:
        """End the run: in a code hook before the instruction, in a memory hook after it."""
        if self._accesses.looking:
            self._emulator.stop_after_instruction()
        else:
            self._emulator.stop()

    # ------------------------------------------------------------ memory

    def mem_map(self, address: int, size: int, perms: int = uc.UC_PROT_ALL) -> None:
        """Map zeroed pages."""
        self._check_pages(address, size)
        if address + size > self._emulator.mem.size:
            raise UcError(uc.UC_ERR_MAP, f"addresses end at {self._emulator.mem.size:#x} here")
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
        if address % _PAGE or size % _PAGE or size <= 0:
            raise UcError(uc.UC_ERR_ARG)

    # ------------------------------------------------------------ registers

    def reg_read(self, reg_id: int, aux: Any = None) -> Any:
        """A register by Unicorn's number: an int, of a few a tuple; `aux` says which, of those that share a number."""
        return self.bank.read(reg_id, aux)

    def reg_write(self, reg_id: int, value: Any) -> None:
        """Write a register; too large values are cut, and registers that user mode has not are ignored."""
        self.bank.write(reg_id, value)

    def reg_read_batch(self, reg_data: Sequence[int | tuple[int, Any]]) -> tuple[Any, ...]:
        """Several registers at once: numbers, or (number, aux)."""
        pairs = (entry if isinstance(entry, tuple) else (entry, None) for entry in reg_data)
        return tuple(self.reg_read(reg_id, aux) for reg_id, aux in pairs)

    def reg_write_batch(self, reg_data: Sequence[tuple[int, Any]]) -> None:
        """Write several registers: (number, value) each."""
        for reg_id, value in reg_data:
            self.reg_write(reg_id, value)

    def msr_read(self, msr_id: int) -> int:
        """A model-specific register of x86."""
        return int(self.reg_read(x86.UC_X86_REG_MSR, msr_id))

    def msr_write(self, msr_id: int, value: int) -> None:
        """Write a model-specific register of x86."""
        self.reg_write(x86.UC_X86_REG_MSR, (msr_id, value))

    def context_save(self) -> UcContext:
        """The registers, for context_restore."""
        return UcContext(self, self.bank.save())

    def context_update(self, context: UcContext) -> None:
        """Save into a context that exists."""
        context.saved = self.bank.save()

    def context_restore(self, context: UcContext) -> None:
        """Registers as they were saved."""
        self.bank.restore(context.saved)

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
        """Add a hook of one or several types with callbacks of the same shape; begin > end means everywhere.

        aux1   for UC_HOOK_INSN: the instruction, as UC_X86_INS_SYSCALL
        """
        if not htype or not any(htype & group and not htype & ~group for group in _GROUPS):
            raise UcError(uc.UC_ERR_ARG)
        if htype == uc.UC_HOOK_INSN and not self.architecture.knows_instruction(aux1):
            raise UcError(uc.UC_ERR_ARG, f"{self.architecture.name} has no UC_HOOK_INSN for instruction {aux1} here")
        self._last_handle += 1
        handle = self._last_handle
        if htype in _ASKED:
            self._interrupts.add(htype, handle, callback, user_data, begin, end, aux1)
        else:
            low, high = (0, None) if begin > end else (begin, end + 1)
            self._hooks[handle] = [
                self._emulator.hook.add(kind, function, low, high)
                for kind, function in self._accesses.functions(htype, callback, user_data)
            ]
            self._interrupts.watch()
        return handle

    def hook_del(self, handle: int) -> None:
        """Remove a hook."""
        self._interrupts.remove(handle)
        for hook in self._hooks.pop(handle, ()):
            hook.remove()

    # ------------------------------------------------------------ the rest

    def query(self, prop: int) -> int:
        """What Unicorn's uc_query tells."""
        mode = self.architecture.mode_now(self.bank, self._mode)
        answers = {uc.UC_QUERY_MODE: mode, uc.UC_QUERY_PAGE_SIZE: _PAGE, uc.UC_QUERY_ARCH: self._arch}
        if prop not in answers:
            raise UcError(uc.UC_ERR_ARG)
        return answers[prop]

    def ctl_get_mode(self) -> int:
        """The mode it was made with."""
        return self._mode

    def ctl_get_arch(self) -> int:
        """The architecture."""
        return self._arch

    def ctl_get_page_size(self) -> int:
        """Bytes of a page."""
        return _PAGE

    def ctl_set_cpu_model(self, model: int) -> None:
        """Nothing to do: there is one processor for each architecture."""

    def ctl_remove_cache(self, begin: int, end: int) -> None:
        """Nothing to do: translated code is always up to date."""

    def ctl_flush_tb(self) -> None:
        """Nothing to do, either."""


def _letters(perms: int) -> str:
    return "".join(letter for bit, letter in ((1, "r"), (2, "w"), (4, "x")) if perms & bit)
