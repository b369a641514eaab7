"""Typed access to one vCPU's `env` from Python: what build/<isa>/state.py's CPUState is made of."""

from __future__ import annotations

from runtime.core.layout import RegisterLayout, storage_bytes
from runtime.core.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@record
class DebugRegister:
    """One register as a debugger lists it, a file's entries one by one."""

    name: str  # the spelling printed
    width: int
    offset: int  # in env
    group: str  # the file's name; "pc", "registers" or "system" for single ones


class StateView:
    """One vCPU's `env`; the generated CPUState adds what the ISA declares."""

    __slots__ = ("env",)

    def __init__(self, env: memoryview) -> None:
        self.env = env


class Bits:
    """A register, or a named part of one, as an int attribute of a StateView."""

    __slots__ = ("bytes", "low", "mask", "offset")

    def __init__(self, offset: int, width: int, low: int = 0, part: int | None = None) -> None:
        self.offset = offset
        self.bytes = storage_bytes(width)
        self.low = low
        self.mask = (1 << (width if part is None else part)) - 1

    def __get__(self, view: StateView, owner: type[StateView] | None = None) -> int:
        whole = int.from_bytes(view.env[self.offset : self.offset + self.bytes], "little")
        return whole >> self.low & self.mask

    def __set__(self, view: StateView, value: int) -> None:
        place = slice(self.offset, self.offset + self.bytes)
        whole = int.from_bytes(view.env[place], "little") & ~(self.mask << self.low)
        whole |= (value & self.mask) << self.low
        view.env[place] = whole.to_bytes(self.bytes, "little")


class FileView:
    """A register file as a sequence of ints; writes to the hard-wired entry are dropped."""

    __slots__ = ("_env", "_layout", "_mask", "_size")

    def __init__(self, env: memoryview, layout: RegisterLayout) -> None:
        self._env = env
        self._layout = layout
        self._mask = (1 << layout.width) - 1
        self._size = storage_bytes(layout.width)

    def _at(self, index: int) -> int:
        if not 0 <= index < self._layout.count:
            raise IndexError(f"{self._layout.name}[{index}]: it has {self._layout.count} entries")
        return self._layout.offset + index * self._layout.stride

    def __getitem__(self, index: int) -> int:
        at = self._at(index)
        return int.from_bytes(self._env[at : at + self._size], "little")

    def __setitem__(self, index: int, value: int) -> None:
        at = self._at(index)
        if index != self._layout.zero:
            self._env[at : at + self._size] = (value & self._mask).to_bytes(self._size, "little")

    def __len__(self) -> int:
        return self._layout.count

    def __iter__(self) -> Iterator[int]:
        return (self[index] for index in range(self._layout.count))


class File:
    """A register file as an attribute of a StateView."""

    __slots__ = ("layout",)

    def __init__(self, layout: RegisterLayout) -> None:
        self.layout = layout

    def __get__(self, view: StateView, owner: type[StateView] | None = None) -> FileView:
        return FileView(view.env, self.layout)
