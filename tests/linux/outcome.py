"""What a program did: its output and exit status, run in a fresh folder as a process group of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.conftest import ROOT


def outcome(folder: Path, command: list[str]) -> tuple[int, list[str]]:
    """Exit status (128 + n for signal n) and output of a command run in a fresh folder, as a group of its own.

    The output goes to a file: processes that outlive the first one would keep a pipe open.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ISOMORPH_TEST": "from outside", "TZ": "UTC"}
    with (folder / "../output").open("wb") as output, (folder / "../errors").open("wb") as errors:
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
            until = time.monotonic() + 120
            # Not reaped yet, so that its number, the group's, is nobody else's.
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                assert time.monotonic() < until, f"{command} does not end"
                time.sleep(0.005)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
    assert b"Traceback" not in (folder / "../errors").read_bytes()
    text = (folder / "../output").read_text(errors="backslashreplace")
    return (128 - status if status < 0 else status), text.splitlines()
