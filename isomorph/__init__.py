"""Isomorph: one .isa file per instruction set; everything else is generated."""

__version__ = "0.1.0"

TYPE_CHECKING = False  # typing's own, and all of the API, take longer to import than a short run lasts
if TYPE_CHECKING:
    from isomorph.emulator import Emulator as Emulator
    from isomorph.emulator import Snapshot as Snapshot
    from isomorph.errors import InstructionError as InstructionError
    from isomorph.errors import IsomorphError as IsomorphError
    from isomorph.errors import MemoryAccessError as MemoryAccessError
    from isomorph.errors import MemoryMapError as MemoryMapError
    from isomorph.errors import ProgramError as ProgramError
    from isomorph.errors import RegisterError as RegisterError
    from isomorph.errors import RunError as RunError
    from isomorph.hooks import Hook as Hook
    from isomorph.isa import Isa as Isa
    from isomorph.process import CAPTURE as CAPTURE
    from isomorph.process import Process as Process
    from isomorph.stop import Access as Access
    from isomorph.stop import GuestException as GuestException
    from isomorph.stop import StopKind as StopKind
    from isomorph.stop import StopReason as StopReason

#: name -> module, imported when somebody asks for the name
_EXPORTS = {
    "Access": "stop",
    "CAPTURE": "process",
    "Emulator": "emulator",
    "GuestException": "stop",
    "Hook": "hooks",
    "InstructionError": "errors",
    "Isa": "isa",
    "IsomorphError": "errors",
    "MemoryAccessError": "errors",
    "MemoryMapError": "errors",
    "Process": "process",
    "ProgramError": "errors",
    "RegisterError": "errors",
    "RunError": "errors",
    "Snapshot": "emulator",
    "StopKind": "stop",
    "StopReason": "stop",
}

__all__ = [*_EXPORTS, "__version__"]


def __getattr__(name: str) -> object:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_EXPORTS]
