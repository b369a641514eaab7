"""Rules of the house that a linter does not know."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCES = sorted(path for room in ("gen", "runtime", "isomorph") for path in (ROOT / room).rglob("*.py"))
GENERIC = sorted(
    path
    for room in ("gen", "runtime/tcg")
    for path in (ROOT / room).rglob("*")
    if path.suffix in {".py", ".j2", ".lark", ".ll"}
)
ISA_NAMES = re.compile(
    r"\b(riscv[0-9]*|rv32|rv64|aarch64|arm|i386|mips[0-9]*|ppc[0-9]*|powerpc|sparc[0-9]*|m68k|sh4|s390x?|alpha|cris"
    r"|microblaze)\w*\b",
    re.IGNORECASE,
)
#: a name that is also an English word may stand in an English sentence
FALSE_ALARMS = {"alphabet", "alphabetical", "arms", "armed"}


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


@named(GENERIC)
def test_no_isa_is_named_where_all_are_served(path: Path) -> None:
    found = [
        f"{path.name}:{number}: {match.group()}"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for match in ISA_NAMES.finditer(line)
        if match.group().lower() not in FALSE_ALARMS
    ]
    assert not found


@named(SOURCES)
def test_a_file_holds_one_concept(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 800


@named(SOURCES)
def test_the_first_line_says_what_a_module_is_for(path: Path) -> None:
    doc = ast.get_docstring(ast.parse(path.read_text()))
    assert doc, "a module begins with a sentence that says what it is for"
    assert doc.splitlines()[0].strip()


def test_the_rule_about_names_can_fail() -> None:
    assert ISA_NAMES.search("if isa == 'riscv64':")
    assert not ISA_NAMES.search("the alarm of a charming sparkle")
