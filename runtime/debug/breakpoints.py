"""Breakpoints and watchpoints: what gdb inserted, and the marks on the guest's memory that make them work.

Under TCG no code is patched: native code leaves at marked addresses (runtime/core/watch.py).
"""

from __future__ import annotations

from typing import Protocol

from runtime.debug.stop import DebugError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Ranges = list[tuple[int, int]]

#: Z packets' types
SOFTWARE, HARDWARE, WRITE, READ, ACCESS = range(5)
#: what stop replies call a watchpoint
_WORDS = {WRITE: "watch", READ: "rwatch", ACCESS: "awatch"}
_MOST, _LONGEST = 4096, 1 << 20


class Marks(Protocol):
    """Where in the guest's memory somebody wants to be shown what happens."""

    def set_ranges(self, loads: Ranges, stores: Ranges, code: Ranges) -> None:
        """Loads from these ranges, stores to these, instructions at these, and nothing else."""


class Breakpoints:
    """What is inserted now; `arm` makes it known to the memory."""

    def __init__(self) -> None:
        self._code: set[tuple[int, int]] = set()  # kind, address
        self._data: dict[tuple[int, int, int], None] = {}  # kind, start, end
        self._armed: tuple[object, ...] = ()
        self.code: frozenset[int] = frozenset()

    def insert(self, kind: int, address: int, length: int) -> None:
        """Z; a second time is no error."""
        if len(self._code) + len(self._data) >= _MOST:
            raise DebugError(f"no more than {_MOST} breakpoints and watchpoints")
        if kind in (SOFTWARE, HARDWARE):
            self._code.add((kind, address))
            self.code = frozenset(address for _, address in self._code)
        elif not 0 < length <= _LONGEST:
            raise DebugError(f"a watchpoint watches 1 to {_LONGEST} bytes")
        else:
            self._data[kind, address, address + length] = None

    def remove(self, kind: int, address: int, length: int) -> None:
        """z; what is not there is no error."""
        self._code.discard((kind, address))
        self.code = frozenset(address for _, address in self._code)
        self._data.pop((kind, address, address + length), None)

    def clear(self) -> None:
        self._code.clear()
        self._data.clear()
        self.code = frozenset()

    @property
    def watches(self) -> bool:
        """Whether any data is watched."""
        return bool(self._data)

    @property
    def data(self) -> list[tuple[int, int, bool, bool]]:
        """What is watched: start, end, whether loads, whether stores."""
        return [(start, end, kind != WRITE, kind != READ) for kind, start, end in self._data]

    def arm(self, watch: Marks) -> None:
        """Mark what is inserted, and nothing else."""
        loads = [(start, end) for kind, start, end in self._data if kind != WRITE]
        stores = [(start, end) for kind, start, end in self._data if kind != READ]
        self._mark(watch, loads, stores, [(address, address + 1) for address in sorted(self.code)])

    def disarm(self, watch: Marks) -> None:
        """Take all marks away for a while."""
        self._mark(watch, [], [], [])

    def _mark(
        self, watch: Marks, loads: list[tuple[int, int]], stores: list[tuple[int, int]], code: list[tuple[int, int]]
    ) -> None:
        wanted = (watch, sorted(loads), sorted(stores), code)
        if wanted != self._armed:
            self._armed = wanted
            watch.set_ranges(*wanted[1:])

    def hit(self, address: int, size: int, store: bool) -> tuple[str, int] | None:
        """The kind and address for a stop reply if an access touches what is watched."""
        for kind, start, end in self._data:
            if address < end and start < address + size and kind != (READ if store else WRITE):
                return _WORDS[kind], max(address, start)
        return None

    def describe(self) -> str:
        """For `monitor info breakpoints`."""
        lines = [f"{address:#x} {'hardware ' * (kind == HARDWARE)}breakpoint" for kind, address in sorted(self._code)]
        lines += [f"{start:#x}..{end:#x} {_WORDS[kind]}" for kind, start, end in sorted(self._data)]
        return "\n".join(lines) or "none"


class LimitedBreakpoints(Breakpoints):
    """Of an accelerator that has not everything.

    most          so many addresses of code, if there can be no more
    no_watching   why data cannot be watched, if it cannot
    """

    def __init__(self, most: int | None, no_watching: str) -> None:
        super().__init__()
        self._most_addresses = most
        self._no_watching = no_watching

    def insert(self, kind: int, address: int, length: int) -> None:
        if kind not in (SOFTWARE, HARDWARE):
            if self._no_watching:
                raise DebugError(self._no_watching)
        elif self._most_addresses is not None and len(self.code | {address}) > self._most_addresses:
            raise DebugError(f"this accelerator has {self._most_addresses} breakpoints")
        super().insert(kind, address, length)
