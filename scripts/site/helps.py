"""The help of the scripts in Markdown, from scripts/help."""

from __future__ import annotations

from pathlib import Path
from typing import Final

HELP: Final = Path(__file__).resolve().parents[1] / "help"


def texts() -> str:
    """A section for each script."""
    scripts = sorted(path for path in HELP.parent.iterdir() if (HELP / path.name).is_file())
    return "\n".join(
        f"## scripts/{script.name}\n\n```text\n{(HELP / script.name).read_text().rstrip()}\n```\n"
        for script in scripts
    )
