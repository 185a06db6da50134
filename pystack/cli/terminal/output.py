"""Lines to stdout and stderr, and what becomes of them when nothing can be written there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

import click

STDOUT: Final = "stdout"  # as the file name of an OSError


def write(text: str) -> None:
    """A line to stdout. Raises OSError as `to_stdout`."""
    with to_stdout():
        click.echo(text, color=True)  # colours are there only where they are wanted


@contextmanager
def to_stdout() -> Iterator[None]:
    """For what does nothing with files but write to stdout. Raises OSError with the file name
    "stdout" when that fails: further output goes nowhere then, so that nothing fails again."""
    try:
        yield
    except OSError as error:
        _send_nowhere(1)
        raise OSError(error.errno, error.strerror, STDOUT) from None


def warn(text: str, file: IO[Any] | None = None) -> None:
    """A line to stderr, or to `file`. That nobody gets it is no reason to fail."""
    try:
        click.echo(text, file=file, err=file is None)
    except OSError:
        if file is None:
            _send_nowhere(2)


def _send_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
