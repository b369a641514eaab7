"""The ABI tables: consistent with each other, and with the guest's own headers where those are installed."""

from __future__ import annotations

import errno
import re
import subprocess
from pathlib import Path

import pytest

from runtime.linux import process  # the calls are declared when it is imported
from runtime.linux.abi import MACHINES, load, machine_name
from runtime.linux.structs import Struct
from runtime.linux.syscalls import table
from runtime.linux.syscalls.table import CALLS, KINDS, Bound, SystemCalls, call, import_all
from tests.linux import guest
from tests.tools import tool

assert process
NAMES = sorted(set(MACHINES.values()))
WANTED = """
    read write readv writev pread64 pwrite64 openat close lseek fstat newfstatat statx readlinkat faccessat unlinkat
    mkdirat renameat2 getdents64 getcwd chdir dup dup3 fcntl ioctl pipe2 ftruncate fsync utimensat brk mmap munmap
    mprotect mremap madvise exit exit_group getpid getppid gettid getuid geteuid getgid getegid set_tid_address
    set_robust_list prlimit64 getrlimit getrusage uname sysinfo getrandom sched_getaffinity sched_yield times
    gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep rt_sigaction rt_sigprocmask rt_sigreturn tgkill
    kill futex clock_gettime64 mmap2 _llseek fcntl64 futex_time64
"""


@pytest.mark.parametrize("key", MACHINES)
def test_every_machine_has_its_table(key: tuple[int, int, bool]) -> None:
    abi = load(MACHINES[key])
    assert (abi.elf_machine, abi.bits, abi.big_endian) == key
    assert abi.name == MACHINES[key] == machine_name(*key)


def test_unknown_tables() -> None:
    with pytest.raises(LookupError):
        load("pdp11")
    assert machine_name(9999, 64, False) == "unknown machine 9999"


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_unique(name: str) -> None:
    numbers = load(name).numbers
    assert len(set(numbers.values())) == len(numbers)


#: sizes in the headers of guests that are older than asm-generic
_O32 = {"stat64": 104, "statfs64": 96, "sigaction": 24, "termios": 40, "flock32": 36}
_X86_64 = {"stat": 144, "sigaction": 32, "epoll_event": 12, "linux_dirent": 24}
_I386 = {"stat64": 96, "statfs64": 84, "flock": 24, "flock32": 16, "epoll_event": 12, "sigaction": 20, "user_desc": 16}
_OTHERS = {"mips": _O32, "mipsel": _O32, "x86_64": _X86_64, "i386": _I386}


@pytest.mark.parametrize("name", NAMES)
def test_structures(name: str) -> None:
    abi = load(name)
    expected = {
        64: {"stat": 128, "statfs": 120, "sysinfo": 112, "rusage": 144, "sigaction": 24, "stack": 24, "iovec": 16},
        32: {"statfs64": 88, "sysinfo": 64, "rusage": 72, "sigaction": 16, "stack": 12, "iovec": 8},
    }[abi.bits]
    if abi.bits == 32 and "restorer:" in abi.definitions["sigaction"]:
        expected["sigaction"] = 20
    for structure, size in {
        **expected,
        "statx": 256,
        "utsname": 390,
        "termios": 36,
        "flock": 32,
        **_OTHERS.get(name, {}),
    }.items():
        assert abi.struct(structure).size == size, structure
    for frame in filter(None, (abi.signal_frame, abi.signal_frame.plain)):
        ends = [offset + size for _, offset, size, _, _ in frame.registers]
        assert max(ends) <= frame.context_bytes


def test_x86_64_numbers_are_the_headers() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip(f"no {header} (Debian package linux-libc-dev)")
    defined = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())}
    del defined["set_thread_area"]  # 64-bit programs do not have it, whatever the header says
    numbers = load("x86_64").numbers
    assert {name: numbers.get(name) for name in defined} == defined


_GONE = (
    "break oldstat stty gtty ftime prof lock mpx oldolduname oldlstat oldfstat profil idle afs_syscall getpmsg putpmsg "
    "vserver"
)


def test_i386_numbers_are_the_headers() -> None:
    header = Path("/usr/i686-linux-gnu/include/asm/unistd_32.h")
    if not header.exists():
        pytest.skip(f"no {header} (Debian package linux-libc-dev-i386-cross)")
    defined = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())}
    numbers = dict(load("i386").numbers)
    numbers["mmap"], numbers["select"] = numbers.pop("old_mmap"), numbers.pop("old_select")
    assert numbers.items() <= defined.items()
    # What is left out no kernel has answered for twenty years.
    assert {name for name, number in defined.items() if numbers.get(name) != number} <= set(_GONE.split())


def test_numbers_are_the_headers() -> None:
    compiler = tool("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")
    command = [compiler, "-E", "-dM", "-include", "asm/unistd.h", "-xc", "/dev/null"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    defined = dict(re.findall(r"#define (__NR\w+) (\w+)", text))

    def number(value: str) -> int | None:
        while value in defined:
            value = defined[value]
        return int(value) if value.isdecimal() else None

    headers = {name[5:]: number(value) for name, value in defined.items() if name.startswith("__NR_")}
    numbers = load("riscv64").numbers
    differing = {
        name: (value, numbers.get(name))
        for name, value in headers.items()
        if value is not None and name not in ("syscalls", "arch_specific_syscall") and numbers.get(name) != value
    }
    assert not differing


@pytest.mark.parametrize("name", NAMES)
def test_calls_fit_into_registers(name: str) -> None:
    abi = load(name)
    import_all()
    for one in CALLS.values():
        assert all(kind in KINDS for kind in one.kinds), one.name
        bound = Bound(one, abi)
        if one.name in abi.numbers and bound.places:
            assert len(bound.arguments([0] * (len(abi.arguments) + abi.stack_arguments[1]), abi)) == len(one.kinds)


def test_calls_are_looked_for_where_they_are() -> None:
    """What the table says of modules that are imported late is what these declare."""
    folder = Path(table.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "table"}
    assert set(table._MODULES) == modules
    import_all()
    declared: dict[str, set[str]] = {}
    for one in CALLS.values():
        declared.setdefault(one.answer.__module__.rpartition(".")[2], set()).add(one.name)
    assert {module: set(names.split()) for module, names in table._MODULES.items()} == declared


def test_what_computing_needs_is_there() -> None:
    """The calls that issue 2 lists for static programs are answered on every guest that has them."""
    import_all()
    missing = [name for name in WANTED.split() if name not in CALLS]
    assert not missing
    calls = SystemCalls(load("riscv64"))
    assert calls.name(63) == "read"
    assert calls.name(9999) == "syscall_0x270f"
    assert calls.find(9999) is None


def test_padding_is_the_compilers() -> None:
    layout = Struct("a:u8 b:u64 c:u16", 8, False)
    assert (layout.offsets, layout.size) == ({"a": 0, "b": 8, "c": 16}, 24)
    assert Struct("a:u8 b:u64 c:u16", 4, False, max_align=4).size == 16
    assert Struct("a:long b:ptr", 4, True).pack({"a": -1, "b": 1 << 40 | 5}) == b"\xff\xff\xff\xff\0\0\0\5"
    assert Struct("a:s8 b:char3", 8, False).unpack(b"\xffabc") == {"a": -1}


def test_wide_arguments_of_narrow_guests() -> None:
    abi = load("riscv32")
    bound = Bound(call("pread64"), abi)
    assert bound.arguments([3, 0x1000, 16, 0x89ABCDEF, 0x1234567, 0], abi) == [3, 0x1000, 16, 0x123456789ABCDEF]
    assert bound.arguments([0xFFFFFFFF, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, 0], abi) == [-1, 0, 0, -1]


@pytest.mark.parametrize("name", ["riscv32", "riscv64"])
def test_hardware_probe(name: str) -> None:
    thread = guest.make_thread(name)
    layout = thread.process.abi.struct("riscv_hwprobe")
    keys = (3, 4, 5, 1000, -7)
    pairs = guest.put(thread, b"".join(layout.pack({"key": key, "value": 99}) for key in keys))
    assert guest.call(thread, "riscv_hwprobe", pairs, len(keys), 0, 0, 0) == 0
    data = thread.memory.read(pairs, layout.size * len(keys))
    found = [layout.unpack(data[at : at + layout.size]) for at in range(0, len(data), layout.size)]
    assert [(pair["key"], pair["value"]) for pair in found] == [(3, 1), (4, 3), (5, 3), (-1, 0), (-1, 0)]
    assert guest.call(thread, "riscv_hwprobe", pairs, 1, 0, 0, 1) == -errno.EINVAL
    assert guest.call(thread, "riscv_hwprobe", pairs, 1, 8, 0, 0) == -errno.EINVAL
    assert (
        guest.call(thread, "riscv_hwprobe", pairs, 1, 8, guest.put(thread, bytes(8), pairs + 0x1000), 0)
        == -errno.EINVAL
    )
    assert guest.call(thread, "riscv_hwprobe", pairs, 1, 8, guest.put(thread, b"\1" + bytes(7), pairs + 0x1000), 0) == 0
    assert guest.call(thread, "riscv_hwprobe", 8, 1, 0, 0, 0) == -errno.EFAULT
