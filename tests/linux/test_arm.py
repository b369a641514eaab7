"""ARM's signal frames and the helpers that Linux keeps at the end of the address space, as under qemu-arm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guests import GUESTS
from tests.linux.outcome import outcome
from tests.tools import compile_c, isomorph, require_build, tool

HERE = Path(__file__).parent


@pytest.mark.parametrize("mode", ["-marm", "-mthumb"])
def test_signal_frames_and_kernel_helpers(mode: str, tmp_path: Path) -> None:
    require_build("arm")
    guest = GUESTS["armhf"]
    flags = ["-std=gnu17", "-w", "-O2", "-fomit-frame-pointer", "-mfpu=neon", "-static", mode]
    program = str(compile_c(guest.compiler, guest.compiler_package, [HERE / "arm" / "frames.c"], flags))
    expected = outcome(tmp_path / "work", [tool("qemu-arm", "qemu-user"), program])
    assert "seen 1, flags a, modes 3, 0" in expected[1]
    assert outcome(tmp_path / "work", isomorph("run", program)) == expected
