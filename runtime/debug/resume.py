"""What `vCont` and its elder kin ask the threads to do."""

from __future__ import annotations

from runtime.debug.stop import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def parse_continue(words: bytes, threads: Sequence[int]) -> tuple[dict[int, Plan], bool]:
    """The plans of `vCont;ACTION[:THREAD];...`: for each thread the first action that names it.  ValueError.

    And whether threads that begin meanwhile run: they do if one action is for all that no other names.
    """
    plans: dict[int, Plan] = {}
    newcomers: Plan | None = None
    for word in words.split(b";"):
        action, colon, thread = word.partition(b":")
        if thread[:1] == b"p":
            thread = thread.partition(b".")[2] or b"-1"
        everyone = not colon or thread in (b"-1", b"0")
        named = list(threads) if everyone else [int(thread, 16)]
        plan = _plan(action)
        if everyone:
            newcomers = newcomers or plan
        for tid in named:
            if tid in threads and tid not in plans and plan is not None:
                plans[tid] = plan
    return plans, newcomers is not None


def _plan(action: bytes) -> Plan | None:
    """One action; None: stay."""
    kind, rest = action[:1], action[1:]
    if kind == b"c" and not rest:
        return Plan()
    if kind == b"s" and not rest:
        return Plan(step=True)
    if kind in (b"C", b"S"):
        return Plan(step=kind == b"S", signal=int(rest, 16))
    if kind == b"r":
        low, high = (int(word, 16) for word in rest.split(b","))
        return Plan(step=True, low=low, high=high)
    if kind == b"t" and not rest:
        return None
    raise ValueError(action)


def parse_old(action: bytes, rest: bytes) -> tuple[Plan, int | None]:
    """`c`, `s`, `C`, `S`: the plan, and the address to go on at if there is one."""
    signal = 0
    if action in (b"C", b"S"):
        word, _, rest = rest.partition(b";")
        signal = int(word, 16)
    return Plan(step=action in (b"s", b"S"), signal=signal), int(rest, 16) if rest else None
