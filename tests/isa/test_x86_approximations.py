"""What x86's processors promise only to some bits: reciprocals to 12, the x87 unit's functions to the last place."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator

import pytest

from isomorph.coverage import ran
from runtime.core.cpu import load_isa
from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE
from runtime.core.memory import GuestMemory
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from tests.tools import require_build

CODE = 0x10000
#: 1.5 * 2**-12
_CLOSE = 0.000366
#: instruction, code of it on xmm0 and xmm1, what it comes near to
RECIPROCALS: list[tuple[str, str, Callable[[float], float]]] = [
    ("rcpps", "0f53c1", lambda x: 1 / x),
    ("rcpss", "f30f53c1", lambda x: 1 / x),
    ("rsqrtps", "0f52c1", lambda x: 1 / math.sqrt(x)),
    ("rsqrtss", "f30f52c1", lambda x: 1 / math.sqrt(x)),
]
#: instruction, its code, of the top of the stack and the number below, operands; where the result then stands
FUNCTIONS: list[tuple[str, str, Callable[[float, float], float], list[tuple[float, float]], int]] = [
    ("f2xm1", "d9f0", lambda x, y: math.expm1(x * math.log(2)), [(0.5, 0), (-0.75, 0), (0.001, 0)], 0),
    ("fyl2x", "d9f1", lambda x, y: y * math.log2(x), [(3.0, 2.5), (0.1, -7.0)], 1),
    ("fyl2xp1", "d9f9", lambda x, y: y * math.log1p(x) / math.log(2), [(0.25, 2.5), (-0.1, 7.0)], 1),
    ("fpatan", "d9f3", lambda x, y: math.atan2(y, x), [(3.0, 2.5), (-1.0, 7.0)], 1),
    ("fsin", "d9fe", lambda x, y: math.sin(x), [(1.0, 0), (-2.5, 0)], 0),
    ("fcos", "d9ff", lambda x, y: math.cos(x), [(1.0, 0), (-2.5, 0)], 0),
    ("fsincos", "d9fb", lambda x, y: math.sin(x), [(1.0, 0), (-2.5, 0)], 0),
    ("fptan", "d9f2", lambda x, y: math.tan(x), [(1.0, 0), (-0.5, 0)], 0),
]


def extended(value: float) -> int:
    """A double's bits as the unit holds it."""
    bits = int.from_bytes(struct.pack("<d", value), "little")
    if not value:
        return bits >> 63 << 79
    fraction = 1 << 63 | (bits & (1 << 52) - 1) << 11
    return bits >> 63 << 79 | (bits >> 52 & 0x7FF) + 15360 << 64 | fraction


def double(bits: int) -> float:
    """What 80 bits stand for, nearly."""
    size = math.ldexp(bits & (1 << 64) - 1, (bits >> 64 & 0x7FFF) - 16383 - 63)
    return -size if bits >> 79 else size


@pytest.fixture(scope="module", params=["i386", "x86_64"])
def cpu(request: pytest.FixtureRequest) -> Iterator[TcgVcpu]:
    isa = load_isa(require_build(request.param))
    memory = GuestMemory(64 if request.param == "x86_64" else 32)
    tcg = Tcg(isa, memory)
    made = TcgVcpu(tcg)
    memory.map(CODE, 0x1000, PAGE_READ | PAGE_WRITE | PAGE_EXEC)
    yield made
    made.close()
    tcg.close()
    memory.close()


def _run(cpu: TcgVcpu, name: str, code: str) -> None:
    cpu.memory.write(CODE, bytes.fromhex(code).ljust(16, b"\x90"))
    cpu.pc = CODE
    cpu_exec(cpu, 1)
    ran(cpu.isa.name, name)


@pytest.mark.parametrize(("name", "code", "near"), RECIPROCALS, ids=[row[0] for row in RECIPROCALS])
def test_reciprocals(cpu: TcgVcpu, name: str, code: str, near: Callable[[float], float]) -> None:
    for value in (1.0, 3.0, 0.1, 12345.0):
        cpu.reset()
        cpu.set("XMM", int.from_bytes(struct.pack("<4f", *(value,) * 4), "little"), 1)
        _run(cpu, name, code)
        got = struct.unpack("<4f", cpu.get("XMM", 0).to_bytes(16, "little"))
        for one in got[: 4 if name.endswith("ps") else 1]:
            assert abs(one / near(value) - 1) < _CLOSE


@pytest.mark.parametrize("row", FUNCTIONS, ids=[row[0] for row in FUNCTIONS])
def test_functions(
    cpu: TcgVcpu, row: tuple[str, str, Callable[[float, float], float], list[tuple[float, float]], int]
) -> None:
    name, code, expected, operands, place = row
    for x, y in operands:
        cpu.reset()
        cpu.set_mode("FTW", 3)
        cpu.set("FPR", extended(x), 0)
        cpu.set("FPR", extended(y), 1)
        _run(cpu, name, code)
        assert double(cpu.get("FPR", place)) == pytest.approx(expected(x, y), rel=1e-15)
