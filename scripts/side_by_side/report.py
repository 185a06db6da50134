"""The outcome as tables: on the terminal, and as the page docs/evidence/side-by-side.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from scripts.benchmarks.networks import KERNEL, PYSTACK
from scripts.programs.tables import console
from scripts.side_by_side.experiments import RATIO, SETTLING, SHARE, Alone, Effort, Together
from tests.kit.versions import line, versions

ALONE_COLUMNS = ("", "loss", "pystack", "±", "kernel", "±", "ratio", "sent again", "")
TOGETHER_COLUMNS = ("", "pystack's share", "±", "both", "")


def rows_alone(outcomes: Sequence[Alone]) -> list[list[str]]:
    """One row per comparison."""
    return [
        [
            outcome.cc,
            f"{outcome.path.loss_percent:g} %",
            *(
                text
                for side in (PYSTACK, KERNEL)
                for text in (f"{outcome.median(side):.1f}", _spread(outcome.mbit[side]))
            ),
            f"{outcome.ratio:.2f}",
            " / ".join(f"{100 * max(outcome.again[side]):.2f}" for side in (PYSTACK, KERNEL))
            + " %",
            "✓" if outcome.is_met else "✗",
        ]
        for outcome in outcomes
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


def headings(
    alone: Sequence[Alone], together: Sequence[Together], effort: Effort
) -> tuple[str, str]:
    """What stands above each table."""
    return (
        _path(alone) + f"goodput in Mbit/s over {effort.seconds:g} s, median of {effort.repeat}; "
        f"the ratio is to lie in {RATIO[0]} to {RATIO[1]}",
        _path(together) + f"shares from {effort.together_seconds * SETTLING:.0f} s to "
        f"{effort.together_seconds:g} s, median of {effort.repeat}; "
        f"wanted are {SHARE[0]:.0%} to {SHARE[1]:.0%}",
    )


def _path(outcomes: Sequence[Alone] | Sequence[Together]) -> str:
    path = outcomes[0].path
    return (
        f"{path.rate_mbit:g} Mbit/s, RTT {path.rtt_ms:g} ms, a queue of {path.queue_packets} "
        f"packets ({path.queue_bdp:g} BDP); "
    )


def machine_line(where: dict[str, Any]) -> str:
    """What it was measured on, without a date."""
    return "{processor}, {processors} processors, Linux {kernel}, Python {python}".format(**where)


def show(
    alone: Sequence[Alone], together: Sequence[Together], effort: Effort,
    where: dict[str, Any],
) -> None:  # fmt: skip
    """Print it all."""
    made: list[tuple[str, Table]] = []
    titles = headings(alone or together, together or alone, effort)
    for outcomes, columns, rows, title in (
        (alone, ALONE_COLUMNS, rows_alone(alone), titles[0]),
        (together, TOGETHER_COLUMNS, rows_together(together), titles[1]),
    ):
        if not outcomes:
            continue
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column in columns:
            table.add_column(column, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        made.append((title, table))
    out = console(*(table for _, table in made))
    for title, table in made:
        out.print(title, highlight=False)
        out.print(table)
    out.print(machine_line(where), highlight=False)


def page(
    alone: Sequence[Alone],
    together: Sequence[Together],
    effort: Effort,
    where: dict[str, Any],
    command: str,
) -> str:
    """docs/evidence/side-by-side.md."""
    first, second = headings(alone, together, effort)
    return "\n".join(
        [
            "# pystack and the Linux kernel side by side: goodput and shares of a bottleneck",
            "",
            f"Made by `{command}` on {where['processor']}, {where['processors']} processors.",
            "",
            line(versions()),
            "",
            "Both are senders to the same kernel, over the same relay in user space (a pair of TUN",
            "devices between two network namespaces) with the same random numbers, in turns.",
            "pystack's own TUN device lies in the sending kernel's namespace, which forwards. The",
            "algorithm is set on every socket; ± is half the distance of the extremes.",
            "",
            "## Goodput of one sender at a time",
            "",
            _sentence(first),
            "Sent again: the largest part of any run's octets, pystack's and the kernel's.",
            "",
            *_markdown(ALONE_COLUMNS, rows_alone(alone)),
            "",
            "## Shares: one flow of each through one bottleneck",
            "",
            _sentence(second),
            "",
            *_markdown(TOGETHER_COLUMNS, rows_together(together)),
            "",
        ]
    )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [columns, ["---", *["--:"] * (len(columns) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
