"""The command line of `scripts/mutate`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import Progress

from scripts.mutation import rooms
from scripts.mutation.change import Change, on_lines, sampled
from scripts.mutation.covering import Covering, keep, kept_as
from scripts.mutation.equivalents import without_equivalents
from scripts.mutation.trial import Copy, Outcome

WHOLE_S: Final = 1800.0  # for all tests of a room, watched


@click.command(epilog="Example: scripts/mutate tcp --sample 80 --seed 1")
@click.argument("name", metavar="ROOM", type=click.Choice(rooms.names()))
@click.option("--sample", type=click.IntRange(min=1), metavar="N",
              help="So many lines, each with one change; by default all changes of all lines.")
@click.option("--seed", default=1, show_default=True, help="Decides the sample.")
@click.option("--lines", "places", multiple=True, metavar="FILE:LINE[-LINE]",
              help="All changes of these lines. May be repeated.")
@click.option("--tests", multiple=True, metavar="PATH",
              help="Instead of the tests of the room. May be repeated.")
@click.option("--each", default=sys.maxsize, show_default="all", type=click.IntRange(1),
              metavar="N", help="Of a test function only N sets of parameters, to be quicker.")
@click.option("--limit", "limit_s", type=click.FloatRange(min=1), metavar="SECONDS",
              help="For the tests of a change; by default thrice what they take, and 20 s.")
@click.option("--workers", default=len(os.sched_getaffinity(0)), type=click.IntRange(1),
              help="Runs of pytest at once; by default one for each processor.")
@click.option("--at-least", type=click.FloatRange(0, 100), metavar="PERCENT",
              help="Ends with status 1 if less was noticed.")
@click.option("--list", "only_list", is_flag=True, help="Print the changes and run nothing.")
@click.option("--verbose", is_flag=True, help="Also what was noticed, and by which test.")
def main(
    name: str, sample: int | None, seed: int, places: tuple[str, ...], tests: tuple[str, ...],
    each: int, limit_s: float | None, workers: int, at_least: float | None, only_list: bool,
    verbose: bool,
) -> None:  # fmt: skip
    """Breaks a room of pystack on purpose, one line at a time, and runs its tests.

    Prints each change that no test has noticed, and the share that was. All happens in copies of
    the checkout, in a temporary folder. Which tests execute a line is found out once and kept in
    build/mutate; those run first, and the first failure ends the run.

    A change that alters nothing belongs in scripts/mutation/equivalent.toml, with the reason.
    """
    began = time.monotonic()
    room = rooms.room(name, tests)
    changes = without_equivalents(name, _wanted(room, places), room.sources)
    if sample is not None:
        changes = sampled(changes, room.sources, sample, seed)
    if only_list:
        for change in changes:
            click.echo(_shown(change, room))
        return
    if not changes:
        raise click.ClickException("mutate: nothing can be changed there; --list shows what can")
    with _copies(min(workers, len(changes))) as copies:
        covering = Covering(room, _map(room, copies[0]), each)
        outcomes = _all(changes, covering, copies, limit_s, room if verbose else None)
    for outcome in outcomes:
        if outcome.noticed is False:
            click.echo(f"not noticed: {_shown(outcome.change, room)}")
    counted = [outcome for outcome in outcomes if outcome.noticed is not None]
    noticed = sum(outcome.noticed is True for outcome in counted)
    share = 100 * noticed / len(counted) if counted else 100.0
    seconds = time.monotonic() - began
    result = f"{noticed} of {len(counted)} changes noticed ({share:.1f} %)"
    click.echo(f"{name}: {result}, {seconds:.0f} s")
    if at_least is not None and share < at_least:
        sys.exit(1)


def _wanted(room: rooms.Room, places: tuple[str, ...]) -> list[Change]:
    changes = room.changes()
    if not places:
        return changes
    found: list[Change] = []
    for place in places:
        file, _, numbers = place.rpartition(":")
        first, _, last = numbers.partition("-")
        if file not in room.sources:
            raise click.UsageError(f"{file or place} is no source of {room.name}: FILE:LINE")
        if not first.isdigit() or not (last or first).isdigit():
            raise click.UsageError(f"{numbers} is no line: FILE:LINE or FILE:LINE-LINE")
        found += on_lines(changes, file, int(first), int(last or first))
    return found


def _shown(change: Change, room: rooms.Room) -> str:
    before, after = change.lines(room.sources[change.file])
    return f"{change.file}:{change.line}: {before}  ->  {after}"


@contextmanager
def _copies(count: int) -> Iterator[list[Copy]]:
    with tempfile.TemporaryDirectory(prefix="pystack-mutate-") as folder:
        yield [Copy(rooms.ROOT, Path(folder) / str(number)) for number in range(count)]


def _map(room: rooms.Room, copy: Copy) -> dict[str, Any]:
    """From what is kept, or by a run of all tests. Raises ClickException if they fail unchanged."""
    path = kept_as(room)
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    click.echo(f"mutate: finding out which tests execute each line of {room.name}", err=True)
    found = copy.map(room.tests, WHOLE_S)
    if found["failed"]:  # some can't be watched: they watch themselves
        run = copy.chosen(found["failed"], WHOLE_S)
        if run.status != 0:
            raise click.ClickException(f"mutate: {run.failed} fails without any change")
    keep(path, found)
    return found


def _all(
    changes: list[Change], covering: Covering, copies: list[Copy], limit_s: float | None,
    told: rooms.Room | None,
) -> list[Outcome]:  # fmt: skip
    """The outcome of each change, in their order; told one by one to `told`, if any."""
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def tried(change: Change) -> Outcome:
        tests = [(name, covering.seconds[name]) for name in covering.tests(change)]
        copy = free.get()
        try:
            return copy.outcome(change, tests, limit_s)
        finally:
            free.put(copy)

    console = Console(stderr=True)
    outcomes: list[Outcome] = []
    with (
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
        ThreadPoolExecutor(len(copies)) as pool,
    ):
        task = progress.add_task("changes", total=len(changes))
        try:
            for outcome in pool.map(tried, changes):
                progress.advance(task)
                outcomes.append(outcome)
                if told is not None:
                    by = outcome.by if outcome.noticed is not False else "NOT NOTICED"
                    click.echo(f"{_shown(outcome.change, told)}\n    {by}")
        except BaseException:
            pool.shutdown(cancel_futures=True, wait=False)
            for copy in copies:
                copy.end()
            raise
    return outcomes
