"""`isomorph gen`: the generator, as `python -m gen` runs it."""

from __future__ import annotations

from isomorph.cli.main import complain


def main(words: list[str]) -> int:
    """Hand over to gen; say what is missing when it cannot be imported."""
    try:
        from gen.__main__ import main as generate
    except ImportError as error:
        complain(f"gen: {error.name or error} is missing; install isomorph with its packages: pip install -e .")
        return 1
    return generate(words, "isomorph gen")
