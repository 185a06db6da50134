"""The command line of `scripts/side-by-side`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path as File

import click
from rich.console import Console

from pystack.cc import registry
from pystack.cli.calling.failures import Failure
from pystack.cli.calling.number import Number
from scripts.benchmarks.report import machine
from scripts.programs.tables import write
from scripts.side_by_side.experiments import CASES, Alone, Effort, Together
from scripts.side_by_side.networks import Networks, Path
from scripts.side_by_side.report import Outcome, page, show
from tests.live.namespace import missing_rights

KERNELS = File("/proc/sys/net/ipv4/tcp_available_congestion_control")


_ABOVE_0 = Number(0, min_open=True)


@click.command(
    epilog="Example: scripts/side-by-side --cc cubic --loss 0 --loss 1 --repeat 3 --json all.json"
)
@click.option("--cc", "names", multiple=True, default=("reno", "cubic", "bbr"), show_default=True,
              help="Congestion control; may be repeated. Those that a side lacks are left out.")
@click.option("--loss", "losses", multiple=True, default=(0.0, 0.1, 1.0), show_default=True,
              type=Number(0, 100), help="Random loss in percent; may be repeated.")
@click.option("--rate", default=100.0, show_default=True, type=_ABOVE_0,
              help="Of the bottleneck, in Mbit/s.")
@click.option("--rtt", default=20.0, show_default=True, type=_ABOVE_0,
              help="Round trip of the empty path, in ms.")
@click.option("--queue", default=1.0, show_default=True, type=_ABOVE_0,
              help="Of the bottleneck, in BDP.")
@click.option("--seconds", default=10.0, show_default=True, type=_ABOVE_0,
              help="How long each run is.")
@click.option("--repeat", default=5, show_default=True, type=click.IntRange(1),
              help="Turns, of which the median counts.")
@click.option("--seed", default=1, show_default=True, help="Of the relay's random numbers.")
@click.option("--case", "cases", multiple=True, default=tuple(CASES), show_default=True,
              type=click.Choice([*CASES, "none"]),
              help="Paths of their own; may be repeated. Each has its rate, RTT and time.")
@click.option("--case-repeat", default=3, show_default=True, type=click.IntRange(1),
              help="Turns of each of them, with a seed each.")
@click.option("--together/--alone", default=True, show_default=True,
              help="Also let one flow of each share a bottleneck.")
@click.option("--together-rate", default=20.0, show_default=True, type=_ABOVE_0,
              help="Of that, in Mbit/s.")
@click.option("--together-seconds", default=30.0, show_default=True, type=_ABOVE_0,
              help="How long that takes.")
@click.option("--quick", is_flag=True,
              help="One turn of a few seconds each, less losses, none of the cases.")
@click.option("--json", "json_file", type=click.Path(path_type=File), help="Write all to FILE.")
@click.option("--document", type=click.Path(path_type=File),
              help="Write the page to FILE: docs/evidence/side-by-side.md.")
def main(
    names: Sequence[str], losses: Sequence[float], rate: float, rtt: float, queue: float,
    seconds: float, repeat: int, seed: int, cases: Sequence[str], case_repeat: int,
    together: bool, together_rate: float, together_seconds: float, quick: bool,
    json_file: File | None, document: File | None,
) -> None:  # fmt: skip
    """Compare pystack's sender with the kernel's over the same path.

    Two network namespaces of its own are joined by a relay in user space: a bottleneck with a
    drop-tail queue, random loss and delay. pystack and the kernel send in turns, with the same
    algorithm and the same random numbers, to a kernel that receives: over paths that lose, then
    over those with a short queue, reordering, lost ACKs, an outage, a step of the rate, marks.
    Then one flow of each shares a bottleneck. The exit status is 1 when a ratio or a share is not
    as wanted, or, where nothing but a full queue loses, the part that was sent again.
    """
    if reason := missing_rights():
        raise Failure(reason, "side-by-side")
    effort = Effort(seconds, together_seconds, repeat, seed)
    if quick:
        effort = Effort(3.0, 6.0, 1, seed)
        losses = losses[::2]
        cases = ()
    of_cases = replace(effort, repeat=case_repeat)
    known = known_to_both(names)
    if not known:
        sys.exit(2)
    alone = [Alone(cc, Path(rate, rtt, queue, loss)) for cc in known for loss in losses]
    special = [
        Alone(cc, case.path, case) for key, case in CASES.items() if key in cases for cc in known
    ]
    shared = [Together(cc, Path(together_rate, rtt, queue)) for cc in known] if together else []
    with Networks() as networks, Console(stderr=True).status("") as status:
        for experiment in (*alone, *special, *shared):
            what = "alone" if isinstance(experiment, Alone) else "together"
            status.update(f"{experiment.cc} {what}, {experiment.path.words}")
            for _ in experiment.run(networks, of_cases if experiment in special else effort):
                pass
    where = machine()
    outcome = Outcome(alone, special, shared, effort, of_cases, where)
    show(outcome)
    if json_file is not None:
        figures = {
            "machine": where,
            "effort": vars(effort),
            "alone": [one.as_json() for one in alone],
            "cases": [one.as_json() for one in special],
            "together": [one.as_json() for one in shared],
        }
        write(json_file, json.dumps(figures, indent=2) + "\n")
    if document is not None:
        command = shlex.join(["scripts/side-by-side", *sys.argv[1:]])
        write(document, page(outcome, command))
    if not all(one.is_met for one in (*alone, *special, *shared)):
        sys.exit(1)


def known_to_both(names: Sequence[str]) -> list[str]:
    """Those algorithms, less what the kernel or pystack has not got, which is said."""
    sides = {"the kernel": KERNELS.read_text().split(), "pystack": registry.names()}
    known = []
    for name in names:
        lacking = [side for side, has in sides.items() if name not in has]
        if lacking:
            for side in lacking:
                click.echo(f"side-by-side: {side} has no {name}", err=True)
        else:
            known.append(name)
    return known
