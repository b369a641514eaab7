"""-strace: each system call as a line like strace's, on the emulator's stderr."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence

from runtime.core.memory import GuestFault
from runtime.linux.host import RESTARTS
from runtime.linux.paths import AT_FDCWD
from runtime.linux.signals import CODES, GuestKilled, SignalInfo
from runtime.linux.strace_words import FLAGS, NAMES
from runtime.linux.syscalls.process import GuestExit, GuestReplaced, ThreadExit
from runtime.linux.syscalls.table import Bound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Process, Thread

#: bytes of a string that are shown (strace's -s)
_SHOWN = 32
_PATH_SHOWN = 4096
#: calls whose result is an address
_POINTERS = frozenset(("brk", "mmap", "mmap2", "mremap"))
_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
_PROTECTIONS = ((1, "PROT_READ"), (2, "PROT_WRITE"), (4, "PROT_EXEC"))
_CLOCKS = (
    "CLOCK_REALTIME",
    "CLOCK_MONOTONIC",
    "CLOCK_PROCESS_CPUTIME_ID",
    "CLOCK_THREAD_CPUTIME_ID",
    "CLOCK_MONOTONIC_RAW",
    "CLOCK_REALTIME_COARSE",
    "CLOCK_MONOTONIC_COARSE",
    "CLOCK_BOOTTIME",
)
_WHENCE = ("SEEK_SET", "SEEK_CUR", "SEEK_END", "SEEK_DATA", "SEEK_HOLE")


class Strace:
    """Prints the system calls of a process."""

    def __init__(self, process: Process, write: Callable[[str], None]) -> None:
        self.process = process
        self._write_text = write
        self.prefix = ""  # before each line: which of several processes
        constants = process.abi.constants
        self._open_flags = _flags(constants, "O_", 3)
        self._map_flags = _flags(constants, "MAP_", 3)

    def _write(self, text: str, thread: Thread | None = None) -> None:
        prefix = self.prefix
        if thread is not None and self.process.group is not None:
            prefix = f"[{thread.tid}] "
        self._write_text(prefix + text)

    def traced(self, thread: Thread, bound: Bound, arguments: Sequence[int]) -> int:
        """Make the call and print it with its result."""
        name = bound.call.name
        if not {"path", "input", "position"}.isdisjoint(bound.call.kinds):
            # The call may change what it was given (a buffer unmapped, a path overwritten).
            before = self._format(bound.call.kinds, arguments, None)
        else:
            before = None
        try:
            result = self.process.calls.answer(thread, bound, arguments)
        except (GuestExit, GuestKilled, ThreadExit):
            self._write(f"{name}({self._format(bound.call.kinds, arguments, None)}) = ?\n", thread)
            raise
        except GuestReplaced:
            self._write(f"{name}({before}) = 0\n", thread)
            raise
        shown = before if before is not None and "output" not in bound.call.kinds else None
        if shown is None:
            shown = self._format(bound.call.kinds, arguments, result)
        self._write(f"{name}({shown}) = {self._result(name, result)}\n", thread)
        return result

    def unknown(self, number: int, registers: Sequence[int], result: int) -> None:
        """A call that is not there."""
        name = self.process.calls.name(number)
        shown = ", ".join(f"{register:#x}" for register in registers)
        self._write(f"{name}({shown}) = {self._result(name, result)}\n")

    def signal(self, thread: Thread, info: SignalInfo) -> None:
        """A signal is about to be handled."""
        name = self.process.signals.name(info.number)
        if info.address is None:
            self._write(f"--- {name} {{si_signo={name}, si_pid={info.pid}, si_uid={info.uid}}} ---\n", thread)
        else:
            code = code_name(name, info.code)
            self._write(f"--- {name} {{si_signo={name}, si_code={code}, si_addr={info.address:#x}}} ---\n", thread)

    def ended(self, status: int) -> None:
        self._write(f"+++ exited with {status} +++\n")

    def killed(self, number: int) -> None:
        self._write(f"+++ killed by {self.process.signals.name(number)} +++\n")

    # ------------------------------------------------------------ formatting

    def _result(self, name: str, result: int) -> str:
        if result in RESTARTS:
            return f"? {RESTARTS[result]}"
        if -4096 < result < 0:
            number = next((host for host, guest in self.process.abi.errors.items() if guest == -result), -result)
            return f"-1 {errno.errorcode.get(number, f'errno {number}')} ({os.strerror(number)})"
        return f"{result:#x}" if name in _POINTERS else str(result)

    def plain(self, bound: Bound, arguments: Sequence[int], result: int) -> str:
        """A call that is over: what its pointers point to may have changed, and is not shown."""
        kinds = ["pointer" if kind in ("path", "input", "output") else kind for kind in bound.call.kinds]
        return f"{bound.call.name}({self._format(kinds, arguments, None)}) = {self._result(bound.call.name, result)}"

    def _format(self, kinds: Sequence[str], arguments: Sequence[int], result: int | None) -> str:
        shown = []
        for index, (kind, value) in enumerate(zip(kinds, arguments, strict=True)):
            if kind == "input":
                shown.append(self._bytes(value, arguments[index + 1]))
            elif kind == "output":
                shown.append(self._bytes(value, result) if result is not None and result > 0 else _pointer(value))
            else:
                shown.append(self._one(kind, value))
        return ", ".join(shown)

    def _one(self, kind: str, value: int) -> str:
        if kind == "path":
            return self._path(value)
        if kind == "pointer":
            return _pointer(value)
        if kind == "dirfd":
            return "AT_FDCWD" if value == AT_FDCWD else str(value)
        if kind == "open_flags":
            access = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")[value & 3]
            return "|".join((access, *_named(value & ~3, self._open_flags)))
        if kind == "map_flags":
            sharing = (f"{value & 3:#x}", "MAP_SHARED", "MAP_PRIVATE", "MAP_SHARED_VALIDATE")[value & 3]
            return "|".join((sharing, *_named(value & ~3, self._map_flags)))
        if kind == "protection":
            return "|".join(_named(value, _PROTECTIONS)) or "PROT_NONE"
        if kind == "mode":
            return f"0{value:o}" if value else "0"
        if kind == "signal":
            return self.process.signals.name(value) if value > 0 else str(value)
        if kind == "clock":
            return _CLOCKS[value] if 0 <= value < len(_CLOCKS) else str(value)
        if kind == "whence":
            return _WHENCE[value] if 0 <= value < len(_WHENCE) else str(value)
        if kind in FLAGS:
            nothing, names = FLAGS[kind]
            return "|".join(_named(value, names)) or nothing
        if kind in NAMES:
            return NAMES[kind][value] if 0 <= value < len(NAMES[kind]) else f"{value:#x}"
        if kind == "id":
            return "-1" if value == 0xFFFFFFFF else str(value)
        if kind == "position":
            return self._position(value)
        if kind in ("flags", "command", "word"):
            return f"{value:#x}" if value else "0"
        return str(value)

    def _position(self, address: int) -> str:
        """A loff_t, in brackets as strace shows what pointers point to."""
        if not address:
            return "NULL"
        try:
            value = int.from_bytes(self.process.memory.read(address, 8), self.process.abi.byte_order, signed=True)
        except GuestFault:
            return f"{address:#x}"
        return f"[{value}]"

    def _path(self, address: int) -> str:
        if not address:
            return "NULL"
        try:
            return quote(self.process.memory.read_string(address, _PATH_SHOWN), _PATH_SHOWN)
        except GuestFault:
            return f"{address:#x}"

    def _bytes(self, address: int, count: int) -> str:
        try:
            data = self.process.memory.read(address, min(count, _SHOWN + 1))
        except GuestFault:
            return _pointer(address)
        return quote(data, _SHOWN)


def quote(data: bytes, shown: int) -> str:
    """Bytes as strace quotes them, with dots behind what is cut off."""
    text = []
    for index, byte in enumerate(data[:shown]):
        if byte in _ESCAPES:
            text.append(_ESCAPES[byte])
        elif 32 <= byte < 127:
            text.append(chr(byte))
        else:
            digit_follows = index + 1 < len(data) and 48 <= data[index + 1] <= 57
            text.append(f"\\{byte:03o}" if digit_follows else f"\\{byte:o}")
    return '"' + "".join(text) + '"' + ("..." if len(data) > shown else "")


def code_name(signal: str, code: int) -> str:
    """SEGV_MAPERR and the like."""
    prefixes = (signal[3:6], "SI_")  # ILL, FPE, BUS; SEG for SEGV; TRA for TRAP
    for name, number in CODES.items():
        if number == code and name.startswith(prefixes):
            return name
    return str(code)


def _pointer(value: int) -> str:
    return f"{value:#x}" if value else "NULL"


def _flags(constants: Mapping[str, int], prefix: str, access: int) -> tuple[tuple[int, str], ...]:
    """Flags by name, those of several bits first."""
    named = [(value, name) for name, value in constants.items() if name.startswith(prefix) and value > access]
    return tuple(sorted(named, key=lambda pair: (-pair[0].bit_count(), pair[0])))


def _named(value: int, names: Sequence[tuple[int, str]]) -> list[str]:
    """The names of a value's flags, and what is left in hexadecimal."""
    shown = []
    value &= 0xFFFFFFFF
    for flag, name in names:
        if value & flag == flag:
            shown.append(name)
            value &= ~flag
    if value:
        shown.append(f"{value:#x}")
    return shown
