"""Our guests in the processor's modes, and a machine for them: 1 MiB of RAM, a port that collects bytes, a register."""

from __future__ import annotations

from runtime.core.accelerator import VcpuExit
from runtime.hw.bus import AddressSpace, Memory
from runtime.hw.device import Device
from runtime.kvm.accelerator import KvmAccelerator, KvmOptions, KvmVm
from runtime.kvm.vcpu import KvmVcpu
from tests.kvm.kvm import assemble

RAM_BYTES = 0x200000
#: where every guest's code begins, in real mode with all segments 0
START = 0x1000
CONSOLE, COUNTER = 0xE9, 0x600
REGISTER = 0xD0000000
ROM = 0xC0000


def gate(vector: int, table: int, selector: int) -> str:
    """Long mode: the entry of a table of interrupts that leads to `handler`."""
    return f"""
        lea handler(%rip), %rax
        mov ${table + vector * 16:#x}, %edi
        mov %ax, (%rdi)
        movw ${selector}, 2(%rdi)
        movw $0x8e00, 4(%rdi)
        shr $16, %rax
        mov %ax, 6(%rdi)
        movq $0, 8(%rdi)
"""


#: real mode to 32-bit protected mode with flat segments: the guest goes on at `flat`
TO_FLAT = """
        .code16
        cli
        lgdtl table_pointer
        mov %cr0, %eax
        or $1, %al
        mov %eax, %cr0
        ljmpl $8, $flat
        .balign 8
table:  .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
table_pointer:
        .word 31
        .long table
        .code32
flat:   mov $16, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov $0x9000, %esp
"""
#: and on to long mode, the first gigabyte mapped one to one and the fourth: the guest goes on at `long`
TO_LONG = (
    TO_FLAT
    + """
        movl $0x21003, 0x20000
        movl $0x22003, 0x21000
        movl $0x23003, 0x21018          # 3 GiB and up: devices
        movl $0x83, 0x22000
        movl $0xd0000083, 0x23400       # of it 0xd0000000
        movl $0xfee00083, 0x23fb8       # and 0xfee00000
        mov $0x20, %eax
        mov %eax, %cr4
        mov $0x20000, %eax
        mov %eax, %cr3
        mov $0xc0000080, %ecx
        rdmsr
        or $0x100, %eax
        wrmsr
        mov %cr0, %eax
        or $0x80000000, %eax
        mov %eax, %cr0
        ljmp $24, $long
        .code64
long:
"""
)


class Console(Device):
    """Keeps what is written; gives the bytes of `source`, then zeros."""

    def __init__(self, name: str, size: int = 4) -> None:
        super().__init__(name, size)
        self.written: list[tuple[int, int, int]] = []
        self.source = b""

    def read(self, offset: int, size: int) -> int:
        taken, self.source = self.source[:size], self.source[size:]
        return int.from_bytes(taken.ljust(size, b"\0"), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        self.written.append((offset, size, value))

    @property
    def text(self) -> bytes:
        return b"".join(value.to_bytes(size, "little") for _, size, value in self.written)


class Guest:
    """A machine with one guest in its memory."""

    def __init__(self, source: str, name: str, options: KvmOptions | None = None, processors: int = 1) -> None:
        self.bus = AddressSpace("memory")
        self.ports = AddressSpace("ports", 16, floating=(1 << 64) - 1)
        self.ram = Memory("ram", RAM_BYTES)
        self.rom = Memory("rom", 4096, b"read-only")
        self.console, self.register, self.counter = Console("console", 1), Console("register", 0x10), Console("counter")
        self.bus.add_ram(0, self.ram)
        self.bus.add_rom(ROM, self.rom, priority=1)
        self.bus.add_device(REGISTER, self.register)
        self.ports.add_device(CONSOLE, self.console)
        self.ports.add_device(COUNTER, self.counter)
        if source:
            code = assemble(source, name, START)
            self.ram.bytes[START : START + len(code)] = code
        self.accelerator = KvmAccelerator(options or KvmOptions(controllers=False, timer=False))
        self.vm: KvmVm = self.accelerator.make_vm(self.bus, self.ports)
        self.vcpus: list[KvmVcpu] = [self.vm.make_vcpu(index) for index in range(processors)]
        self.vcpu = self.vcpus[0]
        self.to_real_mode(self.vcpu)

    @staticmethod
    def to_real_mode(vcpu: KvmVcpu, address: int = START) -> None:
        vcpu.set_register("cs.base", 0)
        vcpu.set_register("cs", 0)
        vcpu.set_register("rip", address)

    def run(self) -> VcpuExit:
        return self.vcpu.run(1 << 40)

    def close(self) -> None:
        self.vm.close()
        self.accelerator.close()
