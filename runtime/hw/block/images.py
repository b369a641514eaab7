"""Opening an image by its name: which format it has, and what is behind it."""

from __future__ import annotations

import os

from runtime.hw.block.backend import BlockBackend, ImageError
from runtime.hw.block.files import HostFile
from runtime.hw.block.overlay import Overlay
from runtime.hw.block.qcow2 import Qcow2Image
from runtime.hw.block.qcow2_header import MAGIC, read_header
from runtime.hw.block.raw import RawImage

__all__ = ["FORMATS", "open_image"]

FORMATS = ("qcow2", "raw")

#: backing files behind backing files
MOST_DEEP = 64


def open_image(
    path: str,
    *,
    format: str | None = None,
    read_only: bool = False,
    snapshot: bool = False,
    durable: bool = True,
) -> BlockBackend:
    """The image; ImageError with one line that says what is wrong.

    With `snapshot` the file is only read.  Unless `durable`, a flush leaves data with the host's kernel: they survive
    the emulator, not the host.
    """
    image = _open(path, format, read_only or snapshot, ())
    if not durable:
        image.file.durable = False
    return Overlay(image) if snapshot else image


def _open(path: str, format: str | None, read_only: bool, above: tuple[tuple[int, int], ...]) -> RawImage | Qcow2Image:
    if format is not None and format not in FORMATS:
        raise ImageError(f"{path}: there is no image format {format}; there are {', '.join(FORMATS)}")
    try:
        status = os.stat(path)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
    identity = (status.st_dev, status.st_ino)
    if identity in above or len(above) >= MOST_DEEP:
        raise ImageError(f"{path}: it is its own backing file")
    file = HostFile(path, read_only=read_only)
    try:
        guessed = format is None
        if guessed:
            format = "qcow2" if file.read(0, 4) == MAGIC else "raw"
        if format == "raw":
            return RawImage(file, guessed=guessed)
        return _open_qcow2(file, (*above, identity))
    except BaseException:
        file.close()
        raise


def _open_qcow2(file: HostFile, above: tuple[tuple[int, int], ...]) -> RawImage | Qcow2Image:
    header = read_header(file)
    backing: BlockBackend | None = None
    if header.backing_file is not None:
        name = header.backing_file.removeprefix("file:")
        if name.startswith(("json:", "nbd:", "ssh:", "http:", "https:", "rbd:", "iscsi:")):
            raise ImageError(f"{file.path}: its backing file is {name!r}; only files of this host can be one")
        place = os.path.join(os.path.dirname(file.path), name)
        try:
            backing = _open(place, header.backing_format, True, above)
        except ImageError as error:
            raise ImageError(f"{file.path}: its backing file: {error}") from error
    try:
        return Qcow2Image(file, backing)
    except BaseException:
        if backing is not None:
            backing.close()
        raise
