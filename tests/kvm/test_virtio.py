"""A virtio function driven by a kernel of ours: its doorbell rings without an exit, its answer comes as a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.hw.characters import Recorder
from runtime.hw.clock import HostClock
from runtime.hw.virtio.pci import VirtioPci
from runtime.hw.virtio.rng import VirtioRng
from runtime.kvm.accelerator import KvmAccelerator, KvmOptions, KvmVm
from runtime.machine.machine import Machine
from runtime.machine.pc import Pc, PcOptions
from runtime.machine.processors import Threads
from tests.kvm.guests import gate
from tests.kvm.kernels import image
from tests.kvm.kvm import require_kvm

ROUNDS = 12
RINGS, TABLE = 0x310000, 0x300000


def configuration(register: int, store: str = "") -> str:
    """Load, or store to, the configuration of slot 2."""
    address = f"mov ${0x80001000 | register & 0xFC:#x}, %eax\n mov $0xcf8, %dx\n out %eax, %dx\n"
    return f"{address} mov $0xcfc, %dx\n" + (f"mov ${store}, %eax\n out %eax, %dx\n" if store else "in %dx, %eax\n")


def kernel(control: int) -> bytes:
    """Asks for random numbers ROUNDS times, waiting for each answer's interrupt; prints what is wrong, or a full stop.

    control   where MSI-X's capability is
    """
    return image(
        "virtio",
        "",
        f"""
        mov $0x90000, %esp
        {configuration(0x20)}
        and $-16, %eax
        mov %eax, %ebx                  # the structures
        {configuration(0x14)}
        and $-16, %eax
        mov %eax, %ebp                  # the table of messages
        {configuration(4, "6")}
        {gate(0x51, TABLE, 0x10)}
        lidt table(%rip)
        mov $0xfee00000, %r13d
        movl $0x1ff, 0xf0(%r13)
        movl $0xfee00000, 16(%rbp)
        movl $0, 20(%rbp)
        movl $0x51, 24(%rbp)
        movl $0, 28(%rbp)
        {configuration(control, "0x80000000")}
        movb $3, 0x14(%rbx)
        movl $1, 8(%rbx)
        movl $1, 12(%rbx)
        movb $11, 0x14(%rbx)
        movw $0, 0x16(%rbx)
        movw $8, 0x18(%rbx)
        movl ${RINGS:#x}, 0x20(%rbx)
        movl ${RINGS + 0x1000:#x}, 0x28(%rbx)
        movl ${RINGS + 0x2000:#x}, 0x30(%rbx)
        movw $1, 0x1a(%rbx)
        movw $1, 0x1c(%rbx)
        movb $15, 0x14(%rbx)
        mov ${RINGS:#x}, %r14d
        movq ${RINGS + 0x3000:#x}, (%r14)
        movl $16, 8(%r14)
        movw $2, 12(%r14)
        xor %r15d, %r15d
        mov ${ROUNDS}, %r12d
again:  incw 0x1002(%r14)
        movw $0, 0x3000(%rbx)
wait:   cli
        cmp $0, %r15d
        jne came
        sti
        hlt
        jmp wait
came:   xor %r15d, %r15d
        mov $0x57, %al
        mov 0x2002(%r14), %cx
        cmp 0x1002(%r14), %cx           # all requests are done
        jne end
        mov $0x4c, %al
        cmpl $16, 0x2008(%r14)          # the first was filled
        jne end
        dec %r12d
        jnz again
        mov $0x2e, %al
end:    mov $0x3f8, %dx
        out %al, %dx
        mov $0x604, %dx
        mov $0x2000, %ax
        out %ax, %dx
1:      hlt
        jmp 1b
handler:
        inc %r15d
        movl $0, 0xb0(%r13)
        iretq
table:  .word 0xfff
        .quad {TABLE:#x}
        """,
    )


class Run:
    """The kernel on the pc board; it has ended."""

    def __init__(self, folder: Path, watches: bool) -> None:
        function = VirtioPci("rng", Machine("probe", HostClock()).memory, VirtioRng(), messages=True)
        control = next(place for place in range(0x40, 256, 4) if function.config[place] == 0x11)
        path = folder / "kernel"
        path.write_bytes(kernel(control))
        self.machine = Machine("pc", HostClock())
        self.serial = Recorder()
        options = PcOptions(memory=16 << 20, kernel=str(path), kernel_devices=True)
        board = Pc(self.machine, options, self.serial, lambda data: None)
        board.plug_pci("rng", VirtioRng())
        board.boot()
        accelerator = KvmAccelerator(KvmOptions(doorbells=watches))
        self.rings = 0
        try:
            self.machine.attach(accelerator, 1)
            self.machine.processors = Threads(self.machine)
            self.machine.start()
            self.ending = self.machine.run()
            assert isinstance(self.machine.vm, KvmVm)
            self.exits = self.machine.vm.vcpus[0].exits["MMIO"]
        finally:
            self.machine.close()
            accelerator.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    require_kvm("virtio's doorbells without exits, and its messages")
    return tmp_path


def test_doorbells_and_messages(folder: Path) -> None:
    """The same happens with ioeventfd and without; what is saved is an exit for each time the doorbell rings."""
    by_event, by_exit = Run(folder, True), Run(folder, False)
    for run in (by_event, by_exit):
        assert (run.serial.written, run.ending.status, run.ending.report) == (b".", 0, "")
    assert by_exit.exits - by_event.exits == ROUNDS
