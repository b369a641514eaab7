"""What `-d` shows of a machine's processors: it changes nothing, and is what QEMU says and arithmetic demands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isomorph.coverage import ran
from runtime.core.log import ITEMS
from tests.kvm.kvm import require_kvm
from tests.machine.test_bare import FOLDER, FOLDER_32, image
from tests.tools import isomorph, require_build, require_machine, run, tool

PROGRAM = "paging"


def logged(tmp_path: Path, items: str, *more: str, program: str = PROGRAM) -> str:
    """The log of the program, which prints what it always does."""
    require_build("riscv64")
    log = tmp_path / "log"
    words = ["machine", "virt", "-bios", str(image(program)), "-nographic", "-d", items, "-D", str(log), *more]
    outcome = run(isomorph(*words))
    assert outcome.stdout.decode() == (FOLDER / f"{program}.txt").read_text(encoding="ascii"), outcome.stderr.decode()
    assert outcome.status == 0
    return log.read_text(encoding="utf-8")


def test_traps_are_those_that_qemu_tells_of(tmp_path: Path) -> None:
    """Cause, place and address of every exception, in their order."""
    text = logged(tmp_path, "int")
    ours = re.findall(r"^cpu0: \w+: .cause=0x(\w+) .epc=0x(\w+) .tval=0x(\w+), handler at 0x\w+$", text, re.MULTILINE)
    assert len(ours) == len(text.splitlines()) > 20
    qemu = tool("qemu-system-riscv64", "qemu-system-misc")
    log = tmp_path / "qemu"
    words = [
        "-M",
        "virt",
        "-cpu",
        "rv64,h=off,pmu-num=0",
        "-bios",
        str(image(PROGRAM)),
        "-nographic",
        "-monitor",
        "none",
    ]
    run([qemu, *words, "-d", "int", "-D", str(log)])
    theirs = re.findall(r"cause:(\w+), epc:0x(\w+), tval:0x(\w+)", log.read_text())
    assert [[int(part, 16) for part in line] for line in ours] == [[int(part, 16) for part in line] for line in theirs]


def test_every_block_is_shown(tmp_path: Path) -> None:
    """With -icount and without: the same blocks, each handler's first among them."""
    shown = []
    for more in (("-icount", "shift=3,sleep=off"), ()):
        text = logged(tmp_path, "exec,int", *more)
        shown.append(re.findall(r"^Trace 0: \w+ \[\w+/(\w+)/|^cpu0: (\w+):", text, re.MULTILINE))
        handlers = re.findall(r"handler at 0x(\w+)\nTrace 0: \w+ \[\w+/(\w+)/", text)
        assert len(handlers) > 20
        assert all(int(handler, 16) == int(block, 16) for handler, block in handlers)
    # Without, a block that has to stop in its middle is two.
    free = iter(shown[1])
    assert all(block in free for block in shown[0])
    assert len(shown[0]) <= len(shown[1]) < 1.01 * len(shown[0])


@pytest.mark.parametrize(
    ("name", "bits", "shown"),
    [
        ("traps", 64, {"mret", "sret"}),
        ("sleeps", 64, {"wfi"}),
        ("paging", 64, {"mret", "sfence.vma"}),
        ("sv32", 32, {"mret", "sret", "wfi", "sfence.vma"}),
    ],
)
def test_system_instructions(name: str, bits: int, shown: set[str], tmp_path: Path) -> None:
    """They are shown as they are run, and the programs print what they do without that."""
    require_machine(f"riscv{bits}")
    log = tmp_path / "log"
    words = ["virt", "-cpu", f"rv{bits}", "-bios", str(image(name, bits)), "-nographic", "-monitor", "none"]
    outcome = run(isomorph("machine", *words, "-d", "in_asm", "-D", str(log)))
    folder = FOLDER if bits == 64 else FOLDER_32
    assert outcome.stdout.decode() == (folder / f"{name}.txt").read_text(encoding="ascii"), outcome.stderr.decode()
    mnemonics = set(re.findall(r"^0x\w+:  \w+ +([\w.]+)", log.read_text(encoding="utf-8"), re.MULTILINE))
    assert shown <= mnemonics
    for mnemonic in shown:
        ran(f"riscv{bits}", mnemonic.replace(".", "_"))


def test_blocks_and_translations(tmp_path: Path) -> None:
    text = logged(tmp_path, "in_asm,exec,mmu,io", "-dfilter", "0x80000000..0x80000fff,0x40000000+4096")
    assert "IN:\n0x0000000080000000:  00007117  auipc sp,0x7\n" in text
    assert "0x0000000000001000:" not in text  # -dfilter leaves it out
    assert re.search(r"^Trace 0: 0x\w+ \[00000000/0000000080000000/", text, re.MULTILINE)
    assert "cpu0: mmu load 0x40000000: refused\n" in text
    assert re.search(r"^cpu0: mmu load 0x40000000: 0x8000\w+ rw?x?-*, a page of 0x1000$", text, re.MULTILINE)
    assert re.search(r"^serial0: THR := ", text, re.MULTILINE)


def test_registers_before_each_block(tmp_path: Path) -> None:
    text = logged(tmp_path, "cpu", program="floats")
    blocks = text.count(" PC  ")
    assert blocks == text.count(" t3/x28 ") > 1000
    assert text.startswith(" PC       0000000000001000\n")


COMMIT = re.compile(
    r"core   0: ([013]) 0x([0-9a-f]{16}) \(0x([0-9a-f]{8}|[0-9a-f]{4})\)(?: ([xf])(\d\d?) ? 0x([0-9a-f]{16}))?"
    r"(?: c\d+_\w+ 0x[0-9a-f]{16})?(?: mem 0x([0-9a-f]{16})(?: 0x([0-9a-f]+))?)?"
)


def test_commit_log(tmp_path: Path) -> None:
    """Lines as Spike writes them; sums of registers and the places of loads and stores follow from the lines before."""
    lines = logged(tmp_path, "commit", program="floats").splitlines()
    assert lines[0] == "core   0: 3 0x0000000000001000 (0x00000297) x5  0x0000000000001000"
    assert "core   0: 3 0x0000000080000010 (0x30529073) c773_mtvec 0x0000000080000094" in lines
    assert "core   0: 3 0x0000000080000024 (0x3b029073) c944_pmpaddr0 0x003fffffffffffff" in lines
    following = None
    registers, checked, loads, stores = [0] * 32, 0, 0, 0
    for line in lines:
        found = COMMIT.fullmatch(line)
        assert found, line
        _, pc, code, file, number, value, place, stored = found.groups()
        word = int(code, 16)
        opcode, rs1, immediate = word & 0x707F, word >> 15 & 31, (word >> 20) - (word >> 31 << 12)
        if file == "x":
            after = int(value, 16)
            if opcode == 0x13:  # addi
                assert after == registers[rs1] + immediate & (1 << 64) - 1, line
                checked += 1
            elif word & 0x7F == 0x17:  # auipc
                assert after == int(pc, 16) + (word & -4096) - (word >> 31 << 32) & (1 << 64) - 1, line
            elif opcode == 0x3003:  # ld
                assert int(place, 16) == registers[rs1] + immediate & (1 << 64) - 1, line
                loads += 1
            registers[int(number)] = after
        elif word & 0x7F == 0x23:  # sb to sd
            assert int(stored, 16) == registers[word >> 20 & 31] & (1 << 4 * len(stored)) - 1, line
            stores += 1
        if following is not None:
            assert pc in (following, "0000000080000094", "000000008000013c"), line  # or a handler
        following = None
        if opcode in (0x13, 0x3B) or word & 0x7F in (0x17, 0x37, 0x33):  # what cannot trap or branch
            following = f"{int(pc, 16) + 4:016x}"
    assert checked > 500
    assert any(re.search(r"\) f\d", line) for line in lines)
    assert loads
    assert stores


def test_kvm_and_programs_have_none(tmp_path: Path) -> None:
    """Every item is described; what an accelerator cannot show is one line."""
    assert {"int", "mmu", "commit"} <= ITEMS.keys()
    require_kvm("that -d int is refused there")
    outcome = run(isomorph("machine", "pc", "-accel", "kvm", "-serial", "null", "-d", "int"))
    assert outcome.status == 1
    assert b"-d int: the accelerator kvm shows nothing" in outcome.stderr
    assert outcome.stderr.count(b"\n") == 1


def test_two_counted_runs_give_the_same_trace(tmp_path: Path) -> None:
    """With -icount every instruction, and what it wrote, of two processors."""
    counted = ("-icount", "shift=3,sleep=off", "-smp", "2")
    first, second = (logged(tmp_path, "commit,int", *counted, program="floats") for _ in range(2))
    assert first == second
    assert len(first.splitlines()) > 5000
