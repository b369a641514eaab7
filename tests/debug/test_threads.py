"""Programs with several threads under gdb: all stop when one does."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.debug.client import connected
from tests.debug.guests import gdb, program
from tests.debug.test_gdb import in_order
from tests.debug.test_protocol import run_to, symbol


def threads() -> Path:
    return program("threads", "-static", "-pthread", libraries=())


def test_breakpoints_in_two_threads_and_steps_of_one(tmp_path: Path) -> None:
    commands = ["break step if which == 1", "continue", "info threads", "set scheduler-locking on"]
    commands += ["set $before = counts[0]", "next", "next", "next", "next", "print counts[0] == $before"]
    commands += ["set scheduler-locking off", "delete", "watch changed", "continue", "delete", "continue"]
    text, output, status = gdb(tmp_path, threads(), commands)
    in_order(
        text,
        [
            r"hit Breakpoint 1, step \(which=1\)",
            r"Thread \d+ \"threads",
            r"\* \d+ +Thread \d+ .* step \(which=1\)",
            r"\$1 = 1",
            r"Old value = 0\nNew value = [123]",  # the other one may be as far
            r"exited with code 06",
        ],
    )
    assert (output, status) == (b"changed 3\n", 6)


def test_an_interrupt_stops_all_and_each_can_be_looked_at(tmp_path: Path) -> None:
    with connected(tmp_path, threads(), "spin") as (client, process):
        client.send("vCont;c")
        assert client.silent(1)
        client.socket.sendall(b"\x03")
        assert client.stop().startswith(b"T02thread:")
        numbers = [word.decode() for word in client.ask("qfThreadInfo")[1:].split(b",")]
        assert len(numbers) == 3
        places = []
        for number in numbers:
            assert client.ask(f"Hg{number}") == b"OK"
            places.append(client.register(32))
        assert len(set(places)) > 1
        for number, place in zip(numbers, places, strict=True):  # nobody goes on
            assert client.ask(f"Hg{number}") == b"OK"
            assert client.register(32) == place
        assert client.ask(f"vCont;s:{numbers[1]}").startswith(f"T05thread:{numbers[1]};".encode())
        assert client.register(32) != places[1]
        assert client.ask(f"Hg{numbers[2]}") == b"OK"
        assert client.register(32) == places[2]
        assert client.ask("T1") == b"E01"
        assert client.ask("vKill;1") == b"OK"
        assert process.wait(60) == 137


@pytest.mark.parametrize("alone", [True, False])
def test_a_thread_that_begins_while_one_is_stepped(tmp_path: Path, alone: bool) -> None:
    """It waits: gdb may have taken out a breakpoint, to have that one step over it.  Unless all others run."""
    guest = threads()
    with connected(tmp_path, guest, "spin") as (client, process):
        run_to(client, symbol(guest, "main"))
        first = client.ask("qfThreadInfo")[1:].decode()
        counts = symbol(guest, "counts")

        def go_on(action: str, until: Callable[[], bool]) -> None:
            for _ in range(100):
                client.send(action)
                assert client.silent(0.5)
                client.socket.sendall(b"\x03")
                assert client.stop().startswith(b"T02thread:")
                if until():
                    return
            pytest.fail(f"{action} comes to nothing")

        def both_count() -> bool:
            return 0 not in struct.unpack("<2q", client.read(counts, 16))

        if alone:
            go_on(f"vCont;r0,ffffffffffff:{first}", lambda: client.ask("qfThreadInfo").count(b",") == 2)
            assert client.read(counts, 16) == bytes(16)
            go_on("vCont;c", both_count)
        else:
            go_on(f"vCont;r0,ffffffffffff:{first};c", both_count)
        assert client.ask("vKill;1") == b"OK"
        assert process.wait(60) == 137


def test_detach_lets_all_threads_go_on(tmp_path: Path) -> None:
    text, output, status = gdb(tmp_path, threads(), ["break step", "continue", "detach"])
    assert (output, status) == (b"changed 3\n", 6), text


def test_a_second_thread_ends_a_recording(tmp_path: Path) -> None:
    text, output, status = gdb(
        tmp_path, threads(), ["break step", "continue", "reverse-stepi", "delete", "continue"], options=["--record"]
    )
    in_order(text, [r"Recording stopped: the program has a second thread", r"nothing is recorded"])
    assert (output, status) == (b"changed 3\n", 6)


def test_a_program_of_threads_that_dies_by_a_signal(tmp_path: Path) -> None:
    commands = ["break step", "continue", "delete", "signal SIGKILL"]
    text, _, status = gdb(tmp_path, threads(), commands)
    assert "Program terminated with signal SIGKILL" in text
    assert status == 137
