"""`emulator.regs`: the guest's registers by the names of its spec, in lower case."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from isomorph.errors import RegisterError
from runtime.core.cpu import Vcpu
from runtime.core.layout import ModeLayout, RegisterLayout

#: a register or an entry of a file, and which bits of it; the name of a mode, or "pc"
_Place = tuple[RegisterLayout, int, int, int] | str


class Registers:
    """Registers as attributes or items: `regs.a0`, `regs["x10"]`, `regs.pc`, `regs["fflags"]`.

    Parts that the spec names are there as well, such as `regs.al` of an x86; writing one leaves the others.

    Values are unsigned; a negative one is stored as its two's complement.  `regs.file("x")` is a whole register file.
    """

    __slots__ = ("_known", "_vcpu")
    _known: dict[str, _Place]
    _vcpu: Vcpu

    def __init__(self, vcpu: Vcpu) -> None:
        object.__setattr__(self, "_vcpu", vcpu)
        known: dict[str, _Place] = {}
        for mode in _standing(vcpu):
            known[mode.name.lower()] = mode.name
        for register in vcpu.layout.registers:
            if register.is_file:
                for index in range(register.count):
                    whole = register, index, 0, register.width
                    known.setdefault(f"{register.name.lower()}{index}", whole)
                    for name in register.names[index] if register.names else ():
                        known.setdefault(name.lower(), whole)
            else:
                known[register.name.lower()] = register, 0, 0, register.width
        for register in vcpu.layout.registers:  # what is whole counts most
            for part in register.parts:
                known.setdefault(part.name.lower(), (register, part.entry, part.low, part.width))
            for field in register.fields:
                place = register, 0, field.low, field.width
                known.setdefault(f"{register.name}_{field.name}".lower(), place)
        known["pc"] = known[vcpu.layout.pc_name.lower()] = "pc"
        object.__setattr__(self, "_known", known)

    def __getitem__(self, name: str) -> int:
        place = self._place(name)
        if isinstance(place, str):
            return self._vcpu.pc if place == "pc" else self._vcpu.get_mode(place)
        register, index, low, width = place
        return self._vcpu.get(register.name, index) >> low & (1 << width) - 1

    def __setitem__(self, name: str, value: int) -> None:
        place = self._place(name)
        if isinstance(place, tuple):
            width = place[3]
        elif place == "pc":
            width = self._vcpu.layout.pc_width
        else:
            width = self._vcpu.layout.mode(place).width
        if not -(1 << (width - 1)) <= value < 1 << width:
            raise RegisterError(
                f"{name} has {width} bits: {value:#x} does not fit; cut it: value & {(1 << width) - 1:#x}"
            )
        value &= (1 << width) - 1
        if isinstance(place, tuple):
            register, index, low, _ = place
            if width < register.width:
                rest = self._vcpu.get(register.name, index) & ~((1 << width) - 1 << low)
                value = value << low | rest
            self._vcpu.set(register.name, value, index)
        elif place == "pc":
            self._vcpu.pc = value
        else:
            self._vcpu.set_mode(place, value)

    def __getattr__(self, name: str) -> int:
        return self[name]

    def __setattr__(self, name: str, value: int) -> None:
        self[name] = value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._known

    def __iter__(self) -> Iterator[str]:
        """Every register once, by its first name; the pc first."""
        yield "pc"
        for register in self._vcpu.layout.registers:
            if register.is_file:
                for index in range(register.count):
                    yield register.names[index][0] if register.names else f"{register.name.lower()}{index}"
            else:
                yield register.name.lower()
        for mode in _standing(self._vcpu):
            yield mode.name.lower()

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._known]

    def width(self, name: str) -> int:
        """Bits of a register."""
        place = self._place(name)
        if isinstance(place, tuple):
            return place[3]
        return self._vcpu.layout.pc_width if place == "pc" else self._vcpu.layout.mode(place).width

    def file(self, name: str) -> list[int]:
        """A copy of all entries of a register file."""
        for register in self._vcpu.layout.registers:
            if register.is_file and register.name.lower() == name.lower():
                return [self._vcpu.get(register.name, index) for index in range(register.count)]
        raise RegisterError(f"{self._vcpu.layout.isa} has no register file {name!r}")

    def as_dict(self) -> dict[str, int]:
        """Every register and its value."""
        return {name: self[name] for name in self}

    def _place(self, name: str) -> _Place:
        known = self._known
        place = known.get(name.lower())
        if place is None:
            near = get_close_matches(name.lower(), known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise RegisterError(f"{self._vcpu.layout.isa} has no register {name!r}{hint}")
        return place

    def __repr__(self) -> str:
        return "<registers: " + " ".join(f"{name}={self[name]:#x}" for name in self) + ">"


def _standing(vcpu: Vcpu) -> list[ModeLayout]:
    """Modes that there are between instructions: not those that only prefixes set, while one is decoded."""
    return [mode for mode in vcpu.layout.modes if not mode.prefix]
