"""Tables in TOML beside a spec: which ones hold for an isa, and errors that name their place in them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from gen import model
from gen.errors import Diagnostics, about_file
from gen.tree import Pos


def tables_of(spec: model.Spec, suffix: str) -> list[Path]:
    """The tables NAME + `suffix` beside the files a spec is made of: of what is included, then the bases' first."""
    files = {Path(source).stem: Path(source) for source in spec.sources}
    included = [name for name in files if name not in spec.modules]
    tables = [files[name].with_suffix(suffix) for name in (*included, *spec.modules) if name in files]
    return [path for path in tables if path.is_file()]


class SideTable:
    """One table, and what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.diagnostics = Diagnostics({str(path): self.text})

    def parse(self) -> dict[str, object]:
        """What it says; SpecError if that is not TOML."""
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            message, _, place = str(error).partition(" (at ")
            line, column = (int(number) for number in re.findall(r"\d+", place) or (0, 0))  # "line 3, column 5)"
            self.diagnostics.error(Pos(str(self.path), line, column, line, column + 1), f"this is not TOML: {message}")
            self.diagnostics.raise_if_any()
            raise

    def error(self, word: str, message: str, help: str | None = None) -> None:
        """An error about a key or a section, or else about a word; about the file if it does not hold that."""
        pos = about_file(str(self.path))
        named = re.escape(word)
        place = re.search(rf"^[ \t]*\[*[ \t]*(?:\w+\.)?({named})[ \t]*[]=]", self.text, re.MULTILINE)
        place = place or re.search(rf"(?<![\w.])({named})(?![\w.])", self.text)
        if place is not None:
            line = self.text.count("\n", 0, place.start(1)) + 1
            column = place.start(1) - self.text.rfind("\n", 0, place.start(1))
            pos = Pos(str(self.path), line, column, line, column + len(word))
        self.diagnostics.error(pos, message, help=help)

    def known(self, what: str, table: Mapping[str, object], keys: tuple[str, ...]) -> None:
        """Every key of a table is one of these."""
        for key in table:
            if key not in keys:
                self.error(key, f"{what} has no '{key}'", f"it has {', '.join(keys)}")
