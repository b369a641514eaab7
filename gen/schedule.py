"""Generating several instruction sets at once: their stages, spread over worker processes, and the progress shown."""

from __future__ import annotations

import fcntl
import multiprocessing
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from gen import emit, stamp
from gen.errors import SpecError
from runtime.core.parent import end_with_parent, quiet_starts


@dataclass(slots=True)
class _Job:
    """One instruction set on its way."""

    spec: Path
    out: Path
    task: TaskID
    start: float
    report: emit.Report = field(default_factory=emit.Report)
    open_shards: int = 0
    failed: bool = False
    seconds: float = 0.0


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other generating processes away from a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class _Run:
    """The jobs of one command, and the futures they wait for."""

    def __init__(self, pool: ProcessPoolExecutor, progress: Progress, verbose: bool) -> None:
        self._pool = pool
        self._verbose = verbose
        self._progress = progress
        self._waiting: dict[Future[Any], tuple[str, _Job]] = {}
        self.errors: list[str] = []

    def begin(self, spec: Path, out: Path) -> _Job:
        """Enter an instruction set."""
        job = _Job(spec, out, self._progress.add_task(spec.stem, total=None, phase="reading"), time.monotonic())
        future = self._pool.submit(emit.prepare, spec, (spec.parent, stamp.ROOT / "specs"), {}, out)
        self._waiting[future] = ("prepare", job)
        return job

    def work(self) -> None:
        """Until all jobs are done or have failed."""
        while self._waiting:
            done, _ = wait(self._waiting, return_when=FIRST_COMPLETED)
            for future in done:
                stage, job = self._waiting.pop(future)
                try:
                    self._next(stage, job, future.result())
                except SpecError as error:
                    self._fail(job, str(error))
                except BrokenProcessPool:
                    self._fail(job, f"gen: {job.spec.stem}: a worker process died (killed, or out of memory?)\n")
                    self._waiting.clear()
                    return
                except Exception as error:
                    # The generator's own fault: say so in a line, the traceback is for those who want to mend it.
                    if self._verbose:
                        traceback.print_exception(error)
                    self._fail(job, f"gen: {job.spec.stem}: internal error: {error} (--verbose shows where)\n")

    def _fail(self, job: _Job, message: str) -> None:
        job.failed = True
        self.errors.append(message)
        self._progress.update(job.task, phase="failed")

    def _next(self, stage: str, job: _Job, result: Any) -> None:
        if stage == "prepare":
            job.report = result
            job.open_shards = len(result.shards)
            self._progress.update(job.task, total=len(result.shards) + 2, completed=1, phase="compiling")
            for shard in sorted(result.shards, key=lambda path: -path.stat().st_size):
                self._waiting[self._pool.submit(emit.compile_shard, shard)] = ("compile", job)
        elif stage == "compile":
            job.report.seconds["compile"] = job.report.seconds.get("compile", 0.0) + result
            job.open_shards -= 1
            self._progress.advance(job.task)
            if not job.open_shards:
                self._progress.update(job.task, phase="linking")
                self._waiting[self._pool.submit(emit.finish, job.out, job.report.shards)] = ("finish", job)
        else:
            job.report.seconds["link"] = result
            job.seconds = time.monotonic() - job.start
            self._progress.advance(job.task)
            self._progress.update(job.task, phase="done")


def _summary(job: _Job, verbose: bool) -> str:
    counts = ", ".join(f"{number} {name}" for name, number in job.report.counts.items())
    line = f"{job.spec.stem}: {counts} in {job.seconds:.1f} s"
    if verbose:
        phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in job.report.seconds.items())
        line += f"\n    {phases} (compile: CPU time of all workers)"
    return line


def run(specs: Sequence[Path], build: Path, jobs: int, verbose: bool) -> int:
    """Generate; exit status 0, or 1 after printing what is wrong."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[phase]}"),
        TimeElapsedColumn(),
    )
    with ExitStack() as stack:
        for spec in specs:
            stack.enter_context(_locked(build / spec.stem))
        progress = stack.enter_context(Progress(*columns, console=console, disable=not console.is_terminal))
        pool = stack.enter_context(
            ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=end_with_parent)
        )
        runner = _Run(pool, progress, verbose)
        with quiet_starts():
            started = [runner.begin(spec, build / spec.stem) for spec in specs]
        runner.work()
    for job in started:
        for warning in job.report.warnings:
            print(warning, file=sys.stderr)
        if not job.failed and job.seconds:
            print(_summary(job, verbose))
    for error in runner.errors:
        sys.stderr.write(error)
    return 1 if runner.errors else 0
