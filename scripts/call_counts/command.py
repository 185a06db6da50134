"""The command line of `scripts/calls`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pystack.cli.calling.failures import Failure
from scripts.call_counts import figures, report
from scripts.call_counts.places import HOST, NOT_ON_A_HOST, OPERATIONS, PLACES, RUN
from scripts.programs.tables import console, write

NAMES = [operation.name for operation in OPERATIONS]


@click.command(epilog="Example: scripts/calls --path connect --place run")
@click.option("--path", "operation", type=click.Choice(NAMES), metavar="NAME",
              help="Instead: the functions that an operation enters, one below the other. "
              f"One of {', '.join(NAMES)}.")  # fmt: skip
@click.option("--place", type=click.Choice(list(PLACES)), default=RUN, show_default=True,
              help="With --path: where.")
@click.option("--tree", type=click.Path(exists=True, file_okay=False, path_type=Path),
              default=figures.ROOT, metavar="DIR", show_default="this checkout",
              help="Another checkout that is counted; run scripts/setup in it before.")
@click.option("--figures", "file", type=click.Path(dir_okay=False, path_type=Path),
              default=figures.FILE, metavar="FILE",
              show_default=str(figures.FILE.relative_to(figures.ROOT)),
              help="Figures to compare with; where they differ they stand in brackets.")
@click.option("--check", "is_check", is_flag=True,
              help="End with status 1 if a figure is above that in FILE.")
@click.option("--write", "is_written", is_flag=True, help="Write FILE anew.")
def main(
    operation: str | None, place: str, tree: Path, file: Path, is_check: bool, is_written: bool
) -> None:  # fmt: skip
    """Count the function calls of what a stack does most, and show their way.

    Counted are the Python functions in pystack/ that are entered: a coroutine or a generator once,
    a comprehension as part of the function around it, C and other packages not at all. "back" is
    how often a call goes to a file that was left before: one that was entered already, and is not
    that of the call before. All of it happens in memory, in a time of its own: the figures are the
    same on every run, and need no rights.

    \b
    Host is the core alone: `receive_batch`, `transmit`, a socket call.
    Stack is asyncio's calls on a stack of one's own; from the device's
        `readable` until the protocol has it, or until it is at the device.
    pystack run is a program with asyncio's own loop and `socket.socket`.
    """
    if operation in NOT_ON_A_HOST and place == HOST:
        raise click.UsageError(f"{operation} is asyncio's: there is none on a Host")
    try:
        ways = figures.counted(tree)
        bounds = figures.read(file) if file.exists() or is_check else {}
    except (RuntimeError, ValueError) as error:
        raise Failure(str(error), "calls") from None
    if operation is not None:
        click.echo(report.way(ways[operation, place]), nl=False)
        return
    found = figures.table(ways)
    made = report.table(found, {} if is_written else bounds)
    console(made).print(made)
    if is_written:
        write(file, figures.written(found))
    elif is_check and (lines := figures.risen(found, bounds)):
        for line in lines:
            click.echo(f"risen: {line}")
        sys.exit(1)
