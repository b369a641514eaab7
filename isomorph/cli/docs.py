"""`isomorph docs`: reference pages of instruction sets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from isomorph.builds import SPECS
from isomorph.cli.main import complain

_EPILOG = """\
examples:
  isomorph docs riscv64 -o site/        site/riscv64.html
  isomorph docs -o site/                all of them, and site/index.html
  isomorph docs ./mine.isa -o site/     one of your own
"""


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="isomorph docs",
        description="Write reference pages: every instruction, its encoding, syntax and meaning, in static HTML.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "isa", nargs="*", metavar="ISA", help="a spec's name, or the path of an .isa file; default: all"
    )
    parser.add_argument("-o", dest="out", type=Path, default=Path("site"), metavar="DIR", help="default: site")
    return parser


def main(words: Sequence[str]) -> int:
    """Write the pages; 0, or 1 if a spec has errors or a file cannot be written."""
    options = make_parser().parse_args(words)
    from gen.__main__ import find_specs
    from gen.errors import SpecError
    from gen.pages.site import index_page, page_of

    pages = []
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for path in find_specs(options.isa):
            page = page_of(path, (path.parent, Path(SPECS)))
            target = options.out / f"{page.name}.html"
            target.write_text(page.html, encoding="utf-8")
            print(f"{target}: {page.instructions} instructions, {len(page.html) // 1024} KB")
            pages.append(page)
        if not options.isa:
            target = options.out / "index.html"
            target.write_text(index_page(pages), encoding="utf-8")
            print(target)
    except SpecError as error:
        sys.stderr.write(str(error))
        return 1
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}")
        return 1
    return 0
