"""docs/machine.md and docs/adding-a-device.md do what they say: commands and Python, taken word for word."""

from __future__ import annotations

from pathlib import Path

from tests.docs.pages import blocks, run_consoles, run_python


def test_commands_of_machines(tmp_path: Path) -> None:
    assert run_consoles(blocks("machine.md"), tmp_path) >= 5


def test_the_device_of_the_tutorial() -> None:
    run_python(blocks("adding-a-device.md"), "docs/adding-a-device.md")
