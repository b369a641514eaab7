"""What symbols stand for inside pseudo-instructions, inside functions, and where there are none."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.syntax.expressions import BadExpression, Environment

__all__ = ["AliasEnvironment", "FunctionEnvironment", "NoSymbols"]


class AliasEnvironment:
    """Symbols inside an alias's expressions: its holes, `.` where the pseudo-instruction stands, `.end` behind it."""

    def __init__(self, values: Mapping[str, int], pc: int, end: int, outer: Environment) -> None:
        self.values = {**values, ".end": end}
        self.pc = pc
        self.outer = outer

    def symbol(self, name: str) -> int | None:
        return self.values.get(name)

    def here(self) -> int:
        return self.pc

    def call(self, name: str, value: int, addend: int) -> int:
        return self.outer.call(name, value, addend)


class FunctionEnvironment:
    """What a function's expression may read: its parameter, `.`, and the arguments of others."""

    def __init__(self, parameter: str, value: int, addend: int, pc: int, arguments: Mapping[int, int]) -> None:
        self.parameter = parameter
        self.value = value
        self.addend = addend
        self.pc = pc
        self.arguments = arguments

    def symbol(self, name: str) -> int | None:
        return self.value if name == self.parameter else None

    def here(self) -> int:
        return self.pc

    def call(self, name: str, value: int, addend: int) -> int:
        place = value - self.addend
        if name == "origin":
            return place
        if name != "argument":
            raise BadExpression(f"there is no function '{name}'", 0)
        if place not in self.arguments:
            raise BadExpression(f"no instruction at {place:#x} has such an operand", 0)
        return self.arguments[place] + self.addend


class NoSymbols:
    """The environment of what needs none."""

    def symbol(self, name: str) -> int | None:
        return None

    def here(self) -> int:
        return 0

    def call(self, name: str, value: int, addend: int) -> int:
        raise BadExpression(f"there is no function '{name}'", 0)
