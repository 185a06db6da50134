"""Starts `scripts/mutate`."""

from __future__ import annotations

import sys

from scripts.programs import ending

if __name__ == "__main__":
    sys.exit(ending.run("mutate", "scripts.mutation.command"))
