"""Collects which requirement each test names, and how the test went, into a JSON file.

A test shows a requirement with `@pytest.mark.requirement("RFC9293-MUST-12", …)`. A test that
shows how we behave where a requirement is left on purpose has `@pytest.mark.deviation("…")`: what
we do instead of a waived one, or the one exception to a followed one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.versions import versions

MARKERS = ("requirement", "deviation")


class ConformancePlugin:
    """One per run. `path` is where the results go."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcomes: dict[str, str] = {}
        self._ids: dict[str, dict[str, list[str]]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            named = {
                marker: sorted(
                    {str(arg) for mark in item.iter_markers(marker) for arg in mark.args}
                )
                for marker in MARKERS
            }
            if any(named.values()):
                self._ids[item.nodeid] = named

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid not in self._ids:
            return
        before = self._outcomes.get(report.nodeid)
        if report.failed:
            self._outcomes[report.nodeid] = "failed"
        elif report.skipped and before != "failed":
            # an expected failure is a requirement that does not hold
            self._outcomes[report.nodeid] = "failed" if hasattr(report, "wasxfail") else "skipped"
        elif report.when == "call" and before is None:
            self._outcomes[report.nodeid] = "passed"

    def pytest_sessionfinish(self) -> None:
        tests: list[dict[str, Any]] = [
            {"test": nodeid, "outcome": self._outcomes.get(nodeid, "skipped"), **named}
            for nodeid, named in sorted(self._ids.items())
        ]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        found = {"versions": versions(), "tests": tests}
        self._path.write_text(json.dumps(found, indent=1) + "\n")
