"""Check generated code as if it were written: mypy --strict and ruff's lint over build/<isa>/*.py."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def main() -> int:
    """Run both tools over every generated ISA; the exit status is the worse of the two."""
    status = 0
    for stamp in sorted((ROOT / "build").glob("*/STAMP")):
        files = [str(path) for path in sorted([*stamp.parent.glob("*.py"), *stamp.parent.glob("tests/*.py")])]
        print(f"mypy --strict build/{stamp.parent.name}", flush=True)
        status |= subprocess.call([sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *files], cwd=ROOT)
        lint = [
            "-m",
            "ruff",
            "check",
            "--quiet",
            "--select",
            "E,F",
            "--ignore",
            "E741,E742,F841",  # names are the spec's; a row of a table need not use all that its body computes
            "--line-length",
            "120",
            "--no-cache",
        ]
        status |= subprocess.call([sys.executable, *lint, "--isolated", *files], cwd=ROOT)
    return status


if __name__ == "__main__":
    sys.exit(main())
