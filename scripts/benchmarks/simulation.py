"""How fast a world runs: a bulk transfer over a simulated link of 100 Mbit/s with 40 ms RTT.

Run as a program it makes one such world, in a process of its own, and prints its figures as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.table import Table

from scripts.tree import use

RATE: Final = "100mbit"
DELAY: Final = "20ms"  # one way
QUEUE: Final = 333  # packets: about what the link carries in a round trip
BEGIN_S: Final = 2.0  # of virtual time, until the link is full
NS3: Final = 35_000  # segments a second of ns-3 (C++), the figure to beat

Figures = dict[str, float]


@dataclass(frozen=True)
class Kind:
    """One line of the table."""

    name: str
    title: str
    options: dict[str, Any]


KINDS: Final = (
    Kind("cubic", "bulk, CUBIC", {"cc": "cubic"}),
    Kind("reno", "bulk, Reno", {"cc": "reno"}),
    Kind("alone", "bulk, CUBIC, packet by packet", {"cc": "cubic", "runs": False}),
    Kind("loss", "bulk, CUBIC, 0.1 % loss", {"cc": "cubic", "loss": 0.001}),
)


def beside(kind: Kind) -> str:
    """By which name the results have `kind` on another checkout."""
    return f"{kind.name}, beside"


def compiled(kind: Kind) -> str:
    """By which name the results have `kind` with the compiled core."""
    return f"{kind.name}, compiled"


def measured(
    kind: Kind,
    seconds: float,
    seed: int,
    environment: Mapping[str, str] = os.environ,
    tree: Path | None = None,
) -> Figures:
    """The figures of one run of `seconds` of virtual time in a new process, on the pystack of the
    checkout `tree` if one is given.

    Raises RuntimeError when that fails.
    """
    arguments: list[str | Path] = [json.dumps({"seconds": seconds, "seed": seed, **kind.options})]
    if tree is not None:
        arguments.append(tree)
    done = subprocess.run(
        [sys.executable, "-m", "scripts.benchmarks.simulation", *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    figures: Figures = json.loads(done.stdout)
    return figures


def run(seconds: float, seed: int, cc: str, runs: bool = True, loss: float = 0.0) -> Figures:
    """Make a world and let it run; see `KINDS` for what the figures are called."""
    from pystack.sim import World
    from pystack.sim.traffic import Bulk, Sink

    world = World(seed, runs=runs)
    one, other = world.host("one"), world.host("other")
    world.link(one, other, rate=RATE, delay=DELAY, queue=QUEUE, loss=loss)
    sink = Sink(other, 1)
    Bulk(one, other, 1, cc=cc)
    world.run(for_s=BEGIN_S)
    info = sink.flows[0].socket.tcp_info
    before = info().tcpi_data_segs_in, world.events.count, sink.received
    began, busy = time.perf_counter(), time.process_time()
    world.run(for_s=seconds)
    took, busy = time.perf_counter() - began, time.process_time() - busy
    segments = info().tcpi_data_segs_in - before[0]
    return {
        "segments_per_s": segments / took,
        "segments_per_cpu_s": segments / busy,
        "events_per_s": (world.events.count - before[1]) / took,
        "goodput_mbit": (sink.received - before[2]) * 8 / seconds / 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def table(
    results: dict[str, list[Figures]], where: dict[str, Any], tree: Path | None = None
) -> Table:
    """What is printed: medians of all repeats."""
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    made.title = "Simulated bulk transfer, 100 Mbit/s, 40 ms RTT"
    made.title_justify = made.caption_justify = "left"
    made.caption = (
        "Counted are TCP segments with payload, as they arrive at the receiver, and nothing else.\n"
        f"ns-3 (C++) does {NS3:,} a second. Memory is the process's largest resident set.\n"
        "{processor}, {processors} processors, Python {python}; load {load:.2f} when it began"
    ).format(**where)
    if tree is not None:
        made.caption = f"{made.caption}\nThe other checkout is {tree}"
    made.add_column("", min_width=20)
    for name in ("segments/s", "per CPU s", "±", "events/s", "peak MB", "Mbit/s"):
        made.add_column(name, justify="right", no_wrap=True)
    for kind in KINDS:
        others = ((compiled(kind), "  the core compiled"), (beside(kind), "  the other checkout"))
        for name, title in ((kind.name, kind.title), *others):
            if samples := results.get(name):
                made.add_row(title, *_cells(samples))
    return made


def _cells(samples: list[Figures]) -> list[str]:
    def median(name: str) -> float:
        return statistics.median(sample[name] for sample in samples)

    rates = [sample["segments_per_s"] for sample in samples]
    noise = (max(rates) - min(rates)) / 2 / median("segments_per_s")
    return [
        f"{median('segments_per_s'):,.0f}",
        f"{median('segments_per_cpu_s'):,.0f}",
        f"{noise:.0%}",
        f"{median('events_per_s'):,.0f}",
        f"{median('peak_mb'):.0f}",
        f"{median('goodput_mbit'):.1f}",
    ]


if __name__ == "__main__":
    if sys.argv[2:]:
        use(sys.argv[2])
    print(json.dumps(run(**json.loads(sys.argv[1]))))
