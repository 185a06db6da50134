"""`scripts/conformance`: run the tests or read a run's results, and report."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from scripts.programs.pytest_run import run_pytest
from scripts.programs.tables import write
from tests.conformance import document, table
from tests.kit.versions import without_versions

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = ROOT / "docs" / "evidence" / "conformance.md"

DESCRIPTION = """\
Print each requirement of the RFCs with the tests that show it and their results, and write
docs/evidence/conformance.md. Exit code 1 when a MUST is untested or failing without a waiver,
when a test names an unknown requirement, when a waived one has become tested, or when a test shows
an exception that exceptions.csv gives no reason for.
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/conformance", description=DESCRIPTION)
    parser.add_argument("--run", action="store_true", help="run the tests first (the default)")
    parser.add_argument(
        "--results", type=Path, help="read the results of a run of pytest --conformance-json=FILE"
    )
    parser.add_argument("--quiet", action="store_true", help="print counts and problems only")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; it is a problem if the file is old"
    )
    parser.add_argument("tests", nargs="*", default=["tests"], help="what to run (default: tests)")
    options = parser.parse_args()
    if options.run and options.results:
        parser.error("--run and --results exclude each other")
    return options


def run(tests: list[str], path: Path) -> None:
    """Failing tests show in the report, so pytest's exit code is not looked at twice."""
    run_pytest([f"--conformance-json={path}", *tests])
    if not path.exists():
        sys.exit("conformance: pytest did not finish")


def main() -> int:
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        path = options.results or Path(folder) / "results.json"
        if options.results is None:
            run(options.tests, path)
        elif not path.exists():
            sys.exit(f"conformance: no such file: {path}")
        found = table.put_together(
            table.read_rows(),
            table.read_reasons("waivers.csv"),
            table.read_results(path),
            table.read_reasons("exceptions.csv"),
        )
        text = document.markdown(found, table.read_versions(path))
    if options.check:
        old = DOCUMENT.read_text() if DOCUMENT.exists() else ""
        if without_versions(old) != without_versions(text):
            found.problems.append(f"{DOCUMENT.relative_to(ROOT)} is not up to date")
    else:
        DOCUMENT.parent.mkdir(exist_ok=True)
        write(DOCUMENT, text)
    print(document.terminal(found, options.quiet), end="")
    return 1 if found.problems else 0
