"""How hot code is compiled: what the command line, the environment or a caller of the API asks for."""

from __future__ import annotations

import os
import zlib

from runtime.core.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.cpu import Isa
    from runtime.tcg.blobs import Blob

#: times a block is entered before it is worth compiling
DEFAULT_THRESHOLD = 2000
#: ... before it is worth looking whether its region was compiled by an earlier run
CACHED_THRESHOLD = 16
#: bytes of compiled code kept in memory
DEFAULT_MEMORY = 64 << 20
#: of files in the cache directory
DEFAULT_DISK = 256 << 20
DIRECTORY = "isomorph"
#: most guest instructions in a region; compiling takes longer than its part when there are many
MOST_INSTRUCTIONS = 384
#: processes that compile, if nobody says how many
MOST_WORKERS = 4


@record
class TierOptions:
    """threshold  entries after which a block is compiled; 0: never
    workers    processes that compile; 0: this one does, and the guest waits (for tests)
    cache      directory of compiled regions; None: they are not kept
    memory     most bytes of compiled regions in memory
    perf_map   whether to tell Linux perf where compiled code lies
    size       most guest instructions in a region
    """

    threshold: int = DEFAULT_THRESHOLD
    workers: int = 1
    cache: str | None = None
    memory: int = DEFAULT_MEMORY
    perf_map: bool = False
    size: int = MOST_INSTRUCTIONS


class OptionError(ValueError):
    """A setting of the environment that makes no sense."""


#: the second tier left out
OFF = TierOptions(0)


def options_from_environment() -> TierOptions:
    """What $ISOMORPH_TIER1_THRESHOLD, $ISOMORPH_WORKERS, $ISOMORPH_REGION_SIZE and $ISOMORPH_CACHE ask for."""
    return TierOptions(
        _number("ISOMORPH_TIER1_THRESHOLD", DEFAULT_THRESHOLD),
        _number("ISOMORPH_WORKERS", default_workers()),
        cache_directory(),
        size=_number("ISOMORPH_REGION_SIZE", MOST_INSTRUCTIONS),
    )


def default_workers() -> int:
    """Half of the host's cores: the guest needs the others."""
    return max(1, min(MOST_WORKERS, (os.cpu_count() or 1) // 2))


def cache_directory() -> str | None:
    """Where compiled code is kept: $ISOMORPH_CACHE, or in the user's cache directory; None: nowhere."""
    wanted = os.environ.get("ISOMORPH_CACHE")
    if wanted is not None:
        return wanted if wanted not in ("", "0", "off", "none") else None
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the XDG Base Directory Specification: such a path is to be ignored
        base = os.path.expanduser("~/.cache")
    return os.path.join(base, DIRECTORY) if os.path.isabs(base) else None


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal():
        raise OptionError(f"${name} is {text!r}: not a number")
    return int(text)


def isa_folder(root: str, isa: Isa, blob: Blob) -> str:
    """Where in a cache directory the regions of an ISA lie; the name changes with whatever changes the code made."""
    stamp = b""
    try:
        with open(f"{isa.path}/STAMP", "rb", 0) as file:
            stamp = file.read()
    except OSError:
        pass
    return os.path.join(root, f"{isa.name}-{zlib.crc32(_host_cpu(), zlib.crc32(stamp)):08x}{blob.checksum:08x}")


def _host_cpu() -> bytes:
    """Model and features of the first of the host's CPUs."""
    try:
        with open("/proc/cpuinfo", "rb", 0) as file:
            first = file.read(4096)
    except OSError:
        return b""
    return b"".join(line for line in first.splitlines() if line.startswith((b"model name", b"flags")))


def first_threshold(isa: Isa, blob: Blob, options: TierOptions) -> int:
    """How often a block is entered before Python hears of it: sooner when its region may lie on disk."""
    if options.cache is not None and os.path.isdir(isa_folder(options.cache, isa, blob)):
        return min(CACHED_THRESHOLD, options.threshold)
    return options.threshold
