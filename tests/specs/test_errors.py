"""Diagnostics are printed as a compiler prints them, whatever the source line holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from gen.errors import Diagnostic, Diagnostics, SpecError, about_file, render
from gen.tree import Pos


def at(line: int, column: int, end: int, file: str = "a.isa", end_line: int | None = None) -> Pos:
    return Pos(file, line, column, end_line or line, end)


def test_all_parts() -> None:
    sources = {"a.isa": "isa a\n" * 9 + 'insn li "00" : pass  # comment\n'}
    diagnostic = Diagnostic(
        at(10, 6, 8),
        "'li' overlaps 'addi'",
        ((at(9, 1, 4), "'addi' is here"), (None, "e.g. 0x13")),
        "add `overrides addi`",
    )
    assert render([diagnostic], sources) == (
        "a.isa:10:6: error: 'li' overlaps 'addi'\n"
        '   10 | insn li "00" : pass  # comment\n'
        "      |      ^~\n"
        "a.isa:9:1: note: 'addi' is here\n"
        "      = note: e.g. 0x13\n"
        "      = help: add `overrides addi`\n"
    )


def lines(text: str, column: int, end: int, **more: int) -> list[str]:
    return render([Diagnostic(at(1, column, end, **more), "x")], {"a.isa": text}).splitlines()[1:]


def test_carets() -> None:
    assert lines("abc def", 5, 8) == ["    1 | abc def", "      |     ^~~"]
    assert lines("abc def", 5, 3, end_line=4) == ["    1 | abc def", "      |     ^~~"]
    assert lines("abc", 4, 4) == ["    1 | abc", "      |    ^"]
    assert lines("", 1, 1) == ["    1 |", "      | ^"]
    assert lines("abc", 90, 95) == ["    1 | abc", "      |    ^"]


def test_strange_characters_keep_the_caret_in_place() -> None:
    assert lines("\tx", 2, 3) == ["    1 |  x", "      |  ^"]
    assert lines("漢字 x", 4, 5) == ["    1 | 漢字 x", "      |      ^"]
    assert lines("e\u0301 x", 4, 5) == ["    1 | e\u0301 x", "      |   ^"]
    assert lines("\u202e\x1b[2J x", 7, 8)[0] == "    1 | \ufffd\ufffd[2J x"


def test_long_lines_are_cut_around_the_caret() -> None:
    source, caret = lines("a" * 500 + "b" + "c" * 500, 501, 502)
    assert len(source) < 220
    assert source[caret.index("^")] == "b"
    source, caret = lines("x" + "c" * 999, 1, 2)
    assert source[caret.index("^")] == "x"


def test_files() -> None:
    assert render([Diagnostic(about_file("b.isa"), "is empty")]) == "b.isa: error: is empty\n"
    assert render([Diagnostic(at(3, 1, 2, "/nowhere.isa"), "x")]) == "/nowhere.isa:3:1: error: x\n"


def test_source_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "c.isa"
    path.write_text("isa c\n", encoding="utf-8")
    assert "    1 | isa c" in render([Diagnostic(at(1, 1, 4, str(path)), "x")])


def test_collector() -> None:
    diagnostics = Diagnostics({"a.isa": "one\ntwo\n"})
    diagnostics.raise_if_any()
    assert not diagnostics
    diagnostics.error(at(2, 1, 2), "later")
    diagnostics.error(at(1, 1, 2, "b.isa"), "elsewhere")
    diagnostics.error(at(1, 1, 2), "earlier")
    diagnostics.error(at(1, 1, 2), "earlier")
    assert len(diagnostics) == 3
    with pytest.raises(SpecError) as caught:
        diagnostics.raise_if_any()
    assert [d.message for d in caught.value.diagnostics] == ["earlier", "later", "elsewhere"]
    assert "    2 | two" in str(caught.value)
    other = Diagnostics()
    other.add(caught.value)
    assert len(other) == 3
    assert other.sources == diagnostics.sources
