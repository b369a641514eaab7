"""The language's reference tells the truth: each example in it checks, or fails with the very message shown.

A block marked `isa` that starts with an `isa` line is a file of that name, there for the blocks after it; one marked
`isa file=NAME` is a file to include.  Any other continues `isa example extends toy`, the page's first spec.  After
`isa fail` comes the message as a block marked `text`.  `ISOMORPH_UPDATE=1` writes the messages anew.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from gen.elaborate import check
from gen.errors import SpecError
from gen.intrinsics import INTRINSICS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "isa-language.md"
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block; `message` is where the block after it starts and ends, if that shows a message."""

    line: int
    options: tuple[str, ...]
    text: str
    message: tuple[int, int] | None

    @property
    def fails(self) -> bool:
        return "fail" in self.options

    @property
    def file(self) -> str:
        for option in self.options:
            if option.startswith("file="):
                return option.removeprefix("file=")
        header = re.search(r"^isa (\w+)", self.text, re.MULTILINE)
        return f"{header[1]}.isa" if header else "example.isa"

    @property
    def source(self) -> str:
        whole = self.file != "example.isa" or self.text.startswith("isa ")
        return self.text if whole else f"isa example extends toy\n{self.text}"


def blocks(page: str) -> list[Block]:
    found = []
    fences = list(FENCE.finditer(page))
    for fence, after in zip(fences, [*fences[1:], None], strict=True):
        if fence[1] == "isa":
            shown = after.span(3) if after is not None and after[1] == "text" else None
            found.append(Block(page.count("\n", 0, fence.start()) + 1, tuple(fence[2].split()), fence[3], shown))
    return found


TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = blocks(TEXT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's files, so that an example finds the ones it extends or includes."""
    made = tmp_path_factory.mktemp("page")
    for block in BLOCKS:
        if block.file != "example.isa" and not block.fails:
            (made / block.file).write_text(block.source, encoding="utf-8")
    return made


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line {block.line}")
def test_example(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if any(option.startswith("file=") for option in block.options):
        return  # checked where it is included
    monkeypatch.chdir(folder)
    if block.file == "example.isa" or block.fails:
        (folder / block.file).write_text(block.source, encoding="utf-8")
    if not block.fails:
        check(Path(block.file), search=[ROOT / "specs"])
        return
    with pytest.raises(SpecError) as caught:
        check(Path(block.file), search=[ROOT / "specs"])
    assert block.message is not None, "the message must follow as a block marked `text`"
    if os.environ.get("ISOMORPH_UPDATE"):
        _update(block, str(caught.value))
    else:
        assert TEXT[slice(*block.message)] == str(caught.value)


def _update(block: Block, message: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (current,) = (b for b in blocks(page) if b.options == block.options and b.text == block.text)
    assert current.message is not None
    start, end = current.message
    PAGE.write_text(page[:start] + message + page[end:], encoding="utf-8")


def test_all_words_are_listed() -> None:
    grammar = (ROOT / "gen" / "grammar.lark").read_text(encoding="utf-8")
    words = set(re.findall(r"^[A-Z]+\.2: /([a-z]+)\\b/$", grammar, re.MULTILINE))
    section = TEXT[TEXT.index("## Words with a meaning") :]
    assert set(re.findall(r"[a-z]+", section[section.index("```") + 3 : section.index("```\n", 200)])) == words


def test_all_built_in_operations_are_listed() -> None:
    """Their arguments are written by hand, what they do is said in gen/intrinsics.py."""
    row = re.compile(r"^(\| `(\w+)[^|]*\| )([^|]*)( \|)$", re.MULTILINE)
    if os.environ.get("ISOMORPH_UPDATE"):
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(
            row.sub(
                lambda match: match[1] + (INTRINSICS[match[2]].doc if match[2] in INTRINSICS else match[3]) + match[4],
                page,
            ),
            encoding="utf-8",
        )
        return
    rows = {match[2]: match[3] for match in row.finditer(TEXT)}
    assert {name: rows.get(name) for name in INTRINSICS} == {name: each.doc for name, each in INTRINSICS.items()}
