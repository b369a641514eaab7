"""Each guest in a real gdb: it takes the registers as that machine's, finds frames, and changes what it is told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debug.guests import LEAF, LEFT, gdb, program, signal_and_handler
from tests.debug.test_gdb import in_order
from tests.guests import GUESTS


@pytest.mark.parametrize("guest", GUESTS)
def test_a_session(tmp_path: Path, guest: str) -> None:
    """Frames, stepping, a watched variable, a call of a function by gdb, and the rest of the program."""
    text, output, status = gdb(
        tmp_path,
        program("values", guest=guest),
        [
            "break leaf if n == 5",
            "continue",
            "bt",
            "stepi",
            "stepi",
            "x/i $pc",
            "finish",
            "delete",
            "watch global",
            "continue",
            "delete",
            "print work(3)",
            "break values.c:27",
            "continue",
            "print real",
            "print real = 1.5",
            "continue",
            "print $_exitcode",
        ],
        "word",
    )
    assert "rejected" not in text
    assert "too long" not in text
    in_order(
        text,
        [
            *LEAF,
            r"^=> 0x[0-9a-f]+ <leaf\+",
            *LEFT,
            r"Hardware watchpoint 2: global",
            r"Old value = 16\nNew value = 22",
            r"\$2 = 140",  # 2 * (22 + 23 + 25)
            r"values\.c:27",
            r"\$3 = 19\.4036",  # the root of 376.5
            r"\$4 = 1\.5",
            r"\$5 = 54",
        ],
    )
    assert (output, status) == (b"result 374 word\n", 54)


@pytest.mark.parametrize("guest", GUESTS)
def test_a_signal_and_its_handler(tmp_path: Path, guest: str) -> None:
    """Frames through the signal's, which gdb knows by the code that returns from it."""
    commands = ["continue", "print $_siginfo.si_signo", "break handler", "continue", "bt"]
    commands += ["next", "next", "print count", "continue"]
    text, output, _ = gdb(tmp_path, program("events", guest=guest), commands, "signal")
    number = 16 if "mips" in guest else 10  # SIGUSR1
    in_order(text, signal_and_handler(number))
    assert output == f"count {100 + number}\n".encode()


@pytest.mark.parametrize("guest", GUESTS)
def test_backwards(tmp_path: Path, guest: str) -> None:
    """To where a variable changed, one instruction back, and forwards to the same end."""
    commands = ["break values.c:27", "continue", "watch global", "reverse-continue", "bt 1"]
    commands += ["reverse-stepi", "print global", "delete", "continue", "continue"]
    text, output, status = gdb(tmp_path, program("values", guest=guest), commands, "word", options=["--record"])
    in_order(text, [r"Old value = 46\nNew value = 37", r"#0  .* leaf \(n=9\)", r"\$1 = 37", r"exited with code 036"])
    assert (output, status) == (b"result 350 word\n", 30)


@pytest.mark.parametrize("guest", ["i386", "amd64"])
def test_the_x87_unit(tmp_path: Path, guest: str) -> None:
    """Its stack from the top on, tags and the status with TOP; and what gdb writes there is what is computed with."""
    text, output, status = gdb(
        tmp_path,
        program("x87", "-static", "-O1", guest=guest),
        [
            "break stopped",
            "continue",
            "info float",
            "print $st0",
            "print $st1",
            "print ($fstat >> 11) & 7",
            "print/x $fctrl",
            "print $fioff == (unsigned)&last",
            "print $st1 = 5",
            "print $fctrl = 0x27f",
            "print $eflags",
            "print $xmm7.v2_double",
            "continue",
        ],
    )
    in_order(
        text,
        [
            r"Breakpoint 1",
            r"  R7: Valid   0x3fff8000000000000000 \+1 ",
            r"=>R6: Valid   0x40008000000000000000 \+2 ",
            r"  R5: Empty ",
            r"TOP: 6",
            r"Extended Precision",
            r"\$1 = 2$",
            r"\$2 = 1$",
            r"\$3 = 6$",
            r"\$4 = 0x37f$",
            r"\$5 = 1$",
            r"\$7 = 639$",
            r"\$8 = \[ .*IF.*\]",
            r"\$9 = \{1, 1\}",
            r"exited normally",
        ],
    )
    assert (output, status) == (b"7 27f\n", 0)


@pytest.mark.parametrize("guest", ["mips", "mipsel"])
def test_a_delay_slot_can_be_stopped_in_and_left(tmp_path: Path, guest: str) -> None:
    """gdb goes on elsewhere from the slot of a branch, and the branch is forgotten."""
    text, output, status = gdb(
        tmp_path,
        program("slot", "-static", "-O1", guest=guest),
        [
            "break *&branch",
            "continue",
            "stepi",
            "x/i $pc",
            "stepi",
            "x/i $pc",
            "tbreak *&slot",
            "set $pc = &branch",
            "continue",
            "set $pc = &behind",
            "continue",
        ],
    )
    in_order(text, [r"Breakpoint 1", r"<(main|slot)", r"<(main|taken)", r"exited normally"])
    assert (output, status) == (b"behind\n", 0)
