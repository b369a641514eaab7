"""What ends a run when the engine itself cannot go on, whichever it is."""

from __future__ import annotations


class EngineError(Exception):
    """The message is one line for the user."""
