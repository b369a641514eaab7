"""runtime.core.light: its stand-ins behave like the originals, and a run imports none of those."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import enum
import errno
import pickle
import signal
import subprocess
import sys
from typing import Any

import pytest

from runtime.core import foreign, light

#: what takes long to import: a run does without all of them
SLOW = frozenset(
    (
        *("argparse", "collections", "contextlib", "dataclasses", "enum", "functools", "inspect", "pathlib", "re"),
        *("bisect", "ctypes", "signal", "subprocess", "threading", "types", "typing", "warnings"),
        *("elftools", "jinja2", "lark", "llvmlite", "rich"),
    )
)


class Colour(light.IntEnum):
    """Of a kind with the original below."""

    RED = 1
    GREEN = 5


class Original(enum.IntEnum):
    """What Colour is to be like."""

    RED = 1
    GREEN = 5


def test_a_run_imports_nothing_slow() -> None:
    code = "import sys, isomorph.cli.run, runtime.linux.abi.riscv64; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not SLOW & set(done.stdout.split())


@pytest.mark.parametrize("kind", [foreign, ctypes])
def test_functions_of_c(kind: Any) -> None:
    """Numbers there and back, errno, memory at an address, and Python's functions called by C."""
    libc = kind.CDLL(None, use_errno=True)
    assert libc.abs(-5) == 5
    assert libc.close(-1) == -1
    assert kind.get_errno() == errno.EBADF
    assert not hasattr(libc, "no_such_function")
    libc.strtoull.argtypes, libc.strtoull.restype = (kind.c_char_p, kind.c_void_p, kind.c_int), kind.c_uint64
    assert libc.strtoull(b"18446744073709551615", None, 10) == (1 << 64) - 1
    buffer = kind.create_string_buffer(b"dcba", 8)
    assert (len(buffer), buffer.raw, kind.string_at(kind.addressof(buffer), 2)) == (8, b"dcba\0\0\0\0", b"dc")
    order = kind.CFUNCTYPE(kind.c_int, kind.c_void_p, kind.c_void_p)
    assert order is kind.CFUNCTYPE(kind.c_int, kind.c_void_p, kind.c_void_p)

    @order
    def compare(one: int, other: int) -> int:
        return ord(kind.string_at(one, 1)) - ord(kind.string_at(other, 1))

    libc.qsort.argtypes = kind.c_void_p, kind.c_size_t, kind.c_size_t, order
    libc.qsort(kind.addressof(buffer), 4, 1, compare)
    assert buffer.value == b"abcd"
    other = ctypes.create_string_buffer(8)
    libc.strcpy.argtypes = kind.c_void_p, kind.c_char_p
    libc.strcpy(other, b"mixed")
    assert other.value == b"mixed"
    assert [(kind.c_long * 2)(3, -4)[at] for at in (0, 1)] == [3, -4]
    assert kind.c_void_p(-1).value == (1 << 64) - 1
    assert [kind.c_uint(-1).value, kind.c_int64(-1).value, kind.c_size_t(-1).value] == [
        (1 << 32) - 1,
        -1,
        (1 << 64) - 1,
    ]


@pytest.mark.parametrize("kind", [Colour, Original])
def test_named_numbers(kind: type[enum.IntEnum]) -> None:
    assert [(member.name, member.value, int(member)) for member in kind] == [("RED", 1, 1), ("GREEN", 5, 5)]
    assert len(kind) == 2
    assert kind(5) is kind.GREEN
    assert kind.GREEN == 5
    assert {5: "five"}[kind.GREEN] == "five"
    assert f"{kind.GREEN}, {kind.GREEN!r}" == f"5, <{kind.__name__}.GREEN: 5>"
    assert isinstance(kind.RED, kind)
    assert pickle.loads(pickle.dumps(kind.RED)) is copy.deepcopy(kind.RED) is kind.RED
    with pytest.raises(ValueError, match=f"3 is not a valid {kind.__name__}"):
        kind(3)


@pytest.mark.parametrize("suppress", [light.suppress, contextlib.suppress])
def test_suppress(suppress: type[contextlib.suppress]) -> None:
    with suppress(KeyError, OSError):
        raise FileNotFoundError
    with pytest.raises(ZeroDivisionError), suppress(KeyError):
        raise ZeroDivisionError
    with suppress(KeyError):
        pass


def test_the_rest() -> None:
    with light.nullcontext(3) as three:
        assert three == 3
    assert light.import_module("runtime.core.light") is light
    assert light.host_signals.SIGUSR1 == signal.SIGUSR1
    assert light.MappingProxyType({1: 2})[1] == 2
