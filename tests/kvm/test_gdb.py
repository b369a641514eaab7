"""gdb on machines on KVM: the reset, single steps, hardware breakpoints, registers both ways, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debug.gdb_client import gdb
from tests.kvm.kernels import ORIGIN, image
from tests.kvm.kvm import require_kvm
from tests.machine.session import Session

BODY = ORIGIN + 0x200
LOOP = BODY + 0x20

#: counts rbx up in a loop and, once rcx is set from outside, says so and ends
_COUNTS = """
        mov $0x1234, %eax
        xor %ebx, %ebx
        xor %ecx, %ecx
        .org 0x620, 0x90
loop:   inc %rbx
        test %rcx, %rcx
        jz loop
        mov %ecx, %eax
        mov $0x3f8, %dx
        out %al, %dx
        mov $0x604, %dx
        mov $0x2000, %ax
        out %ax, %dx
        hlt
"""


@pytest.mark.parametrize("controllers", ["off", "on"])
def test_gdb(controllers: str, tmp_path: Path) -> None:
    require_kvm("gdb on a machine on KVM")
    kernel, place = tmp_path / "kernel", tmp_path / "gdb"
    kernel.write_bytes(image("counts", "", _COUNTS))
    commands = [
        f"target remote {place}",
        "print/x $pc",
        f"break *{BODY:#x}",
        "continue",
        "stepi",
        "print/x $rax",
        f"break *{LOOP:#x}",
        "continue",
        "continue",
        "continue",
        "print $rbx",
        "x/1i $pc",
        "print $xmm0.uint128",
        "print $fctrl",
        "watch *(int *) 0x5000",
        "continue",
        "delete 3",
        "set $rcx = 0x41",
        "set $xmm3.v2_int64[1] = 77",
        "print $xmm3.v2_int64",
        "delete",
        *(f"break *{address:#x}" for address in range(0x5000, 0x5005)),
        "continue",
        "delete",
        "monitor info status",
        "continue",
    ]
    board = ["pc", "-M", f"kernel-irqchip={controllers}", "-accel", "kvm", "-m", "16M", "-kernel", str(kernel)]
    with Session(*board, "-nographic", "-S", "-gdb", f"unix:{place}") as machine:
        machine.expect("waiting for gdb")
        said = gdb(*commands)
        for text in (
            "$1 = 0x1000",  # where the board has a processor begin
            f"Breakpoint 1, {BODY:#018x}",
            "$2 = 0x1234",
            f"Breakpoint 2, {LOOP:#018x}",
            "$3 = 2",
            "inc    %rbx",
            "$5 = 895",
            "$6 = {0, 77}",
            "paused (debug)",
            "exited normally",
        ):
            assert text in said, f"{text} is not in\n{said}"
        assert machine.end() == 0
        assert machine.output.endswith(b"A"), machine.output
