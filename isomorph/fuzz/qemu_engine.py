"""QEMU's user emulation as an engine: each case is a program of its own that prints its registers at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isomorph.fuzz.case import Case
from isomorph.fuzz.description import oracle_of
from isomorph.fuzz.engine import ENDLESS, MissingEngine, Result
from isomorph.fuzz.state import CODE, CODE_SIZE, WINDOW, WINDOW_SIZE, State
from runtime.core.cpu import Isa
from runtime.core.env import GUEST_STATE
from runtime.linux.abi import abi_of
from runtime.syntax.assemble import assemble_one, assemble_text
from runtime.syntax.elf_writer import executable_bytes
from runtime.syntax.encode import Encoder
from runtime.syntax.image import Image, Section

_STATE = 0x40000
_PROGRAM = 0x50000
_SECONDS = 10
_NOBODY = 65534


class QemuEngine:
    """Runs cases under qemu-user."""

    name = "qemu"
    precise = False

    def __init__(self, isa: Isa) -> None:
        table = oracle_of(isa).qemu
        if table is None:
            raise MissingEngine(f"no table beside the spec of {isa.name} says how QEMU loads its state ([qemu])")
        program = shutil.which(table.program)
        if program is None:
            raise MissingEngine(f"there is no {table.program} (Debian package qemu-user)")
        abi = abi_of(isa)
        if abi is None:
            raise MissingEngine(f"no table beside the spec of {isa.name} says how its programs call Linux")
        self.isa = isa
        self.table = table
        self._machine = abi.elf_machine, abi.bits, abi.big_endian
        self._syntax = isa.module("syntax")
        self._encoder = Encoder(self._syntax.SYNTAX)
        self._folder = tempfile.TemporaryDirectory(prefix="isomorph-fuzz-")
        self._path = Path(self._folder.name) / "case"
        Path(self._folder.name).chmod(0o755)
        # Cases hold no system calls, but what QEMU makes of them is what is to be found out: it gets no rights to use.
        self._rights: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._rights = {"user": _NOBODY, "group": _NOBODY, "extra_groups": ()}
        self._command = [program, str(self._path)]
        #: name -> offset of its first entry and bytes of an entry, in what the program shows
        self._places: dict[str, tuple[int, int]] = {}
        at = 0
        for register in isa.layout.registers:
            at = register.offset - GUEST_STATE
            self._places[register.name] = at, register.stride
            at += register.stride * register.count
        at = -(-at // 16) * 16
        for mode in isa.layout.modes:
            self._places[mode.name] = at, 8
            at += 8
        self._size = at
        self.keep = keep_register(isa)
        self._image = self._assemble()
        self._show = self._image.symbol("show")

    def close(self) -> None:
        self._folder.cleanup()

    # ------------------------------------------------------------ the program around a case

    def _statements(self, table: Mapping[str, str]) -> list[str]:
        """The statements for each register and mode that the table knows, in its order."""
        lines = []
        zero = {register.name: register.zero for register in self.isa.layout.registers}
        counts = {register.name: register.count for register in self.isa.layout.registers}
        for name, text in table.items():
            at, stride = self._places[name]
            for number in range(counts.get(name, 1)):
                if number != zero.get(name) and (name, number) != self.keep:
                    line = text.replace("{n}", str(number)).replace("{at}", str(at + stride * number))
                    lines.append(line.replace(";", "\n"))
        return lines

    def _assemble(self) -> Image:
        table = self.table
        sizes = (("{size}", str(self._size)), ("{window_size}", str(WINDOW_SIZE)))
        finish = "\n".join(table.finish)
        for hole, value in sizes:
            finish = finish.replace(hole, value)
        lines = [
            f".equ state, {_STATE:#x}",
            f".equ window, {WINDOW:#x}",
            "_start:",
            table.start,
            # The last loaded is the register file that the first statements stand for: the others may use it.
            *reversed(self._statements(dict(table.load))),
            table.jump.replace("{target}", f"{CODE:#x}"),
            "show:",
            *self._statements(table.store),
            finish,
        ]
        return assemble_text(self._syntax, "\n".join(lines) + "\n", "the program around a case", _PROGRAM)

    def run(self, case: Case) -> Result:
        back = assemble_one(self._encoder, self.table.jump.replace("{target}", f"{self._show:#x}"), case.end)
        sections = (
            _section("code", CODE, (case.bytes + back).ljust(CODE_SIZE, b"\0"), False),
            _section("window", WINDOW, case.state.memory, True),
            _section("state", _STATE, self._pack(case.state), True),
            *self._image.sections,
        )
        self._path.unlink(missing_ok=True)
        self._path.write_bytes(executable_bytes(Image(sections, (), self._image.entry), *self._machine))
        self._path.chmod(0o755)
        try:
            done = subprocess.run(
                self._command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                cwd=self._folder.name,
                env={},
                **self._rights,
            )
        except subprocess.TimeoutExpired:
            return Result(case.state, ENDLESS)
        if done.returncode or len(done.stdout) != self._size + WINDOW_SIZE:
            return Result(case.state, "raised")
        return Result(self._unpack(case, done.stdout), "")

    def _pack(self, state: State) -> bytes:
        data = bytearray(self._size)
        for name, values in (*state.registers.items(), *((mode, (value,)) for mode, value in state.modes.items())):
            at, stride = self._places[name]
            for number, value in enumerate(values):
                data[at + stride * number : at + stride * (number + 1)] = value.to_bytes(stride, "little")
        return bytes(data)

    def _unpack(self, case: Case, data: bytes) -> State:
        """What the program showed; where it shows nothing, the state as it was."""
        registers, modes = dict(case.state.registers), dict(case.state.modes)
        for name in self.table.store:
            at, stride = self._places[name]
            if name in modes:
                modes[name] = int.from_bytes(data[at : at + stride], "little")
            else:
                values = registers[name]
                found = (
                    int.from_bytes(data[at + stride * n : at + stride * (n + 1)], "little") for n in range(len(values))
                )
                registers[name] = tuple(found)
        name, number = self.keep
        registers[name] = (*registers[name][:number], _STATE, *registers[name][number + 1 :])
        return State(case.end, registers, modes, data[self._size :])


def keep_register(isa: Isa) -> tuple[str, int]:
    """The register that holds the state's address: sequences may not change it."""
    table = oracle_of(isa).qemu
    for register in isa.layout.registers if table is not None else ():
        for number, spellings in enumerate(register.names):
            if table is not None and table.keep in spellings:
                return register.name, number
    raise MissingEngine(f"the table beside the spec of {isa.name} keeps what is no register ([qemu] keep)")


#: what `keep` holds
KEPT = _STATE


def _section(name: str, address: int, data: bytes, writable: bool) -> Section:
    return Section(name, address, data, len(data), writable, not writable, 4096)
