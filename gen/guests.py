"""Which specs are whole machines: those that no other spec in the folder extends or includes.

Only the headers are looked at, with no parser, so that `python -m gen` can answer at once.
"""

from __future__ import annotations

import re
from pathlib import Path

_EXTENDS = re.compile(r"^isa[ \t]+\w+[ \t]+extends[ \t]+([^#\n]*?)(?:[ \t]+with\b[^\n]*)?[ \t]*(?:#[^\n]*)?$", re.M)
_INCLUDE = re.compile(r'^include[ \t]+"([^"\n]+)"', re.M)


def uses(text: str) -> set[str]:
    """Stems of the specs that a spec's text extends or includes."""
    found = {Path(name).stem for name in _INCLUDE.findall(text)}
    for bases in _EXTENDS.findall(text):
        found |= {base.strip() for base in bases.split(",") if base.strip()}
    return found


def guests(folder: Path) -> list[Path]:
    """The specs of a folder that stand for a machine of their own, by name."""
    specs = sorted(folder.glob("*.isa"))
    used: set[str] = set()
    for spec in specs:
        used |= uses(spec.read_text(encoding="utf-8", errors="replace")) - {spec.stem}
    return [spec for spec in specs if spec.stem not in used]
