"""Numbers among a command's options."""

from __future__ import annotations

import argparse


def address(text: str) -> int:
    """An address, of 64 bits at most: decimal, 0x…, 0o… or 0b…."""
    value = int(text, 0)
    if not 0 <= value < 1 << 64:
        raise argparse.ArgumentTypeError(f"{text} is not an address: it has 64 bits at most")
    return value
