"""What a run needs of enum, contextlib, functools, types, importlib and signal, without importing these.

They import one another and half a dozen more: a sixth of all that a short run does.  Type checkers see the originals,
and whoever imports those from here gets what behaves alike as far as it goes.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as host_signals
    from collections.abc import Iterator
    from contextlib import nullcontext, suppress
    from enum import IntEnum
    from importlib.machinery import SourceFileLoader
    from types import MappingProxyType, ModuleType
    from typing import Any
else:
    # The module in C behind `signal`, which makes enumerations of its numbers.
    import _signal as host_signals
    from _frozen_importlib_external import SourceFileLoader

    MappingProxyType = type(vars(type))
    ModuleType = type(sys)

    class _Named(type):
        """Makes each number of a class's body an instance that knows its name."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _Named:
            numbers = {key: value for key, value in body.items() if type(value) is int and key[0] != "_"}
            made = super().__new__(cls, name, bases, {key: body[key] for key in body if key not in numbers})
            made._by_value = {}
            for key, value in numbers.items():
                member = int.__new__(made, value)
                member.name, member.value = key, value
                made._by_value[value] = member
                setattr(made, key, member)
            return made

        def __iter__(cls) -> Iterator[int]:
            return iter(cls._by_value.values())

        def __len__(cls) -> int:
            return len(cls._by_value)

        def __call__(cls, value: int) -> int:
            try:
                return cls._by_value[value]
            except KeyError:
                raise ValueError(f"{value!r} is not a valid {cls.__name__}") from None

    class IntEnum(int, metaclass=_Named):
        """Named numbers: a class of them has each as an attribute, and gives the one with a value when called."""

        def __repr__(self) -> str:
            return f"<{type(self).__name__}.{self.name}: {self.value}>"

        def __str__(self) -> str:
            return str(self.value)

        def __reduce__(self) -> tuple[type, tuple[int]]:
            return type(self), (self.value,)

    class suppress:
        """As a context: the exceptions named end it, and no more."""

        def __init__(self, *exceptions: type[BaseException]) -> None:
            self._exceptions = exceptions

        def __enter__(self) -> None:
            pass

        def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
            return kind is not None and issubclass(kind, self._exceptions)

    class nullcontext:
        """A context that does nothing."""

        def __init__(self, result: object = None) -> None:
            self._result = result

        def __enter__(self) -> object:
            return self._result

        def __exit__(self, *_: object) -> None:
            pass


__all__ = [
    "IntEnum",
    "MappingProxyType",
    "ModuleType",
    "SourceFileLoader",
    "host_signals",
    "import_module",
    "nullcontext",
    "suppress",
]


def import_module(name: str) -> ModuleType:
    """A module by its full name."""
    __import__(name)
    return sys.modules[name]
