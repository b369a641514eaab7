"""Snapshots on disk: a line, a JSON head and compressed pages.  Nothing in such a file is ever executed.

isomorph snapshot 1\\n
8 bytes   length of the head, little-endian
head      JSON: instruction set, layout of its state, registers, regions, numbers of the pages
pages     the pages' contents one after the other, as one zlib stream
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from typing import Any

from isomorph.errors import IsomorphError
from runtime.core.layout import Layout
from runtime.core.memory import PAGE_SIZE, Region
from runtime.core.snapshot import MemorySnapshot
from runtime.core.whole_file import whole_file

MAGIC = b"isomorph snapshot 1\n"
_MOST_HEAD = 1 << 28
_PERMISSIONS = 7


class Saved:
    """What a snapshot's file holds."""

    __slots__ = ("executed", "fields", "memory", "state")

    def __init__(self, state: bytes, fields: dict[str, int], executed: int, memory: MemorySnapshot) -> None:
        self.state = state
        self.fields = fields
        self.executed = executed
        self.memory = memory


def fingerprint(layout: Layout) -> str:
    """Names the layout of an instruction set's state: registers of one are not to be read as another's."""
    places = [(r.name, r.width, r.offset, r.stride, r.count) for r in layout.registers]
    modes = [(m.name, m.width, m.shift) for m in layout.modes]
    return hashlib.sha256(repr((layout.isa, layout.size, places, modes)).encode()).hexdigest()[:16]


def save(path: str | os.PathLike[str], layout: Layout, saved: Saved) -> None:
    """Write a snapshot; the file appears whole or not at all."""
    memory = saved.memory
    pages = sorted(memory.pages)
    head = {
        "isa": layout.isa,
        "layout": fingerprint(layout),
        "state": saved.state.hex(),
        "fields": saved.fields,
        "executed": saved.executed,
        "regions": [[r.start, r.end, r.permissions, r.name, r.offset, r.shared] for r in memory.regions],
        "pages": pages,
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    compressor = zlib.compressobj(1)
    with whole_file(path) as file:
        file.write(MAGIC + len(text).to_bytes(8, "little") + text)
        for page in pages:
            file.write(compressor.compress(memory.pages[page]))
        file.write(compressor.flush())


def load(path: str | os.PathLike[str], layout: Layout, memory_size: int, field_names: tuple[str, ...]) -> Saved:
    """Read what `save` wrote; IsomorphError when the file is not one, or not of this instruction set."""
    name = os.fspath(path)
    with open(name, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise IsomorphError(f"{name}: not a snapshot of this version")
        size = int.from_bytes(file.read(8), "little")
        try:
            head = json.loads(file.read(size)) if size < _MOST_HEAD else None
        except ValueError:
            head = None
        if not isinstance(head, dict):
            raise IsomorphError(f"{name}: the snapshot is damaged")
        if head.get("isa") != layout.isa:
            raise IsomorphError(f"{name}: a snapshot of {head.get('isa')}; this emulator is of {layout.isa}")
        if head.get("layout") != fingerprint(layout):
            raise IsomorphError(f"{name}: {layout.isa}'s registers have been laid out anew since it was saved")
        try:
            return _read(head, file.read(), memory_size, field_names)
        except (KeyError, TypeError, ValueError, OverflowError, zlib.error) as error:
            raise IsomorphError(f"{name}: the snapshot is damaged ({type(error).__name__}: {error})") from None


def _read(head: Mapping[str, Any], data: bytes, memory_size: int, field_names: tuple[str, ...]) -> Saved:
    """The contents, each part of them checked."""
    regions = []
    end = 0
    for start, stop, permissions, name, offset, shared in head["regions"]:
        numbers = (start, stop, permissions, offset)
        if not all(isinstance(number, int) for number in numbers) or not end <= start < stop <= memory_size:
            raise ValueError(f"region {start}..{stop}")
        if (start | stop) % PAGE_SIZE or permissions & ~_PERMISSIONS:
            raise ValueError(f"region {start:#x}..{stop:#x}")
        regions.append(Region(start, stop, permissions, str(name), offset, bool(shared)))
        end = stop
    numbers = head["pages"]
    room = len(numbers) * PAGE_SIZE
    stream = zlib.decompressobj()
    contents = stream.decompress(data, room + 1)
    if len(contents) != room or not stream.eof:
        raise ValueError("pages are missing")
    places = [range(region.start // PAGE_SIZE, region.end // PAGE_SIZE) for region in regions]
    pages = {}
    at = 0
    for index, page in enumerate(numbers):
        while at < len(places) and page >= places[at].stop:
            at += 1
        if at == len(places) or page not in places[at]:
            raise ValueError(f"page {page} is not mapped")
        pages[page] = contents[index * PAGE_SIZE : (index + 1) * PAGE_SIZE]
    fields = {name: int(head["fields"][name]) & (1 << 64) - 1 for name in field_names}
    return Saved(bytes.fromhex(head["state"]), fields, int(head["executed"]), MemorySnapshot(tuple(regions), pages))
