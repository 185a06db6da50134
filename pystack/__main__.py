"""`python -m pystack`: the `pystack` command."""

from __future__ import annotations

import sys

from pystack.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
