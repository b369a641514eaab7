"""Hostile guests: mutated ELF files, random code, inherited descriptors: an error, a signal or a status, never more.

Random code makes random system calls, so that it runs confined only: as nobody, with few processes and little time.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from isomorph import Emulator
from isomorph.errors import IsomorphError
from runtime.linux import loader
from runtime.linux.elf import ElfError, open_executable, read_image
from tests.conftest import ROOT
from tests.linux.guest import make_thread
from tests.linux.hostile import mutated, original
from tests.tools import compile_c, isomorph, require_build, run


def load_all(seed: int, count: int, folder: Path) -> tuple[int, int]:
    """Load `count` mutated files, without running them: how many were taken and how many refused."""
    source = random.Random(seed)
    data = original()
    taken = refused = 0
    lines: list[str] = []
    path = folder / "program"
    for _ in range(count):
        path.write_bytes(mutated(source, data))
        thread = make_thread("riscv64")
        process = thread.process
        descriptor = -1
        try:
            descriptor = open_executable(str(path))
            image = read_image(str(path), descriptor, process.abi.address_top)
            bias = loader.load(process, image, descriptor)
            loader.start(process, thread, image, bias, (b"prog",), (), 1 << 20)
            taken += 1
        except (ElfError, loader.StartError, MemoryError) as error:
            refused += 1
            lines.append(str(error))
        finally:
            if descriptor >= 0:
                os.close(descriptor)
            thread.close()
            thread.vcpu.close()
            process.memory.close()
    assert not [line for line in lines if "\n" in line or not line], "an error is one line"
    return taken, refused


@pytest.mark.parametrize("seed", range(3))
def test_mutated_files_are_loaded_or_refused(seed: int, tmp_path: Path) -> None:
    taken, refused = load_all(seed, 300, tmp_path)
    assert taken > 20, "nothing but refusals proves little"
    assert refused > 20, "nothing was refused"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_mutated_files(seed: int, tmp_path: Path) -> None:
    taken, refused = load_all(seed, 1000, tmp_path)
    assert min(taken, refused) > 100


def random_code(seed: int, rounds: int, isa: str) -> set[str]:
    """Run random bytes on a bare machine; the kinds of ends it came to."""
    source = random.Random(seed)
    kinds = set()
    with Emulator(isa) as guest:
        guest.mem.map(0x10000, 0x4000)
        guest.mem.map(0x40000, 0x4000, "rw")
        for _ in range(rounds):
            guest.mem.write(0x10000, source.randbytes(0x1000))
            for name in ("a0", "a1", "a2", "sp", "s0"):
                value = source.choice((0x40000 + source.randrange(0x4000), source.getrandbits(64), 0x10000))
                setattr(guest.regs, name, value & (0xFFFFFFFF if isa.endswith("32") else (1 << 64) - 1))
            at = 0x10000 + 2 * source.randrange(0x700)
            for _ in range(20):
                reason = guest.run(at, count=500)
                kinds.add(reason.kind.name)
                at = guest.regs.pc + source.choice((2, 4))  # past what it ended at
                if not 0x10000 <= at < 0x11000 or reason.kind.name == "COUNT":
                    break
    return kinds


@pytest.mark.parametrize("isa", ["riscv64", "riscv32"])
@pytest.mark.parametrize("seed", range(2))
def test_random_code_on_a_bare_machine(seed: int, isa: str) -> None:
    require_build(isa)
    assert len(random_code(seed, 150, isa)) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["riscv64", "riscv32"])
@pytest.mark.parametrize("seed", range(100, 110))
def test_much_random_code_on_a_bare_machine(seed: int, isa: str) -> None:
    require_build(isa)
    assert len(random_code(seed, 1500, isa)) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_random_programs_as_nobody(seed: int) -> None:
    """Programs that are random all through, under the command's own main: a status or a signal, never a traceback."""
    require_build("riscv64")
    if os.geteuid() != 0:
        pytest.skip("random programs run as nobody only, and only root can become that")
    done = subprocess.run(
        [sys.executable, "-m", "tests.linux.hostile", str(seed), "100"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.split()) > 2


DESCRIPTORS = """
#include <fcntl.h>
#include <stdio.h>
int main(void) {
    for (int fd = 0; fd < 200; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("%d ", fd);
    return 0;
}
"""


def test_descriptors_are_not_inherited(tmp_path: Path) -> None:
    """Nothing but 0, 1 and 2, whatever the emulator was started with or has open itself."""
    require_build("riscv64")
    source = tmp_path / "descriptors.c"
    source.write_text(DESCRIPTORS)
    program = compile_c("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu", [source], ["-static", "-w", "-O1"])
    secret = os.open(source, os.O_RDONLY)
    try:
        extra = [os.dup2(secret, number) for number in (20, 63, 100)]
        done = subprocess.run(
            isomorph("run", str(program)), pass_fds=extra, capture_output=True, timeout=60, check=False, cwd=ROOT
        )
        for number in extra:
            os.close(number)
    finally:
        os.close(secret)
    assert (done.stdout, done.stderr) == (b"0 1 2 ", b"")


def test_the_emulator_refuses_what_it_cannot_run(tmp_path: Path) -> None:
    """One line, non-zero, for files of all kinds of rubbish."""
    require_build("riscv64")
    data = original()
    for number, content in enumerate((b"", b"\x7fELF", data[:63], data[:64], b"\x7fELF" + bytes(60), data[:70])):
        path = tmp_path / f"rubbish{number}"
        path.write_bytes(content)
        path.chmod(0o755)
        done = run(isomorph("run", str(path)), environment={"PATH": "", "PYTHONPATH": str(ROOT)})
        assert done.status != 0
        assert done.stderr.startswith(b"isomorph: "), done.stderr
        assert done.stderr.count(b"\n") == 1, done.stderr


def test_an_emulator_says_what_is_wrong_with_a_mutated_file(tmp_path: Path) -> None:
    """The API's errors are its own."""
    require_build("riscv64")
    source = random.Random(5)
    path = tmp_path / "program"
    for _ in range(40):
        path.write_bytes(mutated(source, original()))
        with Emulator("riscv64") as guest, suppress(IsomorphError):
            guest.load_elf(path)
