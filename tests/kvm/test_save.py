"""A whole machine saved, killed, and gone on with in another process: devices, controllers and processors on KVM."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.kvm.kernels import image
from tests.kvm.kvm import require_kvm
from tests.machine.session import PATIENCE, Session

ALPHABET = b"abcdefghijklmnopqrstuvwxyz"

#: the 8254 interrupts 40 times a second; each time the next letter is printed, and behind the last it ends.
#: The handler does not return: it waits anew, so that nothing but the counter in memory carries on.
_LETTERS = """
        mov $0x90000, %esp
        mov $0x11, %al
        out %al, $0x20
        mov $0x20, %al
        out %al, $0x21
        mov $4, %al
        out %al, $0x21
        mov $1, %al
        out %al, $0x21
        mov $0xfe, %al
        out %al, $0x21
        lea handler(%rip), %rax
        lea gate(%rip), %rdi
        mov %ax, (%rdi)
        shr $16, %rax
        mov %ax, 6(%rdi)
        lidt table(%rip)
        mov $0x34, %al
        out %al, $0x43
        mov $0x83, %al
        out %al, $0x40
        mov $0x74, %al
        out %al, $0x40
wait:   sti
1:      hlt
        jmp 1b
handler:
        mov $0x90000, %esp
        mov letter(%rip), %al
        mov $0x3f8, %dx
        out %al, %dx
        inc %al
        mov %al, letter(%rip)
        cmp $0x7b, %al
        je end
        mov $0x20, %al
        out %al, $0x20
        jmp wait
end:    mov $0x604, %dx
        mov $0x2000, %ax
        out %ax, %dx
        hlt
letter: .byte 0x61
        .balign 8
table:  .word 0x20 * 16 + 15
        .quad gate - 0x20 * 16
        .balign 16
gate:   .word 0, 0x10, 0x8e00, 0
        .quad 0
"""


@pytest.mark.parametrize("controllers", ["off", "on"])
def test_save_kill_and_go_on(controllers: str, tmp_path: Path) -> None:
    require_kvm("that a saved machine goes on in another process")
    kernel = tmp_path / "kernel"
    kernel.write_bytes(image("letters", "", _LETTERS))
    first, second = tmp_path / "first", tmp_path / "second"
    board = ["pc", "-M", f"kernel-irqchip={controllers}", "-accel", "kvm", "-m", "16M", "-kernel", str(kernel)]
    if controllers == "on":
        board += ["-smp", "2"]  # one that waits for its start
    with Session(
        *board, "-display", "none", "-serial", f"file:{first}", "-monitor", "stdio", folder=tmp_path
    ) as machine:
        deadline = time.monotonic() + PATIENCE
        while (not first.exists() or len(first.read_bytes()) < 5) and time.monotonic() < deadline:
            machine.type("info status\n")
            machine.expect("running")
        machine.type("stop\nsavevm middle\ninfo snapshots\n")
        machine.expect("middle  ")
        before = first.read_bytes()
        machine.process.kill()
    assert ALPHABET.startswith(before)
    assert 5 <= len(before) < len(ALPHABET), "it was stopped in the middle"
    with Session(
        *board,
        "-display",
        "none",
        "-serial",
        f"file:{second}",
        "-loadvm",
        "middle",
        "-monitor",
        "none",
        folder=tmp_path,
    ) as machine:
        assert machine.end() == 0, machine.output
    assert before + second.read_bytes() == ALPHABET
    other = "off" if controllers == "on" else "on"
    board = [*board[:2], f"kernel-irqchip={other}", *board[3:9]]
    with Session(
        *board, "-display", "none", "-serial", "null", "-loadvm", "middle", "-monitor", "none", folder=tmp_path
    ) as machine:
        assert machine.end() == 1
    assert b"the saved" in machine.output
    assert machine.output.count(b"\n") == 1
