"""Maps blob files (link.py writes them): position-independent native code, executable and never writable."""

from __future__ import annotations

import mmap
import os
import struct
import zlib

from runtime.core import foreign

TYPE_CHECKING = False  # typing's own takes long to import
if TYPE_CHECKING:
    from os import PathLike

MAGIC = b"ISOBLOB2"
#: magic, bytes of description (lines `key value` of meta, an empty line, lines `name offset` of the symbols),
#: file offset of the code, bytes of code, CRC-32 of description and code
HEADER = struct.Struct("<8sIIQI")
PAGE = 4096
_FAILED = foreign.c_void_p(-1).value

_libc = foreign.CDLL(None, use_errno=True)
_libc.mmap.restype = foreign.c_void_p
_libc.mmap.argtypes = (
    foreign.c_void_p, foreign.c_size_t, foreign.c_int, foreign.c_int, foreign.c_int, foreign.c_long,
)  # fmt: skip


class BlobError(Exception):
    """A blob file that cannot be used."""


class Blob:
    """Mapped code; it stays mapped until everybody who has it called `close`, and nothing may run in it then."""

    def __init__(self, path: str | PathLike[str], base: int, size: int, description: str, checksum: int = 0) -> None:
        self.path = path
        self.base = base
        self.size = size
        self.checksum = checksum
        self._holders = 1
        meta, _, symbols = description.partition("\n\n")
        self._symbols = f"\n{symbols.rstrip()}\n"  # a name follows a newline, and its offset a space
        self._offsets: dict[str, int] | None = None
        self.meta = dict(line.split(" ", 1) for line in meta.splitlines())

    @property
    def symbols(self) -> dict[str, int]:
        """name -> offset in the code, of all; a run asks for few of the thousands (`address`)."""
        if self._offsets is None:
            words = self._symbols.split()
            self._offsets = dict(zip(words[::2], map(int, words[1::2]), strict=True))
        return self._offsets

    def address(self, name: str) -> int:
        """Host address of a function."""
        at = self._symbols.find(f"\n{name} ")
        if at < 0:
            raise BlobError(f"{self.path}: no function {name}")
        at += len(name) + 2
        return self.base + int(self._symbols[at : self._symbols.index("\n", at)])

    @property
    def handlers(self) -> tuple[int, int]:
        """Host addresses of the first and the last handler of instructions: between them is nothing but handlers."""
        text = self._symbols
        first, last = text.find("\nh_"), text.rfind("\nh_")
        if first < 0:
            return 0, 0
        places = [int(text[at:].split(None, 2)[1]) for at in (first, last)]
        return self.base + places[0], self.base + places[1]

    def code(self, name: str, size: int) -> bytes:
        """`size` bytes of a function's code."""
        return foreign.string_at(self.address(name), size)

    def share(self) -> Blob:
        """The same for somebody else, who closes it, too."""
        self._holders += 1
        return self

    def close(self) -> None:
        """Unmap, if nobody else has it."""
        self._holders -= 1
        if self.base and not self._holders:
            _libc.munmap(foreign.c_void_p(self.base), foreign.c_size_t(self.size))
            self.base = 0


def map_blob(path: str | PathLike[str], verify: bool = True) -> Blob:
    """Map a blob file; BlobError says what is wrong with it.

    verify: whether to read all of the code for its checksum, a millisecond for three megabytes."""
    try:
        with open(path, "rb", 0) as file:
            return _map(path, file.fileno(), verify)
    except OSError as error:
        raise BlobError(f"{path}: {error.strerror}") from error


def read_symbols(path: str | PathLike[str]) -> dict[str, int]:
    """The functions of a blob file and where in its code they stand, without mapping it."""
    with open(path, "rb") as file:
        head = file.read(HEADER.size)
        if len(head) < HEADER.size or not head.startswith(MAGIC):
            raise BlobError(f"{path}: not a blob of native code (run `make gen`)")
        description = file.read(HEADER.unpack(head)[1]).decode()
    table = description.partition("\n\n")[2]
    return {name: int(offset) for name, offset in map(str.split, table.splitlines())}


def read_checksum(path: str | PathLike[str]) -> int:
    """What `Blob.checksum` is of the file as it is now."""
    with open(path, "rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        raise BlobError(f"{path}: not a blob of native code (run `make gen`)")
    checksum: int = HEADER.unpack(head)[4]
    return checksum


def _map(path: str | PathLike[str], fd: int, verify: bool) -> Blob:
    length = os.fstat(fd).st_size
    head = os.pread(fd, HEADER.size, 0)
    if len(head) < HEADER.size or not head.startswith(MAGIC):
        raise BlobError(f"{path}: not a blob of native code (run `make gen`)")
    _, described, start, size, checksum = HEADER.unpack(head)
    if not size or start % PAGE or start < HEADER.size + described or start + size != length:
        raise BlobError(f"{path}: truncated or damaged: {length} bytes, {start + size} expected (run `make gen`)")
    description = os.pread(fd, described, HEADER.size)
    base = _libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, fd, start)
    if base == _FAILED:
        raise OSError(foreign.get_errno(), os.strerror(foreign.get_errno()))
    if verify and zlib.crc32((foreign.c_char * size).from_address(base), zlib.crc32(description)) != checksum:
        _libc.munmap(foreign.c_void_p(base), foreign.c_size_t(size))
        raise BlobError(f"{path}: damaged: the checksum does not match (run `make gen`)")
    try:
        return Blob(path, base, size, description.decode(), checksum)
    except ValueError:
        raise BlobError(f"{path}: damaged: its description is not lines of words (run `make gen`)") from None
