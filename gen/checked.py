"""A spec as it was checked, kept beside what was generated from it: reading it is quick, checking it is not."""

from __future__ import annotations

import gc
import pickle
import sys
import zlib
from pathlib import Path

from gen import model
from gen.names import Module

__all__ = ["CHECKED", "read", "write"]

CHECKED = "checked.pickle"
#: Python frames: a chain of choices is a tree as deep as it is long
_RECURSION = 20_000


def write(path: Path, module: Module, spec: model.Spec) -> None:
    """Keeps a checked spec; what is too deep is not kept, and checked again by those who want it."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _RECURSION))
    try:
        path.write_bytes(zlib.compress(pickle.dumps((module, spec), pickle.HIGHEST_PROTOCOL), 1))
    except RecursionError:
        path.unlink(missing_ok=True)
    finally:
        sys.setrecursionlimit(limit)


def read(path: Path) -> tuple[Module, model.Spec] | None:
    """What was kept, if it is there and whole.  Only for a folder whose STAMP says that this generator made it."""
    collecting = gc.isenabled()
    gc.disable()  # nothing of it is garbage, and looking takes half the time
    try:
        module, spec = pickle.loads(zlib.decompress(path.read_bytes()))
    except (OSError, zlib.error, pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, ImportError):
        return None
    finally:
        if collecting:
            gc.enable()
    return module, spec
