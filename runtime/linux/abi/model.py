"""What the Linux layer must be told about a guest: the type of every table in this package."""

from __future__ import annotations

from runtime.core.light import MappingProxyType
from runtime.core.record import computed, record
from runtime.linux.structs import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

#: a register or mode of the spec: its name and, for a register file, which entry; ("pc", 0) is the program counter
Register = tuple[str, int]


@record
class SystemCall:
    """A spec exception that asks the kernel for a service; the guest goes on `length` bytes further."""

    length: int


@record
class Fault:
    """A spec exception that Linux turns into a signal.

    `code` is a constant's name; "SEGV" stands for SEGV_MAPERR or SEGV_ACCERR, as the address is mapped or not.
    `address` says what si_addr holds: "pc", or the exception's argument "arg0" .. "arg2".  A trap, which comes behind
    its instruction, has in arg1 where that is; 0 if the pc is there already.
    """

    signal: str
    code: str
    address: str = "pc"
    trap: bool = False


@record
class FaultByCode:
    """A spec exception whose argument arg0 is a code: the faults of some codes, and that of all others."""

    codes: Mapping[int, Fault]
    other: Fault


@record
class Descriptor:
    """A spec exception that asks for the entry of a program's table of segments whose selector is arg0."""


@record
class SignalFrame:
    """What the kernel pushes before it enters a signal handler: siginfo (128 bytes), then ucontext.

    A frame for handlers without SA_SIGINFO has a struct sigcontext and no siginfo (`stack_offset` None).
    """

    context_bytes: int
    stack_offset: int | None  # of uc_stack in ucontext
    mask_offset: int  # of uc_sigmask
    #: (register, offset in ucontext, bytes of the integer there, the register's lowest bit in it, its bits)
    registers: tuple[tuple[Register, int, int, int, int], ...]
    #: handler(signal, siginfo, ucontext): where its arguments and its return address go
    arguments: tuple[Register, Register, Register]
    return_address: Register | None
    #: code that calls rt_sigreturn, for guests without SA_RESTORER
    trampoline: bytes
    align: int = 16
    #: bytes before siginfo, for a handler's own use
    head_bytes: int = 0
    #: where the handler's own address goes, if it looks for it in a register
    handler: Register | None = None
    #: siginfo stands in the context's bytes, at this offset, not before them
    info_offset: int | None = None
    #: the return address is the first word of the head
    return_on_stack: bool = False
    #: offsets in the head where the handler's arguments stand, too
    stack_arguments: tuple[int, ...] = ()
    #: by how much the stack pointer is beyond the frame's beginning when sigreturn is called
    popped: int = 0
    #: what the frame's address lacks to a multiple of `align`
    skew: int = 0
    #: bytes below the stack pointer that are the interrupted function's
    red_zone: int = 0
    #: offset in ucontext -> what always stands there, a word; and -> the offset of what it points to
    words: Mapping[int, int] = MappingProxyType({})
    pointers: Mapping[int, int] = MappingProxyType({})
    #: words that stand there, instead of those, if the instruction set has a register of this name
    words_with: tuple[str, Mapping[int, int]] = ("", MappingProxyType({}))
    #: offset of the mask's upper half, where it does not follow the lower one
    mask_high_offset: int | None = None
    #: the frame that handlers without SA_SIGINFO have, if it is another; they return by sigreturn
    plain: SignalFrame | None = None


@record
class ProgramMode:
    """A mode that a program is started in, as a byte of a program header's contents says."""

    mode: str
    header: int  # the header's type
    offset: int  # of the byte in what the header stands for
    values: Mapping[int, int]  # the byte -> the mode; 0 for others, and without such a header


@record
class LocalTable:
    """The registers that segments of a program's own table (modify_ldt) are kept in.

    Of a signal frame's registers `code` is one, and pc the offset in its segment.
    """

    selectors: str  # register files: what was read of the table, by the selectors' lowest bits but three
    entries: str
    code: tuple[Register, Register]  # selector and base
    stack: tuple[Register, Register]
    data: tuple[tuple[Register, Register], ...]
    stack_mask: Register
    small: str  # modes: code of 16 bits; whether any of these, the thread-local ones apart, is not the kernel's own
    based: str
    own: tuple[int, int]  # the kernel's selectors of code, and of data and stack


@record
class SegmentTable:
    """Descriptors that a program has the kernel set for its thread-local storage (struct user_desc)."""

    first: int  # the number of the first descriptor, and where their bases are kept
    bases: tuple[Register, ...]
    #: (segment register, the base it took when it was loaded)
    loaded: tuple[tuple[Register, Register], ...]
    local: LocalTable


@record
class Abi:
    """A guest's Linux ABI."""

    name: str
    isa: str  # the build that runs it, unless the user names another
    elf_machine: int
    bits: int
    big_endian: bool
    uname_machine: str
    address_top: int  # first guest address beyond the stack
    number: Register
    arguments: tuple[Register, ...]
    result: Register
    stack: Register
    exceptions: Mapping[str, SystemCall | Fault | FaultByCode | Descriptor]
    signal_frame: SignalFrame
    numbers: Mapping[str, int]  # system call name -> number
    constants: Mapping[str, int]  # O_*, MAP_*, SIG* ...: the guest's values
    definitions: Mapping[str, str]  # structure name -> definition (see Struct)
    thread_pointer: Register | None = None
    #: … or where the thread pointer is a segment, whose descriptor clone and set_thread_area are given
    segments: SegmentTable | None = None
    #: arch_prctl's codes that set and get a register
    base_registers: Mapping[tuple[int, int], Register] = MappingProxyType({})
    program_mode: ProgramMode | None = None
    #: the mode in which misaligned accesses raise nothing, if there is one: programs start in it
    alignment_mode: str | None = None
    #: modes of a terminal (c_lflag) that have another bit than asm-generic's: that -> the guest's
    terminal_modes: Mapping[int, int] = MappingProxyType({})
    #: where c_cc has asm-generic's special characters, in their order; empty: where those are
    terminal_characters: tuple[int, ...] = ()
    platform: str | None = None  # AT_PLATFORM
    hardware_capabilities: int = 0  # AT_HWCAP
    hardware_probe: Mapping[int, int] = MappingProxyType({})  # key -> value, where there is a call that asks for it
    page_bytes: int = 4096
    clock_ticks: int = 100
    #: clone(flags, stack, parent_tid, tls, child_tid), as most have it (CLONE_BACKWARDS), or with tls last
    clone_tls_first: bool = True
    #: bytes to a multiple of which members of structures stand at most
    struct_align: int = 8
    #: 64-bit arguments of a 32-bit guest begin at an even register
    aligned_pairs: bool = False
    #: the mode that bit 0 of a function's address chooses, and registers and modes that a signal handler starts with
    address_mode: str | None = None
    entry_state: Mapping[str, int] = MappingProxyType({})
    #: pages with code that the kernel puts into every process: address -> contents
    fixed_pages: Mapping[int, bytes] = MappingProxyType({})
    #: set to 1 when a call fails, and its result is errno then; where there is none, the result is -errno
    error_flag: Register | None = None
    #: the second descriptor of pipe, if that does not write them to memory
    second_result: Register | None = None
    #: arguments that find no register: how far above the stack pointer they begin, and how many there are
    stack_arguments: tuple[int, int] = (0, 0)
    #: fcntl's commands that are others than asm-generic's, and the structure they take
    fcntl_commands: Mapping[int, tuple[int, str]] = MappingProxyType({})
    #: socket(2)'s types, SOL_SOCKET and its options where they differ: the guest's -> asm-generic's
    socket_types: Mapping[int, int] = MappingProxyType({})
    socket_level: int = 1
    socket_options: Mapping[int, int] = MappingProxyType({})
    errors: Mapping[int, int] = MappingProxyType({})  # asm-generic errno -> the guest's, where it differs
    structs: dict[str, Struct] = computed()

    def __post_init__(self) -> None:
        object.__setattr__(self, "structs", {})

    @property
    def long_bytes(self) -> int:
        """Bytes of a C long and of a pointer."""
        return self.bits // 8

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """The guest's byte order as Python's int.to_bytes names it."""
        return "big" if self.big_endian else "little"

    def struct(self, name: str) -> Struct:
        """The layout of structure `name`."""
        found = self.structs.get(name)
        if found is None:
            definition = self.definitions[name]
            fields = definition.removeprefix("packed ")
            align = self.struct_align if fields == definition else 1
            found = Struct(fields, self.long_bytes, self.big_endian, align)
            self.structs[name] = found
        return found

    def host_struct(self, name: str) -> Struct:
        """The same structure on the host: asm-generic's, 64-bit and little-endian, as every host this runs on is."""
        from runtime.linux.abi.generic import STRUCTS_64

        return Struct(STRUCTS_64.get(name) or self.definitions[name], 8, False)


def table(*parts: Mapping[str, int]) -> Mapping[str, int]:
    """Tables merged, later ones winning, as a read-only mapping."""
    merged: dict[str, int] = {}
    for part in parts:
        merged.update(part)
    return MappingProxyType(merged)


def numbered(text: str) -> Mapping[str, int]:
    """A table written as words: a number sets the count, a name takes it and counts on."""
    found: dict[str, int] = {}
    count = 0
    for word in text.split():
        if word.isdecimal():
            count = int(word)
        else:
            found[word] = count
            count += 1
    return MappingProxyType(found)
