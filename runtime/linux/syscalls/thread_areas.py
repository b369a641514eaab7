"""System calls that say where a thread's own data is, where the register for it is none that programs may set."""

from __future__ import annotations

import errno

from runtime.linux import segments
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.linux.process import Thread


def set_segment(thread: Thread, address: int, choose: bool = False) -> None:
    """Set a descriptor of the thread's from a struct user_desc; `choose`: a free one, if it asks for none."""
    abi, memory = thread.process.abi, thread.memory
    assert abi.segments is not None
    layout = abi.struct("user_desc")
    fields = layout.unpack(memory.read(address, layout.size))
    number = fields["entry_number"] - abi.segments.first
    if choose and fields["entry_number"] == 0xFFFFFFFF:
        free = [index for index, base in enumerate(abi.segments.bases) if not thread.get(base)]
        if not free:
            raise fail(errno.ESRCH)
        number = free[0]
        memory.write(address, layout.pack({**fields, "entry_number": number + abi.segments.first}))
    if not 0 <= number < len(abi.segments.bases):
        raise fail(errno.EINVAL)
    thread.set(abi.segments.bases[number], fields["base_addr"])
    # A segment register that chose it has the new base at once (arch/x86/kernel/tls.c: do_set_thread_area).
    for selector, base in abi.segments.loaded:
        if thread.get(selector) >> 3 == number + abi.segments.first:
            thread.set(base, fields["base_addr"])


@system_call("int word")
def arch_prctl(thread: Thread, code: int, value: int) -> int:
    """Set or get the base of a segment, which a program has no instruction for."""
    abi = thread.process.abi
    for (setting, getting), register in abi.base_registers.items():
        if code == setting:
            if value >= thread.memory.size:
                raise fail(errno.EPERM)
            thread.set(register, value)
            return 0
        if code == getting:
            thread.memory.write(value, thread.get(register).to_bytes(abi.long_bytes, abi.byte_order))
            return 0
    raise fail(errno.EINVAL)


@system_call("pointer")
def set_tls(thread: Thread, value: int) -> int:
    register = thread.process.abi.thread_pointer
    if register is not None:
        thread.set(register, value)
    return 0


@system_call("pointer")
def set_thread_area(thread: Thread, address: int) -> int:
    """Where the thread pointer is, or a descriptor of the segment that is one."""
    if thread.process.abi.segments is None:
        return set_tls(thread, address)
    set_segment(thread, address, choose=True)
    return 0


@system_call("pointer")
def get_thread_area(thread: Thread, address: int) -> int:
    """The descriptor whose number stands in the structure."""
    abi = thread.process.abi
    if abi.segments is None:
        raise fail(errno.ENOSYS)
    layout = abi.struct("user_desc")
    number = layout.unpack(thread.memory.read(address, layout.size))["entry_number"] - abi.segments.first
    if not 0 <= number < len(abi.segments.bases):
        raise fail(errno.EINVAL)
    base = thread.get(abi.segments.bases[number])
    fields = {"entry_number": number + abi.segments.first, "base_addr": base}
    # Of 4 GiB, 32 bits, counted in pages, usable; or empty (fill_user_desc of arch/x86/kernel/tls.c).
    fields |= {"limit": 0xFFFFF, "flags": 0x51} if base else {"flags": 0x28}
    thread.memory.write(address, layout.pack(fields))
    return 0


#: modify_ldt: entries of the table, their bytes, and those of the default table, which is empty
_ENTRIES, _ENTRY_BYTES, _DEFAULT_BYTES = 8192, 8, 128
#: modify_ldt's functions
_READ, _WRITE_OLD, _READ_DEFAULT, _WRITE = 0, 1, 2, 0x11
#: struct user_desc's flags: of 32 bits, what it holds (two bits), read only, counted in pages, not there, usable
_BIG, _CONTENTS, _READ_ONLY, _PAGES, _ABSENT, _USABLE = 1, 1, 8, 16, 32, 64


@system_call("int pointer word")
def modify_ldt(thread: Thread, function: int, address: int, size: int) -> int:
    """Read the table of the program's own segments, or set an entry (arch/x86/kernel/ldt.c)."""
    process = thread.process
    if segments.local_table(process.abi) is None:
        raise fail(errno.ENOSYS)
    if function == _READ:
        if not process.local_segments:
            return 0
        size = min(size, _ENTRIES * _ENTRY_BYTES)
        entries = range(max(process.local_segments) + 1)
        data = b"".join(process.local_segments.get(entry, 0).to_bytes(_ENTRY_BYTES, "little") for entry in entries)
        thread.memory.write(address, data[:size].ljust(size, b"\0"))
        return size
    if function == _READ_DEFAULT:
        size = min(size, _DEFAULT_BYTES)
        thread.memory.write(address, bytes(size))
        return size
    if function not in (_WRITE_OLD, _WRITE):
        raise fail(errno.ENOSYS)
    layout = process.abi.struct("user_desc")
    if size != layout.size:
        raise fail(errno.EINVAL)
    number, descriptor = _local_entry(layout.unpack(thread.memory.read(address, size)), function == _WRITE_OLD)
    with process.lock:
        if descriptor:
            process.local_segments[number] = descriptor
        else:
            process.local_segments.pop(number, None)
        for other in list(process.threads):
            segments.forget(other)
    segments.reload(thread, with_code=False)
    return 0


def _local_entry(fields: Mapping[str, int], old: bool) -> tuple[int, int]:
    """Its number and the descriptor a struct user_desc asks for (write_ldt, fill_ldt); 0 if it is to be empty."""
    number, base, limit, flags = (fields[name] for name in ("entry_number", "base_addr", "limit", "flags"))
    contents = flags >> _CONTENTS & 3
    if number >= _ENTRIES or (contents == 3 and (old or not flags & _ABSENT)):
        raise fail(errno.EINVAL)
    empty = not limit and flags & 0x7F == _READ_ONLY | _ABSENT
    if not base and (empty or (old and not limit)):
        return number, 0
    # Accessed, for data or code, of level 3.
    access = 0x71 | (not flags & _READ_ONLY) << 1 | contents << 2 | (not flags & _ABSENT) << 7
    usable = 0 if old else bool(flags & _USABLE)
    high = limit >> 16 & 15 | usable << 4 | (flags & _BIG) << 6 | bool(flags & _PAGES) << 7
    low = limit & 0xFFFF | (base & 0xFFFFFF) << 16
    return number, low | access << 40 | high << 48 | (base >> 24) << 56
