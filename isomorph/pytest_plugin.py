"""Pytest's end of `isomorph.coverage`: instructions that no test ran are listed after the tests, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isomorph.builds import build_folder
from isomorph.coverage import COVERAGE, WHOLE, ran
from isomorph.suites import never_run
from runtime.core.cpu import load_isa

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
    for isa in sorted(WHOLE):
        folder = Path(build_folder()) / isa
        missing = never_run(load_isa(folder))
        terminalreporter.section(f"{isa}: instructions that no test ran")
        for line in missing or ["none"]:
            terminalreporter.write_line(line)
