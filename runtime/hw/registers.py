"""Registers declared once: where each is, who may access it, its reset value, and what its bits are called.

    class Clock(RegisterDevice):
        REGISTERS = (
            Register("CONTROL", 0x0, fields=(Field("ENABLE", 0), Field("MODE", 1, 2))),
            Register("COUNT", 0x4, access="ro"),
        )

        def read_count(self) -> int: ...           # a value that is computed; without it, what was stored
        def write_control(self, value: int) -> None: ...   # behind the store of the bits that may be written

Everything else follows: access of other widths, reset, saved state, and a log that names registers and bits.
"""

from __future__ import annotations

from itertools import pairwise

from runtime.core.record import computed, record
from runtime.hw.device import Device, DeviceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import ClassVar


@record
class Field:
    """Bits of a register: `width` of them from bit `low`."""

    name: str
    low: int
    width: int = 1

    @property
    def mask(self) -> int:
        return ((1 << self.width) - 1) << self.low

    def of(self, value: int) -> int:
        """The field's value in a register's."""
        return value >> self.low & ((1 << self.width) - 1)


@record
class Register:
    """One register, or `count` of a kind, `stride` bytes apart (their width, if not given).

    access     rw, ro, wo, or w1c: a one written to a bit clears it
    writable   bits that can be written; all of them unless given
    bank       registers of several banks share addresses; the device's `bank()` says which is there
    """

    name: str
    offset: int
    width: int = 4
    access: str = "rw"
    reset: int = 0
    fields: tuple[Field, ...] = ()
    writable: int | None = None
    count: int = 1
    stride: int = 0
    bank: str = ""
    mask: int = computed(init=False)

    def __post_init__(self) -> None:
        whole = (1 << 8 * self.width) - 1
        object.__setattr__(self, "mask", whole if self.writable is None else self.writable)

    @property
    def step(self) -> int:
        return self.stride or self.width

    def text(self, value: int) -> str:
        """A value for the log, with its fields."""
        parts = [f"{field.name}={field.of(value):#x}" for field in self.fields if field.of(value)]
        return f"{value:#x}" + (f" ({' '.join(parts)})" if parts else "")


@record
class Slot:
    """One of a device's registers at `start`, with the names of the methods that go with it."""

    register: Register
    index: int
    start: int
    reader: str
    writer: str

    @property
    def name(self) -> str:
        return f"{self.register.name}[{self.index}]" if self.register.count > 1 else self.register.name


def check(owner: str, registers: Sequence[Register]) -> None:
    """TypeError if two registers of one bank share a byte."""
    places = sorted(
        (register.bank, register.offset + index * register.step, register.width, register.name)
        for register in registers
        for index in range(register.count)
    )
    for (bank, start, width, name), (other_bank, other_start, _, other) in pairwise(places):
        if bank == other_bank and start + width > other_start:
            raise TypeError(f"{owner}: {name} and {other} share a byte")


class RegisterDevice(Device):
    """A device that is made of registers.

    registers   REGISTERS, unless the constructor was given others (when their number is the machine's choice)
    value       name -> contents of the registers there is one of; array: of those there are several of
    """

    REGISTERS: ClassVar[tuple[Register, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        check(cls.__name__, cls.REGISTERS)

    def __init__(self, name: str, size: int, registers: Sequence[Register] | None = None) -> None:
        super().__init__(name, size)
        self.registers = self.REGISTERS if registers is None else tuple(registers)
        if registers is not None:
            check(name, registers)
        self._names = {register.name: register for register in self.registers}
        self._fields = {(register.name, field.name): field for register in self.registers for field in register.fields}
        self._slots: dict[tuple[str, int], Slot] = {}
        self.value: dict[str, int] = {}
        self.array: dict[str, list[int]] = {}
        self._restore_registers()

    def _restore_registers(self) -> None:
        for register in self.registers:
            if register.count > 1:
                self.array[register.name] = [register.reset] * register.count
            else:
                self.value[register.name] = register.reset

    def bank(self, offset: int, write: bool) -> str:
        """Which bank stands at an address that several share."""
        return ""

    def field(self, register: str, name: str) -> int:
        """A field of a register that there is one of."""
        return self._fields[register, name].of(self.value[register])

    def set_field(self, register: str, name: str, value: int) -> None:
        """Change one."""
        declared = self._fields[register, name]
        self.value[register] = self.value[register] & ~declared.mask | (value << declared.low & declared.mask)

    # ------------------------------------------------------------ accesses

    def read(self, offset: int, size: int) -> int:
        """A load; it may take a part of a register, or several."""
        result = done = 0
        while done < size:
            slot = self._slot(offset + done, False)
            if slot is None:
                if self.log is not None:
                    self.complain(f"load from {offset + done:#x}, where no register is")
                done += 1
                continue
            skipped = offset + done - slot.start
            count = min(slot.register.width - skipped, size - done)
            value = self._load(slot) >> 8 * skipped
            result |= (value & ((1 << 8 * count) - 1)) << 8 * done
            done += count
        return result

    def write(self, offset: int, size: int, value: int) -> None:
        """A store; the bytes of a register that it leaves out stay."""
        done = 0
        while done < size:
            slot = self._slot(offset + done, True)
            if slot is None:
                if self.log is not None:
                    self.complain(f"store to {offset + done:#x}, where no register is")
                done += 1
                continue
            skipped = offset + done - slot.start
            count = min(slot.register.width - skipped, size - done)
            bits = ((1 << 8 * count) - 1) << 8 * skipped
            self._store(slot, (value >> 8 * done << 8 * skipped) & bits, bits)
            done += count

    def _slot(self, offset: int, write: bool) -> Slot | None:
        bank = self.bank(offset, write)
        found = self._slots.get((bank, offset))
        if found is None:
            found = self._search(bank, offset)
            if found is not None:
                self._slots[bank, offset] = found
        return found

    def _search(self, bank: str, offset: int) -> Slot | None:
        for register in self.registers:
            if offset >= register.offset and register.bank in ("", bank):
                index, rest = divmod(offset - register.offset, register.step)
                if index < register.count and rest < register.width:
                    reader, writer = f"read_{register.name.lower()}", f"write_{register.name.lower()}"
                    return Slot(
                        register,
                        index,
                        offset - rest,
                        reader if hasattr(self, reader) else "",
                        writer if hasattr(self, writer) else "",
                    )
        return None

    def _load(self, slot: Slot) -> int:
        register = slot.register
        if register.access == "wo":
            value = 0
        elif slot.reader:
            method: Callable[..., int] = getattr(self, slot.reader)
            value = method(slot.index) if register.count > 1 else method()
        else:
            value = self.array[register.name][slot.index] if register.count > 1 else self.value[register.name]
        if self.log is not None:
            self.log("io", f"{self.name}: {slot.name} is {register.text(value)}")
        return value

    def _store(self, slot: Slot, value: int, bits: int) -> None:
        register = slot.register
        if self.log is not None:
            self.log("io", f"{self.name}: {slot.name} := {register.text(value)}")
        if register.access == "ro":
            if self.log is not None:
                self.complain(f"store to {slot.name}, which is read-only")
            return
        array = self.array.get(register.name)
        before = self.value[register.name] if array is None else array[slot.index]
        if register.access == "w1c":
            new = before & ~(value & register.mask)
        else:
            mask = bits & register.mask
            new = before & ~mask | value & mask
        if array is None:
            self.value[register.name] = new
        else:
            array[slot.index] = new
        if slot.writer:
            method: Callable[..., None] = getattr(self, slot.writer)
            if array is None:
                method(new)
            else:
                method(slot.index, new)

    # ------------------------------------------------------------ state

    def reset(self) -> None:
        """Every register as declared."""
        self._restore_registers()

    def save(self) -> dict[str, object]:
        registers: dict[str, object] = dict(self.value)
        registers.update({name: list(values) for name, values in self.array.items()})
        return {**super().save(), "registers": registers}

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        registers = state.get("registers")
        if not isinstance(registers, dict) or registers.keys() != self._names.keys():
            raise DeviceError(f"{self.name}: the saved state is of other registers")
        for name, register in self._names.items():
            values = registers[name] if register.count > 1 else [registers[name]]
            if not isinstance(values, list) or len(values) != register.count:
                raise DeviceError(f"{self.name}: the saved state has no fitting {name}")
            if not all(isinstance(value, int) and 0 <= value < 1 << 8 * register.width for value in values):
                raise DeviceError(f"{self.name}: the saved {name} is out of range")
            if register.count > 1:
                self.array[name] = list(values)
            else:
                self.value[name] = values[0]
