"""Colours: where they can be seen, and where they were asked for."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from tests.cli.program import PATIENCE

CODE = "import sys; from pystack.cli.terminal import colours; print(colours.wanted(sys.stdout))"
BARE = {name: value for name, value in os.environ.items()
        if name not in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TERM")}  # fmt: skip


def wanted(environment: dict[str, str], *, terminal: bool) -> bool:
    """Whether colours are wanted on a stdout of that kind."""
    argv = [sys.executable, "-c", CODE]
    if not terminal:
        return _answer(subprocess.check_output(argv, env=BARE | environment, timeout=PATIENCE))
    ours, theirs = pty.openpty()
    try:
        subprocess.run(argv, env=BARE | environment, stdout=theirs, timeout=PATIENCE, check=True)
        return _answer(os.read(ours, 100))
    finally:
        os.close(ours)
        os.close(theirs)


def _answer(said: bytes) -> bool:
    return {b"True": True, b"False": False}[said.strip()]


@pytest.mark.parametrize(
    ("environment", "on_terminal", "elsewhere"),
    [
        ({"TERM": "xterm-256color"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "unknown"}, False, False),
        ({"TERM": ""}, False, False),
        ({}, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": "0"}, False, False),  # any value, says no-color.org
        ({"TERM": "xterm", "NO_COLOR": ""}, True, False),
        ({"TERM": "xterm", "FORCE_COLOR": "1"}, True, True),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
        ({"TERM": "xterm", "CLICOLOR_FORCE": "1"}, True, True),
        ({"TERM": "xterm", "CLICOLOR_FORCE": "0"}, True, False),
        ({"TERM": "xterm", "FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
    ids=str,
)
def test_colours_are_where_they_are_wanted(
    environment: dict[str, str], on_terminal: bool, elsewhere: bool
) -> None:
    assert wanted(environment, terminal=True) is on_terminal
    assert wanted(environment, terminal=False) is elsewhere


@pytest.mark.parametrize("forced", [True, False])
def test_colours_that_were_asked_for_pass_a_pipe(forced: bool) -> None:
    argv = [sys.executable, "-m", "pystack", "doctor"]
    environment = BARE | ({"FORCE_COLOR": "1"} if forced else {})
    result = subprocess.run(
        argv, env=environment, capture_output=True, timeout=PATIENCE, check=False
    )
    assert (b"\x1b[" in result.stdout) is forced
