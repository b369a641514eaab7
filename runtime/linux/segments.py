"""Segments of a program's own table (modify_ldt, arch/x86/kernel/ldt.c): what its descriptors mean to a thread.

The table is the process's, a number of 64 bits for each entry that is set.  A thread's registers hold what was read of
it (LocalTable.selectors and .entries); a selector that is not there raises, and `describe` reads its entry.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.abi.model import Abi, LocalTable, Register
    from runtime.linux.process import Thread

#: the bit of a selector that says that it is of the program's own table, and those of its privilege level
LOCAL, LEVEL = 4, 3
#: the bit of a descriptor that makes code and the stack 32 bits wide
_BIG = 1 << 54


def local_table(abi: Abi) -> LocalTable | None:
    """The registers it is about, if programs may have such a table."""
    return None if abi.segments is None else abi.segments.local


def base_of(descriptor: int) -> int:
    """Where a descriptor's segment begins."""
    return descriptor >> 16 & 0xFFFFFF | descriptor >> 32 & 0xFF000000


def describe(thread: Thread, selector: int) -> None:
    """Have the thread know the entry of a selector; 0 if it is not set, which the instruction set refuses."""
    table = local_table(thread.process.abi)
    assert table is not None
    slot = selector >> 3 & thread.vcpu.layout.by_name[table.entries].count - 1
    thread.set((table.entries, slot), thread.process.local_segments.get(selector >> 3, 0))
    thread.set((table.selectors, slot), selector | LOCAL | LEVEL)


def forget(thread: Thread) -> None:
    """What a thread knows of the table is no longer so."""
    table = local_table(thread.process.abi)
    assert table is not None
    for slot in range(thread.vcpu.layout.by_name[table.selectors].count):
        thread.set((table.selectors, slot), 0)


def enter_own(thread: Thread) -> None:
    """Have the segments that a signal handler begins with (setup_rt_frame of arch/x86/kernel/signal_32.c)."""
    table = local_table(thread.process.abi)
    if table is None:
        return
    code, data = table.own
    thread.set(table.code[0], code)
    for selector, base in (table.stack, *table.data[:2]):
        thread.set(selector, data)
        thread.set(base, 0)
    thread.set(table.code[1], 0)
    thread.set(table.stack_mask, 0xFFFFFFFF)
    thread.vcpu.set_mode(table.small, 0)
    thread.vcpu.set_mode(table.based, 0)


def offset_of_pc(thread: Thread) -> int:
    """The pc as programs know it: its offset in the segment of code."""
    table = local_table(thread.process.abi)
    base = 0 if table is None else thread.get(table.code[1])
    return thread.vcpu.pc - base & (1 << thread.process.abi.bits) - 1 if base else thread.vcpu.pc


def reload(thread: Thread, with_code: bool = True) -> None:
    """Give segments the bases that their selectors have now; with that of code, pc is an offset in it so far."""
    table = local_table(thread.process.abi)
    if table is None:
        return
    based = 0
    for pair in (table.stack, *table.data):
        descriptor = _descriptor(thread, pair[0])
        thread.set(pair[1], base_of(descriptor))
        if pair is table.stack:
            small_stack = not descriptor & _BIG
            thread.set(table.stack_mask, 0xFFFF if small_stack else 0xFFFFFFFF)
            based |= small_stack
        if pair not in table.data[2:]:
            based |= base_of(descriptor) != 0
    if with_code:
        descriptor = _descriptor(thread, table.code[0])
        thread.set(table.code[1], base_of(descriptor))
        thread.vcpu.set_mode(table.small, int(not descriptor & _BIG))
        thread.vcpu.pc = thread.vcpu.pc + base_of(descriptor) & 0xFFFFFFFF
    thread.vcpu.set_mode(table.based, int(based or thread.get(table.code[1]) != 0))


def _descriptor(thread: Thread, register: Register) -> int:
    """Of the segment a register selects; the kernel's own begin at 0, the thread-local ones where it was told to."""
    selector = thread.get(register)
    if selector & LOCAL:
        return thread.process.local_segments.get(selector >> 3, 0)
    segments = thread.process.abi.segments
    assert segments is not None
    number = (selector >> 3) - segments.first
    base = thread.get(segments.bases[number]) if 0 <= number < len(segments.bases) else 0
    return _BIG | (base & 0xFFFFFF) << 16 | (base >> 24) << 56
