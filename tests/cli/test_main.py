"""The command itself: help, versions, wrong words, and the commands that are about instruction sets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from isomorph import __version__
from isomorph.cli.main import COMMANDS
from tests.conftest import ROOT
from tests.tools import isomorph, require_build


def command(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run isomorph in the repository."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT), **settings)
    return subprocess.run(isomorph(*words), capture_output=True, text=True, check=False, env=environment, timeout=120)


def test_help_names_every_command() -> None:
    done = command("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "examples:" in done.stdout
    for name, text in COMMANDS.items():
        assert f"  {name}" in done.stdout
        assert text in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = command(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


def test_version() -> None:
    assert command("--version").stdout == f"isomorph {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lst",), "isomorph: there is no command 'lst' (did you mean 'list'?); `isomorph --help` lists them\n"),
        (("xyzzy",), "isomorph: there is no command 'xyzzy'; `isomorph --help` lists them\n"),
        (
            (__file__,),
            f"isomorph: there is no command {__file__!r} (to run a program: isomorph run {__file__}); "
            "`isomorph --help` lists them\n",
        ),
    ],
)
def test_wrong_commands(words: tuple[str, ...], message: str) -> None:
    done = command(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


def test_no_command_prints_usage() -> None:
    done = command()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: isomorph COMMAND")


def test_list(tmp_path: Path) -> None:
    done = command("list", ISOMORPH_BUILD=str(tmp_path))
    assert done.returncode == 0
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:]}
    assert rows["riscv64"][:2] == ["no", "-"]
    assert len(rows["riscv64"]) > 3
    done = command("list", "pdp11")
    assert done.returncode == 1
    assert "pdp11: there is no such instruction set" in done.stdout


def test_a_reader_that_stops_early_is_no_error() -> None:
    """`isomorph disasm prog | head` ends quietly, as other programs do."""
    require_build("riscv64")
    words = isomorph("disasm", "--isa", "riscv64", "-x", *["00000013"] * 20_000)
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_list_in_detail() -> None:
    require_build("riscv64")
    done = command("list", "riscv64")
    assert done.returncode == 0
    assert "X[32] of 64 bits" in done.stdout
    assert "Ecall" in done.stdout


def test_gen_lists(tmp_path: Path) -> None:
    done = command("gen", "--list", "--build", str(tmp_path))
    assert done.returncode == 0
    assert "riscv64" in done.stdout


def test_gen_by_the_command_as_it_is_installed(tmp_path: Path) -> None:
    """Workers read the main file again: if it begins anything in them, they wait for their own parent's lock."""
    script = tmp_path / "bin" / "isomorph"
    script.parent.mkdir()
    script.write_text((ROOT / "isomorph/cli/script").read_text())
    words = [sys.executable, str(script), "gen", str(ROOT / "tests/gen/operands/ranged.isa")]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [*words, "--build", str(tmp_path)], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "ranged" / "native.blob").exists()


def test_gen_of_an_unknown_set() -> None:
    done = command("gen", "pdp11")
    assert done.returncode == 1
    assert "there is no spec 'pdp11'" in done.stderr
    assert "Traceback" not in done.stderr
