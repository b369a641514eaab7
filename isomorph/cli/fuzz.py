"""`isomorph fuzz`: random instruction sequences on two engines, until they differ."""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isomorph.builds import find_build
from isomorph.cli.main import complain
from isomorph.errors import IsomorphError
from isomorph.fuzz.campaign import AGAINST, Campaign, Order, Tally, Worker, default_jobs, start_worker
from runtime.core.cpu import load_isa

_EXAMPLES = """\
examples:
  isomorph fuzz riscv64 --against tiers --seconds 60
  isomorph fuzz riscv64 --against unicorn --insn mulh --insn divw --seed 7
  isomorph fuzz ./mine.isa --against tiers --cases 1000
  isomorph fuzz --replay fuzz-riscv64-unicorn-0-17.txt

exit status: 0 no difference, 1 a difference or an error, 2 a wrong command line, 130 stopped by Ctrl-C
"""
_SIGINT = 2
_SHOWN = 12


def _number(kind: Callable[[str], Any], least: float, what: str) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return read


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="isomorph fuzz",
        usage="%(prog)s ISA [--against tiers|unicorn|qemu] [options]",
        description="Run random instruction sequences on two engines and compare all state; shrink what differs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "isa", nargs="?", metavar="ISA", help="a generated instruction set, or the path of an .isa file"
    )
    parser.add_argument("--against", choices=AGAINST, default="tiers", help="default: tiers (our own engines)")
    seconds = _number(float, 0, "a number of seconds")
    parser.add_argument("--seconds", type=seconds, metavar="N", help="stop after so long; default: 60")
    count = _number(int, 1, "a whole number above 0")
    parser.add_argument(
        "--cases", type=count, metavar="N", help="stop after so many sequences, however long that takes"
    )
    parser.add_argument("--insn", action="append", default=[], metavar="NAME", help="have this instruction in them")
    number = _number(int, 0, "a whole number")
    parser.add_argument("--seed", type=number, default=0, metavar="N", help="other sequences; default: 0")
    parser.add_argument("--first", type=number, default=0, metavar="N", help="the number of the first one; default: 0")
    parser.add_argument("--jobs", type=count, metavar="N", help="processes; default: one a processor")
    parser.add_argument("--cluster", metavar="ADDRESS", help="run on a Dask cluster: tcp://HOST:PORT, or local")
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where the file of a difference goes"
    )
    parser.add_argument("--coverage", action="store_true", help="print how often each instruction ran")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run the case in a file again, and stop")
    return parser


def main(words: Sequence[str]) -> int:
    """Run a campaign; see the exit status above."""
    parser = make_parser()
    options = parser.parse_args(words)
    try:
        if options.replay is not None:
            return _replay(options.replay)
        if options.isa is None:
            parser.error("which instruction set? (`isomorph list` shows them)")
        if not options.output.is_dir():
            parser.error(f"--output: {options.output} is not a folder")
        return _fuzz(options)
    except IsomorphError as error:
        complain(f"fuzz: {error}")
    except OSError as error:
        complain(f"fuzz: {error.filename}: {error.strerror}" if error.filename else f"fuzz: {error}")
    return 1


def _folder(name: str) -> str:
    """build/<isa>, generated first if a file was named."""
    if not name.endswith(".isa"):
        return find_build(name)
    from isomorph.cli.gen import main as generate

    if generate([name]):
        raise IsomorphError(f"{name} has errors")
    return find_build(Path(name).stem)


def _replay(path: Path) -> int:
    from isomorph.fuzz.replay import replay

    found = replay(path)
    print("\n".join(found) or f"{path}: no difference")
    return 1 if found else 0


def _fuzz(options: argparse.Namespace) -> int:
    order = Order(_folder(options.isa), options.against, options.seed, tuple(options.insn))
    Worker(order).close()  # what cannot be had is said here, in a line
    seconds = options.seconds if options.seconds is not None or options.cases is not None else 60.0
    jobs = options.jobs or default_jobs()
    with _executor(options.cluster, jobs) as executor:
        campaign = Campaign(order, executor, jobs, seconds, options.cases, options.first)
        try:
            print(f"{Path(order.folder).name} against {order.against}, seed {order.seed}", flush=True)
            with _progress(campaign) as progress:
                campaign.run(progress)
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
            executor.shutdown(wait=False, cancel_futures=True)
    _report(campaign, interrupted, options.coverage)
    for finding in campaign.tally.findings:
        path = options.output / f"fuzz-{Path(order.folder).name}-{order.against}-{order.seed}-{finding.number}.txt"
        path.write_text(finding.text, encoding="utf-8")
        print(f"a difference, in {finding.instructions} instruction{'s' * (finding.instructions != 1)}: {path}")
        print(finding.text, end="")
    return 1 if campaign.tally.findings else 128 + _SIGINT if interrupted else 0


@contextmanager
def _executor(cluster: str | None, jobs: int) -> Iterator[Executor]:
    if cluster is not None:
        from isomorph.fuzz.cluster import cluster_executor

        with cluster_executor(cluster, jobs) as executor:
            yield executor
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=start_worker) as executor:
        yield executor


@contextmanager
def _progress(campaign: Campaign) -> Iterator[Callable[[Tally], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda tally: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        total = campaign.cases if campaign.cases is not None else campaign.seconds
        task = bar.add_task(f"{Path(campaign.order.folder).name} / {campaign.order.against}", total=total, done="")

        def show(tally: Tally) -> None:
            rate = tally.instructions / max(campaign.elapsed, 0.001)
            done = f"{tally.cases} cases, {len(tally.ran)} instructions covered, {rate:,.0f} run/s"
            bar.update(task, completed=tally.cases if campaign.cases is not None else campaign.elapsed, done=done)

        yield show


def _report(campaign: Campaign, interrupted: bool, everything: bool) -> None:
    """What was done, and which instructions it reached."""
    from isomorph.fuzz.sequences import Sequences, mnemonic

    tally, order = campaign.tally, campaign.order
    sequences = Sequences(load_isa(order.folder), order.against, order.only)
    possible = list(dict.fromkeys(mnemonic(form) for form in sequences.forms))
    sequences.close()
    rate = tally.instructions / max(campaign.elapsed, 0.001)
    print(
        f"{tally.cases} cases, {tally.instructions} instructions in {campaign.elapsed:.1f} s ({rate:,.0f}/s)"
        + (", stopped" if interrupted else "")
    )
    never = [name for name in possible if name not in tally.ran]
    print(f"coverage: {len(possible) - len(never)} of {len(possible)} instructions" + (_listed(never) if never else ""))
    if everything:
        for name in sorted(possible, key=lambda name: tally.ran[name]):
            print(f"{tally.ran[name]:8}  {name}")
    if not tally.findings:
        print("no difference")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"; never: {', '.join(names[:_SHOWN])}{more}"
