"""Who compiles regions for the run process: worker processes, or for tests this very process.

A worker is reached by two pipes that are never waited for.  It is nobody's child (see @spawn_detached), ends when its
pipe is closed, by whatever end of the run, and is shared by all machines of the process that run the same ISA.  One
that dies or does not answer is started anew once; after that hot code stays with tier 0.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

from runtime.core.foreign import CFUNCTYPE, c_char_p, c_int64, c_void_p
from runtime.core.light import host_signals, suppress
from runtime.tcg.region import FRAME, WANTS_LISTING, RegionAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from runtime.tcg.blobs import Blob
    from runtime.tcg.region import RegionRequest
    from runtime.tcg.worker import Service

    #: gets the answer; None if there will be none
    Receiver = Callable[[RegionAnswer | None], None]

    class Compilers(Protocol):
        """What a tier wants of whoever compiles for it."""

        #: changes when all orders are lost: this process is a copy that fork made
        generation: int
        #: nobody will compile anything any more
        dead: bool

        def start(self) -> bool:
            """Have somebody who compiles; False if that took so long that requests are for the next time."""
            ...

        def slots(self) -> int:
            """How many more requests it takes now."""
            ...

        def submit(self, request: RegionRequest, receiver: Receiver, listing: bool) -> None:
            """Have a region compiled; `receiver` is called by `poll`, or by this."""
            ...

        def poll(self) -> None:
            """Hand out the answers that have come."""
            ...


#: requests that a worker has at a time: while it compiles one the next is there
_AHEAD = 2
#: a worker that has not answered for so long hangs
HANGS_AFTER = 60.0
_MOST_RESTARTS = 1
_READ = 1 << 20
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class InlineCompiler:
    """Compiles at once, while the guest waits: for tests, and for those who want the same run twice."""

    generation = 0
    dead = False

    def __init__(self, service: Service) -> None:
        self._service = service

    def start(self) -> bool:
        return True

    def slots(self) -> int:
        return 1

    def submit(self, request: RegionRequest, receiver: Receiver, listing: bool) -> None:
        receiver(self._service.answer(request, listing))

    def poll(self) -> None:
        pass


class _Order:
    """A request on its way."""

    __slots__ = ("data", "listing", "receiver", "since")

    def __init__(self, data: bytes, receiver: Receiver, listing: bool) -> None:
        self.data = data
        self.receiver = receiver
        self.listing = listing
        self.since = time.monotonic()


class _Worker:
    """A worker process and the pipes to it."""

    def __init__(self, spawn: Callable[[int, int], None]) -> None:
        theirs_in, self.to = _pipe()
        self.back, theirs_out = _pipe()
        self.pid = 0  # known with the first answer
        self.orders: dict[int, _Order] = {}
        self._unsent = b""
        self._received = bytearray()
        try:
            spawn(theirs_in, theirs_out)
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        os.set_blocking(self.to, False)
        os.set_blocking(self.back, False)

    def send(self, ticket: int, order: _Order) -> None:
        self.orders[ticket] = order
        self._unsent += FRAME.pack(len(order.data), ticket, WANTS_LISTING if order.listing else 0) + order.data
        self.flush()

    def flush(self) -> None:
        """Write what the pipe takes; OSError if nobody reads."""
        if self._unsent:
            with suppress(BlockingIOError):
                self._unsent = self._unsent[_write(self.to, self._unsent) :]

    def receive(self) -> list[tuple[_Order, RegionAnswer]]:
        """The answers that are there; OSError at the worker's end."""
        self.flush()
        with suppress(BlockingIOError):
            while piece := os.read(self.back, _READ):
                self._received += piece
                if len(piece) < _READ:
                    break
            else:
                raise BrokenPipeError
        found = []
        while len(self._received) >= FRAME.size:
            size, ticket, self.pid = FRAME.unpack_from(self._received)
            end = FRAME.size + size
            if len(self._received) < end:
                break
            order = self.orders.pop(ticket)
            found.append((order, RegionAnswer.decode(bytes(self._received[FRAME.size : end]))))
            del self._received[:end]
            for other in self.orders.values():  # it begins with the next only now
                other.since = time.monotonic()
        return found

    def hangs(self) -> bool:
        return any(time.monotonic() - order.since > HANGS_AFTER for order in self.orders.values())

    def close(self) -> None:
        os.close(self.to)
        os.close(self.back)

    def kill(self) -> None:
        """End one that hangs; closing its pipe is enough for one that does not."""
        if self.pid:
            with suppress(OSError):
                os.kill(self.pid, host_signals.SIGKILL)


def _unblock(before: set[int]) -> None:
    """Block what was blocked before; the two signals that the C library keeps for itself are none of Python's."""
    host_signals.pthread_sigmask(host_signals.SIG_SETMASK, before & host_signals.valid_signals())


def _write(descriptor: int, data: bytes) -> int:
    """Write without a signal if nobody reads: SIGPIPE is the guest's."""
    blocked = host_signals.pthread_sigmask(host_signals.SIG_BLOCK, (host_signals.SIGPIPE,))
    try:
        waits = host_signals.SIGPIPE in host_signals.sigpending()
        try:
            return os.write(descriptor, data)
        except BrokenPipeError:
            if not waits:
                host_signals.sigtimedwait((host_signals.SIGPIPE,), 0)
            raise
    finally:
        _unblock(blocked)


def _pipe() -> tuple[int, int]:
    """A pipe whose ends close on exec and are not 0, 1 or 2, however many of these the guest has closed."""
    ends = os.pipe2(os.O_CLOEXEC)
    lifted = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends]
    for end in ends:
        os.close(end)
    return lifted[0], lifted[1]


class WorkerPool:
    """The workers of this process for one ISA and cache directory."""

    def __init__(self, folder: str, directory: str | None, count: int, blob: Blob, machine: bool = False) -> None:
        worker = "runtime.tcg.worker"
        what = "machine" if machine else "program"
        self._command = [sys.executable, "-P", "-m", worker, folder, str(blob.checksum), what, directory or ""]
        self._count = count
        self._blob = blob.share()  # workers may be started when the machine that asked first is closed
        self._workers: list[_Worker] = []
        self._tickets = 0
        self._failures = 0
        self.dead = not sys.executable
        self.generation = 0

    def start(self) -> bool:
        if self._workers or self.dead:
            return True
        try:
            self._workers.append(_Worker(self._spawn))
        except OSError:
            self.dead = True
        return False

    def slots(self) -> int:
        if self.dead:
            return 0
        return self._count * _AHEAD - sum(len(worker.orders) for worker in self._workers)

    def submit(self, request: RegionRequest, receiver: Receiver, listing: bool) -> None:
        self._tickets += 1
        self._give(self._tickets, _Order(request.encode(), receiver, listing))

    def _give(self, ticket: int, order: _Order) -> None:
        try:
            idle = min(self._workers, key=lambda worker: len(worker.orders), default=None)
            if (idle is None or idle.orders) and len(self._workers) < self._count:
                idle = _Worker(self._spawn)
                self._workers.append(idle)
        except OSError:
            self.dead = True
            order.receiver(None)
            return
        if idle is None:
            order.receiver(None)
            return
        try:
            idle.send(ticket, order)
        except OSError:
            self._lost(idle)

    def poll(self) -> None:
        for worker in list(self._workers):
            try:
                answers = worker.receive()
            except OSError:
                self._lost(worker)
                continue
            for order, answer in answers:
                order.receiver(answer)
            if worker.orders and worker.hangs():
                worker.kill()
                self._lost(worker)

    def _lost(self, worker: _Worker) -> None:
        """A worker died or hangs: the request it was at goes without, the others to its successor, if it gets one."""
        worker.close()
        self._workers.remove(worker)
        self._failures += 1
        orders = list(worker.orders.items())
        if self._failures > _MOST_RESTARTS:
            self.dead = not self._workers
            for _, order in orders:
                order.receiver(None)
            return
        for number, (ticket, order) in enumerate(orders):
            if number == 0:
                order.receiver(None)
            else:
                self._give(ticket, order)

    def abandon(self) -> None:
        """This is the copy that fork made: the workers are the other process's."""
        for worker in self._workers:
            worker.close()
        self._workers = []
        self._failures = 0
        self.generation += 1

    def _spawn(self, theirs_in: int, theirs_out: int) -> None:
        """Start a worker with these descriptors; OSError if there is no process to be had."""
        start = CFUNCTYPE(c_int64, c_char_p, c_void_p, c_void_p, c_int64, c_int64, c_int64)(
            self._blob.address("spawn_detached")
        )
        words = [os.fsencode(word) for word in self._command]
        path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH", ""))))
        variables = [os.fsencode(f"{name}={value}") for name, value in {**os.environ, "PYTHONPATH": path}.items()]
        arguments = (c_char_p * (len(words) + 1))(*words, None)
        environment = (c_char_p * (len(variables) + 1))(*variables, None)
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        lifted = fcntl.fcntl(nowhere, fcntl.F_DUPFD_CLOEXEC, 3)
        os.close(nowhere)
        blocked = host_signals.pthread_sigmask(host_signals.SIG_BLOCK, host_signals.valid_signals())
        try:
            result = start(words[0], arguments, environment, theirs_in, theirs_out, lifted)
        finally:
            _unblock(blocked)
            os.close(lifted)
        if result < 0:
            raise OSError(-result, os.strerror(-result))


_pools: dict[tuple[str, str | None, int, bool], WorkerPool] = {}


def worker_pool(folder: str, directory: str | None, count: int, blob: Blob, machine: bool = False) -> WorkerPool:
    """The pool of this process for these."""
    if not _pools:
        os.register_at_fork(after_in_child=_abandon_all)
    key = folder, directory, count, machine
    if key not in _pools:
        _pools[key] = WorkerPool(folder, directory, count, blob, machine)
    return _pools[key]


def _abandon_all() -> None:
    for pool in _pools.values():
        pool.abandon()
