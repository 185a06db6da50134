"""Goodput of each congestion control over loss, round trip time, queue and reordering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from pystack import cc as congestion_control
from pystack.path.faults import Loss, Reordering
from pystack.path.link import Link, Stage
from pystack.path.queues.bottleneck import Pipe
from pystack.sim import LinkSpec, World
from scripts.behaviours.flow import Outcome, bdp_packets, measured

RATE_BPS: Final = 40_000_000
LOSSES: Final = (0.0, 0.0001, 0.001, 0.01, 0.03)
RTTS_MS: Final = (1, 20, 100)
QUEUES: Final = (0.25, 1.0, 4.0)  # bandwidth-delay products
REORDERINGS: Final = (0.0, 0.01, 0.05)
BEHIND: Final = 3  # a packet that is reordered comes behind this many others, RTT/4 late at most
SECONDS: Final = {1: (0.5, 1.5), 20: (1.0, 4.0), 100: (3.0, 8.0)}  # by RTT: before, measured


@dataclass(frozen=True, slots=True)
class Cell:
    """One flow of the algorithm `cc` on one path; `run` in whatever process."""

    seed: int
    cc: str
    loss: float
    rtt_ms: int
    queue: float
    reordering: float

    def run(self) -> Outcome:
        """What it does there."""
        begin_s, seconds = SECONDS[self.rtt_ms]
        return measured(
            f"{self.seed} {self.loss} {self.rtt_ms} {self.queue} {self.reordering}", self.cc,
            1000 * self.rtt_ms, self._there, begin_s=begin_s, seconds=seconds,
        )  # fmt: skip

    def _there(self, world: World) -> LinkSpec | Stage:
        rtt_us = 1000 * self.rtt_ms
        queue = bdp_packets(RATE_BPS, rtt_us, self.queue)
        if not self.reordering:
            return LinkSpec(RATE_BPS, rtt_us // 2, queue, self.loss)
        return Link(
            Pipe(RATE_BPS, queue, rtt_us // 2),
            Loss(self.loss, world.random("loss")),
            Reordering(
                self.reordering, world.random("reordering"), behind=BEHIND, hold_us=rtt_us // 4
            ),
        )


def cells(seed: int, quick: bool) -> list[Cell]:
    """All of the cross product, or with `quick` those of 20 ms, one queue and no reordering."""
    if quick:
        paths = list(product((0.0, 0.01), (20,), (1.0,), (0.0,)))
    else:
        paths = list(product(LOSSES, RTTS_MS, QUEUES, REORDERINGS))
    return [Cell(seed, name, *path) for name in congestion_control.names() for path in paths]


def tables(made: Sequence[Cell], outcomes: Sequence[Outcome]) -> list[str]:
    """Markdown: two tables for each algorithm, goodput and what was repeated needlessly."""
    found = dict(zip(made, outcomes, strict=True))
    lines: list[str] = []
    for name in dict.fromkeys(cell.cc for cell in made):
        own = [cell for cell in made if cell.cc == name]
        lines += [f"### {name}", "", "Goodput in Mbit/s (% of the bottleneck):", ""]
        lines += _table(own, [_goodput(found[cell]) for cell in own])
        if any(found[cell].spurious for cell in own):
            lines += ["", "Spurious repeats / all repeats, in segments:", ""]
            lines += _table(own, [_repeats(found[cell]) for cell in own])
        else:
            lines += ["", "No repeat was spurious."]
        lines.append("")
    return lines


def _goodput(outcome: Outcome) -> str:
    return f"{outcome.mbit:.2f} ({outcome.mbit * 1e8 / RATE_BPS:.0f})"


def _repeats(outcome: Outcome) -> str:
    return f"{outcome.spurious}/{outcome.repeated}" if outcome.repeated else "0"


def _table(own: Sequence[Cell], texts: Sequence[str]) -> list[str]:
    """Rows are loss and RTT, columns queue and reordering."""
    columns = list(dict.fromkeys((cell.queue, cell.reordering) for cell in own))
    rows: dict[tuple[float, int], list[str]] = {}
    for cell, text in zip(own, texts, strict=True):
        rows.setdefault((cell.loss, cell.rtt_ms), []).append(text)
    heads = [f"{queue:g} BDP, {_percent(reordering)}" for queue, reordering in columns]
    lines = [
        "| loss | RTT | " + " | ".join(heads) + " |",
        "|--:|--:|" + "--:|" * len(columns),
    ]
    for (loss, rtt_ms), cells_of_row in rows.items():
        lines.append(f"| {_percent(loss)} | {rtt_ms} ms | " + " | ".join(cells_of_row) + " |")
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
