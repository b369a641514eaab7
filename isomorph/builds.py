"""Where generated instruction sets are found: $ISOMORPH_BUILD, else build/ beside the sources."""

from __future__ import annotations

import os

from isomorph.errors import IsomorphError

# Paths are strings here: importing pathlib takes a tenth of a short run's start.
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SPECS = os.path.join(ROOT, "specs")


class NotGenerated(IsomorphError):
    """An instruction set without its folder; the message says how to get it."""


def build_folder() -> str:
    """The folder that holds one folder an instruction set."""
    return os.environ.get("ISOMORPH_BUILD") or os.path.join(ROOT, "build")


def is_generated(isa: str) -> bool:
    """Whether an instruction set can be run."""
    return os.path.isfile(os.path.join(build_folder(), isa, "native.blob"))


def generated() -> list[str]:
    """The instruction sets that can be run, by name."""
    try:
        names = os.listdir(build_folder())
    except OSError:
        return []
    return sorted(name for name in names if is_generated(name))


def find_build(isa: str) -> str:
    """The generated folder of an instruction set; NotGenerated says what to do when there is none."""
    if not isa or os.sep in isa or not is_generated(isa):
        known = ", ".join(generated()) or "none"
        if os.path.isfile(os.path.join(SPECS, f"{isa}.isa")):
            raise NotGenerated(f"{isa} is not generated (generated: {known}); run: make gen ISA={isa}")
        raise NotGenerated(f"there is no instruction set {isa!r} (generated: {known}); `isomorph list` shows all")
    return os.path.join(build_folder(), isa)
