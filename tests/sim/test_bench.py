"""scripts/bench --sim runs and writes what it measured. How fast is for people to read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.surroundings import PATIENCE

ROOT = Path(__file__).resolve().parent.parent.parent


def test_quick_figures_are_printed_and_written_as_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "scripts.benchmarks", "--sim", "--quick", "--seconds", "0.02"]
    result = subprocess.run(
        [*command, "--json", str(file)], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "segments/s" in result.stdout
    figures = json.loads(file.read_text())
    assert set(figures["results"]) == {"cubic", "reno", "alone", "loss"}
    for (sample,) in figures["results"].values():
        assert sample["segments_per_s"] > 0
        assert 0 < sample["goodput_mbit"] < 100
