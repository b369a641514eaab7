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

from runtime.core.record import computed, record
from runtime.hw.device import Device, DeviceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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
class _Slot:
    """A register of a device's, with the methods that go with it."""

    register: Register
    index: int
    start: int
    reader: str
    writer: str

    @property
    def name(self) -> str:
        return f"{self.register.name}[{self.index}]" if self.register.count > 1 else self.register.name


class RegisterDevice(Device):
    """A device that is made of registers.

    value   name -> contents of the registers there is one of; array: of those there are several of
    """

    REGISTERS: ClassVar[tuple[Register, ...]] = ()
    _slots: ClassVar[dict[tuple[str, int], _Slot]] = {}
    _names: ClassVar[dict[str, Register]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._slots = {}
        cls._names = {register.name: register for register in cls.REGISTERS}
        for register in cls.REGISTERS:
            reader, writer = f"read_{register.name.lower()}", f"write_{register.name.lower()}"
            for index in range(register.count):
                start = register.offset + index * register.step
                slot = _Slot(
                    register,
                    index,
                    start,
                    reader if hasattr(cls, reader) else "",
                    writer if hasattr(cls, writer) else "",
                )
                for byte in range(start, start + register.width):
                    if (register.bank, byte) in cls._slots:
                        other = cls._slots[register.bank, byte]
                        raise TypeError(f"{cls.__name__}: {slot.name} and {other.name} share a byte")
                    cls._slots[register.bank, byte] = slot

    def __init__(self, name: str, size: int) -> None:
        super().__init__(name, size)
        self.value: dict[str, int] = {}
        self.array: dict[str, list[int]] = {}
        self._restore_registers()

    def _restore_registers(self) -> None:
        for register in self.REGISTERS:
            if register.count > 1:
                self.array[register.name] = [register.reset] * register.count
            else:
                self.value[register.name] = register.reset

    def bank(self, write: bool) -> str:
        """Which bank stands at addresses that several share."""
        return ""

    def field(self, register: str, name: str) -> int:
        """A field of a register that there is one of."""
        declared = next(field for field in self._names[register].fields if field.name == name)
        return declared.of(self.value[register])

    def set_field(self, register: str, name: str, value: int) -> None:
        """Change one."""
        declared = next(field for field in self._names[register].fields if field.name == name)
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

    def _slot(self, offset: int, write: bool) -> _Slot | None:
        slots = self._slots
        return slots.get((self.bank(write), offset)) or slots.get(("", offset))

    def _load(self, slot: _Slot) -> int:
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

    def _store(self, slot: _Slot, value: int, bits: int) -> None:
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
