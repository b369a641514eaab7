"""One virtual CPU: its native state (`env`), named access to the guest's registers, and the generated ISA it is of."""

from __future__ import annotations

import sys
from _thread import RLock
from os import fspath
from os.path import basename, isfile, realpath

from runtime.core.buffer import HostBuffer
from runtime.core.env import ENV, Exit
from runtime.core.layout import Layout, ModeLayout, RegisterLayout
from runtime.core.light import ModuleType, SourceFileLoader
from runtime.core.memory import GuestMemory
from runtime.core.record import record
from runtime.core.views import StateView

TYPE_CHECKING = False  # typing's own takes longer to import than all this
if TYPE_CHECKING:
    from os import PathLike
    from typing import Literal

_PC = ENV["pc"] // 8
_FLAGS = ENV["flags"] // 8
_NPC = ENV["npc"] // 8
_BUDGET = ENV["budget"] // 8
_BUDGET_BASE = ENV["budget_base"] // 8
_EXIT_REASON = ENV["exit_reason"] // 8
_EXCEPTION = ENV["exception"] // 8
_ARGUMENTS = ENV["arg0"] // 8
_EXCLUSIVE = ENV["exclusive_address"] // 8
_FORMATS: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}
_ALL_ONES = (1 << 64) - 1
_NO_ATTENTION = memoryview(bytes(4)).cast("I")
_loading = RLock()


@record
class Isa:
    """A generated instruction set: the folder build/<isa>/ and the parts of it that every run needs."""

    name: str
    path: str
    layout: Layout
    state: ModuleType  # build/<isa>/state.py

    @property
    def blob_path(self) -> str:
        return f"{self.path}/native.blob"

    @property
    def system_blob_path(self) -> str:
        """The native code that runs machines."""
        return f"{self.path}/system.blob"

    def module(self, name: str) -> ModuleType:
        """Another generated module of the folder: translate, syntax."""
        return load_module(f"{self.path}/{name}.py")


def load_module(path: str) -> ModuleType:
    """Import a Python file by its path, once."""
    path = realpath(path)
    name = f"generated:{path}"  # two build folders may hold the same ISA
    with _loading:  # another thread must not see a module that is half done
        if name in sys.modules:
            return sys.modules[name]
        loader = SourceFileLoader(name, path)
        module = ModuleType(name)
        module.__file__ = path
        module.__loader__ = loader
        sys.modules[name] = module  # dataclasses look their module up while it is being made
        try:
            loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module


def load_isa(folder: str | PathLike[str]) -> Isa:
    """The generated ISA in `folder` (build/<isa>); FileNotFoundError with what to do when it is not there."""
    path = fspath(folder)
    name = basename(realpath(path))
    if not isfile(f"{path}/state.py"):
        raise FileNotFoundError(f"{path} holds no generated instruction set: run `make gen ISA={name}`")
    state = load_module(f"{path}/state.py")
    return Isa(name, path, state.LAYOUT, state)


class Vcpu:
    """A virtual CPU.  Its state is valid whenever native code is not running it.

    state     registers as attributes: the CPUState that was generated from the spec
    address   host address of env
    words     env as unsigned 64-bit words (index: ENV[name] // 8); `signed` the same, signed; `octets` as bytes
    """

    def __init__(self, isa: Isa, memory: GuestMemory, index: int = 0) -> None:
        self.isa = isa
        self.layout = isa.layout
        self.memory = memory
        self.index = index
        self._buffer = HostBuffer(isa.layout.size)
        self.address = self._buffer.address
        self.octets = memoryview(self._buffer.memory)
        self.words = self.octets.cast("Q")
        self.signed = self.octets.cast("q")
        self.state: StateView = isa.state.CPUState(self.octets)
        self.stop_requested = False
        #: [0] is set from outside, by machine code for instance, when the vCPU is to stop
        self.attention: memoryview = _NO_ATTENTION
        self._pc_mask = (1 << isa.layout.pc_width) - 1
        self.reset()

    def close(self) -> None:
        """Free the native state; views handed out by `file` must have been released."""
        self.signed.release()
        self.words.release()
        self.octets.release()
        self._buffer.close()

    def reset(self) -> None:
        """Registers, modes and pc as after power-on.  The accelerator's own fields of env stay."""
        layout = self.layout
        for register in layout.registers:
            for index in range(register.count):
                self._put(register, index, register.reset if index != register.zero else 0)
        self.words[_FLAGS] = sum(mode.reset << mode.shift for mode in layout.modes)
        self.words[_PC] = 0
        self.words[_NPC] = _ALL_ONES
        self.words[_EXIT_REASON] = Exit.NONE
        self.words[_EXCLUSIVE] = _ALL_ONES
        self.words[ENV["memory_base"] // 8] = self.memory.base
        self.words[ENV["permissions"] // 8] = self.memory.permissions

    # ------------------------------------------------------------ registers

    def get(self, name: str, index: int = 0) -> int:
        """A register, or entry `index` of a register file, by its name in the spec."""
        register = self.layout.by_name[name]
        at = register.offset + self._index(register, index) * register.stride
        return int.from_bytes(self.octets[at : at + register.stride], "little")

    def set(self, name: str, value: int, index: int = 0) -> None:
        """Write a register or entry `index` of a register file; the value is cut to its width."""
        register = self.layout.by_name[name]
        if self._index(register, index) != register.zero:
            self._put(register, index, value & ((1 << register.width) - 1))

    def file(self, name: str) -> memoryview:
        """A register file as a memoryview of unsigned integers, for code that reads it often (system calls).

        Writing the hard-wired entry would be wrong.  Only for entries of 8 to 64 bits.
        """
        register = self.layout.by_name[name]
        size = register.stride
        if size not in _FORMATS:
            raise ValueError(f"{name} has entries of {register.width} bits: no integer view")
        return self.octets[register.offset : register.offset + register.count * size].cast(_FORMATS[size])

    def find(self, name: str) -> tuple[RegisterLayout, int] | None:
        """The register a user means by `name`: of the spec, or any spelling of a file's entry."""
        register = self.layout.by_name.get(name)
        if register is not None and not register.is_file:
            return register, 0
        for register in self.layout.registers:
            for index, spellings in enumerate(register.names):
                if name in spellings:
                    return register, index
        return None

    def get_mode(self, name: str) -> int:
        mode = self.layout.mode(name)
        return self.words[_FLAGS] >> mode.shift & ((1 << mode.width) - 1)

    def set_mode(self, name: str, value: int) -> None:
        mode: ModeLayout = self.layout.mode(name)
        mask = ((1 << mode.width) - 1) << mode.shift
        self.words[_FLAGS] = self.words[_FLAGS] & ~mask | value << mode.shift & mask

    @property
    def pc(self) -> int:
        return self.words[_PC]

    @pc.setter
    def pc(self, value: int) -> None:
        self.words[_PC] = value & self._pc_mask

    # ------------------------------------------------------------ delay slots

    def go_on_behind(self, length: int) -> None:
        """Leave the instruction at pc, of so many bytes, behind: in a delay slot, go where the branch goes."""
        target = self.pc + length
        if self._leave_slot() and self.words[_NPC] != _ALL_ONES:
            target = self.words[_NPC]
        self.pc = target

    def back_to_branch(self) -> None:
        """In a delay slot, go back to the branch before it, which decides again: so exceptions and signals find it."""
        if self._leave_slot():
            self.pc -= self.layout.unit_bytes

    def _leave_slot(self) -> bool:
        slot = self.layout.slot
        if slot is None or not self.get_mode(slot):
            return False
        self.set_mode(slot, 0)
        return True

    # ------------------------------------------------------------ why it stopped

    @property
    def exit_reason(self) -> int:
        return self.words[_EXIT_REASON]

    @property
    def exception(self) -> int:
        """Code of the exception raised (Layout.exceptions), when exit_reason is EXCEPTION."""
        return self.words[_EXCEPTION]

    @property
    def arguments(self) -> tuple[int, int, int]:
        """The exception's arguments."""
        return self.words[_ARGUMENTS], self.words[_ARGUMENTS + 1], self.words[_ARGUMENTS + 2]

    @property
    def executed(self) -> int:
        """Instructions completed since the vCPU was made."""
        return self.signed[_BUDGET_BASE] - self.signed[_BUDGET]

    def set_budget(self, count: int) -> None:
        """Let native code run on while `count` is not yet used up, leaving `executed` as it is."""
        self.signed[_BUDGET_BASE] += count - self.signed[_BUDGET]
        self.signed[_BUDGET] = count

    # ------------------------------------------------------------ inside

    @staticmethod
    def _index(register: RegisterLayout, index: int) -> int:
        if not 0 <= index < register.count:
            raise IndexError(f"{register.name} has {register.count} entries, not one numbered {index}")
        return index

    def _put(self, register: RegisterLayout, index: int, value: int) -> None:
        at = register.offset + index * register.stride
        self.octets[at : at + register.stride] = value.to_bytes(register.stride, "little")
