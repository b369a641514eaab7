"""A worker process of a pool ends when the process that started it is gone, however that ended, and at Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

__all__ = ["end_with_parent", "quiet_starts"]


@contextmanager
def quiet_starts() -> Iterator[None]:
    """Processes started in here get no Ctrl-C before `end_with_parent`: Python would tell where its imports were."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Called in a new worker: without it a killed parent leaves it waiting for work for ever.

    Ctrl-C, which a terminal sends to all of them, ends it without a word: the parent says what there is to say.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_outlive, args=(parent,), daemon=True).start()


def _outlive(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
