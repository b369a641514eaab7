"""Hooks that another thread adds and removes while the guest runs."""

from __future__ import annotations

import threading
import time

from isomorph import StopKind
from tests.api.guest import CODE, DATA, emulator

LOOP = f"li a1, {DATA}\n 1: addi a0, a0, 1\n sd a0, 0(a1)\n j 1b"


def wait_for(condition: object) -> None:
    """Until it holds; half a minute at most."""
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.005)


def test_hooks_from_another_thread_take_effect_while_the_guest_runs() -> None:
    with emulator(LOOP) as guest:
        reasons = []
        runner = threading.Thread(target=lambda: reasons.append(guest.run(timeout=60)))
        runner.start()
        wait_for(lambda: guest.running)
        for kind in ("code", "mem_write", "block"):
            calls: list[int] = []
            hook = guest.hook.add(kind, lambda *values, calls=calls: calls.append(values[1]), CODE)
            wait_for(lambda calls=calls: len(calls) > 10)
            hook.remove()
            assert len(calls) > 10
        time.sleep(0.05)
        guest.stop()
        runner.join()
        assert reasons[0].kind is StopKind.STOPPED
        assert guest.mem.read_int(DATA, 8) in (guest.regs.a0, guest.regs.a0 - 1)
