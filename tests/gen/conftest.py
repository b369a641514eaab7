"""Builds encoding spaces from one line per instruction, for the tests of encodings and decision trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from gen import model
from gen.encodings import parse_pattern
from gen.errors import Diagnostics
from gen.tree import Pos, Text

SOURCE = "test.isa"
WIDTHS: dict[str, int | None] = {"rd": 5, "rs1": 5, "rs2": 5, "imm": None, "cond": 4}


class Parts:
    """Spaces, patterns and instructions made from short texts; diagnostics gather in `diagnostics`."""

    def __init__(self) -> None:
        self.diagnostics = Diagnostics()
        self.line = 0

    def space(self, text: str) -> model.Space:
        """`16|32 little`, as after `decode S :`."""
        units, order = text.split()
        sizes = tuple(int(unit) for unit in units.split("|"))
        return model.Space(
            "S", sizes, order == "big", None, None, 16 if len(sizes) == 1 else sizes[-1] // 8, Pos(SOURCE, 1, 1, 1, 2)
        )

    def text(self, value: str) -> Text:
        self.line += 1
        return Text(value, Pos(SOURCE, self.line, 1, self.line, len(value) + 3))

    def pattern(
        self, space: str, text: str, substitutions: Mapping[str, str | int] | None = None, msb0: bool = False
    ) -> model.Pattern | None:
        return parse_pattern(self.text(text), self.space(space), WIDTHS, substitutions or {}, self.diagnostics, msb0)

    def instruction(
        self,
        space: str,
        name: str,
        text: str,
        where: model.Expr | None = None,
        when: model.Expr | None = None,
        overrides: Sequence[str] = (),
    ) -> model.Instruction:
        pattern = self.pattern(space, text)
        assert pattern is not None, self.messages()
        return model.Instruction(
            name,
            name.partition("__")[0],
            "Test",
            "S",
            pattern,
            (),
            where,
            when,
            (),
            (),
            tuple(overrides),
            False,
            False,
            pattern.pos,
        )

    def messages(self) -> list[str]:
        return [diagnostic.message for diagnostic in self.diagnostics.found]


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture(scope="session")
def new_parts() -> Callable[[], Parts]:
    """For property tests, which need fresh ones for each example."""
    return Parts
