"""The command line of `scripts/behaviour`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from scripts.behaviours import fairness, grid, reordering, responses
from scripts.behaviours.pool import Experiment, results
from scripts.behaviours.report import document, summary
from scripts.behaviours.verdict import Law
from scripts.behaviours.whole_run import digest as digest_of_a_run
from scripts.programs.tables import write

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "evidence" / "behaviour.md"
SECTIONS = {"laws": (responses, reordering, fairness), "goodput": ()}


@click.command(epilog="Example: scripts/behaviour --quick")
@click.option("--quick", is_flag=True, help="A part of it, in less than a minute; no file.")
@click.option("--only", type=click.Choice(list(SECTIONS)), help="Only this; no file.")
@click.option("--seed", default=1, show_default=True, help="Decides every chance.")
@click.option("--digest", is_flag=True, help="Instead: the SHA-256 of a run of this seed.")
@click.option("--workers", default=len(os.sched_getaffinity(0)), type=click.IntRange(1),
              help="Processes; by default all.")
@click.option(
    "--write", "file", type=click.Path(path_type=Path),
    help="Where the tables go, in Markdown; by default docs/evidence/behaviour.md for the whole.",
)  # fmt: skip
def main(
    quick: bool, only: str | None, seed: int, digest: bool, workers: int, file: Path | None
) -> None:
    """How the congestion controls behave, in virtual time.

    Goodput of each over loss, RTT, queue and reordering; and laws: the response functions of Reno
    and CUBIC, what reordering costs, how equal flows share. Ends with status 1 if a law is broken.

    --digest covers every packet and every event of a world with a flow of each congestion control;
    it is the same in every process and on every machine.
    """
    if digest:
        click.echo(digest_of_a_run(seed))
        return
    began = time.monotonic()
    cells = [] if only == "laws" else grid.cells(seed, quick)
    modules = SECTIONS[only or "laws"]
    experiments = [module.experiments(seed, quick) for module in modules]
    # the long ones first, so that no processor waits for the last
    everything = [one for part in experiments for one in part] + cells
    found = _all(everything, workers)
    laws: list[Law] = []
    for module, part in zip(modules, experiments, strict=True):
        laws += module.laws(part, found[: len(part)])
        del found[: len(part)]
    seconds = time.monotonic() - began
    text = document(laws, cells, found, seed=seed, seconds=seconds, workers=workers, quick=quick)
    if file is None and not quick and only is None:
        file = PAGE
    summary(laws, cells, found)
    if file is not None:
        write(file, text)
    if any(law.failed for law in laws):
        sys.exit(1)


def _all(everything: Sequence[Experiment], workers: int) -> list[Any]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("experiments", total=len(everything))
        return results(everything, workers, lambda: progress.advance(task))
