"""docs/evidence/libraries.md says what the tests have, no more and no less."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version

import pytest

from tests.kit.versions import without_versions
from tests.libraries.table import document
from tests.libraries.table.cells import COLUMNS, Row, Test, columns_of, without
from tests.libraries.table.command import DOCUMENT, collected

PROJECT = DOCUMENT.parents[2] / "pyproject.toml"


def test_the_document_is_that_of_the_tests() -> None:
    """`scripts/libraries` makes it anew."""
    tests = collected("--collect-only")
    assert tests
    made = document.markdown(tests, ran=False)
    assert without_versions(DOCUMENT.read_text()) == without_versions(made)


def test_each_library_of_the_table_is_pinned_to_the_release_that_is_tried() -> None:
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    pins = dict(
        found.groups()
        for line in extras["test"]
        if (found := re.match(r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", line))
    )
    rows = document.rows_of(collected("--collect-only"))
    for library in {row.name for row in rows} - set(document.PYTHONS_OWN):
        assert pins.get(library) == version(library), library


def test_a_cell_works_only_if_all_its_tests_do() -> None:
    row = Row("x", "client", "y")
    good = Test(row, "test_a", "", {}, dict.fromkeys(COLUMNS, "works"))
    bad = Test(row, "test_b", "", {}, {COLUMNS[0]: "fails"}, {COLUMNS[1]: "nobody does that"})
    assert document.cell([good, bad], row, COLUMNS[0], ran=True) == "fails"
    assert document.cell([good, bad], row, COLUMNS[1], ran=True) == "works"
    assert document.cell([bad], row, COLUMNS[1], ran=True) == "nobody does that"


def test_what_goes_otherwise_than_expected_is_a_problem() -> None:
    test = Test(None, "test_a", "", {COLUMNS[0]: "works"}, {COLUMNS[0]: "not run"})
    assert list(document.problems([test])) == ["test_a, IPv4 plain: not run"]
    test.outcomes[COLUMNS[0]] = "works"
    assert list(document.problems([test])) == []


def test_marks_choose_the_columns() -> None:
    cell = pytest.mark.cell("x", "client", "y", without={"plain": "why"}).mark
    assert columns_of([cell]) == ["IPv4 TLS", "IPv6 TLS"]
    assert without([cell]) == {"IPv4 plain": "why", "IPv6 plain": "why"}
    assert columns_of([]) == ["IPv4 plain"]
    assert columns_of([pytest.mark.columns("IPv6 TLS").mark, cell]) == ["IPv6 TLS"]
