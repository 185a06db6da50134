"""The README's examples, run as they stand there."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.live.namespace import Namespace

README = Path(__file__).parents[2] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_two_hosts_by_hand_connect_in_the_time_that_they_are_given() -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(EXAMPLES[2], {})
    assert re.fullmatch(r"\('10\.0\.0\.1', \d+\) \d+\n", printed.getvalue())


@pytest.mark.live
def test_the_asyncio_example_answers_nc(namespace: Namespace, tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text(EXAMPLES[0])
    namespace.popen([sys.executable, str(program)])
    answer = ""
    deadline = time.monotonic() + 20
    while not answer and time.monotonic() < deadline:
        asked = subprocess.run(
            namespace.command(["nc", "-N", "-w", "5", "198.18.0.2", "7000"]),
            input="hi\n", capture_output=True, text=True, check=False,
        )  # fmt: skip
        answer = asked.stdout
    assert answer == "You said: hi\n"


@pytest.mark.live
def test_the_application_of_ten_lines_answers_curl(namespace: Namespace, tmp_path: Path) -> None:
    example = EXAMPLES[1]
    assert len([line for line in example.splitlines() if line]) == 10
    program = tmp_path / "example.py"
    program.write_text(example)
    namespace.popen([sys.executable, str(program)])
    again = ["--retry", "100", "--retry-delay", "0", "--retry-all-errors", "--retry-max-time", "20"]
    answer = namespace.run(["curl", "-s", *again, "http://198.18.0.2/"], timeout=30)
    assert answer.stdout == '"hello"'
