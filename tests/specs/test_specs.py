"""Every spec in pass/ checks without a word; every one in fail/ gives exactly the message kept beside it.

`ISOMORPH_UPDATE=1 pytest tests/specs/test_specs.py` writes the messages anew; read the difference before it goes in.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gen.elaborate import check
from gen.errors import SpecError

HERE = Path(__file__).parent
GOOD = sorted((HERE / "pass").glob("*.isa"))
BAD = sorted((HERE / "fail").glob("*.isa"))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good(path: Path) -> None:
    spec = check(path, search=[path.parent / "parts"])
    assert spec.name == path.stem
    assert spec.warnings == ()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from the folder, so that the messages name the files as a user in it would see them."""
    monkeypatch.chdir(path.parent)
    with pytest.raises(SpecError) as caught:
        check(Path(path.name), search=[Path("parts")])
    expected = path.with_suffix(".txt")
    if os.environ.get("ISOMORPH_UPDATE"):
        expected.write_text(str(caught.value), encoding="utf-8")
    assert expected.exists(), f"no {expected.name}: run with ISOMORPH_UPDATE=1 and read what it writes"
    assert str(caught.value) == expected.read_text(encoding="utf-8")


def test_every_message_has_its_spec() -> None:
    assert {path.stem for path in (HERE / "fail").glob("*.txt")} == {path.stem for path in BAD}
