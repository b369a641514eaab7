"""An executable into memory: segments, heap, stack with arguments and auxiliary vector, as fs/binfmt_elf.c does."""

from __future__ import annotations

import os

from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE
from runtime.core.memory import PAGE_SIZE, GuestFault, GuestMemory, page_down, page_up
from runtime.linux.elf import PF_R, PF_W, PF_X, ElfError, Image, Segment, open_executable, read_image
from runtime.linux.mm import LOWEST, STACK_GAP, file_name
from runtime.linux.process import Process, Thread
from runtime.linux.signals import PLAIN_TRAMPOLINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.linux.abi.model import ProgramMode

DEFAULT_STACK = 8 << 20
#: a limit above this (ulimit -s unlimited) gives the default
_MOST_STACK = 1 << 30
#: bytes of arguments and environment: a quarter of the stack, and 128 KiB for each string (MAX_ARG_STRLEN)
_MAX_STRING = 131072

AT_NULL, AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY = 0, 3, 4, 5, 6, 7, 8, 9
AT_UID, AT_EUID, AT_GID, AT_EGID, AT_PLATFORM, AT_HWCAP, AT_CLKTCK = 11, 12, 13, 14, 15, 16, 17
AT_SECURE, AT_RANDOM, AT_HWCAP2, AT_EXECFN = 23, 25, 26, 31


class StartError(Exception):
    """A program that cannot be started although its file is sound; the message is for the user."""


def load(process: Process, image: Image, descriptor: int) -> int:
    """Map an executable's segments and set the heap behind them; returns by how much its addresses are shifted."""
    bias = _choose_bias(process, image)
    if image.low + bias < LOWEST:
        raise ElfError(
            f"{image.path}: segment at {image.low:#x}: addresses below {LOWEST:#x} are Linux's; link it higher"
        )
    if image.high + bias > process.space.top:
        raise ElfError(f"{image.path}: {image.high - image.low:#x} bytes of segments do not fit above {bias:#x}")
    name = file_name(descriptor)
    for segment in image.segments:
        load_segment(process.memory, segment, descriptor, bias, name)
    process.space.set_heap(page_up(image.high + bias))
    process.executable = os.fsencode(name)
    process.comm = os.path.basename(process.executable)[:15]
    return bias


def _choose_bias(process: Process, image: Image) -> int:
    """0, or for a position-independent program Linux's ELF_ET_DYN_BASE: two thirds up the address space."""
    if not image.position_independent:
        return 0
    return page_down(process.space.top // 3 * 2) - page_down(image.low)


def load_segment(memory: GuestMemory, segment: Segment, descriptor: int, bias: int, name: str) -> None:
    """Map one segment of the file called `name` and read its bytes."""
    start = page_down(segment.address + bias)
    file_end = page_up(segment.address + segment.file_bytes + bias)
    end = page_up(segment.end + bias)
    permissions = PAGE_READ if segment.flags & (PF_R | PF_W) else 0
    permissions |= PAGE_WRITE if segment.flags & PF_W else 0
    permissions |= PAGE_EXEC if segment.flags & PF_X else 0
    before = memory.region_at(start)
    if before is not None:
        # Two segments share a page (ld -n): it gets what either may do, and keeps the first one's bytes.
        memory.protect(start, PAGE_SIZE, before.permissions | permissions)
        start += PAGE_SIZE
    if file_end > start:
        memory.map(start, file_end - start, permissions, name, page_down(segment.offset))
    if end > max(file_end, start):
        memory.map(max(file_end, start), end - max(file_end, start), permissions)
    at, left, offset = segment.address + bias, segment.file_bytes, segment.offset
    while left:
        got = os.preadv(descriptor, [memory.view[at : at + min(left, 1 << 30)]], offset)
        if not got:
            raise ElfError(f"{name}: the file became shorter while it was read")
        at, left, offset = at + got, left - got, offset + got


def start(
    process: Process,
    thread: Thread,
    image: Image,
    bias: int,
    arguments: Sequence[bytes],
    environment: Sequence[bytes],
    stack_bytes: int | None = None,
) -> None:
    """Make stack, trampoline and registers as a program finds them at its start, or its dynamic linker if it has one.

    The stack is as large as RLIMIT_STACK says, unless `stack_bytes` does.
    """
    abi, memory, space = process.abi, process.memory, process.space
    process.arguments, process.environment = list(arguments), list(environment)
    top = space.top - PAGE_SIZE
    if stack_bytes is None:
        limit = process.limits["RLIMIT_STACK"][0]
        stack_bytes = limit if limit <= _MOST_STACK else DEFAULT_STACK
    stack_bytes = page_up(stack_bytes)
    low = top - stack_bytes
    # Linux leaves a gap below the stack that nothing is ever mapped into: running off the stack must fault.
    if low - STACK_GAP < LOWEST or not memory.is_free(low - STACK_GAP, space.top - low + STACK_GAP):
        raise StartError(
            f"a stack of {stack_bytes >> 10} KiB does not fit into the guest's address space; use a smaller -s"
        )
    process.trampoline = top
    memory.map(top, PAGE_SIZE, PAGE_READ | PAGE_EXEC, "[vdso]")
    memory.write(top, abi.signal_frame.trampoline, need=0)
    if abi.signal_frame.plain is not None:
        memory.write(top + PLAIN_TRAMPOLINE, abi.signal_frame.plain.trampoline, need=0)
    for address, contents in abi.fixed_pages.items():
        memory.map(address, PAGE_SIZE, PAGE_READ | PAGE_EXEC, "[vectors]")
        memory.write(address, contents, need=0)
    memory.map(low, stack_bytes, PAGE_READ | PAGE_WRITE | (PAGE_EXEC if image.executable_stack else 0), "[stack]")
    space.mmap_top = low - STACK_GAP
    process.limits["RLIMIT_STACK"] = stack_bytes, max(stack_bytes, process.limits["RLIMIT_STACK"][1])
    used = sum(len(text) + 1 + abi.long_bytes for text in (*arguments, *environment))
    if used > stack_bytes // 4 or any(len(text) >= _MAX_STRING for text in (*arguments, *environment)):
        raise StartError("arguments and environment take more than a quarter of the stack, or one is over 128 KiB")
    base, entry = (0, image.entry + bias) if image.interpreter is None else _load_interpreter(process, image)
    pointer = _fill_stack(process, image, bias, base, top)
    process.stack_start = pointer
    thread.set(abi.stack, pointer)
    if abi.program_mode is not None:
        thread.set((abi.program_mode.mode, 0), _mode_of(process, image, bias, abi.program_mode))
    if abi.alignment_mode is not None:
        thread.set((abi.alignment_mode, 0), 1)
    thread.enter(entry)


def _mode_of(process: Process, image: Image, bias: int, wanted: ProgramMode) -> int:
    """The mode a program asks for in a header of its processor's."""
    address = image.processor.get(wanted.header)
    if address is None:
        return 0
    try:
        (byte,) = process.memory.read(address + bias + wanted.offset, 1)
    except GuestFault:
        return 0
    return wanted.values.get(byte, 0)


def _load_interpreter(process: Process, image: Image) -> tuple[int, int]:
    """Map the dynamic linker a program names: by how much it is shifted (AT_BASE), and where it begins."""
    assert image.interpreter is not None
    guest_path = os.fsdecode(image.interpreter)
    host_path = image.interpreter
    if process.sysroot is not None and host_path.startswith(b"/"):
        host_path = process.sysroot.host(host_path)
    where = f"{image.path}: its dynamic linker {guest_path}"
    if not os.path.lexists(host_path):
        raise StartError(f"{where} is not here; {_sysroot_hint(guest_path)}")
    try:
        descriptor = open_executable(os.fsdecode(host_path))
        try:
            return _map_interpreter(process, image, read_image(os.fsdecode(host_path), descriptor), descriptor)
        finally:
            os.close(descriptor)
    except (ElfError, StartError) as error:
        raise StartError(f"{where} cannot be used: {error}") from None


def _map_interpreter(process: Process, image: Image, linker: Image, descriptor: int) -> tuple[int, int]:
    if linker.machine_name != image.machine_name:
        hint = _sysroot_hint(os.fsdecode(image.interpreter or b""))
        raise StartError(f"{linker.path} is one for {linker.machine_name}; {hint}")
    if not linker.position_independent or linker.interpreter is not None:
        raise StartError(f"{linker.path} is no shared object that can be loaded anywhere")
    low = page_down(linker.low)
    try:
        bias = process.space.find(page_up(linker.high) - low) - low
    except OSError:
        raise StartError(f"{linker.path} does not fit into the guest's address space") from None
    for segment in linker.segments:
        load_segment(process.memory, segment, descriptor, bias, file_name(descriptor))
    return bias, linker.entry + bias


def _sysroot_hint(guest_path: str) -> str:
    """What to do about a missing dynamic linker: cross-compilers have theirs in /usr/<machine>/lib."""
    for entry in sorted(os.scandir("/usr"), key=lambda entry: entry.name):
        if os.path.exists(f"{entry.path}{guest_path}"):
            return f"say where the guest's libraries are: -L {entry.path}"
    return "say where the guest's libraries are (-L DIR, the root of its file system), or link it with -static"


def _fill_stack(process: Process, image: Image, bias: int, base: int, top: int) -> int:
    """Strings, then argc, argv, envp and auxv below them; the stack pointer."""
    abi, memory = process.abi, process.memory
    at = top - abi.long_bytes

    def push(data: bytes) -> int:
        nonlocal at
        at -= len(data)
        memory.write(at, data)
        return at

    execfn = push(os.fsencode(image.path) + b"\0")
    envp = [push(text + b"\0") for text in reversed(process.environment)][::-1]
    argv = [push(text + b"\0") for text in reversed(process.arguments)][::-1]
    platform = push(abi.platform.encode() + b"\0") if abi.platform else 0
    at &= -16
    random = push(os.urandom(16))
    headers = image.headers_address and image.headers_address + bias
    auxiliary = [
        (AT_HWCAP, abi.hardware_capabilities),
        (AT_PAGESZ, abi.page_bytes),
        (AT_CLKTCK, abi.clock_ticks),
        (AT_PHDR, headers),
        (AT_PHENT, image.header_bytes),
        (AT_PHNUM, image.header_count),
        (AT_BASE, base),
        (AT_FLAGS, 0),
        (AT_ENTRY, image.entry + bias),
        (AT_UID, os.getuid()),
        (AT_EUID, os.geteuid()),
        (AT_GID, os.getgid()),
        (AT_EGID, os.getegid()),
        (AT_SECURE, 0),
        (AT_RANDOM, random),
        (AT_EXECFN, execfn),
    ]
    if platform:
        auxiliary.append((AT_PLATFORM, platform))
    auxiliary.append((AT_NULL, 0))

    def words(values: Sequence[int]) -> bytes:
        return b"".join(value.to_bytes(abi.long_bytes, abi.byte_order) for value in values)

    process.auxiliary = words([value for pair in auxiliary for value in pair])
    table = words([len(argv), *argv, 0, *envp, 0]) + process.auxiliary
    at = (at - len(table)) & -16
    memory.write(at, table)
    return at
