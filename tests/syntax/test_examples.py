"""The programs in examples/: assembled by the command, run by the command, and what they print worked out anew here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from tests.tools import require_build

ROOT = Path(__file__).resolve().parent.parent.parent
COLUMNS, ROWS, ROUNDS = 78, 32, 96
SHADES = ".,:;-+=*o%#@"


def hello() -> str:
    return "Hello from an instruction set written once.\n"


def primes() -> str:
    found = [n for n in range(2, 1000) if all(n % divisor for divisor in range(2, int(n**0.5) + 1))]
    lines = ["".join(f"{prime:5}" for prime in found[at : at + 16]) for at in range(0, len(found), 16)]
    return "\n".join(lines) + f"\n{len(found):5} primes below 1000\n"


def fused(a: float, b: float, c: float) -> float:
    """a*b + c, rounded once."""
    return float(Fraction(a) * Fraction(b) + Fraction(c))


def shade(cx: float, cy: float) -> str:
    x, y = cx, cy
    for count in range(ROUNDS):
        if x * x + y * y > 4:
            return SHADES[count % len(SHADES)]
        x, y = x * x - y * y + cx, fused(x + x, y, cy)
    return " "


def mandelbrot() -> str:
    rows = (1.25 - row * 0.078125 for row in range(ROWS))
    return "".join("".join(shade(fused(column, 0.0408, -2.125), cy) for column in range(COLUMNS)) + "\n" for cy in rows)


@pytest.mark.parametrize("expected", [hello, primes, mandelbrot])
def test_what_it_prints(expected: Callable[[], str], tmp_path: Path) -> None:
    require_build("riscv64")
    name = expected.__name__
    command = [sys.executable, "-m", "isomorph"]
    subprocess.run([*command, "asm", f"examples/{name}.s", "-o", str(tmp_path / name)], check=True, cwd=ROOT)
    ran = subprocess.run([*command, "run", str(tmp_path / name)], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout == expected()
