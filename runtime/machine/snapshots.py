"""savevm and loadvm: a machine's states by name, in memory and in files."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from runtime.machine.machine import Machine, MachineError
from runtime.machine.state import SavedMachine, load, read, save, write

SUFFIX = ".vmstate"


@dataclass(frozen=True)
class Snapshot:
    """A state, and when it was taken: by the user's clock and by the machine's."""

    state: SavedMachine
    when: float
    path: str


class Snapshots:
    """A name is a file NAME.vmstate in the working directory; with a slash in it, a path.

    Disks are not part of it: what was written to an image stays written.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
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
        state = save(self._machine)
        scratch = f"{path}.{os.getpid()}.tmp"
        try:
            with open(scratch, "wb") as file:
                write(state, file)
            os.replace(scratch, path)  # never half a file under the name
        except OSError as error:
            raise MachineError(f"{path}: {error.strerror}") from error
        self.taken[name] = Snapshot(state, time.time(), path)
        return self.taken[name]

    def load(self, name: str) -> None:
        """Put the machine back; its processors stand still."""
        if name in self.taken:
            load(self._machine, self.taken[name].state)
            return
        path = self.path(name)
        try:
            with open(path, "rb") as file:
                state = read(file, path)
        except OSError as error:
            raise MachineError(f"{path}: {error.strerror}") from error
        try:
            load(self._machine, state)
        except MachineError as error:
            raise MachineError(f"{path}: {error}") from error

    def delete(self, name: str) -> None:
        """Forget one, and its file."""
        path = self.path(name)
        known = self.taken.pop(name, None)
        try:
            os.unlink(path)
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
