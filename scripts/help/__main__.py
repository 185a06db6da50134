"""`python -m scripts.help` writes the help of the scripts that start Python programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
ROOT: Final = FOLDER.parent.parent

# What runs with --help, by the name of the file.
PROGRAMS: Final = {
    "asyncio-suites": ("scripts.asyncio_suites",),
    "behaviour": ("scripts.behaviours",),
    "bench": ("scripts.benchmarks",),
    "calls": ("scripts.call_counts",),
    "conformance": ("tests.conformance",),
    "libraries": ("tests.libraries",),
    "mutate": ("scripts.mutation",),
    "pictures": ("scripts.drawings",),
    "side-by-side": ("scripts.side_by_side",),
    "pystack": ("pystack",),
    **{f"commands/{name}": ("pystack", name) for name in ("serve", "run", "demo", "nc", "doctor")},
    "run": ("pystack", "serve"),
}


def texts() -> list[tuple[str, str]]:
    """Names of files, and what they should say."""
    return [(name, _said(name, *words)) for name, words in PROGRAMS.items()]


def _said(name: str, module: str, *words: str) -> str:
    environment = {
        **os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYSTACK_CALLED_AS": "scripts/pystack",
        "SUDO_UID": "1000",  # root needs no sudo in the examples, others do
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", module, *words, "--help"], cwd=ROOT, env=environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return _as_run(done.stdout) if name == "run" else done.stdout


def _as_run(text: str) -> str:
    """What `pystack serve` says, as scripts/run says it."""
    return text.replace("scripts/pystack serve", "scripts/run")


def main() -> None:
    for name, text in texts():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
