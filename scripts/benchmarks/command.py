"""The command line of `scripts/bench`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from build_tools import core
from pystack.cli.calling.failures import Failure
from pystack.cli.calling.number import Number
from scripts.benchmarks import simulation
from scripts.benchmarks.measurements import MEASUREMENTS, Effort, Measurement
from scripts.benchmarks.networks import BESIDE, KERNEL, PYSTACK, Networks
from scripts.benchmarks.report import Outcome, machine, table
from scripts.programs.tables import console, write
from tests.live.namespace import missing_rights

NAMES = [measurement.name for measurement in MEASUREMENTS]
QUICK = Effort(seconds=0.2, connections=100, megabytes=20, idle_seconds=0.5)


@click.command(
    epilog="Example: scripts/bench --only echo --only connections --repeat 5 --json figures.json"
)
@click.option("--only", multiple=True, type=click.Choice(NAMES), metavar="NAME",
              help=f"Only this; may be repeated. One of {', '.join(NAMES)}.")  # fmt: skip
@click.option("--seconds", default=2.0, show_default=True, type=Number(0, min_open=True),
              help="How long each load runs.")
@click.option("--repeat", default=3, show_default=True, type=click.IntRange(1),
              help="Repeats, of which the median counts.")
@click.option("--connections", default=10_000, show_default=True, type=click.IntRange(1),
              help="Idle ones, for memory.")
@click.option("--quick", is_flag=True, help="All of it in seconds; the figures mean little.")
@click.option("--beside", metavar="DIR", help="Instead of the kernel: another checkout of pystack.",
              type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True))
@click.option("--sim", is_flag=True, help="Instead: how fast a simulated network runs.")
@click.option("--compiled", is_flag=True, help="With --sim: also with the core compiled by mypyc.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write all figures to FILE.")
def main(
    only: tuple[str, ...], seconds: float, repeat: int, connections: int, quick: bool,
    beside: Path | None, sim: bool, compiled: bool, file: Path | None,
) -> None:  # fmt: skip
    """Measure pystack against the kernel's sockets, in network namespaces of its own.

    The client is the same program on blocking kernel sockets in both columns. Its server is one
    and the same asyncio program: on pystack over a TUN device, and on the kernel's sockets over a
    veth pair. Repeats are interleaved; the spread is half the distance of the extremes. Without
    offload, segmentation and checksums are switched off on the veth pair as well.

    With --beside DIR the second column is the pystack of another checkout, in the same run: repeat
    by repeat one goes first, then the other, and the clients and servers are this one's programs.
    scripts/setup must have been in it.

    With --sim there is no kernel: a bulk transfer over a simulated link, and how many of its
    segments pass in a second of real time. --seconds is virtual time then, ten times as much.
    """
    if beside is not None and not any((beside / "pystack" / "wire").glob("_fast*.so")):
        raise Failure(f"{beside} has no pystack with a C module: run scripts/setup there", "bench")
    if sim:
        _simulate(seconds, 1 if quick else repeat, compiled, beside, file)
        return
    if compiled:
        raise click.UsageError("--compiled is for --sim; else: scripts/compiled scripts/bench")
    if reason := missing_rights():
        raise Failure(reason, "bench")
    effort = QUICK if quick else Effort(seconds, connections)
    progress = Console(stderr=True)
    outcomes: list[Outcome] = []
    where = machine()
    other = KERNEL if beside is None else BESIDE
    with Networks(beside) as networks, progress.status("") as status:
        for measurement in MEASUREMENTS:
            if only and measurement.name not in only:
                continue
            outcome = Outcome(measurement, other)
            outcomes.append(outcome)
            repeats = repeat if measurement.repeats and not quick else 1
            for number in range(repeats):
                status.update(f"{measurement.title} ({number + 1} of {repeats})")
                sides = (PYSTACK, other)
                if beside is not None and number % 2:
                    sides = (other, PYSTACK)
                _once(networks, measurement, sides, effort, outcome)
    made = table(outcomes, where, beside)
    console(made).print(made)
    if file is not None:
        figures = {
            "machine": where,
            "beside": beside and str(beside),
            "effort": vars(effort),
            "results": [outcome.as_json() for outcome in outcomes],
        }
        write(file, json.dumps(figures, indent=2) + "\n")
    if any(outcome.failures for outcome in outcomes):
        sys.exit(1)


def _simulate(
    seconds: float, repeat: int, compiled: bool, beside: Path | None, file: Path | None
) -> None:
    fast = core.environment(core.make()) if compiled else None
    where = machine()
    results: dict[str, list[simulation.Figures]] = {}
    with Console(stderr=True).status("") as status:
        for number in range(1, repeat + 1):
            for kind in simulation.KINDS:
                status.update(f"{kind.title} ({number} of {repeat})")
                figures = simulation.measured(kind, 10 * seconds, seed=number)
                results.setdefault(kind.name, []).append(figures)
                if beside is not None:
                    figures = simulation.measured(kind, 10 * seconds, number, tree=beside)
                    results.setdefault(simulation.beside(kind), []).append(figures)
                if fast is not None:
                    figures = simulation.measured(kind, 10 * seconds, number, fast)
                    results.setdefault(simulation.compiled(kind), []).append(figures)
    made = simulation.table(results, where, beside)
    console(made).print(made)
    if file is not None:
        figures_of = {"machine": where, "seconds": 10 * seconds, "results": results}
        write(file, json.dumps(figures_of, indent=2) + "\n")


def _once(
    networks: Networks,
    measurement: Measurement,
    sides: Sequence[str],
    effort: Effort,
    outcome: Outcome,
) -> None:
    for side in sides:
        try:
            figures = measurement.run(networks, side, effort)
        except (RuntimeError, OSError) as error:
            outcome.failures.append(f"{side}: {error}")
        else:
            outcome.samples.setdefault(side, []).append(figures)
