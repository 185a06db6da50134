"""docs/testing.md: its tests, run as they stand there, and what it says of the plugin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pystack.testing.network_plan import WORDS
from tests.kit.documents import DOCS, put
from tests.surroundings import PATIENCE
from tests.testing.inner_pytest import ALONE

pytest_plugins = ["pytester"]

DOCUMENT = "testing.md"
TEXT = (DOCS / DOCUMENT).read_text(encoding="utf-8")


def test_the_example_passes_as_often_and_as_fast_as_it_says(pytester: pytest.Pytester) -> None:
    put(DOCUMENT, pytester.path)
    result = pytester.runpytest_subprocess(*ALONE, "-q", "test_asking.py", timeout=PATIENCE)
    result.stdout.fnmatch_lines(["*passed*"])
    passed = result.parseoutcomes()
    assert set(passed) == {"passed"}
    assert f"`{passed['passed']} passed` within a second:" in TEXT
    assert result.duration < 10  # with the start of Python, on a machine that has other work


def test_libraries_pass_too(pytester: pytest.Pytester) -> None:
    put(DOCUMENT, pytester.path)
    result = pytester.runpytest_subprocess(*ALONE, "-q", "test_http.py", timeout=PATIENCE)
    result.assert_outcomes(passed=12)


@pytest.mark.parametrize("library", ["asyncio", "anyio"])
def test_they_pass_beside_other_plugins(pytester: pytest.Pytester, library: str) -> None:
    put(DOCUMENT, pytester.path)
    mode = "--asyncio-mode=auto" if library == "asyncio" else "--anyio-mode=auto"
    other = "anyio" if library == "asyncio" else "asyncio"
    options = (*ALONE[:-5], "-p", f"no:{other}", mode, "-q")
    result = pytester.runpytest_subprocess(*options, "test_asking.py", timeout=PATIENCE)
    assert set(result.parseoutcomes()) <= {"passed", "warnings", "warning"}


def test_the_table_has_every_word_of_the_mark() -> None:
    table = TEXT.partition("## The mark: ")[2].partition("## The fixtures: ")[0]
    rows = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    more = "".join(line.split("|")[2] for line in table.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)=", rows)) | {"delay"} == set(WORDS)
    assert "`delay=" in more


def test_it_names_what_there_is_of_the_fixtures() -> None:
    from pystack.testing.network import Network, NetworkLink

    named = TEXT.partition("## The fixtures: ")[2]
    for name in re.findall(r"`network\.link\.(\w+)", named):
        assert hasattr(NetworkLink, name)
    for name in re.findall(r"`network\.(\w+)", named):
        assert hasattr(Network, name) or name in ("client", "server", "link")
    assert Path(DOCS / "impairments.md").exists()
