"""Every case file in found/ runs the same on the engines it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from isomorph.errors import IsomorphError
from isomorph.fuzz.case import isa_of, read_case, write_case
from isomorph.fuzz.engine import MissingEngine
from isomorph.fuzz.replay import replay
from runtime.core.cpu import load_isa
from tests.tools import require_build

CASES = sorted((Path(__file__).parent / "found").glob("*.txt"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    require_build(isa_of(path.read_text())[0])
    try:
        found = replay(path)
    except MissingEngine as error:
        pytest.skip(str(error))
    assert not found


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_file_says_all_of_a_case(path: Path) -> None:
    isa = load_isa(require_build(isa_of(path.read_text())[0]))
    case = read_case(path.read_text(), isa.layout)
    again = read_case(write_case(case, isa.name, isa.module("syntax").SYNTAX, "blocks steps", ()), isa.layout)
    assert again == case


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("code 13x", "line 3: code 13x: non-hexadecimal number"),
        ("state Q[0] = 1", "line 3: state Q[0] = 1: 'Q'"),
        ("state X[99] = 1", "line 3: state X[99] = 1: list assignment index out of range"),
        ("memory 0 00", "line 3: memory 0 00: memory is from 0x20000 to 0x23000"),
        ("register a0 = 1", "line 3: register a0 = 1: there is no 'register'"),
        ("", "a case needs at least one line 'code'"),
    ],
)
def test_bad_files_name_the_line(tmp_path: Path, line: str, message: str) -> None:
    require_build("riscv64")
    path = tmp_path / "case.txt"
    path.write_text(f"isa riscv64\nengines blocks steps compiled reference\n{line}\n")
    with pytest.raises(IsomorphError) as caught:
        replay(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_unknown_engines_and_sets_are_named(tmp_path: Path) -> None:
    require_build("riscv64")
    path = tmp_path / "case.txt"
    for text, message in (
        ("engines blocks\n", "a case needs a line 'isa NAME'"),
        ("isa riscv64\nengines bochs\n", "'engines bochs' is not known; they are 'blocks steps compiled reference'"),
        ("isa z80\nengines blocks unicorn\n", "there is no instruction set 'z80'"),
    ):
        path.write_text(text)
        with pytest.raises(IsomorphError, match=message.replace("(", r"\(")):
            replay(path)
