"""`--perf-map`: tells Linux perf the names of code that is in no file, by /tmp/perf-PID.map."""

from __future__ import annotations

import os

from runtime.core.light import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.tcg.blobs import Blob


class PerfMap:
    """The map of this process: handlers at once, regions as they come.  A copy that fork makes gets its own."""

    def __init__(self, code: Blob) -> None:
        places = sorted((offset, name) for name, offset in code.symbols.items())
        ends = [offset for offset, _ in places[1:]] + [code.size]
        self._lines = [
            _line(code.base + start, end - start, name) for (start, name), end in zip(places, ends, strict=True)
        ]
        self._open = True
        self._write()
        os.register_at_fork(after_in_child=self._write)

    def add(self, address: int, size: int, name: str) -> None:
        """Some more code."""
        self._lines.append(_line(address, size, name))
        with suppress(OSError), open(self._path(), "a", encoding="ascii") as file:
            file.write(self._lines[-1])

    def close(self) -> None:
        """The code is about to go: copies of this process have nothing to tell."""
        self._open = False

    def _write(self) -> None:
        if not self._open:
            return
        # Somebody else may have put a link there: what is there is not written to.
        with suppress(OSError):
            os.unlink(self._path())
        with suppress(OSError):
            descriptor = os.open(self._path(), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.writelines(self._lines)

    @staticmethod
    def _path() -> str:
        return f"/tmp/perf-{os.getpid()}.map"


def _line(address: int, size: int, name: str) -> str:
    return f"{address:x} {size:x} {name}\n"
