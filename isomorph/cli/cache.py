"""`isomorph cache`: shows and clears what is kept of compiled code."""

from __future__ import annotations

import argparse

from isomorph.cli.main import complain
from runtime.tcg.region_cache import clear, entries
from runtime.tcg.tier_options import DEFAULT_DISK, cache_directory


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="isomorph cache",
        description="Compiled code is kept on disk, so that a program's second run starts with it. "
        "Show where it is, how much there is and of which instruction sets, or clear it.",
        epilog="It lies in $ISOMORPH_CACHE, else in $XDG_CACHE_HOME/isomorph, else in ~/.cache/isomorph; "
        "ISOMORPH_CACHE=off keeps nothing. What is longest not used goes when there is more than "
        f"{DEFAULT_DISK >> 20} MiB.",
    )
    parser.add_argument("action", nargs="?", choices=("show", "clear"), default="show", help="default: show")
    return parser


def main(words: list[str]) -> int:
    """Show or clear; 0, or 1 when there is no cache."""
    options = make_parser().parse_args(words)
    root = cache_directory()
    if root is None:
        complain("cache: there is none, for $ISOMORPH_CACHE says so or there is no home directory")
        return 1
    if options.action == "clear":
        print(f"{root}: {clear(root):,} regions removed")
        return 0
    sizes: dict[str, list[int]] = {}
    for entry in entries(root):
        if entry.is_region:
            sizes.setdefault(entry.isa, []).append(entry.size)
    total = sum(map(sum, sizes.values()))
    print(f"{root}: {sum(map(len, sizes.values())):,} regions, {total / (1 << 20):.1f} of {DEFAULT_DISK >> 20} MiB")
    for isa, found in sorted(sizes.items()):
        print(f"  {isa:12} {len(found):6,} regions {sum(found) / (1 << 20):8.1f} MiB")
    return 0
