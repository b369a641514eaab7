"""Pytest's end of `isomorph.coverage`: how many instructions no test ran; with -vv which, and where in the spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isomorph.builds import build_folder
from isomorph.coverage import COVERAGE, WHOLE, ran
from isomorph.suites import never_run
from runtime.core.cpu import load_isa

_SHOWN = 12  # names
_KEY = "isomorph_coverage"
_WHOLE_KEY = "isomorph_coverage_whole"


def pytest_sessionfinish(session: Any) -> None:
    """A worker of pytest-xdist hands over what it ran."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_KEY] = {isa: sorted(names) for isa, names in COVERAGE.items()}
        output[_WHOLE_KEY] = sorted(WHOLE)


class _Workers:
    """Where workers come to an end; registered only if there are any, since pytest refuses hooks that nobody calls."""

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        output = getattr(node, "workeroutput", {})
        WHOLE.update(output.get(_WHOLE_KEY, ()))
        for isa, names in output.get(_KEY, {}).items():
            for name in names:
                ran(isa, name)


def pytest_configure(config: Any) -> None:
    """Listen to pytest-xdist, if it is there."""
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_Workers())


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """For each instruction set whose generated tests ran: what they did not run."""
    whole = sorted(WHOLE)
    if whole:
        terminalreporter.section("instructions that no test ran")
    for isa in whole:
        missing = never_run(load_isa(Path(build_folder()) / isa))
        for line in report(isa, missing, terminalreporter.config.option.verbose > 0):
            terminalreporter.write_line(line)


def report(isa: str, missing: list[str], everything: bool) -> list[str]:
    """Lines about an instruction set; `missing`: names and places of instructions."""
    if everything:
        return [f"{isa}: {len(missing)}", *(f"    {line}" for line in missing)]
    names = [line.partition("  ")[0] for line in missing]
    more = f" and {len(names) - _SHOWN} more (-vv lists them)" if len(names) > _SHOWN else ""
    return [f"{isa}: {len(missing)}" + (f": {', '.join(names[:_SHOWN])}{more}" if names else "")]
