"""What is said of the outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import click

from scripts.asyncio_suites.outcome import Outcome, count

_HEAD = ("tests", "over the stack", "other", "skipped", "failed")


def _rows(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, list[int]]]:
    """A row for each module, and one for all."""
    ordered = sorted(outcomes, key=lambda one: one.module)
    for name, group in groupby(ordered, key=lambda one: one.module):
        yield name, _numbers(list(group))
    yield "all", _numbers(outcomes)


def _numbers(outcomes: Sequence[Outcome]) -> list[int]:
    over = sum(one.over_the_stack for one in outcomes)
    return [len(outcomes), over, count(outcomes, "passed") - over,
            count(outcomes, "skipped"), count(outcomes, "failed")]  # fmt: skip


def figures(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """The table."""
    return {name: dict(zip(_HEAD, row, strict=True)) for name, row in _rows(outcomes)}


def _reasons(outcomes: Sequence[Outcome]) -> list[tuple[str, int]]:
    found = Counter(one.text for one in outcomes if one.kind == "skipped")
    return sorted(found.items(), key=lambda one: (-one[1], one[0]))


def show(outcomes: Sequence[Outcome], seconds: float) -> None:
    """On the terminal."""
    for one in outcomes:
        if one.kind == "failed":
            click.echo(f"FAILED {one.name}\n{one.text}\n")
        elif one.again:
            click.echo(f"at the second try: {one.name}\n")
    widths = [len(name) + 2 for name in _HEAD]
    rows = [("", _HEAD), *_rows(outcomes)]
    first = max(len(name) for name, _ in rows)
    for name, cells in rows:
        fitted = zip(cells, widths, strict=True)
        click.echo(f"{name:{first}}" + "".join(f"{cell:>{width}}" for cell, width in fitted))
    click.echo("\nskipped:")
    for reason, number in _reasons(outcomes):
        click.echo(f"{number:6}  {reason}")
    passed = count(outcomes, "passed")
    click.echo(
        f"\n{passed + count(outcomes, 'failed')} run, {passed} passed, "
        f"{count(outcomes, 'skipped')} skipped, {count(outcomes, 'failed')} failed "
        f"in {seconds:.0f} s"
    )


def document(outcomes: Sequence[Outcome]) -> str:
    """In Markdown."""
    lines = ["| module | " + " | ".join(_HEAD) + " |", "|---|" + "--:|" * len(_HEAD)]
    for name, numbers in _rows(outcomes):
        lines.append(f"| {name} | " + " | ".join(map(str, numbers)) + " |")
    lines += ["", "| skipped | because |", "|--:|---|"]
    lines += [f"| {number} | {reason} |" for reason, number in _reasons(outcomes)]
    return "\n".join(lines) + "\n"
