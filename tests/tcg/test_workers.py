"""Compiler processes: they compile, they may die or hang, no guest sees them, and none outlives its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isomorph import Emulator, StopKind
from runtime.tcg import compilers
from runtime.tcg.compilers import WorkerPool
from tests.api.guest import CODE
from tests.conftest import ROOT
from tests.tools import compile_c, isomorph, require_build, run

_PATIENCE = 120.0
LOOP = "again: addi a0, a0, 1\nxor a2, a0, a1\nbnez a2, again\necall"


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait as long as it takes on a busy machine."""
    end = time.monotonic() + _PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def workers_of(word: str) -> list[int]:
    """Processes that compile and have `word` on their command line."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if b"runtime.tcg.worker" in words and word.encode() in words:
                found.append(int(entry))
    return found


def looping(text: str = LOOP) -> Emulator:
    """An emulator in an endless loop."""
    one = Emulator("riscv64")
    one.mem.map(CODE, 0x1000)
    one.mem.write(CODE, one.isa.assemble(text, CODE))
    one.regs.pc = CODE
    one.regs.a1 = (1 << 64) - 1
    return one


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Emulator]:
    """An emulator in an endless hot loop, with a worker of its own."""
    require_build("riscv64")
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ISOMORPH_WORKERS", "1")
    one = looping()
    yield one
    one.close()
    for pool in list(compilers._pools.values()):
        pool.abandon()
    compilers._pools.clear()


def pool_of(emulator: Emulator) -> WorkerPool:
    """What compiles for an emulator that has got hot."""
    tier = emulator._tcg.cache.tier
    assert tier is not None
    assert isinstance(tier._compilers, WorkerPool)
    return tier._compilers


def run_until(emulator: Emulator, happened: Callable[[], bool]) -> None:
    """Let the guest run until something has happened."""

    def ran() -> bool:
        assert emulator.run(count=2_000_000).kind is StopKind.COUNT
        return happened()

    wait_for(ran)


def compiled(emulator: Emulator) -> int:
    tier = emulator._tcg.cache.tier
    return 0 if tier is None else tier.statistics.compiled


def test_a_worker_compiles_while_the_guest_runs(emulator: Emulator, tmp_path: Path) -> None:
    run_until(emulator, lambda: compiled(emulator) > 0)
    assert emulator.regs.a0 * 3 // 3 == emulator.regs.a0 > 1_000_000
    pids = workers_of(str(tmp_path))
    assert len(pids) == 1
    assert pool_of(emulator)._workers[0].pid == pids[0]
    assert os.getpriority(os.PRIO_PROCESS, pids[0]) > os.getpriority(os.PRIO_PROCESS, 0)
    # It is nobody's child here.
    with pytest.raises(ChildProcessError):
        os.waitpid(pids[0], os.WNOHANG)


def test_a_worker_that_dies_is_started_anew_once(emulator: Emulator, tmp_path: Path) -> None:
    run_until(emulator, lambda: compiled(emulator) > 0)
    pool = pool_of(emulator)
    for _ in range(2):
        emulator.mem.write(CODE, emulator.mem.read(CODE, 4))  # has the loop compiled anew
        before = compiled(emulator)
        (pid,) = workers_of(str(tmp_path))
        os.kill(pid, signal.SIGSTOP)
        run_until(emulator, lambda: any(worker.orders for worker in pool._workers))
        os.kill(pid, signal.SIGKILL)
        run_until(emulator, lambda pool=pool: not any(worker.orders for worker in pool._workers))
        assert compiled(emulator) == before
        if pool.dead:
            break
        # The request it died of goes without; the next one gets a new worker.
        emulator.mem.write(CODE, emulator.mem.read(CODE, 4))
        run_until(emulator, lambda before=before: compiled(emulator) > before)
    assert pool.dead
    emulator.mem.write(CODE, emulator.mem.read(CODE, 4))
    assert emulator.run(count=3_000_000).kind is StopKind.COUNT
    assert not workers_of(str(tmp_path))


def test_workers_outlive_the_machine_that_asked_first(emulator: Emulator) -> None:
    """Its code is closed with it; one that is started later needs some."""
    run_until(emulator, lambda: compiled(emulator) > 0)
    pool = pool_of(emulator)
    emulator.close()
    pool.abandon()  # as a fork does
    other = looping(LOOP.replace("xor", "sub"))  # compiled code of the first loop is on disk
    run_until(other, lambda: compiled(other) > 0)
    assert pool_of(other) is pool
    other.close()


def test_a_worker_that_hangs_is_killed(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_until(emulator, lambda: compiled(emulator) > 0)
    (pid,) = workers_of(str(tmp_path))
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(compilers, "HANGS_AFTER", 0.2)
    emulator.mem.write(CODE, emulator.mem.read(CODE, 4))
    run_until(emulator, lambda: pool_of(emulator)._failures > 0)
    wait_for(lambda: pid not in workers_of(str(tmp_path)))


def test_no_worker_can_be_started(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(11, "no more processes")

    monkeypatch.setattr(WorkerPool, "_spawn", refuse)
    run_until(emulator, lambda: emulator._tcg.cache.tier is not None and pool_of(emulator).dead)
    assert emulator.run(count=1_000_000).kind is StopKind.COUNT
    assert compiled(emulator) == 0


# ------------------------------------------------------------ whole processes

_GUEST = r"""
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <dirent.h>
#include <unistd.h>
static volatile int children;
static void on_child(int number) { children++; }
static unsigned work(unsigned rounds) {
    unsigned sum = 1;
    for (unsigned i = 0; i < rounds; i++) sum = sum * 1664525 + i;
    return sum;
}
int main(int argc, char **argv) {
    signal(SIGCHLD, on_child);
    printf("%u\n", work(400000000));
    printf("%d %s\n", waitpid(-1, 0, 0), errno == ECHILD ? "no child" : strerror(errno));
    int highest = dup(0);
    close(highest);
    printf("%d signals, next descriptor %d\n", children, highest);
    fflush(stdout);
    if (argc > 1 && !strcmp(argv[1], "fork")) {
        if (!fork()) { printf("%u\n", work(300000000)); fflush(stdout); _exit(3); }
        int status;
        while (wait(&status) < 0 && errno == EINTR);
        printf("%d %d\n", WEXITSTATUS(status), children);
    } else if (argc > 1 && !strcmp(argv[1], "exec")) {
        execl(argv[0], argv[0], (char *)0);
    } else if (argc > 1 && !strcmp(argv[1], "kill")) {
        fflush(stdout);
        kill(getpid(), SIGKILL);
    } else if (argc > 1 && !strcmp(argv[1], "loop")) {
        printf("looping\n"); fflush(stdout);
        for (;;) work(1000000);
    }
    return 0;
}
"""


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("guest") / "workers.c"
    source.write_text(_GUEST)
    return compile_c("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu", [source], ["-O1", "-w", "-static"])


@pytest.mark.parametrize("what", ["plain", "fork", "exec", "kill"])
def test_a_guest_sees_no_worker_and_leaves_none(guest: Path, what: str, tmp_path: Path) -> None:
    require_build("riscv64")
    environment = dict(os.environ, ISOMORPH_CACHE=str(tmp_path / "cache"), PYTHONPATH=str(ROOT))
    command = isomorph("run", "--tier1-threshold", "1000", str(guest), what)
    done = run(command, environment=environment)
    lines = done.stdout.decode().splitlines()
    assert lines[1:3] == ["-1 no child", "0 signals, next descriptor 3"]
    if what == "fork":
        assert lines[4] == "3 1"
    if what == "exec":
        assert lines[4:6] == lines[1:3]
    assert done.status == (-signal.SIGKILL if what == "kill" else 0)
    wait_for(lambda: not workers_of(str(tmp_path)))


def test_a_run_that_is_killed_takes_its_worker_along(guest: Path, tmp_path: Path) -> None:
    require_build("riscv64")
    environment = dict(os.environ, ISOMORPH_CACHE=str(tmp_path / "cache"), PYTHONPATH=str(ROOT))
    command = [sys.executable, "-m", "isomorph", "run", str(guest), "loop"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT) as running:
        assert running.stdout is not None
        while running.stdout.readline() != b"looping\n":
            assert running.poll() is None
        wait_for(lambda: bool(workers_of(str(tmp_path))))
        running.kill()
    wait_for(lambda: not workers_of(str(tmp_path)))
