"""The `test` lines of the specs: that every instruction has one, and that a false one is caught.

That they hold is tested by what is generated (build/<isa>/tests)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from gen import model, python_emitter, state, syntax_tables
from gen.elaborate import check
from gen.guests import guests
from isomorph.spec_tests import ADDRESS, SpecTests, TestFailure
from runtime.core.cpu import load_isa
from runtime.syntax.assemble import assemble_one
from tests.conftest import ROOT
from tests.tools import require_build

SPECS = ROOT / "specs"
GUESTS = [path.stem for path in guests(SPECS)]


@cache
def bench(name: str) -> SpecTests:
    """The test lines of a guest, read once."""
    return SpecTests(check(SPECS / f"{name}.isa", [SPECS]), load_isa(ROOT / "build" / name))


#: a thousand encodings and more, each compared with unicorn (tests/oracles/test_{arm,x86}_unicorn.py)
SOME_LINES = {"arm", "i386", "x86_64"}


#: the others: every instruction of theirs has a line
ALL_LINES = [name for name in GUESTS if name not in SOME_LINES]


@pytest.fixture(params=GUESTS)
def guest(request: pytest.FixtureRequest) -> SpecTests:
    require_build(request.param)
    return bench(request.param)


def test_the_example_of_a_custom_instruction(tmp_path: Path) -> None:
    """The lines of examples/custom_instruction.isa hold; its modules are printed here, without native code."""
    spec = check(ROOT / "examples" / "custom_instruction.isa", [SPECS])
    for name, text in {
        "state.py": state.source(state.layout_of(spec)),
        "translate.py": python_emitter.module_source(spec),
        "syntax.py": syntax_tables.module_source(spec),
    }.items():
        (tmp_path / name).write_text(text)
    made = SpecTests(spec, load_isa(tmp_path))
    lines = [test for test in spec.tests if test.asm.startswith("mac ")]
    assert [test.word for test in lines] == [0x02C5F50B, None]
    for line in lines:
        made.check(line, made.translated)


def test_a_false_line_is_caught(guest: SpecTests) -> None:
    """The control: a line whose `then` is turned round does not hold, nor one with another word."""
    line = next(test for test in guest.spec.tests if test.then is not None)
    assert line.then is not None
    guest.check(line, guest.translated)
    turned = model.Test(line.asm, None, line.given, model.Unary(1, "not", line.then), line.pos)
    with pytest.raises(TestFailure, match="what stands behind `then` does not hold"):
        guest.check(turned, guest.translated)
    line = next(test for test in guest.spec.tests if test.word is not None)
    assert line.word is not None
    guest.check(line, guest.translated)
    with pytest.raises(TestFailure, match=f"assembles to {line.word:#x}, not to {line.word ^ 1:#x}"):
        guest.check(model.Test(line.asm, line.word ^ 1, (), None, line.pos), guest.translated)


@pytest.mark.parametrize("guest", ALL_LINES, indirect=True)
def test_every_instruction_has_a_line(guest: SpecTests) -> None:
    """Each mnemonic is the subject of at least one line of either kind."""
    decoder = guest.encoder.decoder
    seen = set()
    for test in guest.spec.tests:
        decoded = decoder.decode(assemble_one(guest.encoder, test.asm, ADDRESS), ADDRESS)
        assert decoded is not None, test.asm
        seen.add(decoded.form.name.partition("__")[0])
    assert not {instruction.mnemonic for instruction in guest.spec.instructions} - seen
