"""Hooks: Python functions called when the guest gets somewhere, as decorators or by calls.

    @emulator.hook.code(begin=0x1000, end=0x2000)
    def trace(emulator, address, size): ...
    trace.remove()

    handle = emulator.hook.mem_write(callback, begin=0x8000, end=0x8008)

Ranges are [begin, end); left out, they are everything.  Hooks are added and removed at any time, in hooks as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from isomorph.stop import Access, GuestException

if TYPE_CHECKING:
    from isomorph.emulator import Emulator

#: (emulator, address, size): before an instruction or a block runs, or is fetched
CodeCallback = Callable[["Emulator", int, int], object]
#: (emulator, address, size, value): before a load (what it will find) or a store (what it will leave)
MemoryCallback = Callable[["Emulator", int, int, int], object]
#: (emulator, access, address, size, value): true to try the access again
FaultCallback = Callable[["Emulator", Access, int, int, int], object]
#: (emulator, exception): true, or a new pc, if it is dealt with
ExceptionCallback = Callable[["Emulator", GuestException], object]
#: (emulator,): False if it is not dealt with; otherwise the guest goes on behind the instruction
SystemCallCallback = Callable[["Emulator"], object]

F = TypeVar("F", bound=Callable[..., object])

KINDS = ("code", "block", "mem_read", "mem_write", "mem_fetch", "unmapped", "protected", "exception", "syscall")
_EVERYTHING = 1 << 64


class Hook(Generic[F]):
    """A hook in place; `remove` takes it away.  Calling it calls the function."""

    def __init__(self, hooks: Hooks, kind: str, callback: F, begin: int, end: int) -> None:
        self.kind = kind
        self.callback = callback
        self.begin = begin
        self.end = end
        self.active = True
        self._hooks = hooks
        self.__doc__ = callback.__doc__

    def remove(self) -> None:
        """Take the hook away, at once and for good; a second time is no error."""
        if self.active:
            self.active = False
            self._hooks.removed(self)

    def __call__(self, *arguments: Any) -> object:
        return self.callback(*arguments)

    def __repr__(self) -> str:
        where = "" if self.end == _EVERYTHING and not self.begin else f" {self.begin:#x}..{self.end:#x}"
        name = getattr(self.callback, "__name__", repr(self.callback))
        return f"<{self.kind} hook{where}: {name}{'' if self.active else ', removed'}>"


class Hooks:
    """`emulator.hook`: one method for each kind of hook, each usable as a decorator and as a call."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._lists: dict[str, tuple[Hook[Any], ...]] = dict.fromkeys(KINDS, ())

    def of(self, kind: str) -> tuple[Hook[Any], ...]:
        """The hooks of a kind in the order in which they were added."""
        return self._lists[kind]

    def clear(self) -> None:
        """Remove all hooks."""
        for hooks in list(self._lists.values()):
            for hook in hooks:
                hook.remove()

    def removed(self, hook: Hook[Any]) -> None:
        """A hook says that it is no more."""
        self._lists[hook.kind] = tuple(other for other in self._lists[hook.kind] if other is not hook)
        self._changed(hook.kind)

    def add(self, kind: str, callback: F, begin: int = 0, end: int | None = None) -> Hook[F]:
        """A hook of a kind named by a string; the methods below are the same with types."""
        if kind not in self._lists:
            raise ValueError(f"there is no hook {kind!r}: the kinds are {', '.join(KINDS)}")
        if not callable(callback):
            raise TypeError(f"a {kind} hook needs a function to call, not {callback!r}")
        end = _EVERYTHING if end is None else end
        if not 0 <= begin < end:
            raise ValueError(
                f"a {kind} hook for {begin:#x}..{end:#x}: an empty range; `end` is the first byte after it"
            )
        hook = Hook(self, kind, callback, begin, end)
        self._lists[kind] = (*self._lists[kind], hook)
        self._changed(kind)
        return hook

    def _make(self, kind: str, callback: F | None, begin: int, end: int | None) -> Hook[F] | Callable[[F], Hook[F]]:
        if callback is not None:
            return self.add(kind, callback, begin, end)
        return lambda function: self.add(kind, function, begin, end)

    @overload
    def code(self, callback: CodeCallback, *, begin: int = ..., end: int | None = ...) -> Hook[CodeCallback]: ...

    @overload
    def code(self, *, begin: int = ..., end: int | None = ...) -> Callable[[CodeCallback], Hook[CodeCallback]]: ...

    def code(
        self, callback: CodeCallback | None = None, *, begin: int = 0, end: int | None = None
    ) -> Hook[CodeCallback] | Callable[[CodeCallback], Hook[CodeCallback]]:
        """Before each instruction of the range: `callback(emulator, address, size)`."""
        return self._make("code", callback, begin, end)

    @overload
    def block(self, callback: CodeCallback, *, begin: int = ..., end: int | None = ...) -> Hook[CodeCallback]: ...

    @overload
    def block(self, *, begin: int = ..., end: int | None = ...) -> Callable[[CodeCallback], Hook[CodeCallback]]: ...

    def block(
        self, callback: CodeCallback | None = None, *, begin: int = 0, end: int | None = None
    ) -> Hook[CodeCallback] | Callable[[CodeCallback], Hook[CodeCallback]]:
        """Before each block of the range (what runs from a jump to the next): `callback(emulator, address, size)`."""
        return self._make("block", callback, begin, end)

    @overload
    def mem_read(
        self, callback: MemoryCallback, *, begin: int = ..., end: int | None = ...
    ) -> Hook[MemoryCallback]: ...

    @overload
    def mem_read(
        self, *, begin: int = ..., end: int | None = ...
    ) -> Callable[[MemoryCallback], Hook[MemoryCallback]]: ...

    def mem_read(
        self, callback: MemoryCallback | None = None, *, begin: int = 0, end: int | None = None
    ) -> Hook[MemoryCallback] | Callable[[MemoryCallback], Hook[MemoryCallback]]:
        """Before each load from the range: `callback(emulator, address, size, value)`."""
        return self._make("mem_read", callback, begin, end)

    @overload
    def mem_write(
        self, callback: MemoryCallback, *, begin: int = ..., end: int | None = ...
    ) -> Hook[MemoryCallback]: ...

    @overload
    def mem_write(
        self, *, begin: int = ..., end: int | None = ...
    ) -> Callable[[MemoryCallback], Hook[MemoryCallback]]: ...

    def mem_write(
        self, callback: MemoryCallback | None = None, *, begin: int = 0, end: int | None = None
    ) -> Hook[MemoryCallback] | Callable[[MemoryCallback], Hook[MemoryCallback]]:
        """Before each store to the range: `callback(emulator, address, size, value)`."""
        return self._make("mem_write", callback, begin, end)

    @overload
    def mem_fetch(self, callback: CodeCallback, *, begin: int = ..., end: int | None = ...) -> Hook[CodeCallback]: ...

    @overload
    def mem_fetch(self, *, begin: int = ..., end: int | None = ...) -> Callable[[CodeCallback], Hook[CodeCallback]]: ...

    def mem_fetch(
        self, callback: CodeCallback | None = None, *, begin: int = 0, end: int | None = None
    ) -> Hook[CodeCallback] | Callable[[CodeCallback], Hook[CodeCallback]]:
        """Before each instruction of the range is fetched: `callback(emulator, address, size)`."""
        return self._make("mem_fetch", callback, begin, end)

    @overload
    def unmapped(self, callback: FaultCallback, *, begin: int = ..., end: int | None = ...) -> Hook[FaultCallback]: ...

    @overload
    def unmapped(
        self, *, begin: int = ..., end: int | None = ...
    ) -> Callable[[FaultCallback], Hook[FaultCallback]]: ...

    def unmapped(
        self, callback: FaultCallback | None = None, *, begin: int = 0, end: int | None = None
    ) -> Hook[FaultCallback] | Callable[[FaultCallback], Hook[FaultCallback]]:
        """At accesses where nothing is mapped: `callback(emulator, access, address, size, value)`; true tries again."""
        return self._make("unmapped", callback, begin, end)

    @overload
    def protected(self, callback: FaultCallback, *, begin: int = ..., end: int | None = ...) -> Hook[FaultCallback]: ...

    @overload
    def protected(
        self, *, begin: int = ..., end: int | None = ...
    ) -> Callable[[FaultCallback], Hook[FaultCallback]]: ...

    def protected(
        self, callback: FaultCallback | None = None, *, begin: int = 0, end: int | None = None
    ) -> Hook[FaultCallback] | Callable[[FaultCallback], Hook[FaultCallback]]:
        """The same for accesses that the page does not permit."""
        return self._make("protected", callback, begin, end)

    @overload
    def exception(self, callback: ExceptionCallback, /) -> Hook[ExceptionCallback]: ...

    @overload
    def exception(self) -> Callable[[ExceptionCallback], Hook[ExceptionCallback]]: ...

    def exception(
        self, callback: ExceptionCallback | None = None
    ) -> Hook[ExceptionCallback] | Callable[[ExceptionCallback], Hook[ExceptionCallback]]:
        """At exceptions the guest raises: `callback(emulator, exception)`; true, or a new pc, goes on."""
        return self._make("exception", callback, 0, None)

    @overload
    def syscall(self, callback: SystemCallCallback, /) -> Hook[SystemCallCallback]: ...

    @overload
    def syscall(self) -> Callable[[SystemCallCallback], Hook[SystemCallCallback]]: ...

    def syscall(
        self, callback: SystemCallCallback | None = None
    ) -> Hook[SystemCallCallback] | Callable[[SystemCallCallback], Hook[SystemCallCallback]]:
        """At the guest's system calls: `callback(emulator)`; it goes on behind it unless the answer is False."""
        return self._make("syscall", callback, 0, None)
