"""What the end of a test run says of instructions that nothing ran."""

from __future__ import annotations

from isomorph.pytest_plugin import report

MISSING = [f"insn{number}  specs/x.isa:{number}" for number in range(15)]


def test_few_lines_unless_asked() -> None:
    first = ", ".join(f"insn{number}" for number in range(12))
    assert report("x", MISSING, False) == [f"x: 15: {first} and 3 more (-vv lists them)"]
    assert report("x", MISSING[:2], False) == ["x: 2: insn0, insn1"]
    assert report("x", [], False) == ["x: 0"]


def test_places_when_asked() -> None:
    assert report("x", MISSING[:2], True) == ["x: 2", "    insn0  specs/x.isa:0", "    insn1  specs/x.isa:1"]
