"""Programs of several processes, signals, sockets and timers do under isomorph what they do on Linux itself.

Those that execute programs have this machine's Linux as their oracle, for under qemu-user a guest cannot execute its
likes; the others qemu-user.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from runtime.linux import host_x86_64
from tests.conftest import ROOT
from tests.tools import compile_c, isomorph, require_build, tool

#: they time things, and fork: too unsteady beside other tests
pytestmark = pytest.mark.slow

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


def outcome(folder: Path, command: list[str]) -> tuple[int, list[str]]:
    """Exit status (128 + n for signal n) and output of a command run in a fresh folder.

    The output goes to a file, for processes that outlive the first one would keep a pipe open.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    with (folder / "output").open("wb") as output, (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=environment,
            process_group=0,  # no session of its own: in an orphaned group SIGTSTP would not stop anybody
        )
        try:
            until = time.monotonic() + 60
            # Not reaped yet, so that its number, the group's, is nobody else's.
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                assert time.monotonic() < until, f"{command} does not end"
                time.sleep(0.005)
        finally:
            # Whatever is left of it: a program that goes wrong must not leave processes behind.
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
    assert b"Traceback" not in (folder / "errors").read_bytes()
    return (128 - status if status < 0 else status), (folder / "output").read_text().splitlines()


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
    for name in ("CALL", "PLAIN", "HANDLER", "RESTORER", "PENDING", "INFORMATION"):
        assert int(names[name.lower()], 16) == getattr(host_x86_64, name)
