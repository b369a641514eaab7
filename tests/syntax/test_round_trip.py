"""What the disassembler prints assembles to the same bytes, and every spec's `test "…" = word` lines hold."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from gen.guests import guests
from gen.model import Spec
from runtime.syntax.assemble import assemble_one
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.encode import Encoder
from runtime.syntax.tables import Form, Syntax, mode_key

SPECS = Path(__file__).resolve().parent.parent.parent / "specs"
GUESTS = [path.stem for path in guests(SPECS)]
#: one text has several encodings there (prefixes, SIB bytes, either direction), and the assembler knows a few only;
#: tests/oracles/test_x86_objdump.py has what holds of their bytes
SEVERAL = {"i386", "x86_64"}
ONE_TO_ONE = [name for name in GUESTS if name not in SEVERAL]
TOYS = ["bytes", "words", "modes"]
ADDRESS = 0x10000
#: spaces that are not the one a processor begins in -> the modes that lead there
MODES = {"Slim": {mode_key("T"): 1}, "T32": {mode_key("T"): 1}}


def random_word(form: Form, chance: random.Random) -> bytes:
    """The form's fixed bits, random ones elsewhere and after it; small numbers are as likely as large ones."""
    encoding = form.encoding
    fetch = chance.getrandbits(encoding.length)
    if chance.random() < 0.3:
        for field in encoding.fields:
            ones = (1 << field.width) - 1
            fetch = fetch & ~field.insert(ones) | field.insert(chance.choice((0, 1, ones)))
    fetch = fetch & ~encoding.mask | encoding.value
    return fetch.to_bytes(encoding.length // 8, "little") + chance.randbytes(16)


def check_round_trips(
    syntax: Syntax, forms: list[Form], per_form: int, aliases: bool, modes: dict[str, int] | None = None
) -> int:
    """How many words could be written down; all of those must read back."""
    disassembler, encoder = Disassembler(syntax, aliases, modes), Encoder(syntax, modes)
    chance = random.Random(20)
    shortened = {rule.short.form for rule in syntax.shorter}
    written = 0
    for form in forms:
        for _ in range(per_form):
            data = random_word(form, chance)
            instruction = disassembler.one(data, ADDRESS)
            if instruction.name:
                text = f"{instruction.mnemonic} {instruction.op_str}"
                short = aliases and form.name in shortened
                code = assemble_one(encoder, text, ADDRESS, short)
                if short and code != instruction.bytes:  # two short encodings may do the same
                    assert str(disassembler.one(code, ADDRESS)) == str(instruction)
                    assert len(code) == instruction.size
                else:
                    assert code.hex() == instruction.bytes.hex(), text
                written += 1
    return written


def by_space(syntax: Syntax) -> list[tuple[str, list[Form]]]:
    """Each space's name and its forms."""
    return [(space.name, [form for form in syntax.forms if form.space == space.name]) for space in syntax.spaces]


@pytest.mark.parametrize("aliases", [True, False])
@pytest.mark.parametrize("guest", ONE_TO_ONE)
def test_random_words_of_every_encoding(tables: Callable[[str], Syntax], guest: str, aliases: bool) -> None:
    syntax = tables(guest)
    for name, forms in by_space(syntax):
        assert check_round_trips(syntax, forms, 12, aliases, MODES.get(name)) > 6 * len(forms)


@pytest.mark.slow
@pytest.mark.parametrize("guest", ONE_TO_ONE)
def test_many_random_words_of_every_encoding(tables: Callable[[str], Syntax], guest: str) -> None:
    syntax = tables(guest)
    for name, forms in by_space(syntax):
        check_round_trips(syntax, forms, 500, True, MODES.get(name))


@pytest.mark.parametrize("toy", TOYS)
def test_random_words_of_toys(tables: Callable[[str], Syntax], toy: str) -> None:
    syntax = tables(toy)
    for name, forms in by_space(syntax):
        assert check_round_trips(syntax, forms, 200, True, MODES.get(name)) > 80 * len(forms)


@pytest.mark.parametrize("guest", ONE_TO_ONE)
def test_every_encoding_can_be_written(tables: Callable[[str], Syntax], guest: str) -> None:
    syntax = tables(guest)
    disassemblers = {name: Disassembler(syntax, False, MODES.get(name)) for name, _ in by_space(syntax)}
    chance = random.Random(3)
    for form in syntax.forms:
        disassembler = disassemblers[form.space]
        seen = {disassembler.one(random_word(form, chance), ADDRESS).name for _ in range(200)}
        assert (
            form.name in seen
            or disassembler.one(form.encoding.value.to_bytes(form.encoding.length // 8, "little"), ADDRESS).name
            == form.name
        ), form.name


@pytest.mark.parametrize("guest", GUESTS)
def test_lines_of_the_spec(spec: Callable[[str], Spec], tables: Callable[[str], Syntax], guest: str) -> None:
    syntax = tables(guest)
    encoder, disassembler = Encoder(syntax), Disassembler(syntax, aliases=False)
    lines = [test for test in spec(guest).tests if test.word is not None]
    assert lines
    for test in lines:
        code = assemble_one(encoder, test.asm, ADDRESS)
        assert encoder.decoder.space.word(code) == test.word, test.asm
        # Printing it may choose another spelling, which must mean the same.
        shown = disassembler.one(code, ADDRESS)
        assert assemble_one(encoder, f"{shown.mnemonic} {shown.op_str}", ADDRESS) == code, test.asm
