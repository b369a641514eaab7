"""The engines by their names, and what differs between two of them that ran a case.

What else can run an instruction set is one more entry of ENGINES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from isomorph.fuzz.case import Case
from isomorph.fuzz.engine import ENDLESS, LIMIT, Engine, MissingEngine, Result
from isomorph.fuzz.native_engine import CompiledEngine, NativeEngine
from isomorph.fuzz.qemu_engine import QemuEngine
from isomorph.fuzz.reference_engine import ReferenceEngine
from isomorph.fuzz.unicorn_engine import UnicornEngine
from runtime.core.cpu import Isa

#: name -> how it is made
ENGINES: dict[str, Callable[[Isa], Engine]] = {
    "reference": ReferenceEngine,
    "steps": partial(NativeEngine, name="steps"),
    "blocks": NativeEngine,
    "compiled": CompiledEngine,
    "unicorn": UnicornEngine,
    "qemu": QemuEngine,
}
#: what `--against tiers` compares, the first with each other one
TIERS = ("blocks", "steps", "compiled", "reference")


def make_engine(name: str, isa: Isa) -> Engine:
    """An engine by its name."""
    if name not in ENGINES:
        raise MissingEngine(f"there is no engine {name!r}; engines: {', '.join(ENGINES)}")
    return ENGINES[name](isa)


def compare(case: Case, first: Engine, ours: Result, second: Engine, theirs: Result) -> list[str]:
    """What differs between two runs of a case; nothing if they cannot be compared."""
    if ENDLESS in (ours.raised, theirs.raised):
        # Limits differ a little: it counts only if one of them came to its end long before.
        done = theirs if ours.raised == ENDLESS else ours
        if done.raised == ENDLESS or not 0 <= done.executed < LIMIT // 2:
            return []
        return [f"end: {ours.raised or 'reached'} / {theirs.raised or 'reached'}"]
    if first.precise and second.precise:
        found = [] if ours.raised == theirs.raised else [f"raised: {ours.raised or '-'} / {theirs.raised or '-'}"]
        return found + list(ours.state.differences(theirs.state, case.masks))
    if bool(ours.raised) != bool(theirs.raised):
        return [f"raised: {ours.raised or '-'} / {theirs.raised or '-'}"]
    return [] if ours.raised else list(ours.state.differences(theirs.state, case.masks))


class Bench:
    """The engines of a comparison: the first runs every case, and then each of the others."""

    def __init__(self, isa: Isa, names: tuple[str, ...]) -> None:
        self.names = names
        self.engines: list[Engine] = []
        try:
            for name in names:
                self.engines.append(make_engine(name, isa))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Free everything."""
        for engine in self.engines:
            engine.close()

    def differences(self, case: Case) -> Iterator[str]:
        """What differs, each line with the names of the two engines."""
        first, *others = self.engines
        ours = first.run(case)
        for other in others:
            for line in compare(case, first, ours, other, other.run(case)):
                yield f"{first.name} / {other.name}: {line}"
