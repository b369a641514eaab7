"""The tables' decoder, on which texts rest, and translate.py's, on which execution rests, agree on every word tried."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from gen import python_emitter, state
from gen.loading import load_source
from gen.model import Spec
from runtime.syntax.decode import Decoder
from runtime.syntax.tables import Syntax
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function


@pytest.mark.parametrize("guest", ["riscv32", "riscv64"])
def test_on_random_words(
    spec: Callable[[str], Spec], tables: Callable[[str], Syntax], guest: str, tmp_path: Path
) -> None:
    (tmp_path / "translate.py").write_text(python_emitter.module_source(spec(guest)))
    translate = load_source(tmp_path / "translate.py")
    layout = state.layout_of(spec(guest))
    builder = Builder(layout, Function("test"))
    builder.modes.update({mode.name: mode.reset for mode in layout.modes})
    syntax = tables(guest)
    decoder, chance = Decoder(syntax), random.Random(5)
    words = [chance.getrandbits(32) for _ in range(2000)]
    for form in syntax.forms:
        for _ in range(20):
            free = chance.getrandbits(32) if chance.random() < 0.7 else chance.choice((0, 1 << 7, 1 << 12))
            words.append(free & ~form.encoding.mask | form.encoding.value)
    for word in words:
        size = 4 if word & 3 == 3 else 2
        fetch = word & ((1 << 8 * size) - 1)
        ours = decoder.decode(fetch.to_bytes(size, "little"), 0)
        theirs = translate.decode(fetch, size, builder)
        # Clones of one encoding are one form here.
        assert (ours and ours.form.name.partition("__")[0]) == (theirs and theirs.instruction.mnemonic), hex(word)
