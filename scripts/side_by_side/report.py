"""The outcome as tables: on the terminal, and as the page docs/evidence/side-by-side.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

from scripts.benchmarks.networks import KERNEL, PYSTACK
from scripts.programs.tables import console
from scripts.side_by_side.experiments import (
    AGAIN,
    RATIO,
    SETTLING,
    SHARE,
    Alone,
    Effort,
    Together,
)
from scripts.side_by_side.networks import Path
from tests.kit.versions import line, versions

FIGURES = ("pystack", "±", "kernel", "±", "ratio", "sent again", "")
ALONE_COLUMNS = ("", "loss", *FIGURES)
CASE_COLUMNS = ("", "path", *FIGURES)
TOGETHER_COLUMNS = ("", "pystack's share", "±", "both", "")


@dataclass(frozen=True)
class Outcome:
    """All that was measured, how, and where."""

    alone: Sequence[Alone]
    special: Sequence[Alone]  # the cases
    together: Sequence[Together]
    effort: Effort
    of_cases: Effort
    where: dict[str, Any]

    @property
    def tables(self) -> list[tuple[str, str, Sequence[str], list[list[str]]]]:
        """Of each that has any rows: heading, sentence, columns, rows."""
        first = self.alone or self.together
        path = _path(first[0].path) if first else ""
        made = [
            (
                "Goodput of one sender at a time",
                path + f"goodput in Mbit/s over {self.effort.seconds:g} s, median of "
                f"{self.effort.repeat}; the ratio is to lie in {RATIO[0]} to {RATIO[1]}, without "
                f"loss what is sent again is to be at most {AGAIN} of the kernel's",
                ALONE_COLUMNS,
                [_row(one, f"{one.path.loss_percent:g} %") for one in self.alone],
            ),
            (
                "Other paths",
                "goodput in Mbit/s over 10 s, over 20 s with an outage or a step from the fifth "
                f"second on, median of {self.of_cases.repeat}; a queue of 1 BDP where nothing else "
                "is said",
                CASE_COLUMNS,
                [_row(one, one.case.title if one.case else "") for one in self.special],
            ),
            (
                "Shares: one flow of each through one bottleneck",
                (_path(self.together[0].path) if self.together else "")
                + f"shares from {self.effort.together_seconds * SETTLING:.0f} s to "
                f"{self.effort.together_seconds:g} s, median of {self.effort.repeat}; "
                f"wanted are {SHARE[0]:.0%} to {SHARE[1]:.0%}",
                TOGETHER_COLUMNS,
                rows_together(self.together),
            ),
        ]
        return [(heading, text, columns, rows) for heading, text, columns, rows in made if rows]


def _row(outcome: Alone, path: str) -> list[str]:
    """Goodput and what was sent again, the medians of both sides."""
    return [
        outcome.cc,
        path,
        *(
            text
            for side in (PYSTACK, KERNEL)
            for text in (f"{outcome.median(side):.1f}", _spread(outcome.mbit[side]))
        ),
        f"{outcome.ratio:.2f}",
        " / ".join(f"{100 * outcome.repeats(side):.2f}" for side in (PYSTACK, KERNEL)) + " %",
        "✓" if outcome.is_met else "✗",
    ]


def rows_together(outcomes: Sequence[Together]) -> list[list[str]]:
    """One row per algorithm."""
    return [
        [
            outcome.cc,
            f"{outcome.share:.0%}",
            f"{(max(outcome.shares) - min(outcome.shares)) / 2:.0%}",
            f"{sum(outcome.mbit) / len(outcome.mbit):.1f}",
            "✓" if outcome.is_met else "✗",
        ]
        for outcome in outcomes
    ]


def _spread(values: list[float]) -> str:
    """Half the distance of the extremes."""
    return f"{(max(values) - min(values)) / 2:.1f}" if len(values) > 1 else ""


def _path(path: Path) -> str:
    return (
        f"{path.rate_mbit:g} Mbit/s, RTT {path.rtt_ms:g} ms, a queue of {path.queue_packets} "
        f"packets ({path.queue_bdp:g} BDP); "
    )


def machine_line(where: dict[str, Any]) -> str:
    """What it was measured on, without a date."""
    return "{processor}, {processors} processors, Linux {kernel}, Python {python}".format(**where)


def show(outcome: Outcome) -> None:
    """Print it all."""
    made: list[tuple[str, Table]] = []
    for _, text, columns, rows in outcome.tables:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column in columns:
            table.add_column(column, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        made.append((text, table))
    out = console(*(table for _, table in made))
    for title, table in made:
        out.print(title, highlight=False)
        out.print(table)
    out.print(machine_line(outcome.where), highlight=False)


def page(outcome: Outcome, command: str) -> str:
    """docs/evidence/side-by-side.md."""
    where = outcome.where
    lines = [
        "# pystack and the Linux kernel side by side: goodput and shares of a bottleneck",
        "",
        f"Made by `{command}` on {where['processor']}, {where['processors']} processors.",
        "",
        line(versions()),
        "",
        "Both are senders to the same kernel, over the same relay in user space (a pair of TUN",
        "devices between two network namespaces) with the same random numbers, in turns.",
        "pystack's own TUN device lies in the sending kernel's namespace, which forwards. The",
        "algorithm is set on every socket; ± is half the distance of the extremes. Sent again: of",
        "all octets sent, pystack's and the kernel's, the median of the turns.",
        "",
    ]
    for heading, text, columns, rows in outcome.tables:
        lines += [f"## {heading}", "", _sentence(text), "", *_markdown(columns, rows), ""]
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [columns, ["---", *["--:"] * (len(columns) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
