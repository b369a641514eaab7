"""`--mode NAME=VALUE`: the modes that decide how instructions are read, of the commands that read them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from runtime.core.cpu import Isa

__all__ = ["add_modes", "modes_of"]


def add_modes(parser: argparse.ArgumentParser) -> None:
    """The option; may be repeated."""
    parser.add_argument(
        "--mode",
        dest="modes",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a mode that decides about decoding, such as T=1 for Thumb; default: as the program says",
    )


def modes_of(isa: Isa, texts: Sequence[str]) -> dict[str, int]:
    """What was given; ValueError if the ISA has no such mode."""
    widths = {mode.name: mode.width for mode in isa.layout.modes if not mode.prefix}
    found: dict[str, int] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in widths:
            raise ValueError(f"--mode {text}: {isa.name} has no such mode; it has {', '.join(widths) or 'none'}")
        if not value.isdecimal() or int(value) >> widths[name]:
            raise ValueError(f"--mode {text}: a number of {widths[name]} bits is wanted")
        found[name] = int(value)
    return found
