"""Colour where it can be seen, and nobody has asked for none."""

from __future__ import annotations

from typing import TextIO

import click

from pystack.config import DUMB_TERMINAL, FORCE_COLOR, NO_COLOR


def wanted(stream: TextIO | None) -> bool:
    """Whether to write colours to `stream`: to a terminal that has them, or anywhere with
    FORCE_COLOR or CLICOLOR_FORCE; never with NO_COLOR."""
    if NO_COLOR or stream is None:
        return False
    return FORCE_COLOR or (stream.isatty() and not DUMB_TERMINAL)


class Palette:
    """Paints words, or leaves them as they are."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def faint(self, text: str) -> str:
        """What is read last: times, remarks."""
        return click.style(text, dim=True) if self._on else text

    def bold(self, text: str) -> str:
        """Headings, and what the reader is to type."""
        return click.style(text, bold=True) if self._on else text

    def inbound(self, text: str) -> str:
        """What comes from the kernel."""
        return click.style(text, fg="cyan") if self._on else text

    def outbound(self, text: str) -> str:
        """What we send."""
        return click.style(text, fg="green") if self._on else text

    def state(self, text: str) -> str:
        """States of the connection."""
        return click.style(text, fg="yellow", bold=True) if self._on else text

    def bad(self, text: str) -> str:
        """What has failed."""
        return click.style(text, fg="red", bold=True) if self._on else text

    def good(self, text: str) -> str:
        """What is as it should be."""
        return click.style(text, fg="green", bold=True) if self._on else text
