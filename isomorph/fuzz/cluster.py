"""Campaigns on a Dask cluster: an executor whose processes are somewhere else.  Dask is an extra: isomorph[cluster]."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from isomorph.errors import IsomorphError

__all__ = ["cluster_executor"]


@contextmanager
def cluster_executor(address: str, jobs: int) -> Iterator[Executor]:
    """An executor on the scheduler at `address`, or on a cluster of `jobs` processes made here for "local".

    Its machines need isomorph and the generated instruction set at the same paths.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise IsomorphError("--cluster needs Dask: pip install 'isomorph[cluster]'") from None
    local = None
    try:
        if address == "local":
            local = distributed.LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
        client = distributed.Client(local or address, timeout="10s")
    except (OSError, ValueError, TimeoutError) as error:
        raise IsomorphError(f"--cluster {address}: {str(error).splitlines()[0]}") from error
    try:
        yield client.get_executor(pure=False)
    finally:
        client.close()
        if local is not None:
            local.close()
