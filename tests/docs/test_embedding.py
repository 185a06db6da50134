"""docs/embedding.md: its programs, run as they stand there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.documents import programs, put

DOCUMENT = "embedding.md"
PRINTED = {"over_udp.py": "hello from 10.0.0.1\n", "over_cable.py": "over a cable\n"}


def test_each_program_of_the_page_is_run_here() -> None:
    assert set(programs(DOCUMENT)) == set(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_a_program_prints_what_the_page_says(name: str, tmp_path: Path) -> None:
    put(DOCUMENT, tmp_path)
    done = subprocess.run(
        [sys.executable, name], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (PRINTED[name], "")
