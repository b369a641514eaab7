"""A machine in a process of its own, and somebody at its console who waits for texts and types."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.conftest import ROOT
from tests.tools import isomorph

#: what waits for a machine gives up after so many seconds: machines may be slow, but they do not hang
PATIENCE = 100
#: seconds for one that failed to say where it was
_LAST_WORDS = 5


class Session:
    """`isomorph machine ARGUMENTS` (or another command), with pipes for a terminal."""

    def __init__(self, *arguments: str, command: Sequence[str] | None = None, folder: Path | None = None) -> None:
        words = [*(command or isomorph("machine")), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=environment
        )
        self.output = b""
        self._seen = 0

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            if error is not None:
                self._show_threads()
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def _show_threads(self) -> None:
        """Where a machine is that may hang, for the report of the test that failed: it dies of the question."""
        self.process.send_signal(signal.SIGABRT)
        assert self.process.stdout is not None
        deadline = time.monotonic() + _LAST_WORDS
        while select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                break
            self.output += data
        print(self.output[-8000:].decode("utf-8", "replace"))

    def type(self, text: str | bytes) -> None:
        """Keys, all at once."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() if isinstance(text, str) else text)
        self.process.stdin.flush()

    def expect(self, text: str | bytes, patience: float = PATIENCE) -> bytes:
        """Wait until the machine has printed `text`, behind what was waited for last; all up to its end."""
        wanted = text.encode() if isinstance(text, str) else text
        deadline = time.monotonic() + patience
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        while (found := self.output.find(wanted, self._seen)) < 0:
            ready, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
            data = os.read(descriptor, 65536) if ready else b""
            if not data:
                what = "ended" if ready else f"printed nothing new for {patience} s"
                tail = self.output[-2000:].decode("utf-8", "replace")
                raise AssertionError(f"the machine {what}, without {wanted!r}:\n{tail}")
            self.output += data
        start, self._seen = self._seen, found + len(wanted)
        return self.output[start : self._seen]

    def command(self, line: str, prompt: str = "# ", patience: float = PATIENCE) -> str:
        """A shell's command: what it printed.  (The marks are typed in pieces: the echo must not look like them.)"""
        self.type(f"echo be''gin; {line}; echo e''nd=$?\n")
        self.expect("begin\r\n", patience)
        text = self.expect("end=", patience).decode("utf-8", "replace")
        status = self.expect("\n", patience).decode().strip()
        self.expect(prompt, patience)
        body = text.removesuffix("end=").replace("\r", "")
        return body if status == "0" else f"{body}status {status}\n"

    def end(self, patience: float = PATIENCE) -> int:
        """Wait for the end; the exit status."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                break
            self.output += data
        return self.process.wait(max(1, deadline - time.monotonic()))
