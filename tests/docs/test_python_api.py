"""docs/python-api.md tells the truth: its examples run, those of a section one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from isomorph.cli.asm import main as assemble
from tests.tools import require_build

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = {text.partition("\n")[0]: text for text in PAGE.split("\n## ")[1:]}


@pytest.mark.parametrize("section", SECTIONS)
def test_examples_run(section: str, tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "example"}
    if "hello" in SECTIONS[section]:
        names["hello"] = tmp_path / "hello"
        assert assemble([str(ROOT / "examples" / "hello.s"), "-o", str(names["hello"])]) == 0
    for name in re.findall(r'Emulator\("(\w+)"\)', SECTIONS[section]):
        require_build(name)
    examples = list(FENCE.finditer(SECTIONS[section]))
    assert examples
    for example in examples:
        line = PAGE[: PAGE.index(example[1])].count("\n")
        exec(compile("\n" * line + example[1], "docs/python-api.md", "exec"), names)
