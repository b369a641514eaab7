"""What all tests share: paths, and the skips counted by reason at the end of a run."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# No test finds what another left; those of the cache name a directory of their own.
os.environ.setdefault("ISOMORPH_CACHE", "off")


def _unheard(number: int, frame: object) -> None:
    """Ignores a signal in this process only: programs it starts have the default action."""


def pytest_configure(config: pytest.Config) -> None:
    """What a shell or nohup had ignored for us is not ignored by the programs that are tested; Ctrl-C works in them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _unheard)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow sweeps run only when a marker expression asks for them."""
    if config.option.markexpr:
        return
    kept, dropped = [], []
    for item in items:
        (dropped if item.get_closest_marker("slow") else kept).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests were skipped, by reason, so that no skip goes unnoticed, and how many needed KVM and ran."""
    ran = {
        outcome: sum("tests/kvm/" in report.nodeid for report in terminalreporter.stats.get(outcome, []))
        for outcome in ("passed", "failed", "skipped")
    }
    if any(ran.values()):
        text = ", ".join(f"{count} {outcome}" for outcome, count in ran.items() if count)
        terminalreporter.write_line(f"tests of KVM: {text}")
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        longrepr = report.longrepr
        reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("skipped, by reason")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"{count:6}  {reason}")
