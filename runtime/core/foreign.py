"""What a run needs of ctypes, without importing it: that takes a twentieth of a short run.

This is the module in C under it, and of the rest what ctypes does with that.  Type checkers see the original; where one
of its objects is passed to a function of the other's, the module in C looks at what it is made of.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import (
        CDLL,
        CFUNCTYPE,
        addressof,
        c_char,
        c_char_p,
        c_int,
        c_int64,
        c_long,
        c_size_t,
        c_uint,
        c_uint64,
        c_void_p,
        create_string_buffer,
        get_errno,
        string_at,
    )
else:
    from _ctypes import (
        FUNCFLAG_CDECL,
        FUNCFLAG_PYTHONAPI,
        FUNCFLAG_USE_ERRNO,
        CFuncPtr,
        _SimpleCData,
        _string_at_addr,
        addressof,
        dlopen,
        get_errno,
    )

    def _simple(name: str, code: str) -> type:
        return type(_SimpleCData)(name, (_SimpleCData,), {"_type_": code})

    # The letters are those of Python's struct; long has 64 bits on every host there is (runtime/tcg/host_x86_64.py).
    c_char, c_int, c_long = _simple("c_char", "c"), _simple("c_int", "i"), _simple("c_long", "l")
    c_uint, c_uint64 = _simple("c_uint", "I"), _simple("c_uint64", "L")
    # But these: bytes that end with a NUL; an address or None for 0; an object of Python's.
    c_char_p, c_void_p, _Object = _simple("c_char_p", "z"), _simple("c_void_p", "P"), _simple("_Object", "O")
    c_int64, c_size_t = c_long, c_uint64

    def _function_type(flags: int, result: type | None, **arguments: tuple[type, ...]) -> type:
        return type(CFuncPtr)("Function", (CFuncPtr,), {"_flags_": flags, "_restype_": result, **arguments})

    _types: dict[tuple[type | None, tuple[type, ...]], type] = {}

    def CFUNCTYPE(result: type | None, *arguments: type) -> type:
        """The type of a function at an address, or of one of Python's that C calls."""
        key = result, arguments
        if key not in _types:
            _types[key] = _function_type(FUNCFLAG_CDECL, result, _argtypes_=arguments)
        return _types[key]

    class CDLL:
        """A library's functions as attributes; without a name those that the process has loaded already."""

        def __init__(self, name: str | None, use_errno: bool = False) -> None:
            flags = FUNCFLAG_CDECL | (FUNCFLAG_USE_ERRNO if use_errno else 0)
            self._function = _function_type(flags, c_int)
            self._handle = dlopen(name, 0)

        def __getattr__(self, name: str) -> CFuncPtr:
            if name.startswith("__"):
                raise AttributeError(name)
            found = self._function((name, self))
            setattr(self, name, found)
            return found

    #: the bytes at an address, so many of them
    string_at = _function_type(FUNCFLAG_CDECL | FUNCFLAG_PYTHONAPI, _Object, _argtypes_=(c_void_p, c_int))(
        _string_at_addr
    )

    def create_string_buffer(contents: int | bytes, size: int | None = None) -> object:
        """So many bytes of zeros, or these bytes and zeros up to a size, by default one."""
        if isinstance(contents, int):
            return (c_char * contents)()
        buffer = (c_char * (len(contents) + 1 if size is None else size))()
        buffer.value = contents
        return buffer


__all__ = [
    "CDLL",
    "CFUNCTYPE",
    "addressof",
    "c_char",
    "c_char_p",
    "c_int",
    "c_int64",
    "c_long",
    "c_size_t",
    "c_uint",
    "c_uint64",
    "c_void_p",
    "create_string_buffer",
    "get_errno",
    "string_at",
]
