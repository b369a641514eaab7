"""The small machine's instruction set, generated once, and machines of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gen.elaborate import check
from gen.emit import generate
from runtime.core.cpu import Isa, load_isa
from tests.machine.bench import Bench


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Isa:
    folder = tmp_path_factory.mktemp("isa") / "tiny"
    generate(check(Path(__file__).parent / "tiny.isa", (), {}), folder)
    return load_isa(folder)


@pytest.fixture
def bench(tiny: Isa) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*arguments: object, **named: object) -> Bench:
        made.append(Bench(tiny, *arguments, **named))
        return made[-1]

    yield make
    for one in made:
        one.close()
