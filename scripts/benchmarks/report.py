"""Repeats become one figure with its noise; figures become a table and JSON."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from scripts.benchmarks.measurements import Figures, Measurement
from scripts.benchmarks.networks import BESIDE, KERNEL, PYSTACK

_TITLE_WIDTH = 20  # columns, of which longer ones take several lines


@dataclass
class Outcome:
    """All repeats of one measurement, by side. `other` is what pystack is compared with."""

    measurement: Measurement
    other: str = KERNEL
    samples: dict[str, list[Figures]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def median(self, side: str, key: str = "value") -> float | None:
        """The median over the repeats; None when there are none."""
        values = [sample[key] for sample in self.samples.get(side, ()) if key in sample]
        return statistics.median(values) if values else None

    def noise(self, side: str) -> float | None:
        """Half the distance of the extremes, relative to the median; None with one repeat."""
        values = [sample["value"] for sample in self.samples.get(side, ())]
        median = self.median(side)
        return (max(values) - min(values)) / 2 / median if len(values) > 1 and median else None

    @property
    def ratio(self) -> float | None:
        """pystack's figure in relation to the other's."""
        ours, theirs = self.median(PYSTACK), self.median(self.other)
        return ours / theirs if ours is not None and theirs else None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None when there is none, or no figure."""
        if self.measurement.is_relative and self.other != KERNEL:
            return None  # it is one beside the kernel
        value = self.ratio if self.measurement.is_relative else self.median(PYSTACK)
        if value is None or self.measurement.target is None:
            return None
        return self.measurement.meets_target(value)

    def as_json(self) -> dict[str, Any]:
        """Everything about it."""
        measurement = self.measurement
        keys = {key for samples in self.samples.values() for sample in samples for key in sample}
        return {
            "name": measurement.name,
            "title": measurement.title,
            "unit": measurement.unit,
            "target": measurement.target,
            "is_relative": measurement.is_relative,
            "more_is_better": measurement.more_is_better,
            "met": self.met,
            "ratio": self.ratio,
            "failures": self.failures,
            **{
                side: {
                    "median": {key: self.median(side, key) for key in sorted(keys)},
                    "noise": self.noise(side),
                    "samples": samples,
                }
                for side, samples in self.samples.items()
            },
        }


def machine() -> dict[str, Any]:
    """What is measured on, and how busy it is already."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": model,
        "processors": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def table(
    outcomes: Sequence[Outcome], where: dict[str, Any], beside: Path | None = None
) -> Table:
    """The table that is printed; `where` as `machine` gives it. `beside` is the checkout that was
    measured instead of the kernel's sockets."""
    other, title = KERNEL, "pystack beside asyncio on the kernel's sockets"
    if beside is not None:
        other, title = BESIDE, f"this checkout beside {beside}"
    made = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=title,
        title_justify="left",
    )
    made.caption_justify = "left"
    made.caption = (
        "{processor}, {processors} processors, Linux {kernel}, Python {python}; "
        "load {load:.2f} when it began"
    ).format(**where)
    made.add_column("", min_width=_TITLE_WIDTH)
    made.add_column("", no_wrap=True)
    for name in ("pystack", "±", other, "±", "ratio", "target"):
        made.add_column(name, justify="right", no_wrap=True)
    for outcome in outcomes:
        measurement = outcome.measurement
        made.add_row(
            measurement.title,
            measurement.unit,
            *(
                text
                for side in (PYSTACK, other)
                for text in (_figure(outcome.median(side)), _percent(outcome.noise(side)))
            ),
            "" if outcome.ratio is None else f"{outcome.ratio:.2f}",
            _target(outcome),
        )
        for title, unit, texts in _details(outcome):
            made.add_row(f"  {title}", unit, texts[0], "", texts[1], "", "", "", style="dim")
        for failure in outcome.failures:
            made.add_row(f"  {failure}", style="red")
    return made


def _details(outcome: Outcome) -> list[tuple[str, str, list[str]]]:
    """Lines below the figure itself."""

    cpu = "µs/MB" if outcome.measurement.unit == "Gbit/s" else "µs each"
    return [
        (title, unit, [_figure(outcome.median(side, key)) for side in (PYSTACK, outcome.other)])
        for title, unit, key in (
            ("p50", "µs", "p50_us"),
            ("p90", "µs", "p90_us"),
            ("p99", "µs", "p99_us"),
            ("CPU of the program", cpu, "cpu_us"),
            ("allocated by Python", "bytes", "traced"),
            ("wake-ups in that time", "", "wake_ups"),
        )
        if outcome.median(PYSTACK, key) is not None
    ]


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _target(outcome: Outcome) -> str:
    target = outcome.measurement.target
    if target is None or (outcome.measurement.is_relative and outcome.other != KERNEL):
        return ""
    sign = "≥" if outcome.measurement.more_is_better else "≤"
    times = " ×" if outcome.measurement.is_relative else ""
    mark = {True: " [green]✓[/]", False: " [red]✗[/]", None: ""}[outcome.met]
    return f"{sign} {target:,g}{times}{mark}"
