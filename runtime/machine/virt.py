"""The `virt` board for RISC-V: QEMU's memory map, so that firmware and kernels for that board run unmodified."""

from __future__ import annotations

import os
import time
from random import Random

from runtime.core.record import record
from runtime.hw.bus import Memory
from runtime.hw.characters import Characters
from runtime.hw.clint import MachineTimer, SoftwareInterrupts, SupervisorSoftwareInterrupts, clint_node
from runtime.hw.clock import InstructionClock
from runtime.hw.device_tree import DeviceTreeError, Node, Place, flatten, read_tree, wide
from runtime.hw.fw_cfg import FwCfgMmio
from runtime.hw.goldfish_rtc import GoldfishRtc
from runtime.hw.ns16550 import Ns16550
from runtime.hw.pci.function import PciFunction
from runtime.hw.pci.host import PciHost, Window
from runtime.hw.pflash import Pflash, pair_node
from runtime.hw.plic import Plic
from runtime.hw.sifive_test import PASS, RESET, SifiveTest
from runtime.hw.virtio.mmio import VirtioMmio
from runtime.hw.virtio.pci import VirtioPci
from runtime.machine.images import Executable, Images, Part, is_elf, read_elf, read_file
from runtime.machine.machine import Machine, MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.core.accelerator import Vcpu
    from runtime.hw.irq import Line
    from runtime.hw.virtio.device import VirtioDevice

MROM, MROM_SIZE = 0x1000, 0xF000
TEST, RTC, CLINT, SSWI = 0x100000, 0x101000, 0x2000000, 0x2F00000
PLIC, UART, FW_CFG, FLASH = 0xC000000, 0x10000000, 0x10100000, 0x20000000
VIRTIO, VIRTIO_STEP, VIRTIO_COUNT = 0x10001000, 0x1000, 8
DRAM = 0x80000000
ECAM, ECAM_SIZE, PCI_IO, PCI_IO_SIZE = 0x30000000, 0x10000000, 0x3000000, 0x10000
PCI_LOW, PCI_LOW_SIZE, PCI_HIGH_SIZE = 0x40000000, 0x40000000, 16 << 30
UART_IRQ, RTC_IRQ, VIRTIO_IRQ, PCI_IRQ, SOURCES = 10, 11, 1, 32, 95
FLASH_BANK, FLASH_SECTOR = 32 << 20, 256 << 10
TIMEBASE = 10_000_000
EM_RISCV = 243

_2M, _128M, _3G = 2 << 20, 128 << 20, 3 << 30
#: which interrupts of a hart's the controllers are wired to (the privileged architecture, mcause)
_SSI, _MSI, _MTI, _SEI, _MEI = 1, 3, 7, 9, 11
#: where Debian has OpenSBI
FIRMWARE = {
    64: (
        "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin",
        "/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin",
    ),
    32: ("/usr/share/qemu/opensbi-riscv32-generic-fw_dynamic.bin",),
}
_FW_DYNAMIC_MAGIC, _FW_DYNAMIC_VERSION, _SUPERVISOR = 0x4942534F, 2, 1


@record
class Cpu:
    """A processor as the device tree describes it."""

    name: str
    bits: int
    isa: str  # riscv,isa
    mmu: str  # sv32, sv39, sv48; empty: none


@record
class VirtOptions:
    """What a `virt` machine is made of."""

    memory: int = 128 << 20
    count: int = 1
    bios: str = "default"
    kernel: str | None = None
    initrd: str | None = None
    append: str = ""
    dtb: str | None = None
    aclint: bool = False
    flash: tuple[tuple[str, bool] | None, tuple[str, bool] | None] = (None, None)
    rtc_base: int | None = None  # ns since 1970; None: the host's clock says


class Virt:
    """The board.  `serial` is the console's other end; devices are plugged into virtio-mmio slots or PCI."""

    def __init__(self, machine: Machine, cpu: Cpu, options: VirtOptions, serial: Characters) -> None:
        self.machine = machine
        self.cpu = cpu
        self.options = options
        self.images = Images(machine.memory)
        count = options.count
        self.plic = self._controllers(count)
        ram = machine.remember(Memory("riscv_virt_board.ram", options.memory))
        self.ram_size = options.memory
        machine.space.add_ram(DRAM, ram)
        self.rom = Memory("riscv_virt_board.mrom", MROM_SIZE)
        machine.space.add_rom(MROM, self.rom)
        self._devices(serial)
        self.slots: list[VirtioMmio] = []
        for index in range(VIRTIO_COUNT):
            source = VIRTIO_IRQ + index
            slot = VirtioMmio(f"virtio-mmio.{index}", machine.memory, self.line(source))
            machine.add(slot, VIRTIO + index * VIRTIO_STEP, (source,))
            self.slots.append(slot)
        self.pci = self._pci_host()
        self._start = DRAM
        self._tree_at = 0
        machine.prepare = self._prepare
        machine.on_reset.append(self.images.load)

    def _controllers(self, count: int) -> Plic:
        machine = self.machine

        def wires(name: str) -> list[Line]:
            return [machine.input(hart, name) for hart in range(count)]

        machine.add(SoftwareInterrupts("clint.mswi", wires("MSIP")), CLINT)
        machine.add(MachineTimer("clint.mtimer", wires("MTIP"), machine.clock, TIMEBASE), CLINT + 0x4000)
        if self.options.aclint:
            machine.add(SupervisorSoftwareInterrupts("aclint.sswi", wires("SSIP")), SSWI)
        contexts = [line for pair in zip(wires("MEIP"), wires("SEIP"), strict=True) for line in pair]
        plic = Plic("plic", contexts, SOURCES)
        machine.add(plic, PLIC)
        return plic

    def _devices(self, serial: Characters) -> None:
        machine, platform = self.machine, self.machine.platform
        machine.add(SifiveTest("test", platform), TEST)
        base = self.options.rtc_base
        if base is None:
            base = time.time_ns() - machine.clock.now()
        machine.add(GoldfishRtc("rtc", self.line(RTC_IRQ), machine.clock, base), RTC, (RTC_IRQ,))
        machine.add(Ns16550("serial0", serial, self.line(UART_IRQ), machine.clock), UART, (UART_IRQ,))
        self.fw_cfg = FwCfgMmio("fw_cfg", platform)
        machine.add(self.fw_cfg, FW_CFG)
        self.fw_cfg.add(0x05, self.options.count.to_bytes(2, "little"))  # FW_CFG_NB_CPUS
        self.flash: list[Pflash] = []
        for index, given in enumerate(self.options.flash):
            path, read_only = given if given is not None else (None, False)
            flash = Pflash(f"pflash{index}", FLASH_BANK, FLASH_SECTOR, path, read_only)
            machine.add(flash)
            flash.map(machine.space, FLASH + index * FLASH_BANK)
            self.flash.append(flash)

    def _pci_host(self) -> PciHost:
        """The bridge; its 64-bit window lies behind RAM, at a multiple of its size."""
        high = -(-(DRAM + self.ram_size) // PCI_HIGH_SIZE) * PCI_HIGH_SIZE
        sources = tuple(range(PCI_IRQ, PCI_IRQ + 4))
        host = PciHost(
            "pcie.0",
            ECAM_SIZE,
            [self.line(source) for source in sources],
            (Window(PCI_LOW, PCI_LOW_SIZE), Window(high, PCI_HIGH_SIZE)),
            Window(PCI_IO, PCI_IO_SIZE),
        )
        self.machine.add(host, ECAM, sources)
        host.map_windows(self.machine.space)
        return host

    def line(self, source: int) -> Line:
        """A wire to the interrupt controller."""
        return self.plic.line(source, f"irq{source}")

    def plug_virtio(self, name: str, device: VirtioDevice) -> None:
        """Put a virtio device into the next slot, the last one first, as QEMU does."""
        free = [slot for slot in self.slots if slot.device is None]
        if not free:
            raise MachineError(f"the virt machine has room for {VIRTIO_COUNT} virtio devices")
        free[-1].plug(device)

    def plug_pci(self, name: str, device: VirtioDevice | PciFunction) -> None:
        """Put a function, or a virtio device as one, into the next PCI slot."""
        messages = self.pci.on_message is not None
        function = (
            device
            if isinstance(device, PciFunction)
            else VirtioPci(name, self.machine.memory, device, messages=messages)
        )
        self.pci.plug(function)
        self.machine.add(function, bus="pcie.0")
        for memory in function.memories():
            self.machine.remember(memory)

    # ------------------------------------------------------------ the device tree

    def device_tree(self) -> Node:
        """What the board consists of, as the kernel learns it."""
        root = Node("").set("#address-cells", 2).set("#size-cells", 2)
        root.set("compatible", "riscv-virtio").set("model", "riscv-virtio,qemu")
        chosen = root.add("chosen")
        root.add(f"memory@{DRAM:x}").set("device_type", "memory").set("reg", *wide(DRAM), *wide(self.ram_size))
        harts = self._cpu_nodes(root)
        soc = root.add("soc").set("#address-cells", 2).set("#size-cells", 2)
        soc.set("compatible", "simple-bus").set("ranges")
        devices = self.machine.devices
        root.add(pair_node(self.flash[0], self.flash[1], FLASH))
        fw_cfg = self.fw_cfg.device_tree_node(Place(FW_CFG, self.fw_cfg.size))
        root.add(fw_cfg)

        plic = self.plic.device_tree_node(Place(PLIC, self.plic.size, extended=_cells(harts, _MEI, _SEI)))
        soc.add(plic)
        if self.options.aclint:
            for name, address, cells in (
                ("clint.mswi", CLINT, (_MSI,)),
                ("clint.mtimer", CLINT + 0x4000, (_MTI,)),
                ("aclint.sswi", SSWI, (_SSI,)),
            ):
                device = devices[name].device
                node = device.device_tree_node(Place(address, device.size, extended=_cells(harts, *cells)))
                if node is not None:
                    soc.add(node)
        else:
            soc.add(clint_node(Place(CLINT, 0x10000, extended=_cells(harts, _MSI, _MTI))))
        for placed in devices.values():
            if placed.address is not None and placed.device.name.partition(".")[0] not in ("plic", "clint", "aclint"):
                place = Place(placed.address, placed.device.size, plic, tuple((irq,) for irq in placed.interrupts))
                node = placed.device.device_tree_node(place)
                if node is not None and placed.device is not self.fw_cfg:
                    soc.add(node)
        test = soc.get("test")
        assert test is not None
        for name, value in (("poweroff", PASS), ("reboot", RESET)):
            node = root.add(name).set("compatible", f"syscon-{name}").set("regmap", test)
            node.set("offset", 0).set("value", value)
        chosen.set("stdout-path", f"/soc/serial@{UART:x}")
        return root

    def _cpu_nodes(self, root: Node) -> list[Node]:
        cpus = root.add("cpus").set("#address-cells", 1).set("#size-cells", 0).set("timebase-frequency", TIMEBASE)
        cluster = Node("cluster0")
        harts = []
        for hart in range(self.options.count):
            node = cpus.add(f"cpu@{hart:x}").set("device_type", "cpu").set("reg", hart).set("status", "okay")
            node.set("compatible", "riscv").set("riscv,isa", self.cpu.isa)
            if self.cpu.mmu:
                node.set("mmu-type", f"riscv,{self.cpu.mmu}")
            controller = node.add("interrupt-controller").set("#interrupt-cells", 1).set("interrupt-controller")
            harts.append(controller.set("compatible", "riscv,cpu-intc"))
            cluster.add(f"core{hart}").set("cpu", node)
        cpus.add("cpu-map").add(cluster)
        return harts

    @staticmethod
    def _given_tree(path: str) -> Node:
        try:
            return read_tree(bytes(read_file(path, "-dtb")))
        except DeviceTreeError as error:
            raise DeviceTreeError(f"-dtb {path}: {error}") from None

    def tree(self) -> Node:
        """The tree the guest is given: -dtb's or our own, with the command line's wishes in /chosen."""
        options = self.options
        root = self.device_tree() if options.dtb is None else self._given_tree(options.dtb)
        chosen = root.child("chosen")
        if options.append or options.dtb is None:
            chosen.set("bootargs", options.append)
        if self.machine.seed is not None:
            seed = Random(self.machine.seed).randbytes(32)
        elif isinstance(self.machine.clock, InstructionClock):
            seed = bytes(range(32))  # every run the same
        else:
            seed = os.urandom(32)
        chosen.set("rng-seed", seed)
        return root

    # ------------------------------------------------------------ what it begins with

    def boot(self) -> None:
        """Read firmware, kernel and ramdisk, decide where they go, and write the reset vector."""
        options = self.options
        root = self.tree()
        end = self._firmware()
        entry = 0
        if options.kernel is not None:
            entry = self._kernel(options.kernel, end)
            if self._start == DRAM and not end:
                self._start = entry  # no firmware: the kernel is what begins
            if options.initrd is not None:
                data = read_file(options.initrd, "-initrd")
                at = entry + min(self.ram_size // 2, _128M) & -4096
                self.images.add(Part(at, data, len(data), f"-initrd {options.initrd}"))
                chosen = root.child("chosen")
                chosen.set("linux,initrd-start", *wide(at)).set("linux,initrd-end", *wide(at + len(data)))
        blob = flatten(root)
        limit = min(DRAM + self.ram_size, _3G)
        self._tree_at = limit - len(blob) & -_2M
        self.images.add(Part(self._tree_at, blob, len(blob), "the device tree"))
        self._reset_vector(entry)

    def _firmware(self) -> int:
        """Load -bios; the first address behind it, 0 if there is none."""
        options = self.options
        path: str | None = options.bios
        if path == "none" or (path == "default" and options.flash[0] is not None):
            if options.flash[0] is not None:
                self._start = FLASH
            return 0
        if path == "default":
            path = next((known for known in FIRMWARE[self.cpu.bits] if os.path.isfile(known)), None)
            if path is None:
                raise MachineError(
                    "no firmware is installed (Debian package opensbi); install it, or give -bios FILE or -bios none"
                )
        assert path is not None
        data, name = read_file(path, "-bios"), f"-bios {path}"
        if is_elf(data):
            executable = self._executable(data, name)
            self._start = executable.entry
            return executable.end
        self.images.add(Part(DRAM, data, len(data), name))
        return DRAM + len(data)

    def _kernel(self, path: str, behind: int) -> int:
        """Load -kernel; where it begins."""
        data, name = read_file(path, "-kernel"), f"-kernel {path}"
        if is_elf(data):
            return self._executable(data, name).entry
        if bytes(data[:2]) in (b"\x1f\x8b", b"BZ") or bytes(data[:4]) in (b"\xfd7zX", b"\x28\xb5\x2f\xfd"):
            raise MachineError(f"{name}: the file is compressed; unpack it first")
        align = _2M if self.cpu.bits == 64 else 2 * _2M
        at = -(-(behind or DRAM) // align) * align
        size = len(data)
        if bytes(data[0x38:0x3C]) == b"RSC\x05":  # Documentation/riscv/boot-image-header: how much it takes in memory
            size = max(size, int.from_bytes(data[16:24], "little"))
        self.images.add(Part(at, data, len(data), name))
        if at + size > DRAM + self.ram_size:
            raise MachineError(f"{name}: it needs {size:#x} bytes of memory from {at:#x}; give the machine more (-m)")
        return at

    def _executable(self, data: memoryview, name: str) -> Executable:
        executable = read_elf(data, name)
        if executable.machine != EM_RISCV or executable.bits != self.cpu.bits:
            raise MachineError(f"{name}: not for a RISC-V processor of {self.cpu.bits} bits")
        for part in executable.parts:
            self.images.add(part)
        return executable

    def _reset_vector(self, kernel: int) -> None:
        """What every hart runs first: a0 = its number, a1 = the device tree, a2 = what OpenSBI shall start next."""
        wide_registers = self.cpu.bits == 64
        code = (
            0x00000297,  # auipc t0, 0
            0x02828613,  # addi a2, t0, 40
            0xF1402573,  # csrr a0, mhartid
            0x0202B583 if wide_registers else 0x0202A583,  # load a1, 32(t0)
            0x0182B283 if wide_registers else 0x0182A283,  # load t0, 24(t0)
            0x00028067,  # jr t0
        )
        words = [_FW_DYNAMIC_MAGIC, _FW_DYNAMIC_VERSION, kernel, _SUPERVISOR, 0, 0]
        data = b"".join(word.to_bytes(4, "little") for word in code)
        data += self._start.to_bytes(8, "little") + self._tree_at.to_bytes(8, "little")
        data += b"".join(word.to_bytes(self.cpu.bits // 8, "little") for word in words)
        self.rom.bytes[: len(data)] = data

    def _prepare(self, vcpu: Vcpu) -> None:
        vcpu.set_input("HARTID", vcpu.index)
        vcpu.pc = MROM


def _cells(harts: Sequence[Node], *interrupts: int) -> tuple[tuple[Node, int], ...]:
    return tuple((hart, interrupt) for hart in harts for interrupt in interrupts)
