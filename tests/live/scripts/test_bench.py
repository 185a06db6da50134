"""scripts/bench runs and writes what it measured. Never how fast: that is for people to read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.surroundings import PATIENCE

ROOT = Path(__file__).resolve().parents[3]
NAMES = (
    "receive", "echo", "uvicorn-httptools", "aiohttp-download", "aiohttp-file", "httpx", "memory",
    "idle",
)  # fmt: skip

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("kernel_rights")]


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_quick_figures_of_both_sides_are_written_as_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    only = [word for name in NAMES for word in ("--only", name)]
    command = [sys.executable, "-m", "scripts.benchmarks", "--quick", "--json", str(file), *only]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=5 * PATIENCE, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    figures = json.loads(file.read_text())
    assert [outcome["name"] for outcome in figures["results"]] == list(NAMES)
    for outcome in figures["results"]:
        assert outcome["failures"] == []
        assert outcome["title"] in result.stdout
        for side in ("pystack", "kernel"):
            samples = outcome[side]["samples"]
            assert len(samples) == 1
            if outcome["name"] != "idle":
                assert samples[0]["value"] > 0
