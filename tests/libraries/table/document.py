"""docs/evidence/libraries.md, from what a run of the tests has found (`cells.Test`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version

from tests.kit.versions import line, versions
from tests.libraries.table.cells import COLUMNS, Row, Test

WORKS = "works"
PYTHONS_OWN = ("asyncio",)  # what has no release of its own

INTRODUCTION = """\
# Libraries that run over pystack: uvicorn, aiohttp, httpx, redis and others

Which asyncio libraries run over a stack, unmodified and of their current releases, with the real
kernel at the other end of a TUN device: curl, redis-server, or the same library on the kernel's
sockets in a network namespace. [How to run yours](../asyncio.md).

Made by `scripts/libraries` from the tests in `tests/libraries`, not written by hand; a test holds
it to them. A cell *works* when every test of its row passes in that column. TLS is 1.3, with the
peer's certificate verified. `.venv/bin/pytest --kernel tests/libraries` runs the same tests on the
kernel's sockets alone.
"""

SENTENCES = """
## What the tests of each library do

Each in every column of its row in which something works:
"""

BESIDES = """
Each once:
"""


def rows_of(tests: Sequence[Test]) -> list[Row]:
    """By library and side, then as the tests are written."""
    rows = dict.fromkeys(test.row for test in tests if test.row is not None)
    return sorted(rows, key=lambda row: (row.name.lower(), row.side != "server"))


def cell(tests: Sequence[Test], row: Row, column: str, *, ran: bool) -> str:
    """ "works", or why not. `ran`: as it went, otherwise as the tests expect it."""
    own = [test for test in tests if test.row == row]
    found = [(test.outcomes if ran else test.expected).get(column) for test in own]
    bad = [result for result in found if result not in (None, WORKS)]
    if bad:
        return str(bad[0])
    if WORKS in found:
        return WORKS
    return next(test.without[column] for test in own if column in test.without)


def problems(tests: Sequence[Test]) -> Iterator[str]:
    """What did not go as the tests expect."""
    for test in tests:
        for column, expected in test.expected.items():
            if test.outcomes[column] != expected:
                yield f"{test.name}, {column}: {test.outcomes[column]}"


def markdown(tests: Sequence[Test], *, ran: bool = True) -> str:
    """The whole text, as made by this process."""
    notes: dict[str, int] = {}
    lines = ["| library | | what | " + " | ".join(COLUMNS) + " |"]
    lines.append("|---|---|---|" + "---|" * len(COLUMNS))
    for row in rows_of(tests):
        cells = []
        for column in COLUMNS:
            result = cell(tests, row, column, ran=ran)
            if result != WORKS:
                result = f"– ({notes.setdefault(result, len(notes) + 1)})"
            cells.append(result)
        lines.append(f"| {' | '.join([titled(row.name), row.side, row.what, *cells])} |")
    text = f"{INTRODUCTION}\n{line(versions())}\n\n" + "\n".join(lines) + "\n"
    if notes:
        text += "\n" + "\n".join(f"({number}) {reason}  " for reason, number in notes.items())
        text = text.rstrip() + "\n"
    text += SENTENCES + "\n"
    for row in rows_of(tests):
        said = "; ".join(sentence(test) for test in tests if test.row == row)
        text += f"- *{row.name}, {row.side}, {row.what}*: {said}\n"
    text += BESIDES + "\n"
    for test in tests:
        if test.row is None:
            text += f"- *{test.about}*: {sentence(test)}\n"
    return text


def titled(library: str) -> str:
    """With the release that was tried."""
    return f"{library}, Python's own" if library in PYTHONS_OWN else f"{library} {version(library)}"


def sentence(test: Test) -> str:
    """The test's name, as it is read."""
    return test.name.removeprefix("test_").replace("_", " ")
