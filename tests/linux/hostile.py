"""`python -m tests.linux.hostile SEED COUNT`: run random programs as nobody; prints the statuses they ended with.

What the emulator imports it imports before, for nobody may not be able to read Python's own files.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import struct
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.linux.test_elf import WRITE_FLAGS, executable, segment

NOBODY = 65534
_HEADERS = 64 + 3 * 56
_VALUES = (0, 1, 7, 0x7F, 0xFF, 0xFFF, 0x1000, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 47) - 1, 1 << 63, (1 << 64) - 1)
#: what a run imports when it needs it
LATE = (
    *("isomorph.cli.run", "isomorph.cli.bare", "isomorph.disassembly", "runtime.linux.crash", "runtime.linux.symbols"),
    *("runtime.linux.sysroot", "runtime.linux.strace", "runtime.tcg.trace", "runtime.linux.abi.riscv64"),
    *("runtime.linux.abi.riscv32", "elftools.elf.elffile", "elftools.elf.sections", "encodings.idna", "stat"),
)


def original() -> bytes:
    """A small program with three segments."""
    return bytes(
        executable(
            segment(),
            segment(offset=0x200, address=0x12200, flags=WRITE_FLAGS, file_bytes=8, memory_bytes=0x2000),
            segment(offset=0, address=0x20000),
        )
    )


def mutated(source: random.Random, data: bytes) -> bytes:
    """A file with some of its bytes or words changed, cut short or made longer."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 5, 40))):
        place = source.randrange(_HEADERS if source.randrange(4) else len(changed))
        if source.randrange(2):
            changed[place] = source.randrange(256)
        else:
            size = source.choice((2, 4, 8))
            place &= -size
            value = source.choice(_VALUES) & (1 << 8 * size) - 1
            changed[place : place + size] = value.to_bytes(size, "little")
    kind = source.randrange(8)
    if kind == 0:
        del changed[source.randrange(len(changed)) :]
    elif kind == 1:
        changed += source.randbytes(source.randrange(5000))
    return bytes(changed)


def random_program(source: random.Random) -> bytes:
    """A program whose code is random, with more system calls in it than chance would have; sometimes mutated, too."""
    data = bytearray(original())
    code = bytearray(source.randbytes(0x100))
    for at in range(0, len(code) - 12, 12):
        if source.randrange(2):
            code[at : at + 8] = struct.pack("<II", 0x00000893 | source.randrange(512) << 20, 0x73)  # li a7, n; ecall
    data[0x100:0x200] = code
    return mutated(source, bytes(data)) if source.randrange(3) == 0 else bytes(data)


def confine() -> None:
    """Be nobody, with few processes and files, little time; a group of its own."""
    os.setsid()
    os.setgroups([])
    resource.setrlimit(resource.RLIMIT_NPROC, (40, 40))
    resource.setrlimit(resource.RLIMIT_CPU, (5, 6))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def child(program: str) -> int:
    """In a process of its own: the emulator's status, or 99 after a traceback."""
    try:
        errors = os.open(f"{program}.errors", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number, descriptor in enumerate((nothing, nothing, errors)):
            os.dup2(descriptor, number)
        confine()
        return int(sys.modules["isomorph.cli.run"].main([program]))
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        return 99


def run(program: str) -> int | None:
    """Run one program: its status; None when it went on for too long."""
    pid = os.fork()
    if not pid:
        os._exit(child(program))
    until = time.monotonic() + 10
    while True:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            found: int | None = 0
            break
        if time.monotonic() > until:
            found = None
            break
        time.sleep(0.002)
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    return None if found is None else os.waitstatus_to_exitcode(status)


def main(seed: int, count: int) -> None:
    for name in LATE:
        import_module(name)
    import_module("runtime.linux.syscalls.table").import_all()
    source = random.Random(seed)
    statuses = set()
    with TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        os.chmod(folder, 0o777)
        os.chdir(folder)
        program = Path(folder) / "program"
        for _ in range(count):
            program.write_bytes(random_program(source))
            program.chmod(0o755)
            status = run(str(program))
            errors = Path(f"{program}.errors")
            text = errors.read_text(errors="replace") if errors.exists() else ""
            if "Traceback" in text or "internal error" in text:
                raise SystemExit(f"{text}\n{program.read_bytes().hex()}")
            if status is not None:
                statuses.add(status)
            errors.unlink(missing_ok=True)
            program.unlink(missing_ok=True)
    print(*sorted(statuses))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
