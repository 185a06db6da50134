"""The page docs/evidence/behaviour.md, and what the terminal shows."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from scripts.behaviours import grid
from scripts.behaviours.flow import Outcome
from scripts.behaviours.verdict import Law
from scripts.programs.tables import console
from tests.kit.versions import line, versions


def document(
    laws: Sequence[Law], cells: Sequence[grid.Cell], outcomes: Sequence[Outcome], *,
    seed: int, seconds: float, workers: int, quick: bool,
) -> str:  # fmt: skip
    """All of it in Markdown."""
    options = f"{' --quick' if quick else ''}{f' --seed {seed}' if seed != 1 else ''}"
    failed = sum(len(law.failed) for law in laws)
    judged = sum(one.passed is not None for law in laws for one in law.verdicts)
    lines = [
        "# How the congestion controls behave: laws, goodput, fairness", "",
        f"Made by `scripts/behaviour{options}` in {seconds / 60:.0f} minutes with {workers} "
        "processes; change that, not this page.", "",
        line(versions()), "",
        "The same TCP that speaks to the kernel, in virtual time (`pystack.sim`): the figures are "
        "the same on every machine, however many processes there are. `--seed N --digest` prints "
        "the SHA-256 of all packets and events of a run with a flow of each.", "",
    ]  # fmt: skip
    if laws:
        lines += [
            "## Laws: Mathis, RFC 9438, RACK, fairness",
            "",
            f"{judged - failed} of {judged} figures are within their bounds.",
            "",
        ]
        for law in laws:
            lines += law.lines()
    if cells:
        lines += ["## Goodput over loss, RTT, queue and reordering", ""]
        lines += [*_about(), "", *grid.tables(cells, outcomes)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _about() -> list[str]:
    times = ", ".join(
        f"{seconds:g} s after {begin:g} s at {rtt} ms"
        for rtt, (begin, seconds) in grid.SECONDS.items()
    )
    return [
        "One flow that always has data through a bottleneck of "
        f"{grid.RATE_BPS // 10**6} Mbit/s with a drop-tail queue of so many",
        "bandwidth-delay products (one packet at least). Goodput is what the receiver read in",
        f"{times}; headers leave 96.5 % of the line to text.",
        "Losses are random, behind the queue. Reordered packets, so many % of all, are",
        f"overtaken by {grid.BEHIND} others, or come RTT/4 late when there are not so many.",
        "Nothing marks: `dctcp` is Reno here. Short runs with few losses are noisy: at 0.01 % and",
        "100 ms there are about three. Repeats are counted from the beginning on.",
    ]


def summary(
    laws: Sequence[Law], cells: Sequence[grid.Cell], outcomes: Sequence[Outcome]
) -> None:
    """Laws and, of each algorithm, a line on its goodput."""
    tables: list[Table] = []
    if laws:
        table = Table(box=box.SIMPLE_HEAD, title="Laws", title_justify="left")
        table.add_column("")
        for name in ("figure", "bound", "", "spurious / repeats"):
            table.add_column(name, no_wrap=True)
        for law in laws:
            table.add_row(f"[bold]{law.name}")
            for one in law.verdicts:
                table.add_row(
                    f"  {one.where}", one.figure, one.bound, one.word,
                    f"{one.spurious} / {one.repeated}",
                    style="red" if one.passed is False else "",
                )  # fmt: skip
        tables.append(table)
    if cells:
        tables.append(_goodput(cells, outcomes))
    out = console(*tables)
    for table in tables:
        out.print(table)


def _goodput(cells: Sequence[grid.Cell], outcomes: Sequence[Outcome]) -> Table:
    losses = list(dict.fromkeys(cell.loss for cell in cells))
    title = "Mean goodput over all RTTs, queues and reorderings, % of the bottleneck; by loss"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("")
    for loss in losses:
        table.add_column(f"{100 * loss:g} %", justify="right", no_wrap=True)
    table.add_column("spurious / repeats", justify="right", no_wrap=True)
    for name in dict.fromkeys(cell.cc for cell in cells):
        own = [(c, o) for c, o in zip(cells, outcomes, strict=True) if c.cc == name]
        means = []
        for loss in losses:
            rates = [outcome.mbit for cell, outcome in own if cell.loss == loss]
            means.append(f"{sum(rates) / len(rates) * 1e8 / grid.RATE_BPS:.0f}")
        spurious, repeated = (
            sum(getattr(o, key) for _, o in own) for key in ("spurious", "repeated")
        )
        table.add_row(name, *means, f"{spurious} / {repeated}")
    return table
