"""Native code of another version of the runtime is refused: it would read and write the wrong places."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runtime.tcg.blobs import BlobError, map_blob
from runtime.tcg.link import write_blob
from runtime.tcg.native import LAYOUTS, layouts, map_native
from tests.tools import isomorph, require_build, run


def stale(path: Path) -> None:
    """Make a blob look as if layouts had changed since."""
    blob = map_blob(path)
    size = max(blob.symbols.values()) + 1
    code, symbols, meta = blob.code(next(iter(blob.symbols)), 1), blob.symbols, {**blob.meta, LAYOUTS: "00000000"}
    blob.close()
    assert size > len(code)
    write_blob(path, code.ljust(size, b"\0"), symbols, meta)


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build folder whose native code is of another version."""
    folder = tmp_path / "riscv64"
    shutil.copytree(require_build("riscv64"), folder, ignore=shutil.ignore_patterns("objects", "ir", "tests"))
    for name in ("native.blob", "system.blob"):
        stale(folder / name)
    return tmp_path


def test_what_is_generated_now_agrees() -> None:
    blob = map_native(str(require_build("riscv64") / "native.blob"))
    assert blob.meta[LAYOUTS] == layouts()
    blob.close()


def test_other_layouts_are_refused(build: Path) -> None:
    with pytest.raises(BlobError, match="another version of isomorph"):
        map_native(str(build / "riscv64" / "native.blob"))


def test_commands_say_what_to_do(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    (tmp_path / "program.s").write_text("_start: li a7, 93\necall\n")
    monkeypatch.setenv("ISOMORPH_BUILD", str(build))
    assert run(isomorph("asm", "-o", str(program), f"{program}.s")).status == 0  # it runs nothing native
    for command in (("run", str(program)), ("machine", "virt", "-bios", "none", "-nographic")):
        outcome = run(isomorph(*command))
        assert outcome.status == 1
        assert b"another version of isomorph (run `make gen`)" in outcome.stderr
        assert b"Traceback" not in outcome.stderr
