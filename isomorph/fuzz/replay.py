"""Running a case file again: the driver behind `isomorph fuzz --replay` and tests/fuzz."""

from __future__ import annotations

from pathlib import Path

from isomorph.builds import find_build
from isomorph.errors import IsomorphError
from isomorph.fuzz.campaign import AGAINST, Order, replayed
from isomorph.fuzz.case import BadCase, isa_of, read_case
from runtime.core.cpu import load_isa

__all__ = ["replay"]


def replay(path: Path) -> list[str]:
    """What differs in the case of a file, with the engines that it names; BadCase for what cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
        isa, engines = isa_of(text)
        against = next((name for name, names in AGAINST.items() if names == engines), None)
        if against is None:
            known = " or ".join(f"'{' '.join(names)}'" for names in AGAINST.values())
            raise BadCase(f"'engines {' '.join(engines)}' is not known; they are {known}")
        folder = find_build(isa)
        return replayed(Order(folder, against, 0), read_case(text, load_isa(folder).layout))
    except UnicodeDecodeError:
        raise BadCase(f"{path}: not UTF-8 text") from None
    except BadCase as error:
        raise IsomorphError(f"{path}: {error}") from None
