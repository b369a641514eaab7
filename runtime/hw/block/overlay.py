"""`-snapshot`: writes go to a temporary file that nobody else sees, and the image stays as it was."""

from __future__ import annotations

import os
from collections.abc import Mapping

from runtime.hw.block.backend import BlockBackend, BlockError
from runtime.hw.block.raw import zeroes
from runtime.hw.device import DeviceError

__all__ = ["Overlay"]

CLUSTER = 1 << 16


class Overlay:
    """A backend that can be written, over one that need not be.

    A cluster is copied up when it is first written.  The temporary file has no name, so that it goes with the process.
    """

    granularity = CLUSTER

    def __init__(self, below: BlockBackend) -> None:
        import tempfile  # which brings random, shutil and every compressor, for machines that are to have this

        self.below = below
        self.name = below.name
        self.format = below.format
        self.size = below.size
        self.read_only = False
        self._file = tempfile.TemporaryFile(prefix="isomorph-snapshot-", buffering=0)  # noqa: SIM115  # close() ends it
        self._own = bytearray(-(-self.size // CLUSTER))  # 1: the cluster is in the temporary file

    def _runs(self, offset: int, size: int) -> list[tuple[bool, int, int]]:
        """(whether it is ours, offset, size) of the stretches."""
        runs: list[tuple[bool, int, int]] = []
        while size > 0:
            piece = min(size, CLUSTER - offset % CLUSTER)
            own = bool(self._own[offset // CLUSTER])
            if runs and runs[-1][0] == own:
                runs[-1] = (own, runs[-1][1], runs[-1][2] + piece)
            else:
                runs.append((own, offset, piece))
            offset, size = offset + piece, size - piece
        return runs

    def read(self, offset: int, size: int) -> bytes:
        """What was written, else what is below."""
        pieces = []
        for own, place, length in self._runs(offset, size):
            if own:
                pieces.append(os.pread(self._file.fileno(), length, place).ljust(length, b"\0"))
            else:
                pieces.append(self.below.read(place, length))
        return b"".join(pieces)

    def write(self, offset: int, data: bytes) -> None:
        """Store bytes above."""
        end = offset + len(data)
        for cluster in {offset // CLUSTER, (end - 1) // CLUSTER} if data else ():
            start = cluster * CLUSTER
            length = min(CLUSTER, self.size - start)
            if not self._own[cluster] and not (offset <= start and start + length <= end):
                self._store(start, self.below.read(start, length))
        self._store(offset, data)
        first, last = offset // CLUSTER, -(-end // CLUSTER)
        self._own[first:last] = b"\1" * (last - first)

    def _store(self, offset: int, data: bytes) -> None:
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(self._file.fileno(), memoryview(data)[done:], offset + done)
        except OSError as error:
            raise BlockError(f"{self.name}: its temporary overlay: {error.strerror}") from error

    def write_zeroes(self, offset: int, size: int, *, unmap: bool) -> None:
        """Store zeros above."""
        while size > 0:
            piece = min(size, 1 << 20)
            self.write(offset, zeroes(piece))
            offset, size = offset + piece, size - piece

    def discard(self, offset: int, size: int) -> None:
        """Nothing is gained by it."""

    def flush(self) -> None:
        """Nothing here outlives the process."""

    def commit(self) -> None:
        """Write what is here into the image below, for good (`commit` in QEMU's monitor)."""
        for own, place, length in self._runs(0, self.size):
            while own and length > 0:
                piece = min(length, 1 << 20)
                self.below.write(place, self.read(place, piece))
                place, length = place + piece, length - piece
        self.below.flush()
        self._own = bytearray(len(self._own))

    def save(self) -> dict[int, bytes]:
        """Every cluster of its own."""
        return {
            number * CLUSTER: self.read(number * CLUSTER, min(CLUSTER, self.size - number * CLUSTER))
            for number, own in enumerate(self._own)
            if own
        }

    def load(self, state: Mapping[int, bytes]) -> None:
        """What `save` gave."""
        if any(offset % CLUSTER or not 0 <= offset <= self.size - len(data) for offset, data in state.items()):
            raise DeviceError(f"{self.name}: the machine was saved with another disk")
        self._own = bytearray(len(self._own))
        for offset, data in state.items():
            self._store(offset, data)
            self._own[offset // CLUSTER] = 1

    def has_snapshot(self, name: str) -> bool:
        """A saved machine holds all that was written."""
        return True

    def take_snapshot(self, name: str) -> None:
        """There is nothing to do: see `save`."""

    def go_to_snapshot(self, name: str) -> None:
        """See `load`."""

    def drop_snapshot(self, name: str) -> None:
        """There is none."""

    def close(self) -> None:
        """Forget everything."""
        self._file.close()
        self.below.close()

    def describe(self) -> Mapping[str, object]:
        """For a monitor."""
        return {**self.below.describe(), "read-only": False, "snapshot": True, "copied": sum(self._own) * CLUSTER}
