"""Which instructions were run by tests, spec by spec: noted where tests run them, reported when all is done."""

from __future__ import annotations

#: isa -> mnemonics of its spec that ran
COVERAGE: dict[str, set[str]] = {}
#: isas of which all was run that is generated to test them: of these it is worth saying what nothing ran
WHOLE: set[str] = set()


def ran(isa: str, mnemonic: str) -> None:
    """Note that an instruction was run and what it did was looked at."""
    COVERAGE.setdefault(isa, set()).add(mnemonic)
