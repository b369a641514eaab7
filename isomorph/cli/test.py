"""`isomorph test`: generate instruction sets, run what is generated to test them, and their specs' `test` lines."""

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
        description="Generate instruction sets; check words at the corners of every encoding in both decoders, the "
        "disassembler and the assembler; run the `test` lines of the specs on the native engine; list the instructions "
        "that no line ran.",
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
    from isomorph.suites import Suite, check_all, never_run, words_of

    isa = load_isa(find_build(path.stem))
    folder = Path(isa.path) / "tests"
    wrong = list(check_all(folder))
    words = words_of(folder)
    print(f"{path.stem}: {len(wrong)} of {words} words are wrong" if wrong else f"{path.stem}: {words} words are right")
    if wrong:
        print(Suite.report(iter(wrong)), file=sys.stderr)
    spec = check(path, (path.parent, Path(SPECS)))
    failures = SpecTests(spec, isa).failures()
    sys.stdout.flush()  # what the generator said comes first
    sys.stderr.write(render(failures))
    total = len(spec.tests)
    outcome = f"{len(failures)} of {total} test lines fail" if failures else f"{total} test lines hold"
    print(f"{path.stem}: {outcome}")
    missing = [line.partition("  ")[0] for line in never_run(isa)]
    if missing:
        print(f"{path.stem}: no test line ran {', '.join(missing)}")
    return 1 if wrong or failures else 0
