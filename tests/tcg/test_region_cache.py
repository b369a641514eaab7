"""Compiled code on disk: found again, checked against the guest's, bounded, and safe from damage and company."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from isomorph import Emulator
from isomorph.cli.cache import main as cache_command
from runtime.core.record import replace
from runtime.tcg.region import RegionAnswer, RegionBlock, RegionRequest
from runtime.tcg.region_cache import RegionCache, clear, entries, shrink
from runtime.tcg.tier import TierStatistics
from tests.api.guest import CODE
from tests.tools import require_build

LOOP = "again: addi a0, a0, 1\naddi a1, a1, -1\nbnez a1, again\necall"
Run = Callable[..., TierStatistics]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a loop in an emulator of its own, with the cache in tmp_path; what its second tier did."""
    require_build("riscv64")
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ISOMORPH_WORKERS", "0")

    def once(text: str = LOOP, expected: int = 1000, threshold: int = 40) -> TierStatistics:
        monkeypatch.setenv("ISOMORPH_TIER1_THRESHOLD", str(threshold))
        emulator = Emulator("riscv64")
        emulator.mem.map(CODE, 0x1000)
        emulator.mem.write(CODE, emulator.isa.assemble(text, CODE))
        emulator.regs.a1 = 1000
        emulator.run(CODE)
        assert emulator.regs.a0 == expected
        tier = emulator._tcg.cache.tier
        assert tier is not None
        emulator.close()
        return tier.statistics

    return once


def test_a_second_run_starts_compiled(run: Run, tmp_path: Path) -> None:
    first, second = run(), run()
    assert (first.compiled, first.cached) == (1, 0)
    assert (second.compiled, second.cached) == (0, 1)
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    (entry,) = entries(str(tmp_path / "cache"))
    assert entry.isa == "riscv64"


def test_other_code_at_the_same_address_is_another_region(run: Run) -> None:
    run()
    other = run(LOOP.replace("a0, a0, 1", "a0, a0, 2"), 2000)
    assert (other.compiled, other.cached) == (1, 0)
    again = run(LOOP.replace("a0, a0, 1", "a0, a0, 2"), 2000)
    assert (again.compiled, again.cached) == (0, 1)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "header"])
def test_a_damaged_entry_is_ignored_and_replaced(run: Run, tmp_path: Path, damage: str) -> None:
    run()
    (entry,) = entries(str(tmp_path / "cache"))
    path = Path(entry.path)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[-20] ^= 4
    elif damage == "header":
        data[3] ^= 4
    path.write_bytes(data[: {"truncated": len(data) - 9, "empty": 0}.get(damage, len(data))])
    assert (done := run()).cached == 0
    assert done.compiled == 1
    assert run().cached == 1


def test_what_cannot_be_written_is_no_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the directory should be")
    assert run().compiled == 1
    assert run().compiled == 1


def test_another_generation_of_native_code_has_other_entries(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime.tcg import tier_options

    run()
    monkeypatch.setattr(tier_options, "_host_cpu", lambda: b"another machine")
    assert (done := run()).cached == 0
    assert done.compiled == 1


# ------------------------------------------------------------ what was not finished

#: a loop of two blocks and more than 400 bytes
LONG = "\n".join(
    [
        "again: addi a0, a0, 1",
        *["xori a2, a2, 5"] * 60,
        "bltz a1, away",
        *["xori a3, a3, 5"] * 60,
        "addi a1, a1, -1",
        "bnez a1, again",
        "away: ecall",
    ]
)
#: more entries than the loops have turns
NEVER = 1_000_000


def interrupted(tmp_path: Path, times: int) -> None:
    """Have the cache as a run leaves it that ends while its only region is compiled, and so many such runs."""
    (entry,) = entries(str(tmp_path / "cache"))
    folder, name = os.path.split(entry.path)
    cache = RegionCache(folder)
    loaded = cache._load(name)
    assert loaded is not None
    os.unlink(entry.path)
    for _ in range(times):
        cache.begin(loaded[0])


def only_request(tmp_path: Path) -> RegionRequest:
    """That of the one region in the cache, beside which nothing lies."""
    (entry,) = entries(str(tmp_path / "cache"))
    loaded = RegionCache(os.path.dirname(entry.path))._load(os.path.basename(entry.path))
    assert loaded is not None
    return loaded[0]


def test_a_run_begins_with_what_the_last_one_has_not_finished(run: Run, tmp_path: Path) -> None:
    run(LONG)
    whole = only_request(tmp_path)
    interrupted(tmp_path, 1)
    assert run(LONG, threshold=NEVER).compiled == 1
    assert only_request(tmp_path).key() == whole.key()
    assert run(LONG, threshold=NEVER).cached == 1


def test_what_was_never_finished_is_asked_for_in_pieces(run: Run, tmp_path: Path) -> None:
    run(LONG)
    whole = only_request(tmp_path)
    assert len(whole.blocks) == 2
    interrupted(tmp_path, 2)
    assert run(LONG, threshold=NEVER).compiled == 1
    assert only_request(tmp_path).blocks == tuple(replace(block, count=0) for block in whole.blocks[:1])


def test_what_is_begun_over_and_over_has_no_precedence(run: Run, tmp_path: Path) -> None:
    run()
    interrupted(tmp_path, 9)
    assert run(threshold=NEVER).compiled == 0
    assert run().compiled == 1


def test_unfinished_requests_of_other_code_are_left_alone(run: Run, tmp_path: Path) -> None:
    run()
    interrupted(tmp_path, 1)
    other = run(LOOP.replace("a0, a0, 1", "a0, a0, 2"), 2000, NEVER)
    assert (other.compiled, other.cached) == (0, 0)
    assert run(threshold=NEVER).compiled == 1


def test_what_is_begun_is_known_until_it_is_stored_or_ended(tmp_path: Path) -> None:
    folder = str(tmp_path / "toy-0123456789abcdef")
    asked, answered = request(3)

    def begun() -> tuple[RegionRequest, int, tuple[int, ...]] | None:
        return RegionCache(folder).unfinished(asked.entry, asked.flags, lambda found: (found.entry,))

    assert begun() is None
    cache = RegionCache(folder)
    cache.begin(asked)
    assert begun() == (asked, 1, (asked.entry,))
    cache.begin(asked)
    assert begun() == (asked, 2, (asked.entry,))
    assert RegionCache(folder).unfinished(asked.entry, asked.flags, lambda _: None) is None
    cache.end(asked)
    assert begun() is None
    cache.begin(asked)
    cache.store(asked, answered)
    assert begun() is None
    cache.begin(asked)
    (path,) = tmp_path.glob("*/*.begun")
    path.write_bytes(path.read_bytes()[:-1])
    assert begun() is None


# ------------------------------------------------------------ the directory


def request(number: int, size: int = 16) -> tuple[RegionRequest, RegionAnswer]:
    """Some region."""
    block = RegionBlock(0x1000 + 4 * number, bytes([number & 0xFF]) * size, 5, (0x2000, 0x3000))
    return RegionRequest(block.pc, 0, (block,)), RegionAnswer(bytes(1000), 0, 4, 0.1)


def test_requests_and_answers_survive_the_wire() -> None:
    asked, answered = request(7)
    assert RegionRequest.decode(asked.encode()) == asked
    full = RegionAnswer(b"code", 8, 3, 0.25, "a listing", 4, 2)
    assert RegionAnswer.decode(full.encode()) == full
    assert RegionAnswer.decode(answered.encode()) == answered
    for cut in (0, 5, len(asked.encode()) - 1):
        with pytest.raises(ValueError, match="not a region request"):
            RegionRequest.decode(asked.encode()[:cut])
    with pytest.raises(ValueError, match="not a region request"):
        RegionRequest.decode(asked.encode() + b"x")
    with pytest.raises(ValueError, match="not a region request: it has no blocks"):
        RegionRequest.decode(RegionRequest(0x1000, 0, ()).encode())


def test_what_was_longest_not_used_goes_first(tmp_path: Path) -> None:
    cache = RegionCache(str(tmp_path / "toy-0123456789abcdef"))
    for number in range(20):
        cache.store(*request(number))
    found = sorted(entries(str(tmp_path)), key=lambda entry: entry.path)
    assert len(found) == 20
    for age, entry in enumerate(found):
        os.utime(entry.path, (1_000_000 + age, 1_000_000 + age))
    shrink(str(tmp_path), 10 * found[0].size)
    left = {entry.path for entry in entries(str(tmp_path))}
    assert left == {entry.path for entry in found[-len(left) :]}
    assert 8 <= len(left) <= 10


def test_storing_keeps_the_bound(tmp_path: Path) -> None:
    cache = RegionCache(str(tmp_path / "toy-0123456789abcdef"), 64 << 10)
    big = RegionAnswer(bytes(1 << 20), 0, 1, 0.0)
    for number in range(30):
        cache.store(request(number)[0], big)
    assert sum(entry.size for entry in entries(str(tmp_path))) < 6 << 20


def test_nothing_else_in_the_directory_is_touched(tmp_path: Path) -> None:
    RegionCache(str(tmp_path / "toy-0123456789abcdef")).store(*request(1))
    other = tmp_path / "toy-0123456789abcdef" / "letter.txt"
    other.write_text("mine")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.region").write_text("mine")
    assert clear(str(tmp_path)) == 1
    assert other.exists()
    assert (tmp_path / "photos" / "1.region").exists()


def _write_often(folder: str) -> None:
    cache = RegionCache(folder)
    for turn in range(60):
        cache.store(*request(turn % 6))


def test_processes_write_and_read_side_by_side(tmp_path: Path) -> None:
    folder = str(tmp_path / "toy-0123456789abcdef")
    context = get_context("spawn")
    writers = [context.Process(target=_write_often, args=(folder,)) for _ in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        for entry in list(entries(str(tmp_path))):
            if entry.path.endswith(".region"):
                assert RegionCache(folder)._load(os.path.basename(entry.path)) is not None
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    names = [entry.path for entry in entries(str(tmp_path))]
    assert len(names) == 6
    assert all(name.endswith(".region") for name in names)


def test_the_command_shows_and_clears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path))
    RegionCache(str(tmp_path / "toy-0123456789abcdef")).store(*request(1))
    assert cache_command([]) == 0
    assert "1 regions" in capsys.readouterr().out
    assert cache_command(["clear"]) == 0
    assert cache_command(["show"]) == 0
    assert "0 regions" in capsys.readouterr().out
    monkeypatch.setenv("ISOMORPH_CACHE", "off")
    assert cache_command([]) == 1
