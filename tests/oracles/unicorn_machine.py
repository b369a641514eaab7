"""Unicorn (QEMU 5's RISC-V) behind the same interface as the subject."""

from __future__ import annotations

from typing import Any

import unicorn as unicorn_module
from unicorn import UC_ARCH_RISCV, UC_HOOK_INTR, UC_MODE_RISCV32, UC_MODE_RISCV64, riscv_const

from tests.oracles.riscv_state import CODE, WINDOW, WINDOW_SIZE, State

_X = tuple(getattr(riscv_const, f"UC_RISCV_REG_X{number}") for number in range(32))
_F = tuple(getattr(riscv_const, f"UC_RISCV_REG_F{number}") for number in range(32))
_PC = riscv_const.UC_RISCV_REG_PC
_FCSR = riscv_const.UC_RISCV_REG_FCSR
_FRM = riscv_const.UC_RISCV_REG_FRM
_FFLAGS = riscv_const.UC_RISCV_REG_FFLAGS
_FS_DIRTY = 3 << 13
_UNICORN: Any = unicorn_module  # it has no types


class UnicornMachine:
    """One hart in machine mode with its floating-point unit on."""

    def __init__(self, xlen: int) -> None:
        self.xlen = xlen
        self.machine = _UNICORN.Uc(UC_ARCH_RISCV, UC_MODE_RISCV64 if xlen == 64 else UC_MODE_RISCV32)
        self.machine.mem_map(CODE, 0x1000)
        self.machine.mem_map(WINDOW, WINDOW_SIZE)
        self.machine.reg_write(riscv_const.UC_RISCV_REG_MSTATUS, _FS_DIRTY)
        self.raised = False
        self.machine.hook_add(UC_HOOK_INTR, self._interrupt)

    def _interrupt(self, machine: Any, number: int, _: object) -> None:
        self.raised = True
        machine.emu_stop()

    def run(self, code: bytes, state: State, count: int = 1) -> tuple[State, bool]:
        """The state after `count` instructions, and whether an exception cut them short."""
        machine = self.machine
        machine.mem_write(state.pc, code)
        machine.mem_write(WINDOW, state.memory)
        machine.ctl_remove_cache(CODE, CODE + 0x1000)
        for number in range(32):
            machine.reg_write(_X[number], state.x[number])
            machine.reg_write(_F[number], state.f[number])
        machine.reg_write(_FRM, state.frm)
        machine.reg_write(_FFLAGS, state.fflags)
        self.raised = False
        try:
            machine.emu_start(state.pc, CODE + 0x1000, count=count)
        except _UNICORN.UcError:
            self.raised = True
        mask = (1 << self.xlen) - 1
        fcsr = machine.reg_read(_FCSR)
        after = State(
            self.xlen,
            machine.reg_read(_PC) & mask,
            tuple(machine.reg_read(reg) & mask for reg in _X),
            tuple(machine.reg_read(reg) for reg in _F),
            fcsr >> 5 & 7,
            fcsr & 31,
            bytes(machine.mem_read(WINDOW, WINDOW_SIZE)),
        )
        return after, self.raised
