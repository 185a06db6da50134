"""scripts/asyncio-suites: CPython's and anyio's own tests on our event loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.asyncio_suites.cpython_tests import are_here
from tests.surroundings import for_an_index

ROOT = Path(__file__).resolve().parents[3]
CANNOT_FETCH = "pip could not fetch"

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("kernel_rights")]


@pytest.mark.skipif(
    not are_here(), reason="this Python has no test.test_asyncio: scripts/setup --asyncio-tests"
)
def test_none_fails_and_many_go_over_the_stack(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    result = subprocess.run(
        [sys.executable, "-m", "scripts.asyncio_suites", "--json", str(figures)],
        cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False,
        env={**os.environ, **for_an_index()},
    )  # fmt: skip
    if result.returncode == 2 and CANNOT_FETCH in result.stderr:
        pytest.skip(result.stderr)
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(figures.read_text())
    assert found["all"]["failed"] == 0
    assert found["all"]["over the stack"] > 250
    of_ssl = 20 if sys.version_info < (3, 13) else 19  # 3.13.5 skips one more itself
    for name, least in ("test_ssl", of_ssl), ("test_sendfile", 45), ("anyio.test_sockets", 80):
        assert found[name]["over the stack"] >= least, result.stdout
