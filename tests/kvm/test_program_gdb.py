"""A real gdb over programs on KVM: breakpoints, steps, signals, children, threads; and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debug.client import connected
from tests.debug.guests import FOLDER, gdb, signal_and_handler
from tests.debug.test_gdb import in_order
from tests.kvm.kvm import require_kvm
from tests.kvm.test_programs import require_host
from tests.tools import compile_c, isomorph, run

ON_KVM = ("--accel", "kvm")
RIP = 16


def program(name: str, *flags: str) -> Path:
    require_kvm(f"gdb on {name}.c on the processor")
    require_host()
    return compile_c("gcc", "gcc", [FOLDER / f"{name}.c"], ("-g", "-O0", *(flags or ("-static",))), ("-lm",))


def debug(folder: Path, guest: Path, commands: list[str], *arguments: str) -> tuple[str, bytes, int]:
    return gdb(folder, guest, commands, *arguments, options=ON_KVM)


def test_breakpoints_steps_and_calls(tmp_path: Path) -> None:
    commands = ["break leaf if n == 5", "continue", "bt", "x/2xb leaf", "finish", "next", "stepi", "print work(3)"]
    commands += ["print real", "print $xmm0.v2_double[0] = 1.5", "print $xmm0.v2_double[0]", "info registers cs rip"]
    commands += ["disassemble leaf", "watch global", "continue", "delete", "continue"]
    text, output, status = debug(tmp_path, program("values"), commands, "word")
    in_order(
        text,
        [
            r"Breakpoint 1, leaf \(n=5\)",
            r"#1  .* in work \(n=10\)",
            r"#2  .* in main \(argc=2",
            r"0x55",  # push %rbp, and no INT3
            r"Value returned is \$1 = 32",
            r"\$2 = 104",
            r"\$3 = 2\.5",
            r"\$5 = 1\.5",
            r"cs +0x33",
            r"rip .*<work\+\d+>",
            r"push +%rbp",
            r"exited with code 066",
        ],
    )
    assert "int3" not in text
    assert (output, status) == (b"result 374 word\n", 54)


def test_a_signal_and_its_handler_step_by_step(tmp_path: Path) -> None:
    commands = ["continue", "print $_siginfo.si_signo", "break handler", "continue", "bt", "next", "next"]
    commands += ["print count", "next", "next", "continue"]
    text, output, _ = debug(tmp_path, program("events"), commands, "signal")
    in_order(
        text,
        signal_and_handler(),
    )
    assert output == b"count 110\n"


def test_children_have_no_breakpoints(tmp_path: Path) -> None:
    text, output, status = debug(tmp_path, program("events"), ["break _exit", "continue", "continue"], "fork")
    assert (output, status) == (b"child 3\ncount 0\n", 5), text
    assert "Breakpoint 1, " in text


def test_execve_is_told_and_the_new_program_is_debugged(tmp_path: Path) -> None:
    other = program("values")
    commands = ["catch exec", "continue", "break work", "continue", "bt", "continue"]
    text, output, status = debug(tmp_path, program("events"), commands, "exec", str(other))
    in_order(text, [r"Catchpoint 1 \(exec'd .*values", r"Breakpoint 2, work \(n=10\)", r"in main \(argc=2"])
    assert (output, status) == (b"result 350 executed\n", 30)


@pytest.mark.parametrize("ending", ["detach", "kill"])
def test_the_end_of_a_session(tmp_path: Path, ending: str) -> None:
    _, output, status = debug(tmp_path, program("values"), ["break leaf", "continue", ending])
    assert (output[:10], status) == ((b"result 350", 30) if ending == "detach" else (b"", 137))


def test_death_by_a_signal(tmp_path: Path) -> None:
    text, _, status = debug(tmp_path, program("events"), ["continue", "bt", "continue"], "crash")
    in_order(text, ["Program received signal SIGSEGV", r"^#0  crash \(", "Program terminated with signal SIGSEGV"])
    assert status == 139


def test_a_dynamic_program(tmp_path: Path) -> None:
    guest = program("values", "-fPIE", "-pie")
    commands = [
        "set sysroot /",
        "break main",
        "continue",
        "info sharedlibrary",
        "break sqrt",
        "continue",
        "bt",
        "delete",
    ]
    text, output, status = debug(tmp_path, guest, [*commands, "continue"])
    in_order(text, [r"Breakpoint 1, main", r"libc\.so\.6", r"Breakpoint 2, .*sqrt", r"in main \("])
    assert (output[:10], status) == (b"result 350", 30)


@pytest.mark.parametrize("name", ["events", "threads"])
def test_an_interrupt_stops_all_threads_and_one_can_be_stepped(tmp_path: Path, name: str) -> None:
    guest = program(name, "-static", "-pthread")
    with connected(tmp_path, guest, "spin", options=ON_KVM) as (client, process):
        client.send("vCont;c")
        assert client.silent(1)
        client.socket.sendall(b"\x03")
        assert client.stop().startswith(b"T02thread:")
        numbers = [word.decode() for word in client.ask("qfThreadInfo")[1:].split(b",")]
        assert len(numbers) == (1 if name == "events" else 3)
        places = []
        for number in numbers:
            assert client.ask(f"Hg{number}") == b"OK"
            places.append(client.register(RIP))
        assert client.ask(f"Hg{numbers[-1]}") == b"OK"
        moved = False
        for _ in range(3):  # a system call may be begun again where it was
            assert client.ask(f"vCont;s:{numbers[-1]}").startswith(f"T05thread:{numbers[-1]};".encode())
            moved = moved or client.register(RIP) != places[-1]
        assert moved
        for number, place in zip(numbers[:-1], places[:-1], strict=True):  # nobody else went on
            assert client.ask(f"Hg{number}") == b"OK"
            assert client.register(RIP) == place
        assert client.ask("vKill;1") == b"OK"
        assert process.wait(60) == 137


def test_breakpoints_in_two_threads(tmp_path: Path) -> None:
    commands = ["break step if which == 1", "continue", "info threads", "next", "delete", "continue"]
    text, output, status = debug(tmp_path, program("threads", "-static", "-pthread"), commands)
    in_order(
        text, [r"hit Breakpoint 1, step \(which=1\)", r"\* \d+ +Thread \d+ .* step \(which=1\)", r"exited with code 06"]
    )
    assert (output, status) == (b"changed 3\n", 6)


def test_what_cannot_be_had(tmp_path: Path) -> None:
    """Watchpoints and recordings are TCG's, and one line says so."""
    with connected(tmp_path, program("values"), options=ON_KVM) as (client, process):
        shown = client.ask("Z2,400000,4")
        assert shown[:1] == b"E"
        assert "a program on KVM cannot be recorded" in client.monitor("record")
        assert client.ask("vKill;1") == b"OK"
        process.wait(60)
    done = run(isomorph("run", *ON_KVM, "-g", "0", "--record", str(program("values"))))
    assert done.status == 2
    assert done.stderr.count(b"\n") == 1
    assert b"--accel tcg" in done.stderr
