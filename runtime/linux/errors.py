"""How a system call fails."""

from __future__ import annotations


def fail(error: int) -> OSError:
    """The exception that makes a call answer -error; `raise fail(errno.EINVAL)`."""
    return OSError(error, "")
