"""A real gdb, in batch mode, over real programs: what it shows, line by line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.debug.guests import LEAF, LEFT, gdb, program, signal_and_handler


def in_order(text: str, patterns: list[str]) -> None:
    """Each pattern is found behind where the one before ended."""
    at = 0
    for pattern in patterns:
        found = re.compile(pattern, re.MULTILINE).search(text, at)
        assert found is not None, f"{pattern!r} is not found in:\n{text[at:]}\n--- all of it:\n{text}"
        at = found.end()


def test_breakpoints_backtrace_finish_and_the_exit_code(tmp_path: Path) -> None:
    text, output, status = gdb(
        tmp_path,
        program("values"),
        [
            "break leaf if n == 5",
            "continue",
            "bt",
            "info registers pc sp",
            "finish",
            "next",
            "next",
            "continue",
            "print $_exitcode",
            "delete",
            "continue",
            "print $_exitcode",
        ],
        "word",
    )
    in_order(
        text,
        [
            *LEAF,
            r"^pc .*<leaf\+\d+>",
            r"^sp ",
            *LEFT,
            r"exited with code 036",
        ],
    )
    assert (output, status) == (b"result 350 word\n", 30)


def test_doubles_instructions_and_changing_things(tmp_path: Path) -> None:
    text, output, status = gdb(
        tmp_path,
        program("values"),
        [
            "break values.c:27",
            "continue",
            "print real",
            "print single",
            "print $fa5.double",
            "info registers fcsr",
            "x/10i $pc",
            "print work(3)",
            "set var result = 7",
            "print real = 1.5",
            "print $a5 = 99",
            "print $a5",
            "stepi",
            "nexti",
            "print $zero = 3",
            "print $zero",
            "x/2xb 0",
            "delete",
            "continue",
        ],
    )
    in_order(
        text,
        [
            r"values\.c:27",
            r"\$1 = 18\.77498335",
            r"\$2 = 0\.75",
            r"\$3 = 18\.77498335",
            r"^fcsr +0x1\b.*NX:1",
            r"^=> 0x[0-9a-f]+ <main\+",
            r"\$4 = 284",
            r"\$5 = 1\.5",
            r"\$7 = 99",
            r"\$9 = 0",
            r"Cannot access memory at address 0x0",
        ],
    )
    assert output.startswith(b"result 7 ")
    assert status == 7


def test_watchpoints_stop_behind_the_store_with_both_values(tmp_path: Path) -> None:
    text, _, _ = gdb(
        tmp_path,
        program("values"),
        [
            "break main",
            "continue",
            "watch global",
            "continue",
            "bt 1",
            "continue",
            "delete 2",
            "rwatch single",
            "awatch real",
            "continue",
            "continue",
            "continue",
            "continue",
        ],
    )
    in_order(
        text,
        [
            r"Hardware watchpoint 2: global",
            r"Old value = 1\nNew value = 2",  # leaf(0) changes nothing
            r"#0  .* leaf \(n=1\)",
            r"Old value = 2\nNew value = 4",
            r"Hardware access \(read/write\) watchpoint 4: real",
            r"Value = 2\.5",
            r"Hardware access \(read/write\) watchpoint 4: real",
            r"Old value = 2\.5\nNew value = 18\.77",
            r"exited with code 036",
        ],
    )


def test_a_signal_and_its_handler_step_by_step(tmp_path: Path) -> None:
    text, output, _ = gdb(
        tmp_path,
        program("events"),
        [
            "continue",
            "print $_siginfo.si_signo",
            "break handler",
            "continue",
            "bt",
            "next",
            "next",
            "print count",
            "next",
            "next",
            "info symbol $pc",
            "continue",
        ],
        "signal",
    )
    in_order(
        text,
        signal_and_handler(),
    )
    assert output == b"count 110\n"


def test_a_signal_can_be_kept_from_the_program_or_made_up(tmp_path: Path) -> None:
    commands = ["continue", "signal 0"]
    assert gdb(tmp_path, program("events"), commands, "signal")[1] == b"count 0\n"
    commands = ["handle SIGUSR1 nostop noprint pass", "break puts", "break crash", "break main", "continue"]
    text, output, _ = gdb(tmp_path, program("events"), [*commands, "next", "next", "signal SIGUSR1"])
    assert output == b"count 110\n", text


@pytest.mark.parametrize(("what", "name", "number"), [("crash", "SIGSEGV", 11), ("abort", "SIGABRT", 6)])
def test_death_by_a_signal(tmp_path: Path, what: str, name: str, number: int) -> None:
    text, _, status = gdb(tmp_path, program("events"), ["continue", "bt", "continue"], what)
    in_order(text, [f"Program received signal {name}", rf"in {what} \(", f"Program terminated with signal {name}"])
    assert status == 128 + number


def test_fork_follows_the_parent(tmp_path: Path) -> None:
    """The child has none of the breakpoints."""
    commands = ["watch count", "break _exit", "continue", "delete", "continue"]
    text, output, status = gdb(tmp_path, program("events"), commands, "fork")
    assert output == b"child 3\ncount 0\n", text
    assert status == 5
    assert "Breakpoint 2, " in text


def test_execve_is_told_and_the_new_program_is_debugged(tmp_path: Path) -> None:
    other = program("values")
    commands = ["catch exec", "continue", "break work", "continue", "bt", "continue"]
    text, output, status = gdb(tmp_path, program("events"), commands, "exec", str(other))
    in_order(text, [r"Catchpoint 1 \(exec'd .*values", r"Breakpoint 2, work \(n=10\)", r"in main \(argc=2"])
    assert (output, status) == (b"result 350 executed\n", 30)


def test_detach_lets_the_program_go_on(tmp_path: Path) -> None:
    _, output, status = gdb(tmp_path, program("values"), ["break leaf", "watch global", "continue", "detach"])
    assert output.startswith(b"result 350")
    assert status == 30


def test_kill(tmp_path: Path) -> None:
    text, output, status = gdb(tmp_path, program("values"), ["break work", "continue", "kill"])
    assert "killed" in text
    assert (output, status) == (b"", 137)


@pytest.mark.parametrize("sysroot", ["target:", "local"])
def test_a_dynamic_program_with_the_symbols_of_its_libraries(tmp_path: Path, sysroot: str) -> None:
    guest = program("values", "-fPIE", "-pie")
    root = Path("/usr/riscv64-linux-gnu")
    if not (root / "lib").is_dir():
        pytest.skip(f"no {root} (Debian package libc6-riscv64-cross)")
    where = "target:" if sysroot == "target:" else str(root)
    commands = [f"set sysroot {where}", "break main", "continue", "info sharedlibrary", "break sqrt", "continue", "bt"]
    text, output, status = gdb(tmp_path, guest, [*commands, "delete", "continue"], options=["-L", str(root)])
    in_order(
        text,
        [r"Breakpoint 1, main", r"ld-linux-riscv64", r"libc\.so\.6", r"Breakpoint 2, 0x.* in sqrt", r"in main \("],
    )
    assert output.startswith(b"result 350")
    assert status == 30


def test_reverse_to_where_a_variable_changed(tmp_path: Path) -> None:
    commands = ["break values.c:27", "continue", "watch global", "reverse-continue", "bt 1", "print global"]
    commands += ["reverse-continue", "continue", "continue", "delete", "reverse-stepi", "reverse-step"]
    commands += ["continue", "continue"]
    text, output, status = gdb(tmp_path, program("values"), commands, options=["--record"])
    in_order(
        text,
        [
            r"Breakpoint 1, main",
            r"Old value = 46\nNew value = 37",
            r"#0  .* leaf \(n=9\)",
            r"\$1 = 37",
            r"Old value = 37\nNew value = 29",
            r"Old value = 29\nNew value = 37",
            r"Old value = 37\nNew value = 46",
            r"No more reverse-execution history",
            r"exited with code 036",
        ],
    )
    assert output.startswith(b"result 350")
    assert status == 30


def test_reverse_finds_the_way_back_from_a_crash(tmp_path: Path) -> None:
    """To the beginning, and forwards again through system calls that are not made again."""
    commands = ["continue", "reverse-next", "reverse-finish", "break main", "reverse-continue", "reverse-continue"]
    commands += ["reverse-continue", "delete", "continue", "continue", "continue"]
    text, _, status = gdb(tmp_path, program("events"), commands, "crash", options=["--record"])
    in_order(
        text,
        [
            r"received signal SIGSEGV",
            r"^main \(argc=2",
            r"Breakpoint 1, main",
            r"No more reverse-execution history",
            r"No more reverse-execution history",
            r"Program terminated with signal SIGSEGV",
        ],
    )
    assert status == 139


def test_monitor_commands(tmp_path: Path) -> None:
    commands = ["monitor help", "monitor info maps", "monitor info registers", "monitor nonsense", "monitor record"]
    commands += ["stepi 100", "monitor info recording", "reverse-stepi 10", "monitor info recording", "print $a0 = 1"]
    commands += ["monitor present", "monitor record stop", "reverse-stepi", "monitor info breakpoints", "kill"]
    text, _, _ = gdb(tmp_path, program("values"), commands)
    in_order(
        text,
        [
            r"monitor info maps",
            r"\[stack\]",
            r"\bsp [0-9a-f]{16}\b",
            r"no command 'nonsense'",
            r"Recording from here on",
            r"position 1\d\d\n",
            r"position \d+, in the past",
            r"the past cannot be changed",
            r"At the present",
            r"Nothing is recorded any more",
            r"nothing is recorded: start with --record",
            r"none",
        ],
    )
