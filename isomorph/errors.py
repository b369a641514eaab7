"""What the Python API raises: IsomorphError and its kinds, each message naming what is wrong and what to do."""

from __future__ import annotations


class IsomorphError(Exception):
    """Anything this package has to complain of."""


class MemoryAccessError(IsomorphError):
    """A read or write from Python of guest memory that is not mapped; `address` is the first such byte."""

    def __init__(self, message: str, address: int) -> None:
        super().__init__(message)
        self.address = address


class MemoryMapError(IsomorphError, ValueError):
    """A range that cannot be mapped, unmapped or protected."""


class RegisterError(IsomorphError, AttributeError, KeyError):
    """A register that does not exist, or a value that does not fit it."""

    def __str__(self) -> str:  # KeyError's would show the message in quotes
        return str(self.args[0])


class RunError(IsomorphError):
    """A run that makes no sense: inside a hook of the same emulator, or with arguments that contradict each other."""


class InstructionError(IsomorphError, ValueError):
    """Bytes that are no instruction, or text that does not assemble."""


class ProgramError(IsomorphError):
    """A file that cannot be loaded or run."""
