"""Instructions that go back to themselves from within conditions, as repeated string instructions do, in both tiers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gen import emit
from gen.elaborate import check
from runtime.core.cpu import Isa, load_isa
from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE
from runtime.core.memory import GuestMemory
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from runtime.tcg.tier_options import TierOptions

SPEC = """isa repeated
pc     PC : bits(32)
regs   X[4] : bits(32)
memory M : bits(32)  endian little
exception Illegal = 0, Fault = 1
on badaddr(acc : bits(2), va : bits(32)) : raise Fault(va)
decode S : 16 little
insn fill "00 a:2 b:2 0000000000" "fill {a} {b}"
    if X[a] != 0:
        X[a] = X[a] - 1
        X[b] = X[b] + 3
        if X[a] != 0: goto PC
insn set  "01 a:2 k:12" "set {a} {k}" : X[a] = zext(k)
insn next "10 a:2 k:12" "next {a} {k}"
    X[a] = X[a] - 1
    if X[a] != 0: goto PC - zext(k)
"""
CODE = 0x10000


def fill(a: int, b: int) -> int:
    return a << 12 | b << 10


def set_(a: int, number: int) -> int:
    return 1 << 14 | a << 12 | number


def next_(a: int, back: int) -> int:
    return 2 << 14 | a << 12 | back


@pytest.fixture(scope="module")
def isa(tmp_path_factory: pytest.TempPathFactory) -> Isa:
    folder: Path = tmp_path_factory.mktemp("repeated")
    (folder / "repeated.isa").write_text(SPEC)
    emit.generate(check(folder / "repeated.isa", (folder,), {}), folder / "build")
    return load_isa(folder / "build")


@pytest.mark.parametrize("threshold", [0, 1])
def test_counts(isa: Isa, threshold: int) -> None:
    """Thousands of times seven turns, then as often none."""
    often = 4000
    words = [set_(2, often), set_(0, 7), fill(0, 1), next_(2, 4), set_(2, often), fill(0, 1), next_(2, 2)]
    memory = GuestMemory(32)
    memory.map(CODE, 0x1000, PAGE_READ | PAGE_WRITE | PAGE_EXEC)
    memory.write(CODE, b"".join(word.to_bytes(2, "little") for word in words))
    tcg = Tcg(isa, memory, tier=TierOptions(threshold, workers=0))
    vcpu = TcgVcpu(tcg)
    vcpu.pc = CODE
    left = 1 + often * (1 + 7 + 1) + 1 + often * 2
    while left:
        left -= (piece := min(left, 1000))
        cpu_exec(vcpu, piece)
    assert (vcpu.pc, [vcpu.get("X", number) for number in range(4)]) == (CODE + 14, [0, 7 * often * 3, 0, 0])
    if threshold:
        assert tcg.cache.tier is not None
        assert tcg.cache.tier.regions.ready
    vcpu.close()
    tcg.close()
    memory.close()
