"""docs/impairments.md: every example is understood, every word is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pystack.path.language.parse import parse
from pystack.path.language.vocabulary import WORDS

PAGE = (Path(__file__).parents[2] / "docs" / "impairments.md").read_text()
QUOTED = re.findall(r'(?:--impair |impair=|parsed\()"([^"]+)"', PAGE)
INDENTED = re.findall(r"^ {4}(\S.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("text", [*QUOTED, *INDENTED])
def test_an_example_is_understood(text: str) -> None:
    parse(text)


def test_there_are_examples() -> None:
    assert len(QUOTED) >= 3
    assert len(INDENTED) >= 3


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_in_the_tables(word: str) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    named = {match for row in rows for match in re.findall(r"`([a-z-]+)", row.split(" | ")[0])}
    assert word in named
