"""The STAMP of a generated folder: a hash of everything that went into it, so that unchanged specs cost nothing.

This module and `python -m gen` up to the check import nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

STAMP = "STAMP"
#: beside a spec, if its programs may call Linux: see gen/abi.py
ABI_SUFFIX = ".abi.toml"
#: beside a spec, if gdb knows its registers: see gen/gdb.py
GDB_SUFFIX = ".gdb.toml"
#: likewise, what other emulators call its registers: see gen/oracles.py
ORACLE_SUFFIX = ".oracle.toml"
ROOT = Path(__file__).resolve().parent.parent

#: what generated files are made by, besides the spec
_GENERATOR = (
    "gen/**/*.py",
    "gen/**/*.lark",
    "gen/**/*.j2",
    "runtime/tcg/*.py",
    "runtime/tcg/*.ll",
    "runtime/core/*.py",
)
#: of those, what only makes pages about them
_PAGES = ("gen/pages/", "gen/templates/pages/")
_PACKAGES = ("llvmlite", "jinja2", "lark")


def _digest(parts: Iterable[bytes]) -> str:
    sha = hashlib.sha256()
    for part in parts:
        sha.update(len(part).to_bytes(8, "little"))
        sha.update(part)
    return sha.hexdigest()


def _host() -> str:
    """Model and features of the host's CPU: handlers are compiled for them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ""
    first: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        first.setdefault(key.strip(), value.strip())
    return f"{first.get('model name')} {first.get('flags')}"


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # half of what `gen --help` would take

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def generator_digest() -> str:
    """Everything of the generator and the host that generated files depend on."""
    files = sorted(path for pattern in _GENERATOR for path in ROOT.glob(pattern))
    files = [path for path in files if not path.relative_to(ROOT).as_posix().startswith(_PAGES)]
    parts = [part for path in files for part in (str(path.relative_to(ROOT)).encode(), path.read_bytes())]
    return _digest([*parts, _host().encode(), *(_version(package).encode() for package in _PACKAGES)])


def shard_digest(ir: bytes) -> str:
    """What an object depends on: its IR, the compiler, the host."""
    return _digest([ir, *_compiler(), _host().encode(), _version("llvmlite").encode()])


@cache
def _compiler() -> tuple[bytes, ...]:
    return tuple((ROOT / "runtime" / "tcg" / name).read_bytes() for name in ("llvm.py", "host_x86_64.py"))


def spec_digest(sources: Iterable[str], parameters: Mapping[str, int]) -> str | None:
    """The contents of the spec files and of the tables beside them, and the parameters; None if a spec is gone."""
    try:
        contents = [part for name in sources for part in (name.encode(), Path(name).read_bytes())]
        suffixes = (ABI_SUFFIX, GDB_SUFFIX, ORACLE_SUFFIX)
        tables = [Path(name).with_suffix(suffix) for name in sources for suffix in suffixes]
        contents += [part for path in tables if path.is_file() for part in (bytes(path), path.read_bytes())]
    except OSError:
        return None
    return _digest([*contents, repr(sorted(parameters.items())).encode()])


def write(sources: Iterable[str], parameters: Mapping[str, int]) -> str:
    """The text of STAMP for a spec read from these files."""
    names = sorted(str(Path(name).resolve()) for name in sources)
    digest = spec_digest(names, parameters)
    return json.dumps({"generator": generator_digest(), "spec": digest, "sources": names}, indent=1) + "\n"


def sources_of(folder: Path) -> list[str]:
    """Paths of the spec files that what is in `folder` was made from."""
    try:
        found: list[str] = json.loads((folder / STAMP).read_text(encoding="utf-8"))["sources"]
    except (OSError, ValueError, KeyError):
        return []
    return found


def up_to_date(folder: Path, spec: Path, parameters: Mapping[str, int]) -> bool:
    """Whether what is in `folder` was made from `spec` as it is now, by this generator."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        sources = stamp["sources"]
        return (
            str(spec.resolve()) in sources
            and stamp["generator"] == generator_digest()
            and stamp["spec"] == spec_digest(sources, parameters)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
