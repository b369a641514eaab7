"""What running an expression or a function does besides giving a value, and how large it is."""

from __future__ import annotations

from collections.abc import Mapping

from gen import model
from gen.intrinsics import INTRINSICS, Effect
from gen.walk import nodes

_EFFECTS = (
    model.ToReg,
    model.ToRegFile,
    model.ToMode,
    model.ToMem,
    model.ToOperand,
    model.MemRead,
    model.OperandRead,
    model.Accrue,
    model.Atomic,
    model.Goto,
    model.Raise,
    model.Annul,
)


class Effects:
    """Facts about the functions of one spec, found once each."""

    def __init__(self, functions: Mapping[str, model.Function]) -> None:
        self._functions = functions
        self._pure: dict[str, bool] = {}
        self._sizes: dict[str, int] = {}
        self._modes: dict[str, frozenset[str]] = {}

    def pure(self, root: object) -> bool:
        """Whether nothing is written, raised or read from memory: it may be computed and thrown away."""
        for node in nodes(root):
            if isinstance(node, _EFFECTS):
                return False
            if isinstance(node, model.Intrinsic) and INTRINSICS[node.name].effect in {Effect.FLAGS, Effect.WRITES}:
                return False
            if isinstance(node, model.Call) and not self._pure_function(node.function):
                return False
        return True

    def _pure_function(self, name: str) -> bool:
        if name not in self._pure:
            self._pure[name] = self.pure(self._functions[name].body)
        return self._pure[name]

    def size(self, root: object) -> int:
        """Nodes that would be emitted, calls inlined."""
        total = 0
        for node in nodes(root):
            total += 1
            if isinstance(node, model.Call):
                if node.function not in self._sizes:
                    self._sizes[node.function] = self.size(self._functions[node.function].body)
                total += self._sizes[node.function]
        return total

    def modes_written(self, root: object) -> frozenset[str]:
        """Modes assigned anywhere, in called functions too."""
        found: set[str] = set()
        for node in nodes(root):
            if isinstance(node, model.ToMode):
                found.add(node.mode)
            elif isinstance(node, model.Call):
                if node.function not in self._modes:
                    self._modes[node.function] = self.modes_written(self._functions[node.function].body)
                found |= self._modes[node.function]
        return frozenset(found)
