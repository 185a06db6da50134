"""`scripts/libraries`: run the tests of libraries and write docs/evidence/libraries.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from scripts.programs.pytest_run import run_pytest
from scripts.programs.tables import write
from tests.libraries.table import cells, document

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "evidence" / "libraries.md"

# all but the test that compares the old document
_ALL = ("tests/libraries", "--ignore=tests/libraries/table/test_document.py")

DESCRIPTION = """\
Run tests/libraries (as root, or by `unshare -Ur`) and write docs/evidence/libraries.md from how
they went.
Exit code 1 when one of them did not go as it says; then nothing is written.
"""


def collected(*options: str) -> list[cells.Test]:
    """What pytest finds, with the results unless `--collect-only` is an option."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.json"
        run_pytest([*_ALL, f"--cells-json={path}", *options], quiet="--collect-only" in options)
        if not path.exists():
            sys.exit("scripts/libraries: pytest did not finish")
        return cells.read(path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/libraries", description=DESCRIPTION)
    parser.parse_args()
    tests = collected()
    problems = list(document.problems(tests))
    for problem in problems:
        print(f"scripts/libraries: {problem}", file=sys.stderr)
    if problems:
        return 1
    write(DOCUMENT, document.markdown(tests))
    return 0
