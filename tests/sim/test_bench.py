"""scripts/bench --sim runs and writes what it measured. How fast is for people to read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.surroundings import PATIENCE

ROOT = Path(__file__).resolve().parent.parent.parent


COMMAND = [
    sys.executable, "-m", "scripts.benchmarks", "--sim", "--quick", "--seconds", "0.02",
]  # fmt: skip


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_quick_figures_are_printed_and_written_as_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    result = run("--json", file)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "segments/s" in result.stdout
    figures = json.loads(file.read_text())
    assert set(figures["results"]) == {"cubic", "reno", "alone", "loss"}
    for (sample,) in figures["results"].values():
        assert sample["segments_per_s"] > 0
        assert 0 < sample["goodput_mbit"] < 100


def test_another_checkout_is_measured_in_the_same_run(tmp_path: Path) -> None:
    file, checkout = tmp_path / "figures.json", tmp_path / "checkout"
    result = run("--beside", tmp_path)
    assert result.returncode == 2
    assert result.stderr.endswith("has no pystack with a C module: run scripts/setup there\n")
    if not any((ROOT / "pystack" / "wire").glob("_fast*.so")):
        pytest.skip("this checkout has no C module: scripts/setup makes one")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pystack", checkout / "pystack", ignore=ignored)
    result = run("--beside", checkout, "--json", file)
    assert result.returncode == 0, result.stdout + result.stderr
    assert str(checkout) in "".join(result.stdout.split())  # wrapped
    figures = json.loads(file.read_text())["results"]
    for name in ("cubic", "loss"):
        ours, theirs = figures[name][0], figures[f"{name}, beside"][0]
        assert ours["goodput_mbit"] == theirs["goodput_mbit"]  # the same world
        assert theirs["segments_per_s"] > 0
    # what runs there is that checkout's own
    (checkout / "pystack" / "sim" / "__init__.py").write_text("raise SystemExit('another one')")
    result = run("--beside", checkout)
    assert result.returncode != 0
    assert "another one" in result.stderr
