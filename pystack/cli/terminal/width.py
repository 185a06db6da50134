"""How wide the reader's terminal is."""

from __future__ import annotations

import shutil
import sys
from typing import Final

_LEAST: Final = 40  # columns; in fewer nothing can be set out


def columns(without: int) -> int:
    """The columns of the terminal that stdout goes to; `without` where it goes elsewhere."""
    if sys.stdout is None or not sys.stdout.isatty():
        return without
    return max(shutil.get_terminal_size().columns, _LEAST)
