"""Programs of several processes, signals, sockets and timers do under isomorph what they do on Linux itself.

Those that execute programs have this machine's Linux as their oracle, for under qemu-user a guest cannot execute its
likes; the others qemu-user.
"""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from runtime.linux import host_x86_64
from tests.conftest import ROOT
from tests.linux.outcome import outcome
from tests.tools import compile_c, isomorph, require_build, tool

HERE = Path(__file__).parent
PROCESSES = sorted((HERE / "processes").glob("*.c"))
EXECUTING = sorted((HERE / "executing").glob("*.c"))
#: those where the order of things depends on who is faster, or that have found mistakes only now and then
OFTEN = ("storms", "masks", "restarts", "sigchld", "jobs", "queues")
#: where qemu 7.2 is wrong: it tells of stops in spite of SA_NOCLDSTOP, and its waitid knows no WNOWAIT
NOT_UNDER_QEMU = ("sigchld", "statuses")
FLAGS = ["-std=gnu17", "-w", "-O1", f"-I{HERE}"]


def cross(source: Path) -> Path:
    return compile_c("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu", [source], [*FLAGS, "-static"], ["-lm", "-lrt"])


@pytest.mark.parametrize(
    "source", [path for path in PROCESSES if path.stem not in NOT_UNDER_QEMU], ids=lambda path: path.stem
)
def test_as_under_qemu(source: Path, tmp_path: Path) -> None:
    require_build("riscv64")
    program = str(cross(source))
    expected = outcome(tmp_path / "work", [tool("qemu-riscv64", "qemu-user"), program])
    for _ in range(3 if source.stem in OFTEN else 1):
        assert outcome(tmp_path / "work", isomorph("run", program)) == expected


@pytest.mark.parametrize("source", [*EXECUTING, *PROCESSES], ids=lambda path: path.stem)
def test_as_on_linux(source: Path, tmp_path: Path) -> None:
    require_build("riscv64")
    native = compile_c("gcc", "gcc", [source], FLAGS, ["-lm", "-lrt"])
    expected = outcome(tmp_path / "work", [str(native)])
    assert outcome(tmp_path / "work", isomorph("run", str(cross(source)))) == expected


def test_machine_code(tmp_path: Path) -> None:
    """What host_x86_64.py holds is host_x86_64.s assembled."""
    if platform.machine() != "x86_64":
        pytest.skip("another machine's assembler")
    source = ROOT / "runtime" / "linux" / "host_x86_64.s"
    target, binary = tmp_path / "code.o", tmp_path / "code"
    subprocess.run([tool("as", "binutils"), source, "-o", target], check=True)
    subprocess.run([tool("objcopy", "binutils"), "-O", "binary", "-j", ".text", target, binary], check=True)
    assert binary.read_bytes()[: host_x86_64.CODE_BYTES].rstrip(b"\0") == host_x86_64.CODE
    names = dict(
        line.split()[::2][::-1]
        for line in subprocess.run(
            [tool("nm", "binutils"), target], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    )
    for name in (
        "CALL", "PLAIN", "HANDLER", "RESTORER", "COUNT", "MAPPED", "HANDLERS", "ASIDE", "LOST", "LOST_PAGES", "SLOTS",
        "LOST_ONE", "TID", "NOTED", "SIGINFO", "SLOT_BYTES",
    ):  # fmt: skip
        assert int(names[name.lower()], 16) == getattr(host_x86_64, name)
