"""Machines on KVM: each of the processor's modes, exits to the buses, interrupts by each path, state, dirty pages."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from runtime.core.accelerator import Breakpoint, Idle, Running, Shutdown
from runtime.hw.dma import Dma
from runtime.hw.virtio.pci import VirtioPci
from runtime.hw.virtio.rng import VirtioRng
from runtime.kvm import interrupts
from runtime.kvm.accelerator import KvmAccelerator, KvmOptions
from runtime.kvm.system import KvmError
from tests.conftest import ROOT
from tests.kvm.guests import CONSOLE, COUNTER, RAM_BYTES, REGISTER, ROM, START, TO_FLAT, TO_LONG, Guest, gate
from tests.kvm.kvm import require_kvm

OWN = KvmOptions(controllers=False, timer=False)
KERNEL = KvmOptions(controllers=True, timer=True)
#: seconds after which a guest that should have stopped has hung
PATIENCE = 60

Make = Callable[..., Guest]


@pytest.fixture
def guest(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes guests and closes them."""
    require_kvm(request.node.name.removeprefix("test_").replace("_", " "))
    made: list[Guest] = []

    def make(source: str, options: KvmOptions = OWN, processors: int = 1) -> Guest:
        made.append(Guest(source, request.node.name, options, processors))
        return made[-1]

    yield make
    for one in made:
        one.close()


def say(text: str) -> str:
    """Instructions that write a text to the console, in any mode."""
    return "".join(f"mov ${ord(letter)}, %al\n out %al, ${CONSOLE}\n" for letter in text)


# ------------------------------------------------------------ modes and exits


def test_real_mode(guest: Make) -> None:
    made = guest(f".code16\n{say('real')}\n mov $0x1234, %ax\n mov %ax, 0x500\n hlt")
    assert made.run() == Idle(None)
    assert made.console.text == b"real"
    assert bytes(made.ram.bytes[0x500:0x502]) == b"\x34\x12"
    assert made.vcpu.registers()["rax"] & 0xFFFF == 0x1234


def test_flat_32_bit_mode(guest: Make) -> None:
    made = guest(f"{TO_FLAT} movl $0x89abcdef, {REGISTER:#x}\n mov {REGISTER + 4:#x}, %ebx\n {say('flat')} hlt")
    made.register.source = (0x11223344).to_bytes(4, "little")
    assert made.run() == Idle(None)
    assert made.console.text == b"flat"
    assert made.register.written == [(0, 4, 0x89ABCDEF)]
    registers = made.vcpu.registers()
    assert registers["rbx"] == 0x11223344
    assert registers["cr0"] & 1


def test_long_mode(guest: Make) -> None:
    source = f"{TO_LONG} mov $0x123456789abcdef0, %rax\n mov ${REGISTER:#x}, %edi\n mov %rax, (%rdi)\n"
    made = guest(f"{source} mov 8(%rdi), %rbx\n {say('long')} hlt")
    made.register.source = (0xA5A5_0001_0002_0003).to_bytes(8, "little")
    assert made.run() == Idle(None)
    assert made.console.text == b"long"
    assert made.register.written == [(0, 8, 0x123456789ABCDEF0)]
    registers = made.vcpu.registers()
    assert registers["rbx"] == 0xA5A5_0001_0002_0003
    assert registers["efer"] & 0x400


def test_features_left_out(guest: Make) -> None:
    """CPUID tells what the user left, and no local APIC where there is none."""
    source = ".code16\n mov $1, %eax\n cpuid\n hlt"
    found = []
    for without in ((), ("cx16",)):
        made = guest(source, KvmOptions(controllers=False, timer=False, without=without))
        assert made.run() == Idle(None)
        registers = made.vcpu.registers()
        found.append((registers["rcx"] >> 13 & 1, registers["rdx"] >> 9 & 1))
    assert found == [(1, 0), (0, 0)]
    with pytest.raises(KvmError, match="a processor's feature wings cannot be left out; these can: abm, adx"):
        KvmAccelerator(KvmOptions(without=("wings",)))


def test_string_port_io(guest: Make) -> None:
    """REP OUTS and REP INS are exits with several items, of each size."""
    made = guest(f"""
        .code16
        cld
        mov ${COUNTER}, %dx
        mov $text, %si
        mov $6, %cx
        rep outsb
        mov $text, %si
        mov $3, %cx
        rep outsw
        mov $0x600, %di
        mov $8, %cx
        rep insb
        inl %dx, %eax
        hlt
text:   .ascii "string"
    """)
    made.counter.source = b"from outABCD"
    assert made.run() == Idle(None)
    assert made.counter.text == b"stringstring"
    assert [size for _, size, _ in made.counter.written] == [1] * 6 + [2] * 3
    assert bytes(made.ram.bytes[0x600:0x608]) == b"from out"
    assert made.vcpu.registers()["rax"] == int.from_bytes(b"ABCD", "little")


def test_nobody_answers(guest: Make) -> None:
    """Ports and addresses without a device read as ones, and stores there go nowhere."""
    made = guest(f"{TO_FLAT} mov $0x1234, %dx\n in %dx, %al\n out %al, %dx\n mov 0xe0000000, %ebx\n "
                 "mov %ebx, 0xe0000000\n hlt")  # fmt: skip
    assert made.run() == Idle(None)
    registers = made.vcpu.registers()
    assert registers["rax"] & 0xFF == 0xFF
    assert registers["rbx"] == 0xFFFFFFFF


def test_read_only_slot(guest: Make) -> None:
    made = guest(f"{TO_FLAT} mov {ROM:#x}, %eax\n movl $0, {ROM:#x}\n mov {ROM:#x}, %ebx\n hlt")
    assert made.run() == Idle(None)
    registers = made.vcpu.registers()
    assert registers["rax"] == registers["rbx"] == int.from_bytes(b"read", "little")
    assert bytes(made.rom.bytes[:9]) == b"read-only"


def test_memory_that_comes_and_goes(guest: Make) -> None:
    """The slots follow the bus: a region that is hidden answers no more, and the RAM below it shows."""
    made = guest(f"{TO_FLAT} mov {ROM:#x}, %eax\n hlt\n mov {ROM:#x}, %ebx\n hlt")
    assert made.run() == Idle(None)
    region = next(piece.region for piece in made.bus._pieces if piece.region.name == "rom")
    made.ram.bytes[ROM : ROM + 4] = b"RAM!"
    region.enable(False)
    assert made.run() == Idle(None)
    registers = made.vcpu.registers()
    assert registers["rax"] == int.from_bytes(b"read", "little")
    assert registers["rbx"] == int.from_bytes(b"RAM!", "little")


def test_shutdown(guest: Make) -> None:
    """A fault with no table to handle it, in protected mode, is a triple fault."""
    made = guest(f"{TO_FLAT} lidt empty\n ud2\n empty: .word 0\n .long 0")
    assert made.run() == Shutdown("triple fault")


def test_coalesced_writes(guest: Make) -> None:
    """Stores to a coalesced range make no exit of their own and are told in order with the next one."""
    made = guest(f"{TO_FLAT} mov $4, %ecx\n 1: mov %ecx, {REGISTER:#x}\n dec %ecx\n jnz 1b\n hlt")
    interrupts.coalesce(made.vm.machine, REGISTER, 8)
    assert made.run() == Idle(None)
    assert [value for _, _, value in made.register.written] == [4, 3, 2, 1]
    assert made.vcpu.exits.get("MMIO", 0) == 0


# ------------------------------------------------------------ interrupts


def waits(vector: int) -> str:
    """A guest in real mode that waits with interrupts on, and whose handler says so."""
    return f"""
        .code16
        movw $handler, {vector} * 4
        movw $0, {vector} * 4 + 2
        mov $0x7000, %sp
        {say("w")}
        sti
wait:   hlt
        jmp wait
handler:
        {say("i")}
        mov $0x20, %al
        out %al, $0x20
        iret
    """


def test_own_controllers_interrupt(guest: Make) -> None:
    """Our own controllers' vector is injected with KVM_INTERRUPT, when the window opens."""
    made = guest(waits(0x48))
    asked: list[int] = []

    def acknowledge() -> int:
        asked.append(0x48)
        made.vcpu.set_input("INTR", 0)
        return 0x48

    made.vm.acknowledge = acknowledge
    made.vcpu.set_input("INTR", 1)  # before the guest lets interrupts in
    assert made.run() == Idle(None)
    assert made.console.text == b"wi"
    made.vcpu.set_input("INTR", 1)  # and while it waits
    assert made.run() == Idle(None)
    assert made.console.text == b"wii"
    assert asked == [0x48, 0x48]


def test_nmi(guest: Make) -> None:
    made = guest(f".code16\n movw $handler, 8\n movw $0, 10\n mov $0x7000, %sp\n hlt\n {say('n')} hlt\n"
                 f"handler: {say('NMI')} iret")  # fmt: skip
    assert made.run() == Idle(None)
    made.vcpu.set_input("NMI", 1)
    assert made.run() == Idle(None)
    assert made.console.text == b"NMIn"


#: the 8259s as a PC's firmware sets them up, with vectors from 0x40
_PICS = """
        .code16
        mov $0x11, %al
        out %al, $0x20
        out %al, $0xa0
        mov $0x40, %al
        out %al, $0x21
        mov $0x70, %al
        out %al, $0xa1
        mov $4, %al
        out %al, $0x21
        mov $2, %al
        out %al, $0xa1
        mov $1, %al
        out %al, $0x21
        out %al, $0xa1
        mov $0xef, %al
        out %al, $0x21
"""


def _until(made: Guest, text: bytes, act: Callable[[], None] = lambda: None) -> None:
    """Run a guest that never leaves by itself until it has said something, `act`ing when it waits."""
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    tick = threading.Event()
    try:
        for _ in range(PATIENCE * 20):
            if text in made.console.text:
                break
            if made.console.text:
                act()
            tick.wait(0.05)
    finally:
        for vcpu in made.vcpus:
            vcpu.kick()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert text in made.console.text


def test_interrupt_line(guest: Make) -> None:
    """KVM_IRQ_LINE reaches the kernel's 8259, whose vector the guest has set."""
    made = guest(_PICS + waits(0x44), KERNEL)

    def pulse() -> None:
        made.vm.set_line(4, 1)
        made.vm.set_line(4, 0)

    _until(made, b"wi", pulse)


def test_interrupt_by_eventfd(guest: Make) -> None:
    """irqfd: writing an eventfd is an edge of a line."""
    made = guest(_PICS + waits(0x44), KERNEL)
    assert made.vm.controllers is not None
    event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    made.vm.controllers.connect_event(event, 4)
    _until(made, b"wi", lambda: os.eventfd_write(event, 1))
    made.vm.controllers.connect_event(event, 4, on=False)
    os.close(event)


def test_timer_in_the_kernel(guest: Make) -> None:
    """The 8254's channel 0, which the guest programs, interrupts by itself."""
    timer = "mov $0xfe, %al\n out %al, $0x21\n mov $0x34, %al\n out %al, $0x43\n mov $0x10, %al\n out %al, $0x40\n"
    made = guest(f"{_PICS} {timer} mov $0x10, %al\n out %al, $0x40\n {waits(0x40)}", KERNEL)
    _until(made, b"wiii")


#: long mode, the local APIC on, an interrupt table with one handler that says so
_LAPIC_WAITS = f"""{TO_LONG}
        {gate(0x51, 0x30000, 24)}
        lidt idt_pointer(%rip)
        mov $0xfee00000, %ebx
        movl $0x1ff, 0xf0(%rbx)
        {say("w")}
        sti
1:      hlt
        jmp 1b
handler:
        {say("m")}
        mov $0xfee00000, %ebx
        movl $0, 0xb0(%rbx)
2:      hlt
        jmp 2b
idt_pointer:
        .word 0xfff
        .quad 0x30000
"""


def test_message_signalled_interrupt(guest: Make) -> None:
    """KVM_SIGNAL_MSI reaches the local APIC."""
    made = guest(_LAPIC_WAITS, KERNEL)
    assert made.vm.controllers is not None
    controllers = made.vm.controllers
    _until(made, b"wm", lambda: controllers.signal_message(0xFEE00000, 0x51))


@pytest.mark.parametrize("by_event", [True, False], ids=["irqfd", "ioctl"])
def test_a_pci_function_interrupts_by_message(guest: Make, by_event: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """MSI-X from a virtio device to a processor's local APIC; many other messages, sent before, take no lines away."""
    made = guest(_LAPIC_WAITS, KERNEL)
    controllers = made.vm.controllers
    assert controllers is not None
    monkeypatch.setattr(controllers, "_by_event", by_event)
    for data in range(100):  # nobody waits for these: no processor has APIC number 7
        controllers.send_message(0xFEE07000, data)
    function = VirtioPci("rng", Dma(made.bus), VirtioRng(), messages=True)
    function.on_message = made.vm.send_message
    assert function.messages is not None
    for offset, value in ((0, 0xFEE00000), (8, 0x51), (12, 0)):
        function.messages.write(offset, 4, value)
    function.write(0x04, 2, 4)
    function.write(next(place for place in range(0x40, 256, 4) if function.config[place] == 0x11) + 2, 2, 0x8000)
    function.structures.write(0x10, 2, 0)
    _until(made, b"wm", function.config_interrupt)
    assert len(controllers._messages) == (64 if by_event else 0)


def test_line_routed_to_a_message(guest: Make) -> None:
    """KVM_SET_GSI_ROUTING: line 40 is a message."""
    made = guest(_LAPIC_WAITS, KERNEL)
    assert made.vm.controllers is not None
    made.vm.controllers.route_message(40, 0xFEE00000, 0x51)

    def pulse() -> None:
        made.vm.set_line(40, 1)
        made.vm.set_line(40, 0)

    _until(made, b"wm", pulse)


def test_writes_that_signal_an_eventfd(guest: Make) -> None:
    """ioeventfd: by port with a value to match, and by address; no exit, no device."""
    made = guest(f"{TO_FLAT} mov $7, %al\n out %al, $0x70\n mov $8, %al\n out %al, $0x70\n mov %eax, 0xd1000000\n hlt")
    port, memory = (os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(2))
    interrupts.watch_writes(made.vm.machine, port, 0x70, 1, port=True, value=8)
    interrupts.watch_writes(made.vm.machine, memory, 0xD1000000, 4)
    assert made.run() == Idle(None)
    assert (os.eventfd_read(port), os.eventfd_read(memory)) == (1, 1)
    for event in (port, memory):
        os.close(event)


def test_two_processors(guest: Make) -> None:
    """The first one sends INIT and SIPI by its local APIC; the second starts in real mode at the page it was told."""
    second = """
        .org 0x800, 0x90
        .code16
        mov $0, %ax
        mov %ax, %ds
        movb $0x5a, 0x3000
1:      hlt
        jmp 1b
    """
    made = guest(f"""{TO_FLAT}
        mov $0xfee00000, %ebx
        movl $0x1ff, 0xf0(%ebx)
        movl $0x01000000, 0x310(%ebx)
        movl $0x4500, 0x300(%ebx)
        movl $0x01000000, 0x310(%ebx)
        movl $0x4602, 0x300(%ebx)
1:      cmpb $0x5a, 0x3000
        jne 1b
        {say("both")}
2:      hlt
        jmp 2b
        {second.replace(".org 0x800", ".org 0x1000")}
    """, KERNEL, processors=2)  # fmt: skip
    other = threading.Thread(target=made.vcpus[1].run, args=(1 << 40,), daemon=True)
    other.start()
    _until(made, b"both")
    made.vcpus[1].kick()
    other.join(PATIENCE)
    assert not other.is_alive()


# ------------------------------------------------------------ stopping, state, dirty pages, debugging


def test_a_running_guest_stops_at_once(guest: Make) -> None:
    made = guest(".code16\n 1: jmp 1b")
    for _ in range(5):
        ended = threading.Event()
        results: list[object] = []

        def body(ended: threading.Event = ended, results: list[object] = results) -> None:
            results.append(made.run())
            ended.set()

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        ended.wait(0.02)  # most likely it runs by now; if not, the kick comes first, which is to work as well
        made.vcpu.kick()
        thread.join(PATIENCE)
        assert results in ([Running()], [])
        assert not thread.is_alive()


def test_dirty_pages(guest: Make) -> None:
    made = guest(".code16\n mov $0x3000, %bx\n mov %al, (%bx)\n mov %al, 0x7123\n hlt\n mov %al, 0x5000\n hlt")
    made.vm.log_dirty_pages(True)
    assert made.run() == Idle(None)
    assert {0x3000, 0x7000} <= set(made.vm.dirty_pages()) <= {0x3000, 0x7000, START}
    assert made.run() == Idle(None)
    assert 0x5000 in made.vm.dirty_pages()
    assert made.vm.dirty_pages() == []


def test_single_step_and_breakpoints(guest: Make) -> None:
    made = guest(".code16\n inc %ax\n inc %ax\n inc %ax\n inc %ax\n hlt")
    assert made.vcpu.step() == Running()
    assert made.vcpu.registers()["rip"] == START + 1
    assert made.vcpu.pc == START + 1
    made.vm.set_breakpoints([START + 3])
    assert made.run() == Breakpoint()
    registers = made.vcpu.registers()
    assert (registers["rip"], registers["rax"]) == (START + 3, 3)
    made.vcpu.set_breakpoints([])
    assert made.run() == Idle(None)
    with pytest.raises(KvmError, match="a processor on KVM has four"):
        made.vcpu.set_breakpoints([1, 2, 3, 4, 5])


def test_registers_both_ways(guest: Make) -> None:
    made = guest(f".code16\n mov %ebx, %eax\n mov ${COUNTER}, %dx\n outl %eax, %dx\n hlt")
    made.vcpu.set_register("rbx", 0xCAFEF00D)
    assert made.run() == Idle(None)
    assert made.counter.written == [(0, 4, 0xCAFEF00D)]
    with pytest.raises(KeyError):
        made.vcpu.set_register("zmm99", 0)


def test_reset(guest: Make) -> None:
    made = guest(f"{TO_FLAT} hlt")
    assert made.run() == Idle(None)
    made.vcpu.reset()
    registers = made.vcpu.registers()
    assert (registers["cr0"] & 1, registers["cs.base"], registers["rip"]) == (0, 0xFFFF0000, 0xFFF0)


#: says 1, 2, 3 ..., one at each halt
_COUNTS = f"{TO_LONG} mov $0x31, %al\n 1: out %al, ${CONSOLE}\n inc %al\n hlt\n jmp 1b"

_RESTORE = """
import sys
from tests.kvm.guests import Guest
state, memory = (open(name, "rb").read() for name in sys.argv[1:])
guest = Guest("", "restored")
guest.ram.bytes[:] = memory
guest.vcpu.load(state)
for _ in range(3):
    guest.run()
print(guest.console.text.decode())
"""


def test_save_and_restore_in_another_process(guest: Make, tmp_path_factory: pytest.TempPathFactory) -> None:
    made = guest(_COUNTS)
    for _ in range(3):
        assert made.run() == Idle(None)
    assert made.console.text == b"123"
    folder = tmp_path_factory.mktemp("state")
    (folder / "state").write_bytes(made.vcpu.save())
    (folder / "memory").write_bytes(bytes(made.ram.bytes[:RAM_BYTES]))
    command = [sys.executable, "-c", _RESTORE, str(folder / "state"), str(folder / "memory")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=PATIENCE)
    assert (done.stdout.strip(), done.stderr) == ("456", "")


def test_controllers_keep_their_state(guest: Make) -> None:
    """The kernel's 8259, programmed by one guest, answers another one that has not programmed it."""
    made = guest(_PICS + waits(0x44), KERNEL)
    _until(made, b"w")
    assert made.vm.controllers is not None
    chips, processor, memory = made.vm.controllers.save(), made.vcpu.save(), bytes(made.ram.bytes)
    again = guest("", KERNEL)
    assert again.vm.controllers is not None
    again.ram.bytes[:] = memory
    again.vm.controllers.load(chips)
    again.vcpu.load(processor)
    again.console.written.append((0, 1, ord(">")))

    def pulse() -> None:
        again.vm.set_line(4, 1)
        again.vm.set_line(4, 0)

    _until(again, b">i", pulse)


def test_a_wrong_state_is_refused(guest: Make) -> None:
    made = guest(".code16\n hlt")
    good = made.vcpu.save()
    for bad in (b"", b"something else", good[:-1], good[: len(good) // 2]):
        with pytest.raises(KvmError, match="saved state"):
            made.vcpu.load(bad)


def test_what_kvm_cannot_do_is_reported_in_full(guest: Make) -> None:
    """An instruction that this KVM does not know ends the machine with registers in the report; real ones know it."""
    made = guest(f"{TO_FLAT} fninit\n fld1\n fldpi\n {say('x')} hlt")
    ended = made.run()
    if ended == Idle(None):
        pytest.skip("this KVM executes x87 code at level 0: no internal error to be reported")
    assert "INTERNAL_ERROR" in str(ended)
    assert "rip" in str(ended)
