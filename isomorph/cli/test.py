"""`isomorph test`: generate instruction sets and run the `test` lines of their specs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from isomorph.builds import SPECS, find_build
from isomorph.cli.gen import main as generate
from runtime.core.cpu import load_isa


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="isomorph test",
        description="Generate instruction sets and run the `test` lines of their specs on the native engine.",
    )
    parser.add_argument("isa", nargs="+", metavar="ISA", help="a spec's name in specs/, or the path of an .isa file")
    return parser


def main(words: Sequence[str]) -> int:
    """Run the lines; 0, or 1 if a spec has errors or a line does not hold."""
    names = make_parser().parse_args(words).isa
    status = generate(names)
    if status:
        return status
    from gen.__main__ import find_specs

    return max([_test(path) for path in find_specs(names)])


def _test(path: Path) -> int:
    from gen.elaborate import check
    from gen.errors import render
    from isomorph.spec_tests import SpecTests

    spec = check(path, (path.parent, Path(SPECS)))
    failures = SpecTests(spec, load_isa(find_build(path.stem))).failures()
    sys.stdout.flush()  # what the generator said comes first
    sys.stderr.write(render(failures))
    total = len(spec.tests)
    outcome = f"{len(failures)} of {total} test lines fail" if failures else f"{total} test lines hold"
    print(f"{path.stem}: {outcome}")
    return 1 if failures else 0
