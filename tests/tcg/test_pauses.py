"""How long the guest waits for its second tier: what is counted, and that much work is done in small pieces."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest

from runtime.tcg import tier as tier_module
from runtime.tcg.loop import Pauses
from runtime.tcg.tier import Tier, TierStatistics
from runtime.tcg.tier_options import TierOptions


def test_pauses_are_counted_by_their_length() -> None:
    pauses = Pauses()
    for milliseconds in (0.01, 0.1, 0.2, 1.5, 4, 30, 20):
        pauses.add(milliseconds / 1000)
    assert dict(zip((*Pauses.BOUNDS, "more"), pauses.counts, strict=True)) == {
        0.1: 2, 0.5: 1, 1.0: 0, 2.0: 1, 5.0: 1, 10.0: 0, "more": 2,
    }  # fmt: skip
    assert pauses.longest == pytest.approx(30)
    assert pauses.total == pytest.approx(55.81)


@pytest.mark.parametrize(("workers", "at_a_time"), [(1, [2, 2, 1]), (0, [5])])
def test_many_hot_blocks_are_looked_at_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch, workers: int, at_a_time: list[int]
) -> None:
    """Looking at one takes 0.6 ms here; without workers the guest waits anyway."""
    clock = count(0)
    monkeypatch.setattr(tier_module, "perf_counter", lambda: 0.0006 * next(clock))
    looked: list[int] = []
    monkeypatch.setattr(Tier, "_hot", lambda self, address: looked.append(address))
    tier = object.__new__(Tier)
    tier.options, tier.statistics = TierOptions(workers=workers), TierStatistics()
    found = [64, 128, 192, 256, 320]
    counts = []
    while found:
        before = len(looked)
        tier._look(found)
        counts.append(len(looked) - before)
    assert counts == at_a_time
    assert looked == [64, 128, 192, 256, 320]


def test_answers_are_looked_at_though_ever_more_blocks_become_hot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at new blocks takes long each time, so that what compilers have answered is put off, but once only."""
    clock = count(0)
    monkeypatch.setattr(tier_module, "perf_counter", lambda: 0.0003 * next(clock))
    monkeypatch.setattr(Tier, "_hot", lambda self, address: None)
    hot, done = count(1), []
    tier = object.__new__(Tier)
    tier.options, tier.statistics = TierOptions(workers=1), TierStatistics()
    tier._dead = tier._seen = tier._generation = 0
    tier._next_poll, tier._put_off = -1.0, False
    tier._found, tier._waiting = [], {}
    steps: list[str] = []
    cache = SimpleNamespace(dead_regions=0, take_hot=lambda: [64 * next(hot)], hot_count=0)
    fakes = {
        "_cache": cache,
        "_compilers": SimpleNamespace(generation=0, dead=False, poll=lambda: steps.append("polled")),
        "_pending": {(0, 0, 0): None},
    }
    for name, fake in fakes.items():
        setattr(tier, name, fake)
    for number in range(6):
        cache.hot_count = number + 1
        tier._next_poll = -1.0
        tier._attend()
        done.append(steps.count("polled"))
    assert done == [0, 1, 1, 2, 2, 3]
