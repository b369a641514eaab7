"""A guest's file descriptors: its own numbers over host descriptors it never sees.

The host process's descriptors other than 0, 1 and 2 (logs, mapped code) have no guest number.  What the guest opens is
kept above the host's 2, so that the emulator's messages cannot end up in a guest's file when the guest closes its
stderr.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from _thread import RLock

from runtime.core.light import suppress
from runtime.linux.errors import fail

#: more descriptors than this no guest gets, whatever its rlimit
MAX_DESCRIPTORS = 1 << 16
_FIRST_HOST = 3


class Descriptor:
    """A guest descriptor: the host's number and close-on-exec."""

    __slots__ = ("close_on_exec", "host", "path", "records")

    def __init__(self, host: int, close_on_exec: bool = False, path: bytes | None = None) -> None:
        self.host = host
        self.close_on_exec = close_on_exec
        self.path = path  # what /proc/self/fd says, where the host's own answer would be wrong
        self.records: str | None = None  # runtime/linux/records.py: what reading it gives, once somebody asked


class Positions:
    """Numbers of 31 bits for positions in directories that have more."""

    _FIRST = 1 << 30

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._hosts: list[int] = []

    def shown(self, host: int) -> int:
        """What a guest is told for a host's position."""
        if host < self._FIRST:
            return host
        number = self._numbers.get(host)
        if number is None:
            number = self._numbers[host] = self._FIRST + len(self._hosts)
            self._hosts.append(host)
        return number

    def host(self, descriptor: int, offset: int) -> int:
        """The host's position for what a guest gives lseek: another one only in a directory."""
        if self._FIRST <= offset < self._FIRST + len(self._hosts) and stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return self._hosts[offset - self._FIRST]
        return offset


class DescriptorTable:
    """The open descriptors of a process."""

    def __init__(self, limit: int = 1024) -> None:
        self.limit = 0
        self.lock = RLock()  # held while numbers are given out or taken back: threads share them
        self.set_limit(limit)
        self.positions = Positions()
        self._open: dict[int, Descriptor] = {}

    def set_limit(self, limit: int) -> None:
        """RLIMIT_NOFILE: numbers from `limit` on are not given out."""
        self.limit = min(limit, MAX_DESCRIPTORS)

    def inherit(self) -> None:
        """Hand the guest the host's 0, 1 and 2, those that were open when this process began.

        What has come to stand there since is ours, and all that we open is closed on exec.
        """
        for number in range(_FIRST_HOST):
            with suppress(OSError):
                if os.get_inheritable(number):
                    self._open[number] = Descriptor(number)

    def get(self, number: int) -> Descriptor:
        """Descriptor `number`, or EBADF."""
        found = self._open.get(number)
        if found is None:
            raise fail(errno.EBADF)
        return found

    def host(self, number: int) -> int:
        """The host's number behind guest descriptor `number`, or EBADF."""
        found = self._open.get(number)
        if found is None:
            raise fail(errno.EBADF)
        return found.host

    def add(self, host: int, close_on_exec: bool = False, path: bytes | None = None, lowest: int = 0) -> int:
        """Give a host descriptor, which the table owns from now on, the lowest free guest number from `lowest` on."""
        host = _lift(host)
        with self.lock:
            number = lowest
            while number in self._open:
                number += 1
            if number < self.limit:
                self._open[number] = Descriptor(host, close_on_exec, path)
                return number
        os.close(host)
        raise fail(errno.EMFILE)

    def duplicate(self, number: int, lowest: int = 0, close_on_exec: bool = False) -> int:
        """dup, F_DUPFD: another number for the same open file."""
        source = self.get(number)
        if not 0 <= lowest < self.limit:
            raise fail(errno.EINVAL)
        return self.add(_copy(source.host), close_on_exec, source.path, lowest)

    def replace(self, number: int, target: int, close_on_exec: bool = False) -> int:
        """dup3: make `target` the same open file as `number`."""
        source = self.get(number)
        if not 0 <= target < self.limit:
            raise fail(errno.EBADF)
        copy = Descriptor(_copy(source.host), close_on_exec, source.path)
        with self.lock:
            before = self._open.get(target)
            self._open[target] = copy
        if before is not None:
            os.close(before.host)
        return target

    def close(self, number: int) -> None:
        """Close a descriptor; EBADF when it is not open."""
        with self.lock:
            found = self.get(number)
            del self._open[number]
        os.close(found.host)

    def numbers(self) -> list[int]:
        """Every open descriptor, in order."""
        return sorted(self._open)


def _copy(host: int) -> int:
    copy: int = fcntl.fcntl(host, fcntl.F_DUPFD_CLOEXEC, _FIRST_HOST)
    return copy


def _lift(host: int) -> int:
    """The same open file at a number above the host's standard descriptors."""
    if host >= _FIRST_HOST:
        return host
    copy = _copy(host)
    os.close(host)
    return copy
