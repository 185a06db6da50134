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


def test_another_checkout_has_the_place_of_the_kernel(tmp_path: Path) -> None:
    file, checkout = tmp_path / "figures.json", tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pystack", checkout / "pystack", ignore=ignored)
    module = checkout / "pystack" / "__init__.py"
    module.write_text(module.read_text() + f"open({str(tmp_path / 'used')!r}, 'a').write('.')\n")
    command = [sys.executable, "-m", "scripts.benchmarks", "--quick", "--beside", str(checkout),
               "--json", str(file), "--only", "echo", "--only", "httpx"]  # fmt: skip
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=5 * PATIENCE, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"thischeckoutbeside{checkout}" in "".join(result.stdout.split())
    assert (tmp_path / "used").read_text() == ".."  # once for each
    for outcome in json.loads(file.read_text())["results"]:
        assert outcome["ratio"] > 0
        assert "kernel" not in outcome
        for side in ("pystack", "beside"):
            assert outcome[side]["samples"][0]["value"] > 0
