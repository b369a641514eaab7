"""Compiled regions on disk: a second run of a program starts with what the first one compiled.

One file a region in a folder an ISA, whose name says what made the code (its native.blob and stamp, the host's CPU).  A
file's name begins with the pc and flags of the region's entry, so that one listing of the folder tells what may be
there; whether a region fits is decided by comparing the guest code it was made from with what the guest has in memory.
Files are written under another name first and never changed, so any number of processes may read and write.

Beside them lie requests that a compiler was at when its run ended, so that the next run begins with them.
"""

from __future__ import annotations

import os
import struct
import time
import zlib

from runtime.core.light import suppress
from runtime.core.record import replace
from runtime.tcg.region import RegionAnswer, RegionRequest
from runtime.tcg.tier_options import DEFAULT_DISK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Places = tuple[int, ...]
    Present = Callable[[RegionRequest], Places | None]

MAGIC = b"ISOREGN4"
#: magic, bytes of the request, bytes of the answer, CRC-32 of both
_HEADER = struct.Struct("<8sIII")
_SUFFIX = ".region"
#: of a request that is being compiled; its header has how often that was begun instead of an answer's length
_BEGUN = ".begun"
_TEMPORARY = ".tmp"
#: between two looks at how large the cache has become, a process stores so many bytes at most
_UNLOOKED = 4 << 20
#: an entry used again within so many seconds is not stamped again
_STAMP_AFTER = 3600


class RegionCache:
    """The cache of one ISA; `folder` need not exist.  Nothing that goes wrong with it is an error."""

    def __init__(self, folder: str, limit: int = DEFAULT_DISK) -> None:
        self.folder = folder
        self.limit = limit
        self._index: dict[tuple[int, int], list[str]] | None = None
        self._unfinished: dict[tuple[int, int], list[str]] = {}
        self._stored = _UNLOOKED  # have a first look

    # ------------------------------------------------------------ reading

    def find(self, entry: int, flags: int, present: Present) -> tuple[RegionRequest, RegionAnswer, Places] | None:
        """The largest region for this entry whose code is what the guest has, and where it has it.

        present: the places of a request's blocks; None if the guest does not have them all."""
        best: tuple[RegionRequest, RegionAnswer, Places] | None = None
        for name in self._names().get((entry, flags), ()):
            found = self._load(name)
            if found is None:
                continue
            request = found[0]
            if best is not None and len(request.blocks) <= len(best[0].blocks):
                continue
            places = present(request)
            if places is not None:
                best = *found, places
                self._stamp(name)
        return best

    def entries(self) -> Iterator[int]:
        """The pcs that regions of the cache begin at, compiled ones and unfinished ones."""
        names = self._names()
        return (entry for entry, _ in (*names, *self._unfinished))

    def unfinished(self, entry: int, flags: int, present: Present) -> tuple[RegionRequest, int, Places] | None:
        """A request for this entry that earlier runs have not seen finished, as by `find`; how often it was begun."""
        best: tuple[RegionRequest, int, Places] | None = None
        self._names()
        for name in self._unfinished.get((entry, flags), ()):
            found = _read_begun(os.path.join(self.folder, name))
            if found is not None and (best is None or len(found[0].blocks) > len(best[0].blocks)):
                places = present(found[0])
                if places is not None:
                    best = *found, places
        return best

    def _names(self) -> dict[tuple[int, int], list[str]]:
        """The names of the files by the pc and flags of what is in them, as they were when this was first asked."""
        if self._index is None:
            self._index = self._read_folder()
        return self._index

    def _read_folder(self) -> dict[tuple[int, int], list[str]]:
        index: dict[tuple[int, int], list[str]] = {}
        names: list[str] = []
        with suppress(OSError):
            names = os.listdir(self.folder)
        for name in names:
            parts = name.split("-")
            if len(parts) == 3 and name.endswith((_SUFFIX, _BEGUN)):
                names_of = index if name.endswith(_SUFFIX) else self._unfinished
                with suppress(ValueError):
                    names_of.setdefault((int(parts[0], 16), int(parts[1], 16)), []).append(name)
        return index

    def _load(self, name: str) -> tuple[RegionRequest, RegionAnswer] | None:
        """A file's contents; one that is damaged is removed."""
        path = os.path.join(self.folder, name)
        try:
            with open(path, "rb", 0) as file:
                data = file.read()
        except OSError:
            return None
        try:
            magic, asked, answered, checksum = _HEADER.unpack_from(data)
            body = memoryview(data)[_HEADER.size :]
            if magic != MAGIC or len(body) != asked + answered or zlib.crc32(body) != checksum:
                raise ValueError
            return RegionRequest.decode(body[:asked]), RegionAnswer.decode(bytes(body[asked:]))
        except (ValueError, struct.error):
            with suppress(OSError):
                os.unlink(path)
            return None

    def _stamp(self, name: str) -> None:
        """Remember that an entry was used."""
        path = os.path.join(self.folder, name)
        with suppress(OSError):
            used = os.stat(path).st_mtime
            if time.time() - used > _STAMP_AFTER:
                os.utime(path)

    # ------------------------------------------------------------ writing

    def begin(self, request: RegionRequest) -> None:
        """Remember that a request is being compiled, and the how manieth time, until it is stored or ended."""
        name = _name(request, _BEGUN)
        before = _read_begun(os.path.join(self.folder, name))
        times = 1 if before is None else before[1] + 1
        asked = request.encode()
        self._write(name, _HEADER.pack(MAGIC, len(asked), times, zlib.crc32(asked)) + asked)

    def end(self, request: RegionRequest) -> None:
        """Undo `begin`: nobody needs to begin with it again."""
        with suppress(OSError):
            os.unlink(os.path.join(self.folder, _name(request, _BEGUN)))

    def store(self, request: RegionRequest, answer: RegionAnswer) -> None:
        """Keep a compiled region."""
        asked = request.key()
        answered = replace(answer, text="").encode()
        body = asked + answered
        if not self._write(
            _name(request, _SUFFIX), _HEADER.pack(MAGIC, len(asked), len(answered), zlib.crc32(body)) + body
        ):
            return
        self.end(request)
        self._stored += len(body)
        if self._stored >= _UNLOOKED:
            self._stored = 0
            shrink(os.path.dirname(self.folder), self.limit)

    def _write(self, name: str, data: bytes) -> bool:
        """Have a file with this content; False if that cannot be."""
        path = os.path.join(self.folder, name)
        temporary = f"{path}.{os.getpid()}{_TEMPORARY}"
        try:
            os.makedirs(os.path.dirname(self.folder), mode=0o700, exist_ok=True)
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, data)
            finally:
                os.close(descriptor)
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)
            return False
        return True


def _name(request: RegionRequest, suffix: str) -> str:
    asked = request.key()
    return f"{request.entry:x}-{request.flags:x}-{zlib.crc32(asked):08x}{len(asked):x}{suffix}"


def _read_begun(path: str) -> tuple[RegionRequest, int] | None:
    """What `begin` wrote."""
    with suppress(OSError, ValueError, struct.error), open(path, "rb", 0) as file:
        data = file.read()
        magic, asked, times, checksum = _HEADER.unpack_from(data)
        body = memoryview(data)[_HEADER.size :]
        if magic == MAGIC and len(body) == asked and zlib.crc32(body) == checksum:
            return RegionRequest.decode(body), times
    return None


# ------------------------------------------------------------ the whole directory


class Entry:
    """A file of the cache."""

    __slots__ = ("isa", "path", "size", "used")

    def __init__(self, path: str, isa: str, size: int, used: float) -> None:
        self.path = path
        self.isa = isa
        self.size = size
        self.used = used

    @property
    def is_region(self) -> bool:
        """Whether it is a compiled region, not a request or what is being written."""
        return self.path.endswith(_SUFFIX)


def entries(root: str) -> Iterator[Entry]:
    """Every file of ours in a cache directory."""
    with suppress(OSError), os.scandir(root) as folders:
        for folder in folders:
            isa, _, digest = folder.name.rpartition("-")
            if not isa or len(digest) != 16 or not folder.is_dir(follow_symlinks=False):
                continue
            with suppress(OSError), os.scandir(folder.path) as files:
                for file in files:
                    if file.name.endswith((_SUFFIX, _BEGUN, _TEMPORARY)):
                        with suppress(OSError):
                            about = file.stat(follow_symlinks=False)
                            yield Entry(file.path, isa, about.st_size, about.st_mtime)


def shrink(root: str, limit: int) -> None:
    """Remove what was longest not used, until 9/10 of `limit` are left of a cache that is larger."""
    found = sorted(entries(root), key=lambda entry: entry.used)
    size = sum(entry.size for entry in found)
    if size <= limit:
        return
    for entry in found:
        if size <= limit * 9 // 10:
            break
        with suppress(OSError):
            os.unlink(entry.path)
        size -= entry.size


def clear(root: str) -> int:
    """Remove every entry; how many there were."""
    count = 0
    for entry in list(entries(root)):
        with suppress(OSError):
            os.unlink(entry.path)
            count += 1
    with suppress(OSError), os.scandir(root) as folders:
        for folder in folders:
            isa, _, digest = folder.name.rpartition("-")
            if isa and len(digest) == 16:
                with suppress(OSError):
                    os.rmdir(folder.path)
    return count
