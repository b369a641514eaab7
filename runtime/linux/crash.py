"""What a guest killed by a signal leaves on stderr: signal, place, registers, code, the last system calls."""

from __future__ import annotations

from runtime.core.env import ENV
from runtime.core.memory import GuestFault, GuestMemory
from runtime.linux.strace import Strace, code_name
from runtime.tcg.trace import register_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.cpu import Vcpu
    from runtime.core.disassembly import Disassemble
    from runtime.linux.process import Thread
    from runtime.linux.signals import SignalInfo
    from runtime.linux.symbols import Symbols

#: address, bytes, the instruction in hexadecimal, text
_Shown = tuple[int, int, str, str]
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
    register = process.abi.signal_frame.return_address
    if register is not None:
        link = thread.get(register)
        lines.append(f"  return address {link:#x} {_symbol(symbols, link)}".rstrip())
    lines += state_lines(vcpu, symbols, disassemble)
    if process.recent:
        strace = Strace(process, _nowhere)
        lines += ["", "last system calls:", *(f"  {strace.plain(*call)}" for call in process.recent)]
    return "\n".join(lines) + "\n"


def _nowhere(text: str) -> None:
    """Where the lines of a Strace go that is only asked to format."""


def state_lines(vcpu: Vcpu, symbols: Symbols | None, disassemble: Disassemble | None) -> list[str]:
    """Registers, and the instructions around the pc with an arrow before the one it points to."""
    pc = vcpu.pc
    lines = ["", "registers:", *register_lines(vcpu)]
    around = _around(vcpu, symbols, disassemble)
    if around:
        lines += ["", "code:"]
    for address, _, shown, text in around:
        arrow = "=>" if address == pc else "  "
        place = _symbol(symbols, address)
        lines.append(f"{arrow} {address:#x} {place + ':' if place else '':24} {shown:16} {text}".rstrip())
    return lines


def _around(vcpu: Vcpu, symbols: Symbols | None, disassemble: Disassemble | None) -> list[_Shown]:
    layout, pc = vcpu.layout, vcpu.pc
    following = _follow(vcpu, pc, _AFTER + 1, None, disassemble)
    if not following:
        return []
    found = symbols.find(pc) if symbols is not None else None
    # Instructions vary in size: read on from a place known to be a boundary, or from one that leads to the pc.
    starts = [pc - found[1]] if found and 0 < found[1] <= _FAR else []
    starts += range(pc - _BEFORE * layout.max_bytes, pc, layout.unit_bytes)
    for start in starts:
        before = _follow(vcpu, start, _FAR, pc, disassemble)
        if before and before[-1][0] + before[-1][1] == pc:
            return before[-_BEFORE:] + following
    return following


def _follow(vcpu: Vcpu, address: int, count: int, end: int | None, disassemble: Disassemble | None) -> list[_Shown]:
    """At most `count` instructions from `address` on, up to `end` or to where the memory ends."""
    layout, flags = vcpu.layout, vcpu.words[_FLAGS]
    found: list[_Shown] = []
    while len(found) < count and (end is None or address < end):
        code = _read(vcpu.memory, address, layout.max_bytes)
        if not code:
            break
        size, shown, text = layout.unit_bytes, code[: layout.unit_bytes].hex(), ""
        if disassemble is not None:
            size, shown, text = disassemble(code, address, flags)
        found.append((address, size, shown, text))
        address += size
    return found


def _read(memory: GuestMemory, address: int, size: int) -> bytes:
    """Up to `size` bytes of mapped memory."""
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
