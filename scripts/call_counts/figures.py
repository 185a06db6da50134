"""The figures of all operations: counted in processes of their own, and kept in a file of text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scripts.call_counts.places import HOST, NOT_ON_A_HOST, OPERATIONS, PLACES
from scripts.call_counts.steps import Figures, Step

ROOT: Final = Path(__file__).resolve().parent.parent.parent
FILE: Final = Path(__file__).resolve().parent / "figures.txt"

Case = tuple[str, str]  # an operation and a place, by name
Ways = dict[Case, list[Step]]
Table = dict[Case, Figures]

_HEAD: Final = """\
# How many functions each operation enters, in how many files, and how often a call goes back to a
# file that was left before. None of them may rise; `scripts/calls --write` writes this file anew.
"""
_COLUMNS: Final = ("operation", "place", "calls", "files", "returns")


def cases() -> Iterator[Case]:
    """All there are, in the order of the table."""
    for operation in OPERATIONS:
        for place in PLACES:
            if place != HOST or operation.name not in NOT_ON_A_HOST:
                yield operation.name, place


def counted(tree: Path = ROOT) -> Ways:
    """The ways of all operations through the pystack of a checkout.

    Raises RuntimeError with what is wrong, such as a checkout that is not set up.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYSTACK_")}
    ways: Ways = {}
    for place in PLACES:
        done = subprocess.run(
            [sys.executable, "-E", "-m", "scripts.call_counts.child", place, str(tree.resolve())],
            cwd=ROOT, env=own, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            raise RuntimeError(f"it can't be counted ({PLACES[place]}): {last}")
        for operation, steps in json.loads(done.stdout).items():
            ways[operation, place] = [Step(*step) for step in steps]
    return ways


def table(ways: Ways) -> Table:
    """What ways amount to."""
    return {case: Figures.of(steps) for case, steps in ways.items()}


def written(figures: Table) -> str:
    """A table as the text of a file."""
    rows: list[tuple[object, ...]] = [_COLUMNS]
    for case in cases():
        one = figures[case]
        rows.append((*case, one.calls, one.files, one.returns))
    lines = [f"{a:<18}{b:<7}{c:>6}{d:>6}{e:>8}" for a, b, c, d, e in rows]
    return _HEAD + "".join(f"{line}\n" for line in lines)


def read(path: Path) -> Table:
    """A table from such a file. Raises ValueError where it is none, OSError."""
    figures: Table = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if line.startswith("#") or not words or tuple(words) == _COLUMNS:
            continue
        try:
            operation, place, *numbers = words
            figures[operation, place] = Figures(*map(int, numbers))
        except (TypeError, ValueError):
            raise ValueError(f"{path}: this is no line of figures: {line!r}") from None
    return figures


def risen(figures: Table, bounds: Table) -> list[str]:
    """A line for each figure above its bound."""
    lines = []
    for (operation, place), one in figures.items():
        bound = bounds.get((operation, place))
        for what in ("calls", "files", "returns") if bound is not None else ():
            is_now, was = getattr(one, what), getattr(bound, what)
            if is_now > was:
                lines.append(f"{operation}, {PLACES[place]}: {is_now} {what}, not {was}")
    return lines
