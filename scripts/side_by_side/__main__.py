"""Starts `scripts/side-by-side`."""

from __future__ import annotations

import sys

from scripts.programs import ending

if __name__ == "__main__":
    sys.exit(ending.run("side-by-side", "scripts.side_by_side.command"))
