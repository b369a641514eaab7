"""System calls that tell the time or let it pass."""

from __future__ import annotations

import errno
import os
import resource
import time as host_time

from runtime.linux.host import ERESTARTNOHAND, Bytes
from runtime.linux.structs import Struct
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Thread

TIMER_ABSTIME = 1
RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD = 0, -1, 1
_TIMESPEC = Struct("sec:s64 nsec:s64", 8, False)


@system_call("clock pointer", "clock_gettime", "clock_gettime64")
def clock_gettime(thread: Thread, clock: int, address: int) -> int:
    thread.write_timespec(address, host_time.clock_gettime_ns(clock))
    return 0


@system_call("clock pointer", "clock_getres", "clock_getres_time64")
def clock_getres(thread: Thread, clock: int, address: int) -> int:
    resolution = round(host_time.clock_getres(clock) * 1e9)
    if address:
        thread.write_timespec(address, resolution)
    return 0


def _sleep(thread: Thread, clock: int, flags: int, request: int, remain: int) -> int:
    process = thread.process
    seconds, nanoseconds = divmod(thread.read_timespec(request), 1_000_000_000)
    span = Bytes(_TIMESPEC.pack({"sec": seconds, "nsec": nanoseconds}))
    left = Bytes(span.raw)  # in case it is cut short before it begins
    try:
        return process.host.wait("clock_nanosleep", clock, flags, span.address, left.address, restart=ERESTARTNOHAND)
    except OSError as failure:
        if failure.errno == ERESTARTNOHAND and remain and not flags & TIMER_ABSTIME:
            rest = _TIMESPEC.unpack(left.raw[: _TIMESPEC.size])
            thread.write_timespec(remain, rest["sec"] * 1_000_000_000 + rest["nsec"])
        raise


@system_call("clock flags pointer pointer", "clock_nanosleep", "clock_nanosleep_time64")
def clock_nanosleep(thread: Thread, clock: int, flags: int, request: int, remain: int) -> int:
    return _sleep(thread, clock, flags, request, remain)


@system_call("pointer pointer")
def nanosleep(thread: Thread, request: int, remain: int) -> int:
    return _sleep(thread, host_time.CLOCK_MONOTONIC, 0, request, remain)


@system_call("pointer pointer")
def gettimeofday(thread: Thread, address: int, zone: int) -> int:
    abi, memory = thread.process.abi, thread.memory
    if address:
        seconds, microseconds = divmod(host_time.time_ns() // 1000, 1_000_000)
        memory.write(address, abi.struct("timeval").pack({"sec": seconds, "usec": microseconds}))
    if zone:
        memory.write(zone, abi.struct("timezone").pack({}))
    return 0


@system_call("pointer")
def times(thread: Thread, address: int) -> int:
    abi = thread.process.abi
    spent = os.times()
    if address:
        ticks = abi.clock_ticks
        fields = {
            "utime": int(spent.user * ticks),
            "stime": int(spent.system * ticks),
            "cutime": int(spent.children_user * ticks),
            "cstime": int(spent.children_system * ticks),
        }
        thread.memory.write(address, abi.struct("tms").pack(fields))
    return int(spent.elapsed * abi.clock_ticks)


@system_call("int pointer")
def getrusage(thread: Thread, who: int, address: int) -> int:
    if who not in (RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD):
        raise fail(errno.EINVAL)
    used = resource.getrusage(who)
    fields: dict[str, int | bytes] = {
        "maxrss": used.ru_maxrss,
        "minflt": used.ru_minflt,
        "majflt": used.ru_majflt,
        "inblock": used.ru_inblock,
        "oublock": used.ru_oublock,
        "nvcsw": used.ru_nvcsw,
        "nivcsw": used.ru_nivcsw,
    }
    fields["utime"], fields["utime_usec"] = divmod(round(used.ru_utime * 1e6), 1_000_000)
    fields["stime"], fields["stime_usec"] = divmod(round(used.ru_stime * 1e6), 1_000_000)
    thread.memory.write(address, thread.process.abi.struct("rusage").pack(fields))
    return 0
