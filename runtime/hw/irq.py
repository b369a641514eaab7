"""Interrupt lines: a wire from a device to a controller's or a processor's input."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Line:
    """A wire with a level.  Whoever it was connected to hears of each change; without anybody it just has a level."""

    __slots__ = ("_targets", "level", "name")

    def __init__(self, name: str, target: Callable[[int], None] | None = None) -> None:
        self.name = name
        self.level = 0
        self._targets: list[Callable[[int], None]] = [] if target is None else [target]

    def connect(self, target: Callable[[int], None]) -> None:
        """Call `target(level)` now and at each change."""
        self._targets.append(target)
        target(self.level)

    def set(self, level: int | bool) -> None:
        """Drive it."""
        level = int(level)
        if level != self.level:
            self.level = level
            for target in self._targets:
                target(level)

    def pulse(self) -> None:
        """Up and down again: one edge."""
        self.set(1)
        self.set(0)


class AnyOf:
    """Several lines on one: its level is up while one of theirs is (a shared level-triggered interrupt)."""

    def __init__(self, target: Callable[[int], None]) -> None:
        self._target = target
        self._up: set[str] = set()

    def line(self, name: str) -> Line:
        """Another input."""

        def change(level: int) -> None:
            before = bool(self._up)
            (self._up.add if level else self._up.discard)(name)
            if bool(self._up) != before:
                self._target(int(not before))

        return Line(name, change)
