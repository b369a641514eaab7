"""RISC-V's platform-level interrupt controller (PLIC specification 1.0.0): sources, priorities, contexts, claims."""

from __future__ import annotations

from runtime.hw.device_tree import Node
from runtime.hw.irq import Line
from runtime.hw.registers import Register, RegisterDevice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.hw.device_tree import Place

_PENDING, _ENABLE, _CONTEXT = 0x1000, 0x2000, 0x200000
_ENABLE_STRIDE, _CONTEXT_STRIDE = 0x80, 0x1000
_WORDS = _ENABLE_STRIDE // 4


class Plic(RegisterDevice):
    """`sources` inputs (the first is number 1) with 7 priorities; `contexts` are the lines to the harts, in order.

    An input is level-triggered: pending while its level is up, unless somebody has claimed it and not yet completed it.
    """

    kind = "sifive,plic-1.0.0"
    STATE = ("pending", "claimed", "levels")

    def __init__(self, name: str, contexts: Sequence[Line], sources: int = 95, priorities: int = 7) -> None:
        count = len(contexts)
        registers = (
            Register("PRIORITY", 0, writable=priorities, count=sources + 1),
            Register("PENDING", _PENDING, access="ro", count=max(2, sources // 32 + 1)),
            Register("ENABLE", _ENABLE, count=count * _WORDS),
            Register("THRESHOLD", _CONTEXT, writable=priorities, count=max(2, count), stride=_CONTEXT_STRIDE),
            Register("CLAIM", _CONTEXT + 4, count=max(2, count), stride=_CONTEXT_STRIDE),
        )
        super().__init__(name, max(0x600000, _CONTEXT + count * _CONTEXT_STRIDE), registers)
        self.sources = sources
        self.pending: list[bool] = [False] * (sources + 1)
        self.claimed: list[bool] = [False] * (sources + 1)
        self.levels: list[int] = [0] * (sources + 1)
        self._contexts = contexts

    def line(self, source: int, name: str = "") -> Line:
        """The wire of a source."""
        if not 0 < source <= self.sources:
            raise ValueError(f"{self.name} has sources 1 to {self.sources}, not {source}")
        return Line(name or f"{self.name}.{source}", lambda level: self._input(source, level))

    def _input(self, source: int, level: int) -> None:
        self.levels[source] = level
        if not self.claimed[source]:
            self.pending[source] = bool(level)
            self._update()

    # ------------------------------------------------------------ registers

    def write_priority(self, source: int, value: int) -> None:
        if source == 0:
            self.array["PRIORITY"][0] = 0  # there is no source 0
        self._update()

    def read_pending(self, word: int) -> int:
        return sum(1 << bit for bit in range(32) if self._is_pending(word * 32 + bit))

    def _is_pending(self, source: int) -> bool:
        return source <= self.sources and self.pending[source]

    def write_enable(self, index: int, value: int) -> None:
        if index % _WORDS * 32 > self.sources:
            self.array["ENABLE"][index] = 0
        elif index % _WORDS == 0:
            self.array["ENABLE"][index] &= ~1
        self._update()

    def write_threshold(self, context: int, value: int) -> None:
        self._update()

    def _best(self, context: int) -> tuple[int, int]:
        """The enabled, pending source of the highest priority, the lowest number first; and that priority."""
        best = priority = 0
        words = self.array["ENABLE"]
        for source, pending in enumerate(self.pending):
            if (
                pending
                and words[context * _WORDS + source // 32] >> source % 32 & 1
                and self.array["PRIORITY"][source] > priority
            ):
                best, priority = source, self.array["PRIORITY"][source]
        return best, priority

    def read_claim(self, context: int) -> int:
        if context >= len(self._contexts):
            return 0
        source, _ = self._best(context)
        if source:
            self.pending[source] = False
            self.claimed[source] = True
            self._update()
        return source

    def write_claim(self, context: int, value: int) -> None:
        self.array["CLAIM"][context] = 0
        if context >= len(self._contexts) or not 0 < value <= self.sources:
            return
        if self.array["ENABLE"][context * _WORDS + value // 32] >> value % 32 & 1:  # section 9: else ignored
            self.claimed[value] = False
            self.pending[value] = bool(self.levels[value])
            self._update()

    def _update(self) -> None:
        if not any(self.pending):
            for line in self._contexts:
                line.set(0)
            return
        for context, line in enumerate(self._contexts):
            line.set(self._best(context)[1] > self.array["THRESHOLD"][context])

    # ------------------------------------------------------------ state

    def reset(self) -> None:
        super().reset()
        self.claimed = [False] * (self.sources + 1)
        self.pending = [bool(level) for level in self.levels]
        self._update()

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        self._update()

    def describe(self) -> str:
        up = [str(source) for source, level in enumerate(self.levels) if level]
        waiting = [str(source) for source, pending in enumerate(self.pending) if pending]
        return f"up: {' '.join(up) or 'none'}; pending: {' '.join(waiting) or 'none'}"

    def device_tree_node(self, place: Place) -> Node:
        node = place.node("plic", "sifive,plic-1.0.0", "riscv,plic0")
        node.set("riscv,ndev", self.sources).set("interrupt-controller")
        return node.set("#interrupt-cells", 1).set("#address-cells", 0)
