"""The examples of docs/simulation.md, run as they stand there."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

DOCUMENT = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


def printed(example: str) -> str:
    """What it prints."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        exec(example, {})
    return text.getvalue()


def test_the_asyncio_program_prints_what_the_document_says() -> None:
    line = printed(EXAMPLES[0]).strip()
    assert f"It prints `{line}`" in DOCUMENT


def test_the_program_without_asyncio_fills_its_link() -> None:
    found = re.match(r"(\d+\.\d) Mbit/s \{.*\} \d+\n\d+ µs\n", printed(EXAMPLES[1]))
    assert found
    assert 5 < float(found[1]) < 10


def test_three_flows_share_a_bottleneck() -> None:
    found = re.match(r"\[(\d+), (\d+), (\d+)\]", printed(EXAMPLES[2]))
    assert found
    assert 30e6 < sum(map(int, found.groups())) < 37.5e6


def test_two_hosts_by_hand_connect_in_the_time_that_they_are_given() -> None:
    assert re.fullmatch(r"\('10\.0\.0\.1', \d+\) \d+\n", printed(EXAMPLES[3]))
