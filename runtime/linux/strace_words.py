"""How -strace prints arguments that are sets of flags or one of several names: kind of argument -> its words."""

from __future__ import annotations

#: kind -> what 0 is called, and the flags, those of several bits first
FLAGS: dict[str, tuple[str, tuple[tuple[int, str], ...]]] = {
    "splice_flags": (
        "0",
        ((1, "SPLICE_F_MOVE"), (2, "SPLICE_F_NONBLOCK"), (4, "SPLICE_F_MORE"), (8, "SPLICE_F_GIFT")),
    ),
    "rwf_flags": ("0", ((1, "RWF_HIPRI"), (2, "RWF_DSYNC"), (4, "RWF_SYNC"), (8, "RWF_NOWAIT"), (16, "RWF_APPEND"))),
    "xattr_flags": ("0", ((1, "XATTR_CREATE"), (2, "XATTR_REPLACE"))),
    "inotify_flags": ("0", ((0o4000, "IN_NONBLOCK"), (0o2000000, "IN_CLOEXEC"))),
    "inotify_mask": (
        "0",
        (
            (0xFFF, "IN_ALL_EVENTS"),
            *((1 << bit, name) for bit, name in enumerate(("IN_ACCESS", "IN_MODIFY", "IN_ATTRIB", "IN_CLOSE_WRITE"))),
            *((0x10 << bit, name) for bit, name in enumerate(("IN_CLOSE_NOWRITE", "IN_OPEN", "IN_MOVED_FROM"))),
            *((0x80 << bit, name) for bit, name in enumerate(("IN_MOVED_TO", "IN_CREATE", "IN_DELETE"))),
            *((0x400 << bit, name) for bit, name in enumerate(("IN_DELETE_SELF", "IN_MOVE_SELF"))),
            (0x01000000, "IN_ONLYDIR"),
            (0x02000000, "IN_DONT_FOLLOW"),
            (0x04000000, "IN_EXCL_UNLINK"),
            (0x10000000, "IN_MASK_CREATE"),
            (0x20000000, "IN_MASK_ADD"),
            (0x80000000, "IN_ONESHOT"),
        ),
    ),
    "sync_flags": (
        "0",
        (
            (1, "SYNC_FILE_RANGE_WAIT_BEFORE"),
            (2, "SYNC_FILE_RANGE_WRITE"),
            (4, "SYNC_FILE_RANGE_WAIT_AFTER"),
        ),
    ),
}

#: kind -> names of 0, 1, 2 ...
NAMES: dict[str, tuple[str, ...]] = {
    "priority_which": ("PRIO_PROCESS", "PRIO_PGRP", "PRIO_USER"),
    "itimer": ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"),
    "policy": ("SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"),
}
