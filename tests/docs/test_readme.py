"""README.md: short, its links lead somewhere, and its figures are those of docs/performance.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.documents import programs_in

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
LONGEST = 900  # words, code and tables included
FIRST_SCREEN = 50  # lines
LINKS = re.findall(r'\]\(([^)#]+)\)|(?:src|srcset)="([^"]+)"', README)


def rows(text: str) -> list[list[str]]:
    """The cells of each row of a table of figures."""
    lines = [line for line in text.splitlines() if re.match(r"\| .*\d.*\|$", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_it_is_short() -> None:
    assert len(README.split()) < LONGEST


def test_the_four_uses_and_the_plugin_stand_on_the_first_screen() -> None:
    first = "\n".join(README.splitlines()[:FIRST_SCREEN])
    assert "git clone" in first
    assert "@pytest.mark.network(" in first
    assert ".venv/bin/pytest" in first
    for use in ("Test", "Serve", "Run", "Simulate"):
        assert f"[{use}](#{use.lower()})" in first
        assert f"\n## {use}\n" in README


@pytest.mark.parametrize("link", sorted({one or other for one, other in LINKS}))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_its_five_figures_are_those_of_the_whole_tables() -> None:
    measured = [row[1:4] for row in rows(PERFORMANCE)]
    shown = rows(README)
    assert len(shown) == 5
    for row in shown:
        assert row[1:] in measured


def test_each_ratio_is_that_of_its_figures() -> None:
    for row in rows(README):
        ours, kernels = (float(re.match(r"[\d,.]+", cell)[0].replace(",", ""))  # type: ignore[index]
                         for cell in row[1:3])  # fmt: skip
        assert float(row[3]) == pytest.approx(ours / kernels, abs=0.01)


def test_its_application_knows_nothing_of_pystack() -> None:
    programs = programs_in(README)
    assert "pystack" not in programs["app.py"]
    assert "pystack" not in programs["test_hello.py"]


def test_the_first_example_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "test_hello.py").write_text(programs_in(README)["test_hello.py"])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W",
         "error", tmp_path],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "20 passed" in done.stdout
    assert "warning" not in done.stdout
