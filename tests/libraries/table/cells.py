"""The cells of docs/evidence/libraries.md: which test tries which library, and how that went.

A test tries a library on one side of the connection by

    @pytest.mark.cell("httpx", "client", "HTTP/2", without={"plain": "HTTP/2 is agreed on by TLS"})
    def test_…(link): …

It then runs for each column of the table (`COLUMNS`, by the fixture `link`), except those of a
kind in `without` ("plain", "TLS", "IPv4", "IPv6"), whose cells give that reason instead. Several
tests may name one row; its cells work when all of them pass. A test with `pytest.mark.xfail` and a
reason puts that reason into its cells.

A test of this folder without a cell is run for the first column only, or for those that
`@pytest.mark.columns("IPv6 TLS", …)` names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

COLUMNS = ("IPv4 plain", "IPv4 TLS", "IPv6 plain", "IPv6 TLS")
MARKERS = (
    "cell(library, side, what, without={}): the row of docs/evidence/libraries.md that it tries",
    "columns(*names): run for these columns of docs/evidence/libraries.md only",
)


@dataclass(frozen=True)
class Row:
    """A row of the table. `name` is the distribution's name; `side`: server or client."""

    name: str
    side: str
    what: str


@dataclass
class Test:
    """One test function, and how it went in each column that it is for."""

    __test__ = False

    row: Row | None  # None: not of the table
    name: str
    about: str = ""  # what its file is called after
    expected: dict[str, str] = field(default_factory=dict)  # column: "works", or why not
    outcomes: dict[str, str] = field(default_factory=dict)  # as it went: also "fails", "not run"
    without: dict[str, str] = field(default_factory=dict)  # column: why there is no test


def row_of(item: pytest.Item) -> Row | None:
    """What the test's mark says."""
    mark = item.get_closest_marker("cell")
    return None if mark is None else Row(*mark.args)


def without(marks: Iterator[pytest.Mark] | list[pytest.Mark]) -> dict[str, str]:
    """The columns that a test's marks leave out, with the reason."""
    reasons: dict[str, str] = {}
    for mark in marks:
        if mark.name == "cell":
            for kind, reason in mark.kwargs.get("without", {}).items():
                assert kind in ("plain", "TLS", "IPv4", "IPv6"), kind
                reasons |= {column: reason for column in COLUMNS if kind in column.split()}
    return reasons


def columns_of(marks: list[pytest.Mark]) -> list[str]:
    """The columns that a test with these marks runs for."""
    for mark in marks:
        if mark.name == "columns":
            assert set(mark.args) <= set(COLUMNS), mark.args
            return list(mark.args)
    if not any(mark.name == "cell" for mark in marks):
        return [COLUMNS[0]]
    left_out = without(marks)
    return [column for column in COLUMNS if column not in left_out]


class CellsPlugin:
    """One per run. `path` is where the results go, as JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tests: dict[str, Test] = {}
        self._places: dict[str, tuple[Test, str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if "link" not in item.fixturenames:  # type: ignore[attr-defined]
                continue
            column = item.callspec.params["link"]  # type: ignore[attr-defined]
            base = item.nodeid.split("[")[0]
            left_out = without(list(item.iter_markers("cell")))
            about = item.path.stem.removeprefix("test_")
            new = Test(row_of(item), base.split("::")[-1], about, without=left_out)
            test = self._tests.setdefault(base, new)
            failing = item.get_closest_marker("xfail")
            test.expected[column] = failing.kwargs["reason"] if failing else "works"
            test.outcomes.setdefault(column, "not run")
            self._places[item.nodeid] = (test, column)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid not in self._places:
            return
        test, column = self._places[report.nodeid]
        before = test.outcomes[column]
        if report.failed:
            test.outcomes[column] = "fails"
        elif report.skipped and before in ("not run", "works"):
            reason = getattr(report, "wasxfail", "")
            test.outcomes[column] = reason.removeprefix("reason: ") or "not run"
        elif report.when == "call" and before == "not run":
            test.outcomes[column] = "works"

    def pytest_sessionfinish(self) -> None:
        found: list[dict[str, Any]] = [asdict(test) for test in self._tests.values()]
        self._path.write_text(json.dumps(found, indent=1) + "\n")


def read(path: Path) -> list[Test]:
    """What a run has written, or one that only collected the tests."""
    return [
        Test(row and Row(**row), **rest)
        for row, rest in ((one.pop("row"), one) for one in json.loads(path.read_text()))
    ]
