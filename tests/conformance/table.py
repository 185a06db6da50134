"""Requirements, waivers and test results put together: what holds, and what is wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent

TOPICS = (
    "header", "options", "checksum", "isn", "open", "listen", "states", "reset", "close",
    "time-wait", "mss", "rto", "retransmission", "window", "zero-window", "sws", "nagle",
    "delayed-ack", "urgent", "keepalive", "user-timeout", "icmp", "timestamps", "sack", "api",
    "congestion", "rack-tlp", "ecn", "security", "syn-flood", "tfo", "pmtud", "ip4", "ip6", "udp",
)  # fmt: skip
"""All topics, in their order. A MUST is shown by a test or waived with a reason."""

COLUMNS = ("id", "level", "section", "topic", "requirement")
LEVELS = ("MUST", "SHOULD", "MAY")

PASSED, FAILED, SKIPPED, UNTESTED, WAIVED = "passed", "failed", "skipped", "untested", "waived"
RESULTS = (PASSED, FAILED, SKIPPED, UNTESTED, WAIVED)


@dataclass
class Row:
    """One requirement. `tests` and `deviations` are test functions with their results. `waiver`
    says why it is not followed, `exception` why it is, but for one case."""

    id: str
    level: str
    section: str
    topic: str
    requirement: str
    waiver: str = ""
    exception: str = ""
    tests: dict[str, str] = field(default_factory=dict)
    deviations: dict[str, str] = field(default_factory=dict)

    @property
    def result(self) -> str:
        if self.waiver:
            return WAIVED
        if not self.tests:
            return UNTESTED
        return worst(self.tests.values())


@dataclass
class Table:
    rows: dict[str, Row]
    problems: list[str] = field(default_factory=list)


def worst(outcomes: Iterable[str]) -> str:
    """One failure fails all; otherwise one pass is enough (other variants may be skipped)."""
    found = set(outcomes)
    return FAILED if FAILED in found else PASSED if PASSED in found else SKIPPED


def read_rows(path: Path = HERE / "requirements.csv") -> dict[str, Row]:
    rows: dict[str, Row] = {}
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            name, level, section, topic, requirement = (line[column] for column in COLUMNS)
            rows[name] = Row(name, level, section, topic, requirement)
    return rows


def read_reasons(name: str) -> list[tuple[str, str]]:
    """The rows of waivers.csv or exceptions.csv."""
    with (HERE / name).open(newline="") as file:
        return [(line["id"], line["reason"].strip()) for line in csv.DictReader(file)]


def read_results(path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(path.read_text())["tests"]
    return found


def read_versions(path: Path) -> str:
    """The versions that the run was made with."""
    return str(json.loads(path.read_text())["versions"])


def put_together(
    rows: dict[str, Row],
    waivers: list[tuple[str, str]],
    results: list[dict[str, object]],
    exceptions: list[tuple[str, str]] | None = None,
) -> Table:
    """Every row with its waiver or exception and tests; `problems` is empty when all is in
    order."""
    table = Table(rows)
    for file, kind, reasons in (
        ("waivers.csv", "waiver", waivers),
        ("exceptions.csv", "exception", exceptions or []),
    ):
        for name, reason in reasons:
            if name not in rows:
                table.problems.append(f"{file}: unknown requirement {name}")
            elif not reason:
                table.problems.append(f"{file}: {name} has no reason")
            elif rows[name].waiver or rows[name].exception:
                table.problems.append(f"{file}: {name} is there twice")
            else:
                setattr(rows[name], kind, reason)
    for result in results:
        _add(table, result)
    _judge(table)
    table.problems = sorted(set(table.problems))
    return table


def _add(table: Table, result: dict[str, object]) -> None:
    function = str(result["test"]).partition("[")[0]
    outcome = str(result["outcome"])
    for marker in ("requirement", "deviation"):
        names = result.get(marker, [])
        assert isinstance(names, list)
        for name in names:
            if name not in table.rows:
                table.problems.append(f"{function} names an unknown requirement: {name}")
                continue
            row = table.rows[name]
            known = row.tests if marker == "requirement" else row.deviations
            known[function] = worst([outcome, known.get(function, outcome)])


def _judge(table: Table) -> None:
    for row in table.rows.values():
        if row.waiver and row.tests:
            names = ", ".join(sorted(row.tests))
            table.problems.append(f"{row.id} is waived, but shown by {names}")
        if row.deviations and worst(row.deviations.values()) == FAILED:
            table.problems.append(f"{row.id}: the test of our deviation fails")
        if row.exception and not row.deviations:
            table.problems.append(f"{row.id} has an exception, which no test shows")
        if row.deviations and not row.waiver and not row.exception:
            names = ", ".join(sorted(row.deviations))
            table.problems.append(f"{row.id} is followed but for {names}: exceptions.csv says why")
        if row.topic not in TOPICS:
            table.problems.append(f"{row.id} has an unknown topic: {row.topic}")
        if row.level == "MUST" and row.result not in (PASSED, WAIVED):
            table.problems.append(f"{row.id} ({row.topic}) is {row.result}")
