"""The compiler's process: `python -m runtime.tcg.worker ISA-FOLDER CHECKSUM CACHE-FOLDER` (empty: no cache).

It reads requests from descriptor 0 and writes answers to 1, and ends when the other end of 0 is closed, even in the
midst of a compilation.  What compiles is the same object that `--workers 0` uses in the run's own process.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from itertools import count
from queue import SimpleQueue

from runtime.core.cpu import load_isa
from runtime.tcg.blobs import BlobError, read_checksum
from runtime.tcg.region import FRAME, WANTS_LISTING, RegionAnswer, RegionRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.tcg.region_cache import RegionCache
    from runtime.tcg.region_compiler import RegionCompiler

#: what is added to the worker's niceness: the guest's process goes first
_NICENESS = 5
#: what the compiled code is for, on the command line
MACHINE, PROGRAM = "machine", "program"
#: regions from one look for cycles of garbage to the next
_COLLECTS = 64


class Service:
    """Compiles regions of one ISA and keeps them in the cache on disk."""

    def __init__(self, folder: str, cache: RegionCache | None, checksum: int, machine: bool = False) -> None:
        """checksum: of the native code that the regions will call, which is not to have been generated anew since.
        machine: it is that of machines."""
        self.folder = folder
        self.checksum = checksum
        self.cache = cache
        self.machine = machine
        self._compiler: RegionCompiler | None = None

    def answer(self, request: RegionRequest, listing: bool = False) -> RegionAnswer:
        """The region compiled, or why it was not."""
        began = time.perf_counter()
        if self.cache is not None:
            self.cache.begin(request)
        try:
            if self._compiler is None:
                from runtime.tcg.region_compiler import RegionCompiler

                isa = load_isa(self.folder)
                blob = isa.system_blob_path if self.machine else isa.blob_path
                if read_checksum(blob) != self.checksum:
                    raise BlobError(f"{blob} has changed")
                self._compiler = RegionCompiler(isa, verified=False, machine=self.machine)
            compiled = self._compiler.compile(request)
            text = ""
            if listing:
                text = f"{compiled.optimized}\0{compiled.assembly}"
        except Exception as error:  # whatever is wrong with one region, the guest goes on without it
            if self.cache is not None:
                self.cache.end(request)
            return RegionAnswer(b"", 0, 0, time.perf_counter() - began, f"{type(error).__name__}: {error}")
        seconds = time.perf_counter() - began
        table, accesses = compiled.table, compiled.table_entries
        made = RegionAnswer(compiled.code, compiled.entry, compiled.instructions, seconds, text, table, accesses)
        if self.cache is not None:
            self.cache.store(request, made)
        return made


def _read_exactly(count: int) -> bytes:
    """Bytes of descriptor 0; at its end the process ends."""
    data = b""
    while len(data) < count:
        try:
            piece = os.read(0, count - len(data))
        except OSError:
            piece = b""
        if not piece:
            os._exit(0)
        data += piece
    return data


def _listen(requests: SimpleQueue[tuple[int, int, bytes]]) -> None:
    while True:
        size, ticket, flags = FRAME.unpack(_read_exactly(FRAME.size))
        requests.put((ticket, flags, _read_exactly(size)))


def serve(service: Service) -> None:
    """Answer requests for ever."""
    requests: SimpleQueue[tuple[int, int, bytes]] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    gc.disable()  # compiling allocates much and leaves few cycles: an eighth of its time goes into looking for them
    for number in count(1):
        ticket, flags, data = requests.get()
        answer = service.answer(RegionRequest.decode(data), bool(flags & WANTS_LISTING)).encode()
        view = memoryview(FRAME.pack(len(answer), ticket, os.getpid()) + answer)
        try:
            while view:
                view = view[os.write(1, view) :]
        except OSError:
            os._exit(0)
        if number % _COLLECTS == 0:
            gc.collect()


def main() -> None:
    folder, checksum, machine, directory = sys.argv[1:5]
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICENESS)
    os.chdir("/")
    cache = None
    if directory:
        from runtime.tcg.region_cache import RegionCache

        cache = RegionCache(directory)
    serve(Service(folder, cache, int(checksum), machine == MACHINE))


if __name__ == "__main__":
    main()
