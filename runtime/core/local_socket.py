"""Sockets in the file system that this process listens at, for gdb, monitors and viewers."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress


def local_server(path: str, backlog: int = 1) -> socket.socket:
    """Listen at `path`, which nobody but this user can connect to.

    A socket whose maker has gone is replaced.  Any other file, and a socket that somebody listens at, stays: OSError.
    """
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode) and _is_dead(path):
            os.unlink(path)
    made = socket.socket(socket.AF_UNIX)
    try:
        mask = os.umask(0o177)
        try:
            made.bind(path)
        finally:
            os.umask(mask)
        made.listen(backlog)
    except OSError:
        made.close()
        raise
    return made


def _is_dead(path: str) -> bool:
    """Whether a socket is one that its maker left behind."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
