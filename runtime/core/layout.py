"""How an ISA's registers and modes lie in `env`: the type of build/<isa>/state.py's LAYOUT."""

from __future__ import annotations

from runtime.core.record import computed, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def storage_bytes(width: int) -> int:
    """Bytes that hold a value of `width` bits in `env`: a power of two up to 16, then a multiple of 16."""
    size = 1
    while size * 8 < width and size < 16:
        size *= 2
    return size if size * 8 >= width else -(-width // 128) * 16


@record
class FieldLayout:
    """A named part of a register: bits low .. low+width-1."""

    name: str
    low: int
    width: int


@record
class PartLayout:
    """A named part of one entry of a register file: bits low .. low+width-1."""

    name: str
    entry: int
    low: int
    width: int


@record
class RegisterLayout:
    """A register (count 1) or a register file; entry i stands at offset + i * stride, zero-extended to its storage.

    `names` are the spellings of entries, the printed one first; empty for a single register.
    `zero` is the entry hard-wired to 0.
    """

    name: str
    width: int
    offset: int
    stride: int
    count: int = 1
    zero: int | None = None
    names: tuple[tuple[str, ...], ...] = ()
    fields: tuple[FieldLayout, ...] = ()
    reset: int = 0
    is_file: bool = False
    system: bool = False
    parts: tuple[PartLayout, ...] = ()  # of a file's entries, for people and scripts


@record
class ModeLayout:
    """A mode's place in `env.flags`."""

    name: str
    width: int
    shift: int
    reset: int
    prefix: bool = False
    machine: bool = False  # a user program never changes it


@record
class MemoryLayout:
    """A guest memory; index 0 is the one instructions are fetched from."""

    name: str
    address_width: int
    index: int
    physical: bool = False  # the one behind the first, for hooks


@record
class StickyLayout:
    """Bits of a register for which the host's accrued FP flags stand in (order: NV DZ OF UF NX, NX lowest)."""

    register: str
    low: int
    width: int


#: arguments that a rule of a lazy group may have for it to be put off
LAZY_ARGUMENTS = 3
LAZY_BYTES = 8 + 8 * LAZY_ARGUMENTS
#: `symbol` of accesses to what stands there
LAZY_SYMBOL = "%lazy"
#: the native function that gives registers the values they are owed
LAZY_SYNC = "lazy_sync"


@record
class LazyLayout:
    """Registers that native code may owe: the number of the rule that sets them stands at `rule`, its arguments, of 64
    bits each, behind it.  It is 0 where the registers hold their values, and always when Python looks."""

    registers: tuple[str, ...]
    rule: int

    def argument(self, number: int) -> int:
        """Where one of the arguments stands."""
        return self.rule + 8 + 8 * number


@record
class Layout:
    """Everything the runtime knows of an ISA's state."""

    isa: str
    pc_name: str
    pc_width: int
    registers: tuple[RegisterLayout, ...]
    modes: tuple[ModeLayout, ...]
    memories: tuple[MemoryLayout, ...]
    inputs: tuple[tuple[str, int, int], ...]  # name, width, offset
    exceptions: tuple[tuple[str, int], ...]  # name, code
    sticky: StickyLayout | None
    unit_bytes: int  # smallest instruction
    max_bytes: int  # longest instruction
    size: int  # bytes of env, a multiple of 64
    slot: str | None = None  # the mode that is 1 in a delay slot
    bases: tuple[str, ...] = ()  # isas that this one extends, the nearest first
    hooks: tuple[str, ...] = ()  # what a machine does by itself: the spec's `on …`
    translation: tuple[str, ...] = ()  # modes that `on translate` reads: each combination has answers of its own
    translation_registers: tuple[str, ...] = ()  # registers it reads: writing one forgets what it answered
    interrupt: tuple[str, ...] = ()  # modes that decide about interrupts: writing one polls
    interrupt_registers: tuple[str, ...] = ()  # registers that do
    machine: bool = False  # for code that runs whole machines: memory is reached through the TLB
    lazy: LazyLayout | None = None  # code of machines puts nothing off
    by_name: dict[str, RegisterLayout] = computed()

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {register.name: register for register in self.registers})

    @property
    def owed(self) -> LazyLayout | None:
        """The lazy group, if code for this layout may put it off."""
        return None if self.machine else self.lazy

    def mode(self, name: str) -> ModeLayout:
        """The mode called `name`; KeyError if there is none."""
        for mode in self.modes:
            if mode.name == name:
                return mode
        raise KeyError(name)

    def flags(self, modes: Mapping[str, int]) -> int:
        """env's flags with these modes, by their names, and the others as at reset; KeyError if there is none."""
        found = {mode.name: mode.reset for mode in self.modes}
        return sum(value << self.mode(name).shift for name, value in {**found, **modes}.items())

    def exception_name(self, code: int) -> str:
        """The name declared for an exception code, or the code in decimal."""
        for name, number in self.exceptions:
            if number == code:
                return name
        return str(code)
