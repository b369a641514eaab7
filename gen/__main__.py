"""`python -m gen [ISA…]`: generate build/<isa>/ for the instruction sets whose specs changed.

Nothing slow is imported before it is known that there is something to do.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from gen import stamp
from gen.guests import guests

SPECS = stamp.ROOT / "specs"


def make_parser(program: str = "python -m gen") -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Generate decoder, translator, handlers and syntax of instruction sets from specs/*.isa.",
        epilog="Without names: every spec that no other spec extends or includes.",
    )
    parser.add_argument("isa", nargs="*", metavar="ISA", help="a spec's name in specs/, or the path of an .isa file")
    build = Path(os.environ.get("ISOMORPH_BUILD") or stamp.ROOT / "build")
    parser.add_argument("--build", type=Path, default=build, metavar="DIR", help="default: $ISOMORPH_BUILD, or build")
    jobs = os.cpu_count() or 1
    parser.add_argument("--jobs", type=int, default=jobs, metavar="N", help="worker processes; default: one a CPU")
    parser.add_argument("--force", action="store_true", help="generate even what has not changed")
    parser.add_argument("--list", action="store_true", help="list the instruction sets, and stop")
    parser.add_argument("--verbose", action="store_true", help="say how long each phase took")
    return parser


def arguments(argv: list[str] | None, program: str) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(program)
    options = parser.parse_args(argv)
    if options.jobs < 1:
        parser.error("--jobs must be at least 1")
    return options


def find_specs(names: list[str]) -> list[Path]:
    """The spec files meant; ends the process with a message if one does not exist."""
    if not names:
        return guests(SPECS)
    found = []
    for name in names:
        path = Path(name) if name.endswith(".isa") else SPECS / f"{name}.isa"
        if not path.is_file():
            known = ", ".join(spec.stem for spec in guests(SPECS)) or "none"
            sys.exit(f"gen: there is no spec '{name}' (looked for {path}); instruction sets: {known}")
        found.append(path)
    return found


def main(argv: list[str] | None = None, program: str = "python -m gen") -> int:
    """Exit status: 0, or 1 if a spec has errors."""
    options = arguments(argv, program)
    specs = find_specs(options.isa)
    stale = [spec for spec in specs if options.force or not stamp.up_to_date(options.build / spec.stem, spec, {})]
    if options.list:
        for spec in specs:
            print(f"{spec.stem:16} {'to be generated' if spec in stale else 'up to date'}")
        return 0
    if not stale:
        if options.verbose:
            print("gen: everything is up to date")
        return 0
    from gen.schedule import run

    try:
        return run(stale, options.build, options.jobs, options.verbose)
    except OSError as error:  # of folders and files of --build
        sys.exit(f"gen: {error.filename}: {error.strerror}" if error.filename else f"gen: {error}")


def command() -> int:
    """`main` for a process of its own: exit status, and a word at most of what ended it from outside."""
    try:
        status = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as error:  # of standard output: what it opens itself has been told of
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter would try again, and fail
        return 128 + signal.SIGPIPE if isinstance(error, BrokenPipeError) else _unwritable(error)
    return status


def _unwritable(error: OSError) -> int:
    print(f"gen: standard output: {error.strerror}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(command())
