"""Which tests execute a line, and in which order they are worth running."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

from scripts.mutation.change import Change
from scripts.mutation.rooms import ROOT, Room

KEPT: Final = ROOT / "build" / "mutate"  # maps of rooms, by what they were made from
AGE: Final = 8  # how many are kept


class Covering:
    """What a run of all tests of a room has shown."""

    def __init__(self, room: Room, found: dict[str, Any], each: int = sys.maxsize) -> None:
        """`found` is as `plugin` writes it; of a test function `each` sets of parameters count."""
        self.sources = room.sources
        self.names: list[str] = [name for name, _ in found["tests"]]
        self.seconds: dict[str, float] = dict(found["tests"])
        self.lines: dict[str, dict[int, list[int]]] = {
            file: {int(line): tests for line, tests in lines.items()}
            for file, lines in found["lines"].items()
        }
        executed = Counter(
            test for lines in self.lines.values() for tests in lines.values() for test in tests
        )
        self.size = [executed[test] for test in range(len(self.names))]
        # One of each function, then the second of each: those with few lines are nearest to a line.
        within: Counter[str] = Counter()
        self.turn = [0] * len(self.names)
        for test in sorted(range(len(self.names)), key=self.size.__getitem__):
            function = self.names[test].partition("[")[0]
            within[function] += 1
            self.turn[test] = within[function]
        self.chosen = [test for test in range(len(self.names)) if self.turn[test] <= each]

    def tests(self, change: Change) -> list[str]:
        """Those that execute the changed line, the likeliest to notice first; all if none does.

        What is outside of functions is executed once, when a test imports it: then those count that
        execute lines which use its name.
        """
        found = set(self._on(change.file, range(change.first, change.last + 1)))
        if not found and change.names:
            word = re.compile(rb"\b(?:" + "|".join(sorted(change.names)).encode() + rb")\b")
            for file, source in self.sources.items():
                lines = source.splitlines()
                found |= self._on(file, [n for n, s in enumerate(lines, 1) if word.search(s)])
        wanted = [test for test in self.chosen if test in found] if found else self.chosen
        order = sorted(wanted, key=lambda test: (self.turn[test], self.size[test]))
        if not change.names and found:
            return [self.names[test] for test in order]
        rest = set(self.chosen).difference(order)
        return [self.names[test] for test in [*order, *sorted(rest, key=self.size.__getitem__)]]

    def _on(self, file: str, lines: Any) -> set[int]:
        known = self.lines.get(file, {})
        return {test for line in lines for test in known.get(line, ())}


def kept_as(room: Room) -> Path:
    """Where the map of a room is kept, or would be: named after all that it depends on."""
    known = hashlib.sha256(repr((sys.version, room.name, room.tests)).encode())
    for place in sorted({"pystack", "csrc", "tests/kit", "tests/conftest.py", *room.tests}):
        whole = ROOT / place.partition("::")[0]
        for path in (whole, *sorted(whole.rglob("*"))):
            if path.is_file() and path.suffix in (".py", ".c", ".h", ".csv"):
                known.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
                known.update(path.read_bytes())
    return KEPT / f"{room.name}-{known.hexdigest()[:16]}.json"


def keep(path: Path, found: dict[str, Any]) -> None:
    """Keep a map, and of the older ones a few."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    for old in sorted(KEPT.glob("*.json"), key=lambda p: p.stat().st_mtime)[:-AGE]:
        old.unlink()
