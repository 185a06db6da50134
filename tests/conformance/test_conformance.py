"""The conformance table itself: what it must complain about."""

from __future__ import annotations

import ast
import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance import document, table

ROOT = Path(__file__).parent.parent.parent


def rows() -> dict[str, table.Row]:
    found = (
        ("RFC1-MUST-1", "MUST", "header"),
        ("RFC1-MUST-2", "MUST", "options"),
        ("RFC1-MUST-10", "MUST", "options"),
        ("RFC1-SHLD-1", "SHOULD", "options"),
        ("RFC2-MAY-1", "MAY", "tfo"),
    )
    return {name: table.Row(name, level, "1", topic, "do") for name, level, topic in found}


def result(test: str, outcome: str, *names: str, marker: str = "requirement") -> dict[str, object]:
    return {"test": test, "outcome": outcome, marker: list(names)}


ALL = result("t.py::test_all", "passed", "RFC1-MUST-1", "RFC1-MUST-2", "RFC1-MUST-10")


Reasons = tuple[tuple[str, str], ...]


def problems(
    *results: dict[str, object], waivers: Reasons = (), exceptions: Reasons = ()
) -> list[str]:
    return table.put_together(rows(), list(waivers), list(results), list(exceptions)).problems


def test_nothing_is_wrong_when_every_must_is_shown() -> None:
    assert problems(ALL) == []


def test_an_untested_must_is_a_problem() -> None:
    assert problems(result("t", "passed", "RFC1-MUST-1", "RFC1-MUST-2")) == [
        "RFC1-MUST-10 (options) is untested"
    ]


@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_a_must_whose_test_does_not_pass_is_a_problem(outcome: str) -> None:
    assert problems(ALL, result("u", outcome, "RFC1-MUST-1")) == (
        ["RFC1-MUST-1 (header) is failed"] if outcome == "failed" else []
    )
    assert problems(result("t", outcome, *rows())) == [
        f"RFC1-MUST-{number} ({topic}) is {outcome}"
        for number, topic in ((1, "header"), (10, "options"), (2, "options"))
    ]


def test_one_failing_variant_fails_the_row() -> None:
    results = [
        ALL,
        result("t[a]", "passed", "RFC1-MUST-1"),
        result("t[b]", "failed", "RFC1-MUST-1"),
    ]
    found = table.put_together(rows(), [], results)
    assert found.rows["RFC1-MUST-1"].result == "failed"
    assert found.rows["RFC1-MUST-1"].tests == {"t": "failed", "t.py::test_all": "passed"}


def test_a_waived_must_needs_no_test_but_a_reason() -> None:
    shown = result("t", "passed", "RFC1-MUST-1", "RFC1-MUST-2")
    assert problems(shown, waivers=(("RFC1-MUST-10", "because"),)) == []
    assert "RFC1-MUST-10 has no reason" in " ".join(
        problems(shown, waivers=(("RFC1-MUST-10", " "[1:]),))
    )


def test_a_waived_row_that_a_test_shows_is_a_problem() -> None:
    assert problems(ALL, waivers=(("RFC1-MUST-10", "because"),)) == [
        "RFC1-MUST-10 is waived, but shown by t.py::test_all"
    ]


def test_unknown_and_repeated_names_are_problems() -> None:
    assert problems(ALL, result("t", "passed", "RFC9-MUST-1")) == [
        "t names an unknown requirement: RFC9-MUST-1"
    ]
    waivers = (("RFC9-MUST-1", "x"), ("RFC1-SHLD-1", "x"), ("RFC1-SHLD-1", "y"))
    assert problems(ALL, waivers=waivers) == [
        "waivers.csv: RFC1-SHLD-1 is there twice",
        "waivers.csv: unknown requirement RFC9-MUST-1",
    ]


def test_a_failing_test_of_a_deviation_is_a_problem() -> None:
    waivers = (("RFC1-SHLD-1", "because"),)
    good = result("t", "passed", "RFC1-SHLD-1", marker="deviation")
    bad = result("t", "failed", "RFC1-SHLD-1", marker="deviation")
    assert problems(ALL, good, waivers=waivers) == []
    assert problems(ALL, bad, waivers=waivers) == ["RFC1-SHLD-1: the test of our deviation fails"]


def test_an_exception_has_a_reason_and_a_test() -> None:
    shown = result("u.py::test_u", "passed", "RFC1-MUST-1", marker="deviation")
    reason = (("RFC1-MUST-1", "because"),)
    assert problems(ALL, shown, exceptions=reason) == []
    assert problems(ALL, shown) == [
        "RFC1-MUST-1 is followed but for u.py::test_u: exceptions.csv says why"
    ]
    assert problems(ALL, exceptions=reason) == [
        "RFC1-MUST-1 has an exception, which no test shows"
    ]
    assert problems(ALL, shown, exceptions=(("RFC1-MUST-1", ""),))[0] == (
        "RFC1-MUST-1 is followed but for u.py::test_u: exceptions.csv says why"
    )
    text = document.markdown(table.put_together(rows(), [], [ALL, shown], [*reason]), "x 1")
    assert "except: because<br>except [u](../../u.py)" in text


def test_a_test_that_was_skipped_is_marked() -> None:
    skipped = result("u.py::test_u", "skipped", "RFC1-MUST-1")
    text = document.markdown(table.put_together(rows(), [], [ALL, skipped]), "x 1")
    assert "[u](../../u.py) (skipped)" in text


def test_a_topic_must_be_known() -> None:
    found = table.put_together({"A": table.Row("A", "MAY", "1", "tcp", "do")}, [], [])
    assert found.problems == ["A has an unknown topic: tcp"]


def test_the_document_is_sorted_and_does_not_depend_on_the_order_of_results() -> None:
    more = [result(f"t.py::test_{name}", "passed", "RFC1-MUST-2") for name in "cab"]
    first = document.markdown(table.put_together(rows(), [], [ALL, *more]), "x 1")
    second = document.markdown(table.put_together(rows(), [], [*reversed(more), ALL]), "x 1")
    assert first == second
    assert first.index("RFC 1 §1 MUST-2 ") < first.index("RFC 1 §1 MUST-10 ")
    assert "| options | 2 passed | 1 untested |  |" in first


@pytest.mark.parametrize("file", ["waivers.csv", "exceptions.csv"])
def test_every_reason_and_row_of_the_project_is_well_formed(file: str) -> None:
    known = table.read_rows()
    assert len(known) == 446
    assert {row.level for row in known.values()} == set(table.LEVELS)
    assert set(table.TOPICS) == {row.topic for row in known.values()}
    waivers = table.read_reasons(file)
    assert len({name for name, _ in waivers}) == len(waivers)
    for name, reason in waivers:
        assert name in known
        assert len(reason) > 20
        assert "issue" not in reason.lower()


def test_markers_and_outcomes_are_collected(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.requirement('A')\n"
        "@pytest.mark.requirement('B', 'C')\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_param(n): assert n == 1\n"
        "@pytest.mark.deviation('D')\n"
        "def test_skipped(): pytest.skip()\n"
        "@pytest.fixture\n"
        "def broken(): yield; 1 / 0\n"
        "def test_teardown(broken): pass\n"
        "@pytest.mark.xfail(strict=True)\n"
        "def test_expected(): assert False\n"
    )
    path = tmp_path / "results.json"
    code = (
        "import sys, pytest, pathlib; from tests.conformance.plugin import ConformancePlugin;"
        f"pytest.main(['-q', '-p', 'no:cacheprovider', '-c', '/dev/null', {str(tmp_path)!r}],"
        f"plugins=[ConformancePlugin(pathlib.Path({str(path)!r}))])"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    found = {
        str(test["test"]).rpartition("::")[2]: test
        for test in json.loads(path.read_text())["tests"]
    }
    assert {name: test["outcome"] for name, test in found.items()} == {
        "test_param[1]": "passed",
        "test_param[2]": "failed",
        "test_skipped": "skipped",
        "test_teardown": "failed",
        "test_expected": "failed",
    }
    assert found["test_param[1]"]["requirement"] == ["A", "B", "C"]
    assert found["test_skipped"]["deviation"] == ["D"]


def test_the_project_keeps_the_columns_that_others_read() -> None:
    with (ROOT / "tests" / "conformance" / "requirements.csv").open(newline="") as file:
        header = next(csv.reader(file))
    assert header == ["id", "level", "section", "topic", "requirement", "seen_as", "source_checked"]


def test_the_marks_of_all_tests_agree_with_the_tables() -> None:
    """As a whole run would find, in a second: every test is taken for one that passes."""
    results = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="requirement" | "deviation" as kind)):
                    names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                    test = f"{path.relative_to(ROOT)}:{node.lineno}"
                    results.append(result(test, "passed", *map(str, names), marker=kind))
    found = table.put_together(
        table.read_rows(),
        table.read_reasons("waivers.csv"),
        results,
        table.read_reasons("exceptions.csv"),
    )
    assert found.problems == []
    assert [name for name, row in found.rows.items() if row.result == table.UNTESTED] == []
