"""Debian's packages for a guest: fetched when a test wants them, kept under build/, unpacked into a root directory."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "build" / "tests" / "debs"
MIRROR = "http://deb.debian.org/debian"
_SECONDS = 120


def environment() -> dict[str, str]:
    """What packages' programs are run with, here and elsewhere: they say the same then."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "ISOMORPH_TEST": "from outside",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
    }


def sysroot(architecture: str, suite: str, packages: Sequence[str]) -> Path:
    """A root directory holding these packages and nothing else; the test is skipped when they cannot be had."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}: Debian's packages for {architecture} cannot be had")
    folder = FOLDER / f"{suite}-{architecture}"
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / f"root-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes beside this one want the same
        if not root.exists():
            archives = [_archive(folder, architecture, suite, package) for package in packages]
            scratch = root.with_suffix(".tmp")
            shutil.rmtree(scratch, ignore_errors=True)
            for archive in archives:
                _run(["dpkg-deb", "-x", str(archive), str(scratch)], "cannot be unpacked")
            for name in ("bin", "lib", "sbin"):  # what the package base-files would do
                if not (scratch / name).exists():
                    (scratch / name).symlink_to(f"usr/{name}")
            scratch.rename(root)
    return root


def _archive(folder: Path, architecture: str, suite: str, package: str) -> Path:
    """The package's file, downloaded unless it is there."""
    found = sorted(folder.glob(f"{package}_*.deb"))
    if found:
        return found[-1]
    options = _apt_options(folder, architecture, suite)
    if not (folder / "lists" / "partial").exists() or not list((folder / "lists").glob("*Packages*")):
        (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        _run(["apt-get", *options, "update"], f"no list of {suite}'s packages for {architecture}")
    _run(["apt-get", *options, "download", package], f"no {package} of {suite} for {architecture}", folder)
    return next(folder.glob(f"{package}_*.deb"))


def _apt_options(folder: Path, architecture: str, suite: str) -> list[str]:
    """A configuration of apt's that has nothing to do with the host's own."""
    sources = folder / "sources.list"
    sources.write_text(f"deb {MIRROR} {suite} main\n")
    (folder / "status").touch()
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "",
        "Dir::State": folder,
        "Dir::State::Lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _run(command: list[str], problem: str, folder: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{problem}: {command[0]} took longer than {_SECONDS} s")
    if done.returncode:
        pytest.skip(f"{problem}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
