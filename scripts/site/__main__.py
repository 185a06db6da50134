"""mkdocs, as `scripts/docs` calls it."""

from __future__ import annotations

import sys

from scripts.programs import ending

if __name__ == "__main__":
    sys.exit(ending.run("docs", "mkdocs.__main__", "cli"))
