"""Files that appear whole or not at all: under another name until everything is in them."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


@contextmanager
def whole_file(path: str | os.PathLike[str], mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write, which gets its name when the block ends; if that raises, the name stands for what it did before.

    path   a device, a pipe or a terminal is written as it is: a file must not take its place; a link is followed
    mode   permissions of the file, less the process's umask

    OSErrors name `path`.
    """
    name = os.fspath(path)
    if os.path.exists(name) and not os.path.isfile(name):
        with open(name, "wb") as file:
            yield file
        return
    target = os.path.realpath(name) if os.path.islink(name) else name
    scratch = f"{target}.{os.getpid()}.tmp"
    try:
        with open(scratch, "wb", opener=lambda place, flags: os.open(place, flags, mode)) as file:
            yield file
        os.replace(scratch, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(scratch)
        if isinstance(error, OSError) and error.filename in (scratch, None):
            error.filename, error.filename2 = name, None
        raise
