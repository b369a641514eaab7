"""The machines there are, and how each is built from the options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from isomorph.machines.backends import Backends
from isomorph.machines.options import MachineOptions, Settings, UsageError, memory_size, settings
from runtime.hw.block.drive import parse_drive
from runtime.hw.characters import Characters
from runtime.hw.clock import InstructionClock
from runtime.machine.machine import Machine
from runtime.machine.virt import TIMEBASE, Cpu, Virt, VirtOptions

if TYPE_CHECKING:
    from runtime.machine.pc import Pc


@dataclass(frozen=True)
class Processor:
    """A processor of a board's: what `-cpu` calls it, and the instruction set it executes."""

    name: str
    isa: str
    summary: str


@dataclass(frozen=True)
class BoardKind:
    """A machine by the name that `-M` knows.

    frequency   Hz of the counter that its processors read
    options     what can be said behind its name, with help
    takes_features   whether -cpu may leave features of the processor out: NAME,-FEATURE or NAME,FEATURE=off
    make        (machine, options, what was said behind the name, processor, count, backends) -> board
    """

    name: str
    summary: str
    processors: tuple[Processor, ...]
    most_processors: int
    frequency: int
    options: Mapping[str, str]
    make: Callable[[Machine, MachineOptions, Settings, Processor, int, Backends], Any]
    takes_features: bool = False


def rtc_base(text: str, machine: Machine) -> int | None:
    """-rtc base=…, as ns since 1970; None: now."""
    given = settings("-rtc", text or "base=", None)
    base = given.take("base") or ("2000-01-01" if isinstance(machine.clock, InstructionClock) else "utc")
    for ignored in ("clock", "driftfix"):
        given.take(ignored)
    given.done("base", "clock")
    if base in ("utc", "localtime"):
        return None
    try:
        moment = datetime.fromisoformat(base)
    except ValueError:
        raise UsageError(f"-rtc {text}: base is utc, or a date such as 2000-01-01T12:00:00") from None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) * 1_000_000_000


#: the single letters of RISC-V's standard extensions, in the order they are written
_LETTERS = "imafdc"


def _riscv_isa(bits: int, options: MachineOptions, given: Settings) -> Cpu:
    """What `-cpu rv64,sv48=off` asks for."""
    choice = settings("-cpu", options.cpu or f"rv{bits}")
    widest = "sv32" if bits == 32 else "sv48"
    mmu = widest
    if not choice.take_switch("mmu", True):
        mmu = ""
    if bits == 64 and not choice.take_switch("sv48", True):
        mmu = mmu and "sv39"
    choice.done("mmu", *(("sv48",) if bits == 64 else ()))
    extensions = "_".join(("zicsr", "zifencei", "zba", "zbb", "zbs", "sstc"))
    return Cpu(choice.kind, bits, f"rv{bits}{_LETTERS}_{extensions}", mmu)


def _make_virt(
    machine: Machine,
    options: MachineOptions,
    given: Settings,
    processor: Processor,
    count: int,
    backends: Backends,
) -> Virt:
    bits = 32 if processor.isa.endswith("32") else 64
    cpu = _riscv_isa(bits, options, given)
    aclint = given.take_switch("aclint")
    given.done("aclint", "accel", "dumpdtb", "graphics")
    flash: list[tuple[str, bool] | None] = [None, None]
    paths = [(path, False) for path in options.flashes] + backends_flash(options)
    if len(paths) > 2:
        raise UsageError("the virt machine has two flash banks")
    for index, one in enumerate(paths):
        flash[index] = one
    wanted = VirtOptions(
        memory=memory_size(options.memory),
        count=count,
        bios=options.bios or "default",
        kernel=options.kernel or None,
        initrd=options.initrd or None,
        append=options.append,
        dtb=options.dtb or None,
        aclint=aclint,
        flash=(flash[0], flash[1]),
        rtc_base=rtc_base(options.rtc, machine),
    )
    return Virt(machine, cpu, wanted, serial_port(options, 0, backends))


def _make_pc(
    machine: Machine,
    options: MachineOptions,
    given: Settings,
    processor: Processor,
    count: int,
    backends: Backends,
) -> Pc:
    from runtime.machine.pc import BIOS, Pc, PcOptions  # a fourth of what a start of the other board would import

    inside = given.take_switch("kernel-irqchip")
    menu = given.take_switch("boot-menu")
    given.done("kernel-irqchip", "boot-menu", "accel", "graphics")
    if count > 1 and not inside:
        raise UsageError("-smp: several processors need local APICs, which are KVM's: -M pc,kernel-irqchip=on")
    if options.dtb:
        raise UsageError("-dtb: the pc machine has ACPI tables, no device tree")
    if options.kernel and options.bios not in ("", "none"):
        raise UsageError("-bios: with -kernel, the pc machine runs no firmware")
    wanted = PcOptions(
        memory=memory_size(options.memory),
        count=count,
        bios=options.bios if options.bios not in ("", "default") else BIOS,
        kernel=options.kernel or None,
        initrd=options.initrd or None,
        append=options.append,
        kernel_devices=inside,
        boot_menu=menu,
        rtc_base=rtc_base(options.rtc, machine),
    )
    return Pc(machine, wanted, serial_port(options, 0, backends), lambda data: None)


def backends_flash(options: MachineOptions) -> list[tuple[str, bool]]:
    """Files of `-drive if=pflash`, in their order."""
    drives = [parse_drive(text, number) for number, text in enumerate(options.drives)]
    return [(drive.file, drive.read_only) for drive in drives if drive.interface == "pflash"]


def serial_port(options: MachineOptions, index: int, backends: Backends) -> Characters:
    """The other end of a serial port."""
    if index < len(options.serials):
        return backends.journaled(backends.characters(options.serials[index], "serial"), f"serial{index}")
    if index > 0 or options.nodefaults:
        return Characters()
    if options.nographic or not options.display:
        shared = not options.monitors and not options.mons
        return backends.journaled(backends.characters("mon:stdio" if shared else "stdio", "serial"), "serial0")
    return Characters()


BOARDS: dict[str, BoardKind] = {
    board.name: board
    for board in (
        BoardKind(
            "virt",
            "RISC-V with virtio devices, as QEMU's virt",
            (
                Processor("rv64", "riscv64", "RV64GC, Zba Zbb Zbs Zicond, Sv39 and Sv48, Sstc"),
                Processor("rv32", "riscv32", "RV32GC, Zba Zbb Zbs Zicond, Sv32"),
            ),
            256,
            TIMEBASE,
            {
                "aclint": "on: the ACLINT's three devices, and not SiFive's CLINT",
                "accel": "as -accel",
                "dumpdtb": "write the device tree to a file, and end",
            },
            _make_virt,
        ),
        BoardKind(
            "pc",
            "an IBM PC AT with PCI, SeaBIOS or -kernel; -accel kvm",
            (Processor("x86_64", "x86_64", "the host's own; x86_64,-cx16 leaves a feature out"),),
            8,
            1_193_182,
            {
                "kernel-irqchip": "on: interrupt controllers and timer are KVM's, not the machine's own",
                "boot-menu": "on: SeaBIOS offers its boot menu",
                "accel": "as -accel",
            },
            _make_pc,
            takes_features=True,
        ),
    )
}


def find_board(given: Settings) -> BoardKind:
    """The board of that name; UsageError."""
    if given.kind not in BOARDS:
        raise UsageError(f"there is no machine {given.kind!r}; there are {', '.join(BOARDS)} (isomorph machine help)")
    return BOARDS[given.kind]


def find_processor(board: BoardKind, text: str) -> Processor:
    """The processor that -cpu names; UsageError."""
    name = settings("-cpu", text).kind if text else ""
    if not name or name in ("max", "any", "host"):
        return board.processors[0]
    for processor in board.processors:
        if processor.name == name:
            return processor
    known = ", ".join(processor.name for processor in board.processors)
    raise UsageError(f"-cpu {text}: {board.name} has no processor {name}; there are {known}")


def left_out(text: str) -> tuple[str, ...]:
    """The features that -cpu takes from a processor: `x86_64,-cx16,popcnt=off`; UsageError."""
    names = []
    for name, value in settings("-cpu", text).values.items():
        if name.startswith("-") and value == "on":
            names.append(name[1:])
        elif value == "off":
            names.append(name)
        else:
            raise UsageError(
                f"-cpu {text}: {name}: a feature can be left out, -{name.lstrip('-+')}; the host gives all others"
            )
    return tuple(names)
