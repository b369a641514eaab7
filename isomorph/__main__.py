"""`python -m isomorph`: the `isomorph` command."""

from __future__ import annotations

import sys

from isomorph.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
