"""A fuzzing campaign: numbered cases, made and compared by workers, in processes here or on a cluster.

A case is found again by its seed and number alone, whichever worker ran it.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random

from isomorph.errors import IsomorphError
from isomorph.fuzz.case import Case, write_case
from isomorph.fuzz.engines import TIERS, Bench
from isomorph.fuzz.sequences import Sequences, mnemonic
from isomorph.fuzz.shrink import shrink
from runtime.core.cpu import load_isa
from runtime.core.parent import end_with_parent

__all__ = ["AGAINST", "Campaign", "Finding", "Order", "Tally", "Worker", "run_batch"]

#: what a user may ask for -> the engines that are compared
AGAINST: dict[str, tuple[str, ...]] = {
    "tiers": TIERS,
    "unicorn": ("blocks", "unicorn"),
    "qemu": ("blocks", "qemu"),
}
#: cases of a batch: so many at most, a second or two of work; less at first
_BATCH = 200
_FIRST_BATCH = 10
_QEMU_BATCH = 40
_BATCH_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do; everything in it can be sent to another process."""

    folder: str  # build/<isa>
    against: str
    seed: int
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference: the number of the case, its shrunk file, and what differs in it."""

    number: int
    text: str
    differences: tuple[str, ...]
    instructions: int


@dataclass(slots=True)
class Tally:
    """What was done."""

    cases: int = 0
    ran: Counter[str] = field(default_factory=Counter)  # mnemonic -> instructions
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Another worker's."""
        self.cases += other.cases
        self.ran += other.ran
        self.findings += other.findings

    @property
    def instructions(self) -> int:
        return self.ran.total()


class Worker:
    """Everything one process needs for an order."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.isa = load_isa(order.folder)
        self.bench = Bench(self.isa, AGAINST[order.against])
        self.sequences = Sequences(self.isa, order.against, order.only)

    def close(self) -> None:
        """Free everything."""
        self.bench.close()
        self.sequences.close()

    def case(self, number: int) -> Case:
        """The case of that number."""
        return self.sequences.case(Random(f"{self.order.seed} {number}"))

    def differences(self, case: Case) -> list[str]:
        """What differs; nothing for a case that cannot be compared."""
        found = list(self.bench.differences(case))
        if not found:
            return []
        # What a listed difference leaves out depends on the way through the code: only now is it worth looking.
        judged = self.sequences.judged(case)
        return [] if judged is None else list(self.bench.differences(judged))

    def examine(self, number: int, tally: Tally) -> None:
        """Run one case; shrink it if there is a difference."""
        case = self.case(number)
        tally.cases += 1
        for word in case.code:
            decoded = self.sequences.decoder.decode(word, 0)
            if decoded is not None:
                tally.ran[mnemonic(decoded.form)] += 1
        if self.differences(case):
            tally.findings.append(self._finding(number, case))

    def _finding(self, number: int, case: Case) -> Finding:
        sequences = self.sequences
        small = shrink(
            case, self.isa.layout, sequences.decoder, lambda case: bool(self.differences(case)), sequences.kept
        )
        found = tuple(self.differences(small))
        order = self.order
        command = f"isomorph fuzz {self.isa.name} --against {order.against} --seed {order.seed} --first {number}"
        command += "".join(f" --insn {name}" for name in order.only)
        notes = (f"found by: {command}", *found)
        engines = " ".join(AGAINST[order.against])
        syntax = self.isa.module("syntax").SYNTAX
        return Finding(number, write_case(small, self.isa.name, syntax, engines, notes), found, len(small.code))


@cache
def _worker(order: Order) -> Worker:
    return Worker(order)


def start_worker() -> None:
    """In a new process: the user's Ctrl-C is for the campaign, which tells its workers."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_batch(order: Order, first: int, count: int) -> Tally:
    """Cases first .. first+count-1, up to the first that shows a difference."""
    worker = _worker(order)
    tally = Tally()
    for number in range(first, first + count):
        worker.examine(number, tally)
        if tally.findings:
            break
    return tally


@dataclass(slots=True)
class Campaign:
    """Batches given out until time or cases are spent or a difference is found."""

    order: Order
    executor: Executor
    jobs: int
    seconds: float | None = None
    cases: int | None = None
    first: int = 0
    tally: Tally = field(default_factory=Tally)
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.started

    def run(self, progress: Callable[[Tally], None]) -> Tally:
        """Until the end; KeyboardInterrupt leaves what was done so far in `tally`."""
        following = self.first
        waiting: dict[Future[Tally], tuple[int, int]] = {}
        largest = _QEMU_BATCH if self.order.against == "qemu" else _BATCH
        end = None if self.cases is None else self.first + self.cases
        try:
            while True:
                while len(waiting) < self.jobs + 1 and not self._over() and (end is None or following < end):
                    size = self._batch(largest)
                    count = size if end is None else min(size, end - following)
                    waiting[self._submit(following, count)] = following, count
                    following += count
                if not waiting:
                    return self.tally
                done, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    first, count = waiting.pop(future)
                    self._take(future, first, count)
                progress(self.tally)
                if self.tally.findings:
                    return self.tally
        finally:
            for future in waiting:
                future.cancel()

    def _batch(self, largest: int) -> int:
        """How many cases to hand out at once: few, until it is known how long they take."""
        if not self.tally.cases:
            return _FIRST_BATCH
        each = self.jobs * self.elapsed / self.tally.cases
        return max(1, min(largest, round(_BATCH_SECONDS / each)))

    def _over(self) -> bool:
        return bool(self.tally.findings) or (self.seconds is not None and self.elapsed >= self.seconds)

    def _submit(self, first: int, count: int) -> Future[Tally]:
        try:
            # A new process may begin in here: a Ctrl-C now would break it off half-made, and its like is not for it.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            return self.executor.submit(run_batch, self.order, first, count)
        except BrokenExecutor as error:
            raise self._died(first, count) from error
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def _take(self, future: Future[Tally], first: int, count: int) -> None:
        try:
            self.tally.add(future.result())
        except BrokenExecutor as error:
            raise self._died(first, count) from error

    def _died(self, first: int, count: int) -> IsomorphError:
        return IsomorphError(
            f"a worker process died (out of memory, or native code that crashed); the cases that ran: "
            f"--seed {self.order.seed} --first {first} --cases {count} and their neighbours"
        )


def replayed(order: Order, case: Case) -> list[str]:
    """What differs in a case read from a file."""
    worker = Worker(replace(order, seed=0))
    try:
        return worker.differences(case)
    finally:
        worker.close()


def default_jobs() -> int:
    """One a processor."""
    return len(os.sched_getaffinity(0)) or 1
