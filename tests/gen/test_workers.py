"""Generation's and fuzzing's worker processes end with the one that started them, even if that is killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gen.emit import WORK
from tests.conftest import ROOT

#: a pool as gen/schedule.py and isomorph/cli/fuzz.py have it; what it says is its worker's number
POOL = """\
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from {module} import {initializer}

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer={initializer})
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(1000)
"""


@pytest.mark.parametrize(
    ("module", "initializer"),
    [("runtime.core.parent", "end_with_parent"), ("isomorph.fuzz.campaign", "start_worker")],
)
def test_no_worker_outlives_a_killed_parent(module: str, initializer: str, tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL.format(module=module, initializer=initializer))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL  # its resource tracker tells of what a killed process leaves
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True, env=environment) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        ended = os.pidfd_open(worker)
        try:
            assert not select.select([ended], [], [], 0)[0], "it waits for more work"
            parent.send_signal(signal.SIGKILL)
            assert select.select([ended], [], [], 60)[0], "it goes on without a parent"
        finally:
            os.close(ended)
            parent.kill()


def test_pools_are_made_with_it() -> None:
    for path in ("gen/schedule.py", "isomorph/cli/fuzz.py"):
        text = (ROOT / path).read_text()
        assert text.count("ProcessPoolExecutor(") == text.count("initializer=") == 1


def test_ctrl_c_ends_all_of_them_without_a_word(tmp_path: Path) -> None:
    """A terminal sends it to the whole group: to workers that are still importing, too."""
    command = [sys.executable, "-m", "gen", "--build", str(tmp_path), "--jobs", "3", "riscv32"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    ) as parent:
        while not (tmp_path / "riscv32" / WORK).exists() and parent.poll() is None:
            time.sleep(0.01)
        os.killpg(parent.pid, signal.SIGINT)
        output = parent.communicate(timeout=120)
    assert parent.returncode == 128 + signal.SIGINT
    assert output == ("", "")


def test_a_full_disk_behind_its_output_is_one_line() -> None:
    with open("/dev/full", "w", encoding="ascii") as full:
        command = [sys.executable, "-m", "gen", "--list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (1, "gen: standard output: No space left on device\n")
