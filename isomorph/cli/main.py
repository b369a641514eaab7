"""The `isomorph` command: finds the subcommand and hands over, importing nothing else, so that `run` starts at once."""

from __future__ import annotations

import gc
import os
import sys
from io import TextIOWrapper

from isomorph import __version__
from runtime.core.light import import_module, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

#: subcommand -> what help says of it; each is a module of this package with `main(arguments) -> exit status`
COMMANDS: dict[str, str] = {
    "run": "run a Linux program of another machine",
    "machine": "run a whole machine, with its firmware or kernel",
    "list": "list the instruction sets, their extensions and whether they are generated",
    "gen": "generate instruction sets from specs/*.isa",
    "test": "run the test lines of specs, and what is generated to test every encoding",
    "fuzz": "run random instruction sequences on two engines, and compare",
    "cache": "show or clear compiled code that is kept on disk",
    "asm": "assemble a program",
    "disasm": "disassemble a program, or instructions in hexadecimal",
    "explain": "show what becomes of an instruction, from its bits to host code",
    "docs": "write reference pages of instruction sets",
    "completion": "print what makes a shell complete these words",
}

#: as a shell reports them; importing `signal` for two numbers would cost a millisecond
_SIGINT, _SIGPIPE = 2, 13

_EXAMPLES = """\
examples:
  isomorph gen riscv64                      generate one instruction set
  isomorph test ./mine.isa                  generate one of your own, and run what its spec says it does
  isomorph run ./hello                      run a program; its machine is read from its header
  isomorph run -strace ./hello              ... printing its system calls
  isomorph run -d in_asm -D log ./hello     ... writing the guest code of each block to a file
  isomorph asm examples/hello.s -o hello    make a program without a cross-compiler
  isomorph disasm hello                     show its instructions

`isomorph COMMAND --help` tells of one command.
"""


def usage() -> str:
    """What `isomorph --help` prints."""
    lines = ["usage: isomorph COMMAND [options]", "       isomorph --version", "", "commands:"]
    lines += [f"  {name:10} {text}" for name, text in COMMANDS.items()]
    return "\n".join(lines) + "\n\n" + _EXAMPLES


def complain(message: str) -> None:
    """A message on stderr, in the command's name."""
    print(f"isomorph: {message}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit status (1: it failed; 2: the command line is wrong; 128 + n: as after signal n)."""
    _open_standard_streams()
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments, arguments is None)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read our output has seen enough
        _drop(sys.stdout)
        return 128 + _SIGPIPE
    except OSError as error:  # commands speak of the files they open; what is left is mostly a full disk behind stdout
        _drop(sys.stdout)
        try:
            complain(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
        except OSError:  # stderr may be where it is full
            _drop(sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + _SIGINT


def _open_standard_streams() -> None:
    """Of 0, 1 and 2, have those that were closed lead nowhere: a file of ours in such a place would be the guest's.

    And have stdout take every text.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            way, mode = (os.O_WRONLY, "w") if number else (os.O_RDONLY, "r")
            setattr(sys, name, os.fdopen(os.open(os.devnull, way), mode))
    # Where the terminal has not our characters others stand for them; names of files are the bytes they were.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape" if sys.stdout.encoding == "utf-8" else "replace")


def _drop(stream: TextIO) -> None:
    """Have what is still to be written to it lead nowhere: the interpreter would try again at its end, and fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(words: list[str], own: bool) -> int:
    """Hand over to the subcommand; `own`: this process is for nothing else."""
    if not words:
        sys.stderr.write(usage())
        return 2
    name, *rest = words
    if name in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0
    if name in ("-V", "--version"):
        print(f"isomorph {__version__}")
        return 0
    if name not in COMMANDS:
        complain(f"there is no command {name!r}{_suggest(name)}; `isomorph --help` lists them")
        return 2
    own = own and name in ("run", "machine")
    if own:
        gc.disable()  # there is no garbage yet, and looking for it takes a twentieth of a short run
    status: int = import_module(f"isomorph.cli.{name}").main(rest)
    if own:
        # Nothing is left to do, and taking the interpreter apart takes a tenth of a short run.
        sys.stdout.flush()
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(status)
    return status


def _suggest(name: str) -> str:
    if os.path.isfile(name):
        return f" (to run a program: isomorph run {name})"
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
