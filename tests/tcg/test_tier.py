"""Tier 1 as a whole: hot code is compiled, runs as tier 0 would have run it, and goes when the guest's code changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isomorph import Emulator, Hook, StopKind, StopReason
from runtime.core.record import replace
from runtime.tcg.region_formation import Node
from runtime.tcg.tier import Tier
from tests.api.guest import CODE, DATA, PROGRAM
from tests.tcg.test_cache import resident
from tests.tools import require_build

#: prints nothing, computes much: an inner loop, calls, loads and stores
NESTED = f"""
    li   s0, {DATA}
    li   s1, 300
    li   a0, 1
outer:
    li   s2, 20
inner:
    mul  a0, a0, s2
    addi a0, a0, 13
    andi a1, a0, 0x7f8
    add  a1, a1, s0
    ld   a2, 0(a1)
    add  a2, a2, a0
    sd   a2, 0(a1)
    call mix
    addi s2, s2, -1
    bnez s2, inner
    addi s1, s1, -1
    bnez s1, outer
    ecall
mix:
    andi t0, a0, 1
    beqz t0, even
    xor  a0, a0, a2
    ret
even:
    srli t0, a0, 3
    add  a0, a0, t0
    ret
"""
#: a call through a pointer, always the same, and a jump through a table to one of eight places
POINTERS = """
    la   s0, callee
    li   s1, 600
    li   a0, 1
again:
    jalr s0
    andi t0, s1, 7
    slli t0, t0, 3
    la   t1, table
    add  t1, t1, t0
    jr   t1
table:
    addi a0, a0, 1
    j    join
    addi a0, a0, 2
    j    join
    addi a0, a0, 3
    j    join
    addi a0, a0, 4
    j    join
    addi a0, a0, 5
    j    join
    addi a0, a0, 6
    j    join
    addi a0, a0, 7
    j    join
    addi a0, a0, 8
    j    join
join:
    addi s1, s1, -1
    bnez s1, again
    ecall
callee:
    slli a1, a0, 3
    xor  a0, a0, a1
    ret
"""
#: every round stores its own next addition into code that is long hot
PATCHING = """
    li   s1, 400
    li   a0, 0
again:
    li   s2, 30
inner:
patched:
    addi a0, a0, 0
    addi s2, s2, -1
    bnez s2, inner
    la   t0, patched
    lw   t1, 0(t0)
    lui  t2, 0x100
    add  t1, t1, t2
    sw   t1, 0(t0)
    addi s1, s1, -1
    bnez s1, again
    ecall
"""

Make = Callable[..., Emulator]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Emulators about to run a text, compiling what was entered `threshold` times, at once and in this process."""
    require_build("riscv64")
    made: list[Emulator] = []

    def emulator(text: str = NESTED, threshold: int = 10, size: int = 256, workers: int = 0) -> Emulator:
        monkeypatch.setenv("ISOMORPH_TIER1_THRESHOLD", str(threshold))
        monkeypatch.setenv("ISOMORPH_WORKERS", str(workers))
        monkeypatch.setenv("ISOMORPH_REGION_SIZE", str(size))
        one = Emulator("riscv64")
        made.append(one)
        one.mem.map(CODE, 0x4000)
        one.mem.map(DATA, 0x2000, "rw")
        one.mem.write(CODE, one.isa.assemble(text, CODE))
        one.regs.pc = CODE
        return one

    yield emulator
    for one in made:
        one.close()


def tier(emulator: Emulator) -> Tier:
    """The second tier of an emulator that has compiled something."""
    found = emulator._tcg.cache.tier
    assert found is not None
    return found


def state(emulator: Emulator) -> tuple[object, ...]:
    """All that two runs must have in common."""
    files = [emulator.regs.pc, *(emulator.regs[f"x{index}"] for index in range(32))]
    return (*files, emulator.instructions, emulator.mem.read(DATA, 0x2000))


# ------------------------------------------------------------ the same as tier 0


@pytest.mark.parametrize("threshold", [1, 2, 7, 100])
@pytest.mark.parametrize("size", [8, 256])
@pytest.mark.parametrize("text", [PROGRAM, NESTED, POINTERS], ids=["program", "nested", "pointers"])
def test_compiled_code_does_what_tier_0_does(make: Make, text: str, threshold: int, size: int) -> None:
    plain, compiled = make(text, 0), make(text, threshold, size)
    assert plain.run().kind is compiled.run().kind
    assert state(plain) == state(compiled)
    assert plain._tcg.cache.tier is None
    if text is not PROGRAM:
        assert tier(compiled).statistics.compiled > 0


def test_what_a_pointer_always_points_to_is_compiled_with_the_call(make: Make) -> None:
    one = make(POINTERS, 50)
    one.run()
    callee = one.regs.s0
    regions = tier(one).regions.ready.values()
    together = [{block.pc for block in region.request.blocks} for region in regions if len(region.points) > 1]
    assert any(callee in pcs for pcs in together)


def test_what_became_hot_before_a_region_came_is_not_compiled_for_that(make: Make) -> None:
    """A block is in the region of one that was looked at first: what counts are its entries from outside, later."""
    one = make(NESTED, 50)
    while one._tcg.cache.tier is None or not tier(one).regions.ready:
        assert one.run(count=2000).kind is StopKind.COUNT
    found = tier(one)
    region = max(found.regions.ready.values(), key=lambda region: region.instructions)
    blocks = [
        found._cache.find(pc, region.key[1], place) for pc, place in region.points - {(region.key[0], region.key[2])}
    ]
    inside = [block for block in blocks if block and Node(found._cache, block).key not in found.regions.ready]
    assert inside
    for block in inside:
        assert found.regions.recount(block, 50)
        found._hot(block)
    assert not found._waiting
    for block in inside:
        found.regions.recount(block, 0)  # all these entries have come
        found._hot(block)
    assert found._waiting


def test_a_block_that_may_be_on_disk_is_told_of_at_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its region need not wait for the slice to end."""
    emulator = make("li a0, 2000\nagain:\naddi a0, a0, -1\nbnez a0, again\necall\n", threshold=100, workers=1)
    tcg, again = emulator._tcg, CODE + 4
    told: list[int] = []
    monkeypatch.setattr(tcg, "attend", lambda: told.append(emulator.instructions))
    tcg.cache.list_blocks([again], 16, 100, True)
    emulator.run()
    # The first turn is of the block that begins before the loop.
    assert told == [3 + 2 * 15]


def test_instructions_are_counted_exactly(make: Make) -> None:
    plain, compiled = make(NESTED, 0), make(NESTED, 3)
    compiled.run(count=20_000)
    plain.run(count=20_000)
    assert tier(compiled).regions.ready
    for count in (1, 2, 3, 63, 64, 65, 100, 129, 1000, 1001, 5000):
        plain.run(count=count)
        compiled.run(count=count)
        assert state(plain) == state(compiled)
    assert compiled.instructions == plain.instructions


def test_a_stop_inside_a_hot_loop(make: Make) -> None:
    emulator, plain = make(NESTED, 3), make(NESTED, 0)
    emulator.run(count=20_000)
    plain.run(count=20_000)
    inner = CODE + 4 * 4
    for _ in range(5):
        stops = emulator.run(until=inner + 8), plain.run(until=inner + 8)
        assert stops[0].kind is stops[1].kind
        assert state(emulator) == state(plain)
    emulator.run()
    plain.run()
    assert state(emulator) == state(plain)


def test_hooks_come_and_go_while_the_code_is_hot(make: Make) -> None:
    emulator, plain = make(NESTED, 3), make(NESTED, 0)
    seen = {id(emulator): 0, id(plain): 0}

    def attach(one: Emulator) -> Hook[Callable[..., None]]:
        def count(*_: object) -> None:
            seen[id(one)] += 1

        return one.hook.code(count, begin=CODE + 0x20, end=CODE + 0x24)

    for one in (emulator, plain):
        one.run(count=10_000)
        hook = attach(one)
        one.run(count=10_000)
        hook.remove()
        one.run(count=10_000)
        attach(one)
        one.run()
    assert seen[id(emulator)] == seen[id(plain)] > 0
    assert state(emulator) == state(plain)
    assert tier(emulator).statistics.dropped > 0


# ------------------------------------------------------------ code that changes


@pytest.mark.parametrize("threshold", [2, 20])
def test_code_that_modifies_itself(make: Make, threshold: int) -> None:
    plain, compiled = make(PATCHING, 0), make(PATCHING, threshold)
    plain.run()
    compiled.run()
    assert state(plain) == state(compiled)
    assert tier(compiled).statistics.dropped > 0
    # Code that changes all the time is left to tier 0 in the end.
    assert tier(compiled).statistics.compiled < 40


def test_python_writes_to_hot_code(make: Make) -> None:
    emulator = make("li a0, 0\nagain: addi a0, a0, 1\naddi a1, a1, -1\nbnez a1, again\necall", 3)
    emulator.regs.a1 = 10_000
    emulator.run()
    assert emulator.regs.a0 == 10_000
    assert tier(emulator).regions.ready
    patched = emulator.isa.assemble("addi a0, a0, 2", CODE)
    emulator.mem.write(CODE + len(emulator.isa.assemble("li a0, 0", CODE)), patched)
    assert not tier(emulator).regions.ready
    emulator.regs.a1 = 10_000
    emulator.run(CODE)
    assert emulator.regs.a0 == 20_000


@pytest.mark.parametrize("change", ["unmap", "protect"])
def test_hot_code_that_is_taken_away(make: Make, change: str) -> None:
    emulator = make("again: addi a0, a0, 1\nj again", 3)
    emulator.run(count=10_000)
    assert tier(emulator).regions.ready
    if change == "unmap":
        emulator.mem.unmap(CODE, 0x4000)
    else:
        emulator.mem.protect(CODE, 0x4000, "rw")
    assert not tier(emulator).regions.ready
    before = emulator.instructions
    stop = emulator.run(count=10)
    assert stop.kind is (StopKind.UNMAPPED if change == "unmap" else StopKind.PROTECTED)
    assert emulator.instructions == before


def test_data_beside_hot_code(make: Make) -> None:
    """Stores to the page of the code that miss it neither change the result nor drop the region."""
    text = f"""
        li   s0, {CODE + 0x800}
        li   s1, 5000
    again:
        sd   s1, 0(s0)
        ld   a0, 0(s0)
        add  a1, a1, a0
        addi s1, s1, -1
        bnez s1, again
        ecall
    """
    emulator = make(text, 10)
    emulator.run()
    assert emulator.regs.a1 == sum(range(5001))
    assert tier(emulator).regions.ready
    assert tier(emulator).statistics.dropped == 0


def test_a_fault_in_a_hot_loop_is_precise(make: Make) -> None:
    text = f"""
        li   s0, {DATA}
    again:
        addi a0, a0, 3
        sd   a0, 0(s0)
        addi s0, s0, 8
        j    again
    """
    plain, compiled = make(text, 0), make(text, 3)
    stops: list[StopReason] = [one.run() for one in (plain, compiled)]
    assert stops[0].kind is stops[1].kind is StopKind.UNMAPPED
    assert plain.regs.s0 == DATA + 0x2000
    assert state(plain) == state(compiled)
    assert tier(compiled).statistics.compiled > 0


# ------------------------------------------------------------ room


def functions(count: int) -> str:
    """Many small hot loops, each a function on its own, called in turn."""
    calls = "\n".join(f"call part{number}" for number in range(count))
    bodies = "\n".join(
        f"part{number}: li t0, 40\nloop{number}: addi a0, a0, {number}\naddi t0, t0, -1\nbnez t0, loop{number}\nret"
        for number in range(count)
    )
    return f"mv s5, ra\nli s1, 4\nround:\n{calls}\naddi s1, s1, -1\nbnez s1, round\necall\n{bodies}"


def test_regions_have_a_bound_and_go_when_they_are_not_used(make: Make) -> None:
    text = functions(40)
    plain, compiled = make(text, 0), make(text, 15, 16)
    compiled._tcg.tier_options = replace(compiled._tcg.tier_options, memory=64 << 10)
    plain.run()
    most = 0
    while compiled.run(count=3000).kind is StopKind.COUNT:
        found = compiled._tcg.cache.tier
        most = max(most, 0 if found is None else found.regions.bytes)
    assert state(plain) == state(compiled)
    assert 0 < most <= 64 << 10
    assert tier(compiled).statistics.compiled > 16


def test_a_code_cache_too_small_for_the_program(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import isomorph.emulator
    from runtime.tcg.loop import Tcg

    text = functions(40)
    plain = make(text, 0)
    monkeypatch.setattr(isomorph.emulator, "Tcg", lambda isa, memory, tier: Tcg(isa, memory, 32 << 10, 4, tier=tier))
    compiled = make(text, 15, 16)
    plain.run()
    compiled.run()
    assert state(plain) == state(compiled)
    assert compiled._tcg.cache.statistics()["flushes"] > 3
    assert tier(compiled).statistics.compiled > 3
    # What compiled code was made from is guarded though its blocks are gone.
    region = next(iter(tier(compiled).regions.ready.values()))
    start = region.request.entry
    compiled.mem.write(start, compiled.mem.read(start, 4))
    assert region.key not in tier(compiled).regions.ready


@pytest.mark.slow
def test_memory_is_flat_while_code_is_made_over_and_over(make: Make) -> None:
    """A hot loop is written anew, compiled and dropped again and again."""
    emulator = make("again: addi a0, a0, 1\naddi a1, a1, -1\nbnez a1, again\necall", 3, 16)
    code = emulator.mem.read(CODE, 16)

    def rounds(count: int) -> None:
        for _ in range(count):
            emulator.mem.write(CODE, code)
            tier_now = emulator._tcg.cache.tier
            if tier_now is not None:
                tier_now._writes.clear()
            emulator.regs.a1 = 50
            emulator.run(CODE)

    rounds(30)
    before = resident()
    rounds(300)
    assert tier(emulator).statistics.compiled > 300
    assert tier(emulator).regions.bytes <= 4096
    assert resident() - before < 8 << 20


def test_the_perf_map_names_regions(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from runtime.tcg.perf_map import PerfMap

    emulator = make()
    emulator.run()
    monkeypatch.setattr(PerfMap, "_path", staticmethod(lambda: str(tmp_path / "perf.map")))
    written = PerfMap(emulator._tcg.code)
    for region in tier(emulator).regions.ready.values():
        assert region.memory is not None
        written.add(region.memory.address, region.memory.size, f"region {region.request.entry:#x}")
    written.close()
    lines = (tmp_path / "perf.map").read_text().splitlines()
    assert any(line.endswith(" tb_lookup") for line in lines)
    assert lines[-1].endswith(f" region {list(tier(emulator).regions.ready)[-1][0]:#x}")
