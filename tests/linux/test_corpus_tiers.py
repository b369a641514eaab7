"""The corpus ends alike in tier 0, with everything compiled at once, and with some compiled early and some late."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.linux.test_corpus import SOURCES, Directives, compile_one
from tests.tools import Outcome, isomorph, require_build, run

#: name -> threshold, most instructions in a region
TIERS = {"forced": (1, 256), "small": (1, 16), "mixed": (40, 100)}
#: what every test run looks at; the rest is for the slow sweep
FEW = ("trees", "containers")
#: what these print depends on the clock or on how threads and processes take turns
_CHANGING = frozenset(
    ("itimers", "posixtimers", "timerfds", "procself", "stormwrites", "waiting", "watches", "selects")
)
_CASES = [path for path in SOURCES if Directives.of(path).only != "dynamic" and path.stem not in _CHANGING]


@cache  # in tier 0 it is needed for every other way
def _outcome(program: Path, threshold: int, size: int = 256) -> Outcome:
    environment = dict(os.environ, ISOMORPH_REGION_SIZE=str(size))
    options = ("--tier1-threshold", str(threshold), "--workers", "0", "--no-cache")
    found = run(isomorph("run", *options, str(program)), b"one two\n3 4\n", 3000, environment)
    # What a crash report says of registers and system calls has numbers of processes, of each run its own.
    told = [line for line in found.stderr.splitlines() if line.startswith((b"isomorph:", b"  pc "))]
    return replace(found, stderr=b"\n".join(told))


@pytest.mark.parametrize(
    ("source", "tier"),
    [
        pytest.param(
            source,
            tier,
            id=f"{source.stem}-{tier}",
            marks=[] if source.stem in FEW and tier == "mixed" else [pytest.mark.slow],
        )
        for source in _CASES
        for tier in TIERS
    ],
)
def test_ends_as_in_tier_0(source: Path, tier: str) -> None:
    require_build("riscv64")
    program = compile_one(source, "-static", "-O2")
    assert _outcome(program, *TIERS[tier]) == _outcome(program, 0)


def test_the_few_exist() -> None:
    """A renamed program would leave the fast run without any."""
    assert set(FEW) <= {source.stem for source in _CASES}
