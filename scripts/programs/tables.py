"""What measurements end with: tables of which no figure is cut, and files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

_OF_A_FILE: Final = 132  # columns: a file is wide enough


def console(*tables: Table) -> Console:
    """Where to print them: as wide as the terminal, or as they need at least.

    Columns that may be wrapped are, down to their longest word; others keep their width.
    """
    made = Console(width=None if sys.stdout.isatty() else _OF_A_FILE)
    room = made.options.update(width=_OF_A_FILE, max_width=_OF_A_FILE)
    for table in tables:
        for column in table.columns:
            if column.no_wrap:  # rich would cut it where there is no room
                texts = (column.header, *column.cells)
                column.min_width = max(made.measure(text, options=room).maximum for text in texts)
        made.width = max(made.width, made.measure(table, options=room).minimum)
    return made


def write(path: Path, text: str) -> None:
    """Write a file. Raises OSError with its name, also when the disk is full."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
