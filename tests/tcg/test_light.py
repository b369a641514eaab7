"""runtime.core.light: its stand-ins behave like the originals, and a run imports none of those."""

from __future__ import annotations

import contextlib
import copy
import enum
import pickle
import signal
import subprocess
import sys

import pytest

from runtime.core import light

#: what takes long to import: a run does without all of them
SLOW = frozenset(
    (
        *("argparse", "collections", "contextlib", "dataclasses", "enum", "functools", "inspect", "pathlib", "re"),
        *("signal", "subprocess", "threading", "typing", "warnings"),
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
