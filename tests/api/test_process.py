"""Process: whole programs with redirected streams, under hooks and snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest

from isomorph import CAPTURE, Emulator, IsomorphError, Process, StopKind
from isomorph.cli.asm import main as assemble

#: copies its standard input to its standard output, eight bytes at a time; its status is the number of rounds
COPY = """
    .globl _start
_start:
    li   s0, 0
again:
    li   a0, 0
    la   a1, buffer
    li   a2, 8
    li   a7, 63
    ecall
    beqz a0, done
    addi s0, s0, 1
    mv   a2, a0
    li   a0, 1
    li   a7, 64
    ecall
    j    again
done:
    mv   a0, s0
    li   a7, 93
    ecall
    .data
buffer: .space 8
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("process")
    (folder / "copy.s").write_text(COPY)
    assert assemble([str(folder / "copy.s"), "-o", str(folder / "copy")]) == 0
    return folder / "copy"


def test_streams_and_status(copy: Path, tmp_path: Path) -> None:
    with Process(copy, stdin=b"twenty bytes of text", stdout=CAPTURE) as process:
        reason = process.run()
        assert (reason.kind, process.status) == (StopKind.EXITED, 3)
        assert process.stdout == b"twenty bytes of text"
        with pytest.raises(IsomorphError, match="has ended"):
            process.run()
    (tmp_path / "in").write_bytes(b"from a file")
    with (tmp_path / "in").open("rb") as source, Process(copy, stdin=source, stdout=tmp_path / "out") as process:
        process.run()
    assert (tmp_path / "out").read_bytes() == b"from a file"


def test_counts_and_hooks_see_system_calls_as_instructions(copy: Path) -> None:
    with Process(copy, stdin=b"12345678", stdout=CAPTURE) as process:
        total = process.run().instructions
    with Process(copy, stdin=b"12345678", stdout=CAPTURE) as process:
        calls: list[int] = []
        seen: list[int] = []

        @process.hook.syscall
        def call(emulator: Emulator) -> bool:
            calls.append(emulator.regs.a7)
            return False

        process.hook.code(lambda e, address, size: seen.append(address))
        steps = 0
        while process.run(count=1).kind is StopKind.COUNT:
            steps += 1
        assert process.stdout == b"12345678"
        assert calls == [63, 64, 63, 93]
        assert len(seen) == total == steps + 1


def test_a_system_call_hook_answers_instead_of_linux(copy: Path) -> None:
    with Process(copy, stdin=b"secret", stdout=CAPTURE) as process:

        @process.hook.syscall
        def deaf(emulator: Emulator) -> bool:
            if emulator.regs.a7 != 63:
                return False
            emulator.regs.a0 = 0
            return True

        process.run()
        assert (process.status, process.stdout) == (0, b"")


def test_snapshots_of_a_process(copy: Path) -> None:
    with Process(copy, stdin=b"abcdefgh", stdout=CAPTURE) as process:
        write = next(
            i.address
            for i in process.isa.disassemble(process.mem.read(process.regs.pc, 60), process.regs.pc)
            if i.op_str == "a7,64"
        )
        process.run(until=write)
        snapshot = process.snapshot()
        process.run(until=write + 8)
        process.restore(snapshot)
        process.run()
        assert process.stdout == b"abcdefgh" * 2


def test_load_elf_runs_bare(copy: Path) -> None:
    with Emulator("riscv64") as guest:
        entry = guest.load_elf(copy)
        reason = guest.run()
        assert guest.regs.a7 == 63
        assert reason.pc > entry
        assert reason.kind is StopKind.EXCEPTION


def test_files_that_cannot_run(tmp_path: Path) -> None:
    with pytest.raises(IsomorphError, match="No such file"):
        Process(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(IsomorphError, match="not an ELF file"):
        Process(tmp_path / "text")
