"""docs/embedding.md and docs/devices.md: their programs, run as they stand there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.documents import programs, put

PRINTED = {
    ("embedding.md", "over_udp.py"): "hello from 10.0.0.1\n",
    ("embedding.md", "over_cable.py"): "over a cable\n",
    ("devices.md", "stack_over_udp.py"): "TCP over UDP\n",
    ("devices.md", "stack_over_stream.py"): "4000000 octets arrived\n0 segments were sent twice\n",
}


@pytest.mark.parametrize("document", sorted({document for document, _ in PRINTED}))
def test_each_program_of_the_page_is_run_here(document: str) -> None:
    assert set(programs(document)) == {name for where, name in PRINTED if where == document}


@pytest.mark.parametrize(("document", "name"), PRINTED)
def test_a_program_prints_what_the_page_says(document: str, name: str, tmp_path: Path) -> None:
    put(document, tmp_path)
    done = subprocess.run(
        [sys.executable, name], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (PRINTED[document, name], "")
