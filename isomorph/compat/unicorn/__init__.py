"""Unicorn's Python interface: `from isomorph.compat.unicorn import *` in place of `from unicorn import *`.

Callbacks, constants and errors are those of Unicorn 2.1.4.  Where its behaviour is a known fault, this one is precise
instead: hooks never change what a program does, and added ones fire at once (docs/python-api.md).
"""

from __future__ import annotations

from isomorph.compat.unicorn.engine import Uc, UcContext, uc_arch_supported, uc_version
from isomorph.compat.unicorn.errors import UcError
from isomorph.compat.unicorn.unicorn_const import *  # noqa: F403  # as Unicorn's own package: scripts use all of them

__version__ = "2.1.4"

__all__ = [name for name in dir() if name.startswith("UC_")]
__all__ += ["Uc", "UcContext", "UcError", "uc_arch_supported", "uc_version"]
