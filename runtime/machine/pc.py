"""The `pc` board: an IBM PC AT's devices at their ports, SeaBIOS as its firmware.

It knows no accelerator.  With interrupt controllers and the timer of the accelerator's own (`kernel_devices`), lines go
to `Vm.set_line`; without, to an 8259 pair and an 8254 of ours, whose INT is the processor's INTR.
"""

from __future__ import annotations

import struct
import time
from pathlib import Path

from runtime.core.record import record
from runtime.hw.acpi_pm import AcpiPm, ResetControl
from runtime.hw.bus import AddressSpace, Memory
from runtime.hw.debug_console import DebugConsole, DebugExit
from runtime.hw.fw_cfg import FwCfgPorts
from runtime.hw.i8042 import I8042, FastGate
from runtime.hw.i8254 import I8254, PortB
from runtime.hw.i8259 import I8259, EdgeLevelControl, make_pair
from runtime.hw.ide import IdeChannel
from runtime.hw.irq import Line
from runtime.hw.mc146818 import Mc146818
from runtime.hw.ns16550 import Ns16550
from runtime.hw.pci.function import PciFunction
from runtime.hw.pci.host import BUS_SIZE, ConfigPorts, PciHost, Window
from runtime.hw.pci.i440fx import DiskFunction, HostBridge, IsaBridge, slot_lines
from runtime.hw.vga.dispi import Framebuffer
from runtime.hw.vga.vga import Vga
from runtime.hw.virtio.pci import VirtioPci
from runtime.machine.images import Images, Part
from runtime.machine.machine import Machine, MachineError
from runtime.machine.pc_boot import RAM, RESERVED, ROOT, TABLES, BootWishes, add_kernel
from runtime.machine.pc_entry_x86 import ENTRY
from runtime.machine.pc_tables import PCI_INTERRUPTS, pc_tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.accelerator import Vcpu
    from runtime.hw.block.backend import BlockBackend
    from runtime.hw.characters import Characters
    from runtime.hw.device import Device
    from runtime.hw.virtio.device import VirtioDevice

#: where Debian's package has it
BIOS = "/usr/share/seabios/bios.bin"
_4G, _LOW_MOST = 1 << 32, 0xC0000000
#: addresses of PCI's memory: from here, or the end of RAM, to the I/O APIC
_PCI_LEAST, _PCI_END = 0x80000000, 0xFEC00000
_BIOS_MOST = 0x40000
#: ports of PCI functions, behind those that have been a PC's since 1984
_PORTS = 0xC000
#: the first twelve bits of the addresses that messages to local APICs go to
_APICS = 0xFEE
_PART = 0x10000
_TIMER, _KEYBOARD, _SERIAL, _CLOCK, _SCI, _MOUSE, _DISK, _SECOND_DISK = 0, 1, 4, 8, 9, 12, 14, 15
# fw_cfg's items by number.
_RAM_SIZE, _PROCESSORS, _BOOT_MENU, _MOST_PROCESSORS = 0x03, 0x05, 0x0E, 0x0F
_E820_RAM = 1


@record
class PcOptions:
    """What the command line says of the machine."""

    memory: int = 128 << 20
    count: int = 1
    bios: str = BIOS
    kernel: str | None = None  # booted without any firmware
    initrd: str | None = None
    append: str = ""
    kernel_devices: bool = False  # interrupt controllers and timer are the accelerator's
    serial_console: bool = True  # SeaBIOS shows its text on the UART
    boot_menu: bool = False
    rtc_base: int | None = None  # ns since 1970; None: the host's clock says


class Pc:
    """The board.  `serial` is COM1's other end; `debug` gets what firmware prints to port 0x402."""

    def __init__(
        self, machine: Machine, options: PcOptions, serial: Characters, debug: Callable[[bytes], object]
    ) -> None:
        self.machine = machine
        self.options = options
        self.ports = machine.ports = AddressSpace("ports", 16, machine.lock, floating=(1 << 64) - 1)
        self.pics: tuple[I8259, I8259] | None = None
        self._memory()
        self._interrupts()
        self._pci()
        self._devices(serial, debug)
        self._firmware_items()

    # ------------------------------------------------------------ memory

    def _memory(self) -> None:
        machine, size = self.machine, self.options.memory
        if size < 2 << 20:
            raise MachineError("a PC has at least 2M of memory")
        self.ram = machine.remember(Memory("pc.ram", size))
        self.low = min(size, _LOW_MOST)
        machine.space.add_ram(0, self.ram, size=self.low)
        if size > self.low:
            machine.space.add_ram(_4G, self.ram, offset=self.low, size=size - self.low, name="pc.ram.high")
        bios = None
        if self.options.kernel is None:
            firmware = _read_bios(self.options.bios)
            if len(firmware) % 4096:
                raise MachineError(f"{self.options.bios}: {len(firmware)} bytes, not a BIOS of whole pages")
            bios = Memory("pc.bios", len(firmware), firmware)
            machine.space.add_rom(_4G - len(firmware), bios)
        self.bridge = HostBridge("pci.0.host")
        nothing = Memory("pci.hole", _PART, b"\xff" * _PART)
        self.bridge.watch(machine.space, self.ram, bios, nothing, priority=1)

    # ------------------------------------------------------------ interrupts

    def _interrupts(self) -> None:
        if self.options.kernel_devices:
            return
        self.pics = make_pair(self.machine.input(0, "INTR").set)
        self.machine.acknowledge = self.pics[0].acknowledge
        master, slave = self.pics
        self._port(master, 0x20)
        self._port(slave, 0xA0)
        self._port(EdgeLevelControl("elcr", self.pics), 0x4D0)

    def line(self, number: int) -> Line:
        """A wire to ISA interrupt `number`."""
        if self.pics is not None:
            return self.pics[number >> 3].line(number & 7)

        def change(level: int) -> None:
            if self.machine.vm is not None:
                self.machine.vm.set_line(number, level)

        return Line(f"irq{number}", change)

    # ------------------------------------------------------------ PCI

    def _pci(self) -> None:
        machine = self.machine
        start = max(self.low, _PCI_LEAST)
        self.isa = IsaBridge("pci.0.isa", self.line)
        lines = slot_lines(self.isa, Line)
        window = Window(start, _PCI_END - start)
        # Messages are for local APICs, which come with the accelerator's controllers.
        message = self._message if self.options.kernel_devices else None
        self.pci = PciHost("pci.0", BUS_SIZE, lines, (window,), bridge=self.bridge, on_message=message)
        self.pci.ports = self.ports
        self.pci.map_windows(machine.space)
        machine.add(self.pci)
        machine.add(self.bridge, bus="pci.0")
        self._plug(self.isa, 1, 0)
        self.channels = [
            IdeChannel(f"ide{number}", self.line(line)) for number, line in enumerate((_DISK, _SECOND_DISK))
        ]
        self._plug(DiskFunction("pci.0.ide", machine.memory, self.channels), 1, 1)
        reset = ResetControl("reset", machine.platform)
        machine.add(reset, bus="isa")
        self._port(ConfigPorts("pci.0.ports", self.pci, reset), 0xCF8)

    def _message(self, address: int, data: int) -> None:
        """A function's interrupt by message (Intel's manual, volume 3, 11.11): a store where local APICs listen."""
        if address >> 20 == _APICS and self.machine.vm is not None:
            self.machine.vm.send_message(address, data)
        else:
            self.pci.complain(f"a message to {address:#x}, where no local APIC listens")

    def _plug(self, function: PciFunction, slot: int | None = None, number: int = 0) -> None:
        self.pci.plug(function, slot, number)
        self.machine.add(function, bus="pci.0")

    def plug_pci(self, name: str, device: VirtioDevice | PciFunction) -> None:
        """Put a function, or a virtio device as one, into the next PCI slot."""
        messages = self.pci.on_message is not None
        function = (
            device
            if isinstance(device, PciFunction)
            else VirtioPci(name, self.machine.memory, device, messages=messages)
        )
        self._plug(function)
        for memory in function.memories():
            self.machine.remember(memory)
        if isinstance(function, Vga):
            function.connect(self.machine.space, self.ports, priority=3)
        if isinstance(function, Framebuffer) and self.options.kernel is None:
            path = str(Path(self.options.bios).with_name(function.firmware))
            self.fw_cfg.add_file("pci1234,1111.rom", _read_bios(path))

    # ------------------------------------------------------------ devices

    def _port(self, device: Device, port: int) -> None:
        self.machine.add(device, None, bus="isa")
        self.ports.add_device(port, device)

    def _devices(self, serial: Characters, debug: Callable[[bytes], object]) -> None:
        machine, options = self.machine, self.options
        if not options.kernel_devices:
            timer = I8254("pit", self.line(_TIMER), machine.clock)
            self._port(timer, 0x40)
            self._port(PortB("portb", timer), 0x61)
        base = options.rtc_base
        if base is None:
            base = time.time_ns() - machine.clock.now()
        self._port(Mc146818("rtc", self.line(_CLOCK), machine.clock, base, self._cmos()), 0x70)
        self.keyboard = I8042("i8042", (self.line(_KEYBOARD), self.line(_MOUSE)), machine.reset)
        # Its second port is four behind the first; between them is the timer's.
        machine.add(self.keyboard, None, bus="isa")
        self.ports.add_device(0x60, self.keyboard, size=1)
        self.ports.add_device(0x64, self.keyboard, offset=4, size=1)
        self._port(FastGate("port92", machine.reset), 0x92)
        self._port(Ns16550("serial0", serial, self.line(_SERIAL), machine.clock, 8), 0x3F8)
        self._port(DebugConsole("debugcon", debug), 0x402)
        self._port(DebugExit("debugexit", machine.platform), 0x501)
        self.acpi = AcpiPm("acpi", self.line(_SCI), machine.platform)
        self._port(self.acpi, 0x600)
        self.fw_cfg = FwCfgPorts("fw_cfg", machine.platform)
        self._port(self.fw_cfg, 0x510)
        for channel, command, control in zip(self.channels, (0x1F0, 0x170), (0x3F6, 0x376), strict=True):
            self._port(channel, command)
            self.ports.add_device(control, channel.control)

    def plug_ide(self, image: BlockBackend) -> None:
        """The next disk."""
        for channel in self.channels:
            for index, disk in enumerate(channel.disks):
                if disk is None:
                    channel.plug(index, image)
                    return
        raise MachineError("the pc machine has room for four IDE disks")

    # ------------------------------------------------------------ what it begins with

    def boot(self) -> None:
        """Give the firmware what it asks for; or do its work, and load a kernel."""
        options, window = self.options, self.pci.windows[0]
        tables = pc_tables(options.count, options.kernel_devices, window)
        if options.kernel is None:
            for name, data in tables.files().items():
                self.fw_cfg.add_file(name, data)
            return
        # The first megabyte's end is seen in RAM only once its shadow is open.
        self.bridge.open_shadows()
        images = Images(self.machine.memory)
        root, data = tables.at(TABLES)
        images.add(Part(ROOT, root, len(root), "the ACPI tables' root"))
        images.add(Part(TABLES, data, len(data), "the ACPI tables"))
        wishes = BootWishes(options.kernel, options.initrd, options.append, self.low, self._ranges(), ROOT)
        add_kernel(images, wishes)
        self.machine.on_reset += [self._prepare_pci, images.load]
        self.machine.prepare = self._enter

    def _ranges(self) -> list[tuple[int, int, int]]:
        """The memory map without firmware: (start, size, kind)."""
        ranges = [
            (0, 0xA0000, RAM),
            (0xE0000, 0x20000, RESERVED),
            (1 << 20, self.low - (1 << 20), RAM),
        ]
        if self.options.memory > self.low:
            ranges.append((_4G, self.options.memory - self.low, RAM))
        return ranges

    def _prepare_pci(self) -> None:
        """What firmware does: the last RAM below 1 MiB made visible, interrupts wired, places given to all memory."""
        self.bridge.open_shadows()
        for wire, interrupt in enumerate(PCI_INTERRUPTS):
            self.isa.write(0x60 + wire, 1, interrupt)
        for interrupt in set(PCI_INTERRUPTS):
            self.ports.write(
                0x4D0 + (interrupt >> 3), 1, self.ports.read(0x4D0 + (interrupt >> 3), 1) | 1 << (interrupt & 7)
            )
        self.pci.place_all(lambda slot: PCI_INTERRUPTS[(slot - 1) % 4], _PORTS)

    def _enter(self, vcpu: Vcpu) -> None:
        """Begin at the code that goes to the kernel, not at the BIOS's first instruction."""
        if vcpu.index == 0:
            for name, value in (("cs", 0), ("cs.base", 0), ("rip", ENTRY)):
                vcpu.set_register(name, value)

    def _cmos(self) -> dict[int, int]:
        """What a BIOS finds in the CMOS: the sizes of memory, in KiB and 64 KiB, no floppies, the century."""
        extended = min(self.low - (1 << 20), 0xFFFF << 10) >> 10
        above_16m = max(0, self.low - (16 << 20)) >> 16
        high = max(0, self.options.memory - self.low) >> 16
        return {
            0x10: 0, 0x14: 0x02, 0x15: 640 & 0xFF, 0x16: 640 >> 8,
            0x17: extended & 0xFF, 0x18: extended >> 8, 0x30: extended & 0xFF, 0x31: extended >> 8,
            0x34: above_16m & 0xFF, 0x35: above_16m >> 8,
            0x5B: high & 0xFF, 0x5C: high >> 8 & 0xFF, 0x5D: high >> 16 & 0xFF, 0x5F: self.options.count - 1,
        }  # fmt: skip

    def _firmware_items(self) -> None:
        """What SeaBIOS asks fw_cfg for."""
        options, items = self.options, self.fw_cfg
        items.add(_RAM_SIZE, options.memory.to_bytes(8, "little"))
        items.add(_PROCESSORS, options.count.to_bytes(2, "little"))
        items.add(_MOST_PROCESSORS, options.count.to_bytes(2, "little"))
        items.add(_BOOT_MENU, int(options.boot_menu).to_bytes(2, "little"))
        ranges = [(0, self.low)]
        if options.memory > self.low:
            ranges.append((_4G, options.memory - self.low))
        items.add_file("etc/e820", b"".join(struct.pack("<QQI", start, size, _E820_RAM) for start, size in ranges))
        if options.serial_console:
            items.add_file("etc/sercon-port", (0x3F8).to_bytes(2, "little"))


def _read_bios(path: str) -> bytes:
    try:
        firmware = Path(path).read_bytes()
    except OSError as error:
        raise MachineError(
            f"{path}: {error.strerror}; Debian's package seabios has a BIOS, -bios names another"
        ) from None
    if len(firmware) % 512 or not 0 < len(firmware) <= _BIOS_MOST:
        raise MachineError(f"{path}: {len(firmware)} bytes, not a BIOS of up to 256K")
    return firmware
