"""savevm and loadvm: a machine's states by name, in memory and in files."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from runtime.core.whole_file import whole_file
from runtime.hw.block.backend import BlockError
from runtime.machine.machine import Machine, MachineError
from runtime.machine.state import SavedMachine, check, load, read, save, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.hw.block.backend import BlockBackend

SUFFIX = ".vmstate"


@dataclass(frozen=True)
class Snapshot:
    """A state, and when it was taken: by the user's clock and by the machine's."""

    state: SavedMachine
    when: float
    path: str


class Snapshots:
    """A name is a file NAME.vmstate in the working directory; with a slash in it, a path.

    `disks` are the images behind the machine: what -snapshot keeps from one is in the file, and a qcow2 image keeps its
    own contents as a snapshot of the same name, as QEMU has it.
    """

    def __init__(self, machine: Machine, disks: Callable[[], Mapping[str, BlockBackend]] = dict) -> None:
        self._machine = machine
        self.disks = disks
        self.taken: dict[str, Snapshot] = {}

    @staticmethod
    def path(name: str) -> str:
        """Where a state lies."""
        if not name:
            raise MachineError("a saved state needs a name")
        return name if "/" in name else name + SUFFIX

    def save(self, name: str) -> Snapshot:
        """Take the machine's state down; its processors stand still."""
        path = self.path(name)
        taken: list[BlockBackend] = []
        tag = os.path.basename(path).removesuffix(SUFFIX)
        state = save(self._machine)
        try:
            with whole_file(path) as file:
                write(state, file)
                for disk in self._writable():
                    disk.take_snapshot(tag)
                    taken.append(disk)
        except (OSError, BlockError) as error:
            for disk in taken:
                disk.drop_snapshot(tag)
            raise MachineError(str(error) if isinstance(error, BlockError) else f"{path}: {error.strerror}") from error
        self.taken[name] = Snapshot(state, time.time(), path)
        return self.taken[name]

    def load(self, name: str) -> None:
        """Put the machine back; its processors stand still."""
        if self._machine.journal is not None:
            raise MachineError("a machine that is recorded or replayed does not go to other states")
        path = self.path(name)
        if name in self.taken:
            state = self.taken[name].state
        else:
            try:
                with open(path, "rb") as file:
                    state = read(file, path)
            except OSError as error:
                raise MachineError(f"{path}: {error.strerror}") from error
        try:
            check(self._machine, state)
            self._revert(os.path.basename(path).removesuffix(SUFFIX))
            load(self._machine, state)
        except (MachineError, BlockError) as error:
            raise MachineError(f"{path}: {error}") from error

    def _writable(self) -> list[BlockBackend]:
        return [disk for disk in self.disks().values() if not disk.read_only]

    def _revert(self, tag: str) -> None:
        """The disks as they were: all of them, or none."""
        disks = self._writable()
        for disk in disks:
            if not disk.has_snapshot(tag):
                raise MachineError(f"{disk.name}: the image has no snapshot {tag}")
        for disk in disks:
            disk.go_to_snapshot(tag)

    def delete(self, name: str) -> None:
        """Forget one, and its file, if that is one."""
        path = self.path(name)
        known = self.taken.pop(name, None)
        try:
            with open(path, "rb") as file:
                read(file, path)
            os.unlink(path)
            for disk in self._writable():
                disk.drop_snapshot(os.path.basename(path).removesuffix(SUFFIX))
        except BlockError as error:
            raise MachineError(str(error)) from error
        except OSError as error:
            if known is None:
                raise MachineError(f"{path}: {error.strerror}") from error

    def list(self) -> str:
        """For `info snapshots`."""
        lines = [f"{'NAME':20} {'SIZE':>10}  DATE"]
        for name, snapshot in self.taken.items():
            date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(snapshot.when))
            lines.append(f"{name:20} {snapshot.state.bytes >> 20:>8} M  {date}")
        return "\n".join(lines) if self.taken else "no saved states"
