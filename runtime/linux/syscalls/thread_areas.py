"""System calls that say where a thread's own data is, where the register for it is none that programs may set."""

from __future__ import annotations

import errno

from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
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
