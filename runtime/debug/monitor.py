"""gdb's `monitor` commands: what its own commands have no words for."""

from __future__ import annotations

from runtime.debug.description import read_register
from runtime.debug.history import History
from runtime.debug.stop import DebugError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.debug.target import Target

_HELP = """\
monitor help               this
monitor info registers     the registers, of the thread gdb looks at
monitor info maps          what is mapped where
monitor info threads       the threads, and where they are
monitor info breakpoints   what gdb has inserted
monitor info recording     how far back one can go, and where the guest is
monitor record             record from here on, for reverse-step and reverse-continue
monitor record stop        forget what was recorded
monitor snapshot           leave a snapshot here: going back to before this place is then fast
monitor go POSITION        go to a position of the recording
monitor present            go to its end
"""


def command(target: Target, thread: int, text: str) -> str:
    """What a command answers; DebugError if it cannot be done."""
    words = text.split()
    for length in (2, 1):
        run = _COMMANDS.get(" ".join(words[:length]))
        if run is not None and len(words) >= length:
            return run(target, thread, words[length:])
    raise DebugError(f"there is no command '{text}'; `monitor help` lists them")


def _help(target: Target, thread: int, words: list[str]) -> str:
    return _HELP


def _registers(target: Target, thread: int, words: list[str]) -> str:
    vcpu = target.vcpu(thread)
    lines, line = [], ""
    for register in target.description.registers:
        item = f"{register.name:>8} {read_register(vcpu, register):0{register.bits // 4}x}"
        if len(line) + len(item) > 100:
            lines.append(line)
            line = ""
        line += item
    return "\n".join([*lines, line, ""])


def _maps(target: Target, thread: int, words: list[str]) -> str:
    return target.maps()


def _threads(target: Target, thread: int, words: list[str]) -> str:
    lines = [f"{tid} {target.thread_name(tid)} at {target.vcpu(tid).pc:#x}" for tid in target.threads()]
    return "\n".join([*lines, ""])


def _breakpoints(target: Target, thread: int, words: list[str]) -> str:
    return target.breakpoints.describe() + "\n"


def _recording(target: Target, thread: int, words: list[str]) -> str:
    history = target.history
    if history is None:
        return "Nothing is recorded.\n"
    last = history.position if history.present is None else history.present.position
    return (
        f"position {history.position:,}{'' if history.present is None else ', in the past'}\n"
        f"recorded {history.begin:,} to {last:,}, {len(history.moments)} snapshots, "
        f"{len(history.recording.events):,} turns of the kernel in {history.recording.size:,} bytes\n"
    )


def _record(target: Target, thread: int, words: list[str]) -> str:
    if words == ["stop"]:
        target.stop_recording()
        return "Nothing is recorded any more.\n"
    if words:
        raise DebugError("it is `monitor record` or `monitor record stop`")
    target.start_recording()
    return "Recording from here on.\n"


def _history(target: Target) -> History:
    if target.history is None:
        raise DebugError("nothing is recorded: start with --record, or say `monitor record` first")
    return target.history


def _snapshot(target: Target, thread: int, words: list[str]) -> str:
    return f"Snapshot at position {_history(target).snapshot():,}.\n"


def _go(target: Target, thread: int, words: list[str]) -> str:
    history = _history(target)
    text = "".join(words).replace(",", "")
    if not text.isdecimal() or len(text) > 18:
        raise DebugError("it is `monitor go POSITION`; `monitor info recording` shows positions")
    history.go(int(text))
    return f"At position {history.position:,}; say `maintenance flush register-cache` to have gdb see it.\n"


def _present(target: Target, thread: int, words: list[str]) -> str:
    history = _history(target)
    if history.present is not None:
        history.go(history.present.position)
    return "At the present; say `maintenance flush register-cache` to have gdb see it.\n"


_COMMANDS: dict[str, Callable[[Target, int, list[str]], str]] = {
    "help": _help,
    "info registers": _registers,
    "info maps": _maps,
    "info threads": _threads,
    "info breakpoints": _breakpoints,
    "info recording": _recording,
    "record": _record,
    "snapshot": _snapshot,
    "go": _go,
    "present": _present,
}
