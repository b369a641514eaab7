"""Programs with threads do under isomorph what they do under qemu-user, or where that cannot do it on Linux itself.

Each is built statically and dynamically, with and without optimisation.  Which thread is faster differs from run to
run, and so each runs a few times, and under the slow marker fifty times.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT as CHECKOUT
from tests.tools import Outcome, compile_c, isomorph, require_build, run, tool

SOURCES = Path(__file__).parent / "threads"
PROGRAMS = sorted(path.name for path in SOURCES.glob("*.c*"))
ROOT = Path("/usr/riscv64-linux-gnu")
#: qemu 7.2 knows no robust futexes, aborts in the children of threads, and does not execute its own guests
ON_LINUX = ("forks.c", "robust.c")
WAYS_TO_LEAVE = 8
EXECUTES = 7
KINDS = {"static": ["-static"], "dynamic": []}


def build(name: str, flags: list[str], native: bool = False) -> Path:
    compiler, package = ("g++", "g++") if name.endswith(".cpp") else ("gcc", "gcc")
    if not native:
        compiler, package = f"riscv64-linux-gnu-{compiler}", f"{package}-riscv64-linux-gnu"
    standard = "-std=c++20" if name.endswith(".cpp") else "-std=gnu17"
    return compile_c(compiler, package, [SOURCES / name], [standard, "-w", "-pthread", *flags])


def told(outcome: Outcome) -> tuple[int, bytes]:
    """Exit status (128 + n for signal n) and output."""
    return (128 - outcome.status if outcome.status < 0 else outcome.status), outcome.stdout


@functools.cache
def expected(name: str, way: str) -> tuple[int, bytes]:
    """What the program does elsewhere."""
    if name in ON_LINUX or way == str(EXECUTES):
        return told(run([str(build(name, ["-O1"], native=True)), way]))
    return told(run([tool("qemu-riscv64", "qemu-user"), str(build(name, ["-O2", "-static"])), way]))


def check(name: str, kind: str, level: str, times: int, way: str = "0") -> None:
    require_build("riscv64")
    if kind == "dynamic" and not (ROOT / "lib/ld-linux-riscv64-lp64d.so.1").exists():
        pytest.skip(f"no {ROOT}/lib (Debian package libc6-riscv64-cross)")
    wanted = expected(name, way)
    command = isomorph("run", "-L", str(ROOT), str(build(name, [level, *KINDS[kind]])), way)
    for _ in range(times):
        outcome = run(command)
        assert told(outcome) == wanted, outcome.stderr.decode()
        assert b"Traceback" not in outcome.stderr


@pytest.mark.parametrize(("kind", "level"), [("static", "-O2"), ("dynamic", "-O0")])
@pytest.mark.parametrize("name", PROGRAMS)
def test_as_elsewhere(name: str, kind: str, level: str) -> None:
    check(name, kind, level, 2)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["-O0", "-O2"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_as_elsewhere_often(name: str, kind: str, level: str) -> None:
    check(name, kind, level, 50)


@pytest.mark.parametrize("way", range(WAYS_TO_LEAVE))
def test_the_end_of_a_process(way: int) -> None:
    """By whichever thread, however it ends: the others, who compute, sleep, wait and read, end at once."""
    check("leaving.c", "static", "-O2", 2, str(way))


def test_a_crash_report_shows_the_thread_that_crashed() -> None:
    require_build("riscv64")
    outcome = run(isomorph("run", str(build("leaving.c", ["-O2", "-static"])), "2"))
    assert outcome.status == 139
    assert re.search(rb"pc 0x[0-9a-f]+ <ends\+", outcome.stderr)


def test_system_calls_of_all_threads_are_counted() -> None:
    require_build("riscv64")
    outcome = run(isomorph("run", "--stats", str(build("mutexes.c", ["-O2", "-static"]))))
    executed = re.search(rb"([\d,]+) instructions", outcome.stderr)
    assert executed is not None
    assert int(executed.group(1).replace(b",", b"")) > 4 * 20000 * 20


def test_two_threads_of_one_host_process(tmp_path: Path) -> None:
    """Two emulators in threads of one Python process, each with a guest that has threads."""
    require_build("riscv64")
    program = build("queue.c", ["-O2", "-static"])
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, threading\n"
        "from isomorph.process import CAPTURE, Process\n"
        "outputs = []\n"
        "def one():\n"
        "    with Process(sys.argv[1], stdout=CAPTURE) as process:\n"
        "        process.run()\n"
        "        outputs.append((process.status, process.stdout))\n"
        "threads = [threading.Thread(target=one) for _ in range(2)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "assert outputs[0] == outputs[1], outputs\n"
        "sys.stdout.buffer.write(outputs[0][1])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, script, program], capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == expected("queue.c", "0"), done.stderr.decode()
