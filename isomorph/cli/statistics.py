"""What `isomorph run --stats` prints at the end."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.tcg.loop import Pauses, Tcg
from runtime.tcg.region_formation import Node


def report(tcg: Tcg, executed: int, seconds: float, system_calls: int | None) -> Iterator[str]:
    """Lines about a run of `seconds`."""
    cache, tier = tcg.cache, tcg.cache.tier
    rate = executed / seconds / 1e6 if seconds else 0.0
    yield f"{executed:,} instructions in {seconds:.3f} s: {rate:,.1f} million a second"
    counters = cache.statistics()
    yield (
        f"blocks: {counters['generated']:,} translated, {counters['tb_count']:,} alive, "
        f"{counters['invalidated']:,} invalidated, {counters['flushes']:,} segments evicted"
    )
    if tier is None:
        yield "regions: none" if tcg.tier_options.threshold else "regions: none, for the second tier is off"
    else:
        done, installed = tier.statistics, tier.regions
        yield (
            f"regions: {done.compiled:,} compiled, {done.cached:,} from the cache on disk, {done.failed:,} failed, "
            f"{done.dropped:,} invalidated, {len(installed.ready):,} alive in {installed.bytes >> 10:,} KiB"
        )
        if done.compiled:
            each = 1000 * done.seconds / max(1, done.instructions)
            yield (
                f"compiling: {1000 * done.seconds:,.0f} ms for {done.instructions:,} instructions, "
                f"{each:.2f} ms each, in {tcg.tier_options.workers or 'no'} worker"
                + ("s" if tcg.tier_options.workers > 1 else "")
            )
        yield from _pauses(tcg.pauses)
        interpreted = min(executed, _interpreted(tcg))
        share = 100 * interpreted / executed if executed else 0.0
        yield f"tier 0 ran at most {interpreted:,} of the instructions ({share:.1f} %)"
    if system_calls is not None:
        yield f"{system_calls:,} system calls"


def _pauses(pauses: Pauses) -> Iterator[str]:
    """How long the guest waited for what is done about hot code."""
    bounds = [*(f"up to {bound:g} ms" for bound in pauses.BOUNDS), f"more than {pauses.BOUNDS[-1]:g} ms"]
    counted = [f"{count:,} {bound}" for count, bound in zip(pauses.counts, bounds, strict=True) if count]
    yield f"pauses for that: {', '.join(counted)}; the longest {pauses.longest:.1f} ms, {pauses.total:.1f} ms in all"


def _interpreted(tcg: Tcg) -> int:
    """Instructions that tier 0 ran in the blocks alive, were each run to its end whenever it was entered."""
    return sum(
        node.heat * node.icount for block in tcg.cache.blocks() if (node := Node(tcg.cache, block.address)).counted
    )
