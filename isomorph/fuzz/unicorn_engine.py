"""Unicorn as an engine: it knows whether code ran to its end, not which exception kept it from that."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from isomorph.fuzz.case import Case
from isomorph.fuzz.description import oracle_of
from isomorph.fuzz.engine import ENDLESS, LIMIT, MissingEngine, Result, terminator
from isomorph.fuzz.state import CODE, CODE_SIZE, WINDOW, WINDOW_SIZE, State
from runtime.core.cpu import Isa


class UnicornEngine:
    """One machine of Unicorn's."""

    name = "unicorn"
    precise = False

    def __init__(self, isa: Isa) -> None:
        table = oracle_of(isa).unicorn
        if table is None:
            raise MissingEngine(f"no table beside the spec of {isa.name} says what Unicorn calls its state ([unicorn])")
        try:
            self._unicorn: Any = import_module("unicorn")
        except ImportError:
            raise MissingEngine("Unicorn is not installed: pip install unicorn") from None
        constants = import_module(f"unicorn.{table.constants}")
        self.isa = isa
        unicorn = self._unicorn
        self.machine = unicorn.Uc(getattr(unicorn, table.arch), getattr(unicorn, table.mode))
        self.machine.mem_map(CODE, CODE_SIZE, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        self.machine.mem_map(WINDOW, WINDOW_SIZE, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
        self.machine.hook_add(unicorn.UC_HOOK_INTR, self._interrupt)
        for name, value in table.setup.items():
            self.machine.reg_write(getattr(constants, name), value)
        self._pc = getattr(constants, table.pc)
        self._address_mode = table.address_mode
        self._bits: list[tuple[str, bool, int, tuple[int, ...]]] = []  # name, mode, constant, where each bit is
        self._parts: list[tuple[str, bool, list[tuple[int, int]], int]] = []  # name, mode, (number, constant), mask
        #: what the bits of a register of Unicorn's that stand for none of ours are
        self._fixed = {getattr(constants, name): value for name, value in table.setup.items()}
        for register in isa.layout.registers:
            if register.name in table.registers:
                pattern = table.registers[register.name]
                if self._is_part(constants, pattern, register.name, register.width, False):
                    continue
                names = [spellings[0].upper() for spellings in register.names] or [""] * register.count
                ids = [
                    (n, getattr(constants, pattern.format(n, name=name)))
                    for n, name in enumerate(names)
                    if n != register.zero
                ]
                self._parts.append((register.name, False, ids, (1 << register.width) - 1))
        for mode in isa.layout.modes:
            if mode.name in table.registers:
                if self._is_part(constants, table.registers[mode.name], mode.name, mode.width, True):
                    continue
                number = getattr(constants, table.registers[mode.name])
                self._parts.append((mode.name, True, [(0, number)], (1 << mode.width) - 1))
        self._without = table.without
        self._end = terminator(isa)
        self._raised = False

    def _is_part(self, constants: Any, pattern: str, name: str, width: int, is_mode: bool) -> bool:
        """Whether `NAME[...]` says that a register is a part of one of Unicorn's, and which; it is noted."""
        whole, bracket, said = pattern.partition("[")
        if bracket:
            bits = tuple(map(int, said.rstrip("]").split(",")))
            places = bits if len(bits) > 1 else tuple(range(bits[0], bits[0] + width))
            self._bits.append((name, is_mode, getattr(constants, whole), places))
        return bool(bracket)

    def close(self) -> None:
        pass

    def _interrupt(self, machine: Any, number: int, _: object) -> None:
        self._raised = True
        machine.emu_stop()

    def run(self, case: Case) -> Result:
        machine, state = self.machine, case.state
        machine.mem_write(CODE, (case.bytes + self._end).ljust(CODE_SIZE, b"\0"))
        machine.mem_write(WINDOW, state.memory)
        machine.ctl_remove_cache(CODE, CODE + CODE_SIZE)
        for number, value in self._fixed.items():
            machine.reg_write(number, value)  # an exception may have changed it
        for name, is_mode, ids, _ in self._parts:
            for number, constant in ids:
                machine.reg_write(constant, state.modes[name] if is_mode else state.registers[name][number])
        wholes: dict[int, int] = {}
        for name, is_mode, constant, places in self._bits:
            value = state.modes[name] if is_mode else state.registers[name][0]
            part = sum((value >> number & 1) << place for number, place in enumerate(places))
            wholes[constant] = wholes.get(constant, self._fixed.get(constant, 0)) | part
        for constant, value in wholes.items():
            machine.reg_write(constant, value)
        self._raised = False
        # Bit 0 of an address may choose how what stands there is read.
        start = state.pc | state.modes[self._address_mode] if self._address_mode else state.pc
        try:
            machine.emu_start(start, case.end, count=LIMIT)
        except self._unicorn.UcError:
            self._raised = True
        pc = machine.reg_read(self._pc) & (1 << self.isa.layout.pc_width) - 1
        registers, modes = dict(state.registers), dict(state.modes)
        for name, is_mode, ids, mask in self._parts:
            if is_mode:
                modes[name] = machine.reg_read(ids[0][1]) & mask
            else:
                values = list(state.registers[name])
                for number, constant in ids:
                    values[number] = machine.reg_read(constant) & mask
                registers[name] = tuple(values)
        for name, is_mode, constant, places in self._bits:
            whole = machine.reg_read(constant)
            part = sum((whole >> place & 1) << number for number, place in enumerate(places))
            if is_mode:
                modes[name] = part
            else:
                registers[name] = (part,)
        for name in self._without:
            registers.pop(name, None)
            modes.pop(name, None)
        after = State(pc, registers, modes, bytes(machine.mem_read(WINDOW, WINDOW_SIZE)))
        # Of an exception in the first instruction it may say nothing, and stand there.
        raised = "raised" if self._raised or pc == state.pc else "" if pc == case.end else ENDLESS
        return Result(after, raised)
