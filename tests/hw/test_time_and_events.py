"""Timers on virtual time, interrupt lines, and the event loop with other threads at it."""

from __future__ import annotations

import os
import threading

import pytest

from runtime.hw.clock import HostClock, InstructionClock, ManualClock
from runtime.hw.events import EventLoop
from runtime.hw.irq import AnyOf, Line


def test_timers_fire_in_order_and_once() -> None:
    clock, fired = ManualClock(), list[tuple[str, int]]()
    timers = {
        name: clock.timer(name, lambda name=name: fired.append((name, clock.now()))) for name in ("a", "b", "c", "d")
    }
    timers["a"].set(300)
    timers["b"].set(100)
    timers["c"].set(200)
    timers["d"].set(100)
    timers["c"].cancel()
    timers["a"].set(150)
    assert clock.next_deadline() == 100
    clock.advance(149)
    assert fired == [("b", 100), ("d", 100)]
    clock.advance(1000)
    assert fired[2:] == [("a", 150)]
    assert clock.next_deadline() is None
    with pytest.raises(ValueError, match="two timers named a"):
        clock.timer("a", lambda: None)


def test_a_timer_may_set_itself_again() -> None:
    clock, count = ManualClock(), [0]

    def tick() -> None:
        count[0] += 1
        timer.set_after(10)

    timer = clock.timer("tick", tick)
    timer.set(10)
    clock.advance(100)
    assert count == [10]


def test_sooner_deadlines_wake_whoever_sleeps() -> None:
    clock, woken = ManualClock(), list[int | None]()
    clock.on_change = lambda: woken.append(clock.next_deadline())
    first, second = clock.timer("1", lambda: None), clock.timer("2", lambda: None)
    first.set(100)
    second.set(200)
    second.set(50)
    assert woken == [100, 50]


def test_saved_time() -> None:
    clock, other, fired = ManualClock(), ManualClock(), list[int]()
    clock.timer("t", lambda: None).set(500)
    clock.timer("gone", lambda: None).set(600)
    clock.advance(100)
    timer = other.timer("t", lambda: fired.append(other.now()))
    other.timer("idle", lambda: None).set(1)
    other.load(clock.save())
    assert (other.now(), timer.deadline, other.next_deadline()) == (100, 500, 500)
    other.advance(1000)
    assert fired == [500]


def test_time_of_the_host_stands_still_while_stopped() -> None:
    clock = HostClock()
    assert clock.now() == clock.now() == 0
    clock.start()
    while clock.now() == 0:
        pass
    clock.stop()
    assert clock.now() == clock.now() > 0
    clock.set_now(5)
    assert clock.now() == 5


def test_time_of_instructions() -> None:
    executed = [0]
    clock = InstructionClock(3, lambda: executed[0])
    executed[0] = 100
    assert clock.now() == 800
    assert clock.instructions_until(801) == 1
    assert clock.instructions_until(816) == 2
    assert clock.instructions_until(0) == 1
    clock.skip(5000)
    clock.skip(10)
    assert clock.now() == 5000
    clock.set_now(0)
    executed[0] += 1
    assert clock.now() == 8


def test_lines() -> None:
    heard: list[int] = []
    line = Line("wire", heard.append)
    line.set(1)
    line.set(True)
    line.pulse()
    assert heard == [1, 0]
    late: list[int] = []
    line.connect(late.append)
    line.set(1)
    assert late == [0, 1]
    shared: list[int] = []
    any_of = AnyOf(shared.append)
    first, second = any_of.line("1"), any_of.line("2")
    first.set(1)
    second.set(1)
    first.set(0)
    second.set(0)
    assert shared == [1, 0]


def test_descriptors_and_calls() -> None:
    loop, heard = EventLoop(), list[str]()
    reader, writer = os.pipe()
    loop.on_readable(reader, lambda: heard.append(os.read(reader, 10).decode()))
    loop.run_once(0)
    os.write(writer, b"one")
    loop.run_once(10)
    loop.on_writable(writer, lambda: (heard.append("room"), loop.on_writable(writer, None))[0])
    loop.run_once(10)
    loop.on_readable(reader, None)
    os.write(writer, b"two")
    loop.run_once(0)
    loop.run_once(0)
    loop.forget(writer)
    assert heard == ["one", "room"]
    for descriptor in (reader, writer):
        os.close(descriptor)
    loop.close()


def test_other_threads_wake_the_loop() -> None:
    loop, heard = EventLoop(), list[int]()
    thread = threading.Thread(target=lambda: loop.call(lambda: heard.append(threading.get_ident())))
    thread.start()
    while not heard:
        loop.run_once(60)
    thread.join()
    assert heard == [threading.get_ident()]
    loop.close()


def test_plain_files_are_ready() -> None:
    loop, heard = EventLoop(), list[bytes]()
    descriptor = os.open(__file__, os.O_RDONLY)
    loop.on_readable(descriptor, lambda: heard.append(os.read(descriptor, 3)))
    loop.run_once(10)
    assert heard == [b'"""']
    os.close(descriptor)
    loop.close()
