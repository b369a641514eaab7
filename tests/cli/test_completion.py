"""`isomorph completion`: scripts that the shells take, and that know every command and option."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from isomorph.cli import completion
from isomorph.cli.main import COMMANDS
from isomorph.cli.run import OPTIONS
from tests.tools import isomorph

SHELLS = {"bash": completion.bash, "zsh": completion.zsh, "fish": completion.fish}


@pytest.mark.parametrize("shell", SHELLS)
def test_names_everything(shell: str) -> None:
    text = SHELLS[shell]()
    for command in COMMANDS:
        assert command in text
    for option in OPTIONS:
        assert option.lstrip("-") in text
    done = subprocess.run(isomorph("completion", shell), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, text, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_takes_it(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} (Debian package {shell})")
    done = subprocess.run([shell, "-n"], input=SHELLS[shell](), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def complete(*words: str) -> list[str]:
    """What bash offers for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    asked = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}"
    script = f'{completion.bash()}\n{asked}\n_isomorph\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60, cwd="/")
    return done.stdout.split()


def test_bash_completes() -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash (Debian package bash)")
    assert complete("isomorph", "comp") == ["completion"]
    assert complete("isomorph", "run", "-str") == ["-strace"]
    assert complete("isomorph", "completion", "z") == ["zsh"]
    assert "etc" in complete("isomorph", "run", "-L", "")


def test_an_unknown_shell() -> None:
    done = subprocess.run(isomorph("completion", "csh"), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "csh" in done.stderr
