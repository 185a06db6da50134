"""The table as text: for the terminal, and as docs/evidence/conformance.md."""

from __future__ import annotations

import re
from collections import Counter

from tests.conformance.table import (
    FAILED,
    LEVELS,
    PASSED,
    RESULTS,
    SKIPPED,
    TOPICS,
    UNTESTED,
    WAIVED,
    Row,
    Table,
)  # fmt: skip
from tests.kit.versions import line

TITLES = {  # what the table calls by one word, in those that are searched for
    "header": "TCP header",
    "options": "TCP options",
    "checksum": "Checksum",
    "isn": "Initial sequence numbers (ISN)",
    "open": "Opening: the three-way handshake",
    "listen": "LISTEN: passive open",
    "states": "States and arriving segments",
    "reset": "Reset (RST)",
    "close": "Closing: FIN and half-close",
    "time-wait": "TIME_WAIT",
    "mss": "Maximum segment size (MSS)",
    "rto": "Retransmission timeout (RTO)",
    "retransmission": "Retransmission",
    "window": "Windows and window scale",
    "zero-window": "Zero window probes",
    "sws": "Silly window syndrome",
    "nagle": "Nagle's algorithm",
    "delayed-ack": "Delayed ACKs",
    "urgent": "Urgent data",
    "keepalive": "Keep-alive",
    "user-timeout": "User timeout",
    "icmp": "ICMP",
    "timestamps": "Timestamps and PAWS",
    "sack": "Selective acknowledgment (SACK)",
    "api": "User interface",
    "congestion": "Congestion control",
    "ecn": "Explicit congestion notification (ECN)",
    "security": "Blind attacks and other security",
    "pmtud": "Path MTU discovery",
    "ip4": "IPv4",
    "ip6": "IPv6",
    "rack-tlp": "RACK-TLP",
    "syn-flood": "SYN floods",
    "tfo": "TCP Fast Open",
    "udp": "UDP",
}

INTRODUCTION = """\
# Conformance: requirements of the RFCs, and the tests that show them

What the stack should do by the RFCs, row by row, and the tests that show it. Made by
`scripts/conformance` from `tests/conformance/requirements.csv`, from the tests that name a row
with `@pytest.mark.requirement(…)`, and from `tests/conformance/waivers.csv`; not written by hand.

A row is *passed* when every test that names it passes, *waived* when we do not follow it, or do
not have the feature, for the reason given; a waived row may be followed by the tests that show
what we do instead. *Except* says in which case a passed row is not followed to the letter, and
why (`tests/conformance/exceptions.csv`), with the tests of that case. A test that was skipped,
as one that needs the kernel may be, is marked so. A MUST that is neither passed nor waived fails
the build.
"""


def id_order(row: Row) -> list[int | str]:
    """RFC9293-MUST-9 before RFC9293-MUST-10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", row.id)]


def counts(rows: list[Row]) -> Counter[str]:
    return Counter(row.result for row in rows)


def by_topic(table: Table) -> list[tuple[str, list[Row]]]:
    """Topics in scope in their order, then the others by name; rows sorted."""
    names = list(TOPICS) + sorted({row.topic for row in table.rows.values()} - set(TOPICS))
    grouped = [
        (name, sorted((row for row in table.rows.values() if row.topic == name), key=id_order))
        for name in names
    ]
    return [(name, rows) for name, rows in grouped if rows]


def terminal(table: Table, quiet: bool = False) -> str:
    """One line per requirement with its tests, then counts and problems."""
    out = []
    if not quiet:
        for name, rows in by_topic(table):
            out.append(f"\n{name}")
            for row in rows:
                out.append(f"  {row.id:<24} {row.level:<6} {row.result:<8} {row.requirement}")
                out += [f"      {result:<8} {test}" for test, result in sorted(row.tests.items())]
                if row.waiver:
                    out.append(f"      {row.waiver}")
                if row.exception:
                    out.append(f"      except: {row.exception}")
                word = "instead" if row.waiver else "except"
                out += [f"      {word}: {test}" for test in sorted(row.deviations)]
        out.append("")
    for level in LEVELS:
        found = counts([row for row in table.rows.values() if row.level == level])
        line = ", ".join(f"{found[result]} {result}" for result in RESULTS if found[result])
        out.append(f"{level:<6} {line}")
    out += [f"problem: {problem}" for problem in table.problems]
    return "\n".join(out) + "\n"


def markdown(table: Table, of: str) -> str:
    """The whole of docs/evidence/conformance.md; `of`: the versions of the run."""
    out = [INTRODUCTION, line(of), "", "## Counts", ""]
    out += ["| topic | " + " | ".join(f"{level}" for level in LEVELS) + " |"]
    out += ["| --- |" + " --- |" * len(LEVELS)]
    for name, rows in by_topic(table):
        cells = [_cell([row for row in rows if row.level == level]) for level in LEVELS]
        out.append(f"| {name} | " + " | ".join(cells) + " |")
    every = list(table.rows.values())
    cells = [_cell([row for row in every if row.level == level]) for level in LEVELS]
    out.append("| **all** | " + " | ".join(cells) + " |")
    for name, rows in by_topic(table):
        out += ["", f"## {TITLES.get(name, name)}", "", "| requirement | what | result and tests |"]
        out.append("| --- | --- | --- |")
        out += [_line(row) for row in rows]
    return "\n".join(out) + "\n"


def _cell(rows: list[Row]) -> str:
    found = counts(rows)
    words = {PASSED: "passed", FAILED: "**failed**", SKIPPED: "skipped", UNTESTED: "untested",
             WAIVED: "waived"}  # fmt: skip
    return ", ".join(f"{found[result]} {words[result]}" for result in RESULTS if found[result])


def _line(row: Row) -> str:
    parts = [row.result if row.result != FAILED else "**failed**"]
    if row.waiver:
        parts = [f"waived: {row.waiver}"]
    parts += [
        _test(name) + (" (skipped)" if outcome == SKIPPED else "")
        for name, outcome in sorted(row.tests.items())
    ]
    if row.exception:
        parts.append(f"except: {row.exception}")
    word = "instead" if row.waiver else "except"
    parts += [f"{word} {_test(name)}" for name in sorted(row.deviations)]
    name = row.id.partition("-")[2]
    rfc = row.id.partition("-")[0].replace("RFC", "RFC ")
    text = row.requirement.replace("|", "\\|").replace("<", "&lt;")
    return f"| {rfc} §{row.section} {name} ({row.level}) | {text} | {'<br>'.join(parts)} |"


def _test(name: str) -> str:
    """A link to the file, and the name as the sentence that it is."""
    file, _, function = name.partition("::")
    function = function.rpartition("::")[2]
    return f"[{function.removeprefix('test_').replace('_', ' ')}](../../{file})"
