"""The segment register by which compiled code finds guest memory: arch_prctl(2) points a thread's at it.

Nothing else on x86-64 Linux uses GS.  So an access needs no register for where guest memory begins, and the others are
the guest's.
"""

from __future__ import annotations

from _thread import _local

from runtime.core.foreign import CDLL, c_long, c_uint64, get_errno

#: the register as assembly has it
SEGMENT = "%gs"
_ARCH_PRCTL = 158
_ARCH_SET_GS = 0x1001
_libc = CDLL(None, use_errno=True)


class Segment(_local):
    """What the segment register of each thread points at, as far as this module pointed it there."""

    base = 0

    def point(self, base: int) -> None:
        """Have this thread's begin at a host address; OSError where the host does not let one."""
        if _libc.syscall(c_long(_ARCH_PRCTL), c_long(_ARCH_SET_GS), c_uint64(base)):
            raise OSError(get_errno(), "arch_prctl")
        self.base = base


#: this process's
SEGMENTS = Segment()


def can_point() -> bool:
    """Whether the host lets a thread set it."""
    try:
        SEGMENTS.point(SEGMENTS.base)
    except OSError:
        return False
    return True
