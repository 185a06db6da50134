"""equivalent.toml: changes that no test can notice, each with the reason."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from scripts.mutation.change import Change

FILE: Final = Path(__file__).with_name("equivalent.toml")


def known() -> dict[tuple[str, str, str], str]:
    """Reasons, by room and the line before and after."""
    entries = tomllib.loads(FILE.read_text()).get("change", [])
    return {(one["room"], one["line"], one["becomes"]): one["reason"] for one in entries}


def without_equivalents(
    room: str, changes: Iterable[Change], sources: dict[str, bytes]
) -> list[Change]:
    """Those that a test can notice."""
    listed = known()
    return [c for c in changes if (room, *c.lines(sources[c.file])) not in listed]
