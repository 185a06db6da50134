"""Tables of the scripts: whatever the width of the terminal, each figure can be read."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from scripts.asyncio_suites import report as suites
from scripts.asyncio_suites.outcome import Outcome as OfATest
from scripts.benchmarks import simulation
from scripts.benchmarks.measurements import MEASUREMENTS
from scripts.benchmarks.networks import BESIDE, KERNEL, PYSTACK
from scripts.benchmarks.report import Outcome, table
from scripts.programs.tables import console

ROOT = Path(__file__).resolve().parent.parent
WHERE = {"processor": "A processor with a long name @ 2.00GHz", "processors": 2,
         "kernel": "6.1.0", "python": "3.11.2", "load": 0.1}  # fmt: skip


def bench(beside: Path | None = None) -> tuple[Table, list[str]]:
    """The table of scripts/bench with all there is, and its figures."""
    outcomes = []
    other = KERNEL if beside is None else BESIDE
    for measurement in MEASUREMENTS:
        outcome = Outcome(measurement, other)
        for side in (PYSTACK, other):
            figures = dict.fromkeys(("cpu_us", "p50_us", "p90_us", "p99_us"), 123456.0)
            outcome.samples[side] = [
                {"value": value, **figures} for value in (7890123.0, 8901234.0, 9012345.0)
            ]
        outcomes.append(outcome)
    return table(outcomes, WHERE, beside), ["8,901,234", "123,456", "1.00"]


def beside() -> tuple[Table, list[str]]:
    """That of scripts/bench --beside: no figure is held against the kernel's."""
    made, figures = bench(Path("/a/checkout"))
    assert made.title == "this checkout beside /a/checkout"
    assert not any("×" in cell for column in made.columns for cell in column.cells)
    return made, figures


def simulated() -> tuple[Table, list[str]]:
    """The table of scripts/bench --sim."""
    sample = {"segments_per_s": 123456.0, "segments_per_cpu_s": 234567.0, "events_per_s": 345678.0,
              "goodput_mbit": 93.4, "peak_mb": 4567.0}  # fmt: skip
    results = {kind.name: [sample] for kind in simulation.KINDS}
    return simulation.table(results, WHERE), ["123,456", "234,567", "345,678", "93.4", "4567"]


@pytest.mark.parametrize("columns", [20, 80, 200])
@pytest.mark.parametrize("made", [bench, beside, simulated])
def test_no_figure_is_cut(made: object, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    shown, figures = made()  # type: ignore[operator]
    width = console(shown).width
    assert columns == 20 or width == columns
    out = io.StringIO()
    Console(file=out, width=width).print(shown)
    assert "…" not in out.getvalue()
    for figure in figures:
        assert figure in out.getvalue()


def test_without_a_terminal_there_is_room_for_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert console(Table()).width == 132


def test_the_table_of_the_suites_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [OfATest(name="test_streams.Tests.test_one", kind="passed")]
    suites.show(outcomes, 1.0)
    lines = capsys.readouterr().out.splitlines()
    assert any("over the stack" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_a_file_that_cannot_be_written_is_told_in_one_line() -> None:
    words = ["--sim", "--quick", "--seconds", "0.1", "--json", "/dev/full"]
    result = subprocess.run(
        [sys.executable, "-m", "scripts.benchmarks", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "bench: /dev/full: No space left on device"
    assert "Traceback" not in result.stderr
    assert "segments/s" in result.stdout
