"""What a guest killed by a signal leaves on stderr: signal, place, registers, code, the last system calls."""

from __future__ import annotations

from collections.abc import Callable

from runtime.core.env import ENV
from runtime.core.memory import GuestFault
from runtime.linux.strace import Strace, code_name
from runtime.tcg.trace import register_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Thread
    from runtime.linux.signals import SignalInfo
    from runtime.linux.symbols import Symbols

#: (bytes from here on, address, modes) -> (bytes used, text)
Disassemble = Callable[[bytes, int, int], tuple[int, str]]

_FLAGS = ENV["flags"] // 8
_BEFORE, _AFTER = 6, 2
#: how far back a symbol's start may lie for the code to be read from there
_FAR = 4096


def report(
    thread: Thread,
    info: SignalInfo,
    program: str,
    symbols: Symbols | None = None,
    disassemble: Disassemble | None = None,
) -> str:
    """The whole report, ending in a newline."""
    process, vcpu = thread.process, thread.vcpu
    table = process.signals
    name = table.name(info.number)
    lines = [f"isomorph: {program}: killed by signal {info.number}, {name} ({table.describe(info.number)})"]
    if info.address is not None:
        region = process.memory.region_at(info.address)
        where = f" in {region.name or 'anonymous memory'}" if region else ""
        lines.append(f"  {code_name(name, info.code)} at address {info.address:#x}{where}")
    lines.append(f"  pc {vcpu.pc:#x} {_symbol(symbols, vcpu.pc)}".rstrip())
    link = thread.get(process.abi.signal_frame.return_address)
    lines.append(f"  return address {link:#x} {_symbol(symbols, link)}".rstrip())
    lines += ["", "registers:", *register_lines(vcpu)]
    code = code_lines(thread, symbols, disassemble)
    if code:
        lines += ["", "code:", *code]
    if process.recent:
        strace = Strace(process, _nowhere)
        lines += ["", "last system calls:", *(f"  {strace.plain(*call)}" for call in process.recent)]
    return "\n".join(lines) + "\n"


def _nowhere(text: str) -> None:
    """Where the lines of a Strace go that is only asked to format."""


def code_lines(thread: Thread, symbols: Symbols | None, disassemble: Disassemble | None) -> list[str]:
    """The instructions around the pc, an arrow before the one it points to."""
    vcpu = thread.vcpu
    pc = vcpu.pc
    lines = []
    for address, code, text in _around(thread, symbols, disassemble):
        arrow = "=>" if address == pc else "  "
        place = _symbol(symbols, address)
        number = code[::-1] if not thread.process.abi.big_endian else code
        lines.append(f"{arrow} {address:#x} {place + ':' if place else '':24} {number.hex():16} {text}".rstrip())
    return lines


def _around(thread: Thread, symbols: Symbols | None, disassemble: Disassemble | None) -> list[tuple[int, bytes, str]]:
    layout, pc = thread.vcpu.layout, thread.vcpu.pc
    following = _follow(thread, pc, _AFTER + 1, None, disassemble)
    if not following:
        return []
    found = symbols.find(pc) if symbols is not None else None
    # Instructions vary in size: read on from a place known to be a boundary, or from one that leads to the pc.
    starts = [pc - found[1]] if found and 0 < found[1] <= _FAR else []
    starts += range(pc - _BEFORE * layout.max_bytes, pc, layout.unit_bytes)
    for start in starts:
        before = _follow(thread, start, _FAR, pc, disassemble)
        if before and before[-1][0] + len(before[-1][1]) == pc:
            return before[-_BEFORE:] + following
    return following


def _follow(
    thread: Thread, address: int, count: int, end: int | None, disassemble: Disassemble | None
) -> list[tuple[int, bytes, str]]:
    """At most `count` instructions from `address` on, up to `end` or to where the memory ends."""
    layout, flags = thread.vcpu.layout, thread.vcpu.words[_FLAGS]
    found: list[tuple[int, bytes, str]] = []
    while len(found) < count and (end is None or address < end):
        code = _read(thread, address, layout.max_bytes)
        if not code:
            break
        size, text = layout.unit_bytes, ""
        if disassemble is not None:
            size, text = disassemble(code, address, flags)
        found.append((address, code[:size], text))
        address += size
    return found


def _read(thread: Thread, address: int, size: int) -> bytes:
    """Up to `size` bytes of mapped memory."""
    memory = thread.memory
    for length in range(size, 0, -1):
        try:
            if memory.is_mapped(address, length):
                return memory.read(address, length, 0)
        except GuestFault:
            pass
    return b""


def _symbol(symbols: Symbols | None, address: int) -> str:
    found = symbols.describe(address) if symbols is not None else ""
    return f"<{found}>" if found else ""
