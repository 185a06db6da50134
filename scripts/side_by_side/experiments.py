"""What is compared, and what is wanted of it.

`Alone`: one sender at a time, in turns, over the same path with the same seeds; pystack's goodput
over the kernel's. `Together`: one flow of each through one bottleneck; pystack's share.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from scripts.benchmarks.networks import KERNEL, PYSTACK
from scripts.side_by_side.networks import Networks, Path

RATIO = (0.85, 1.2)
SHARE = (0.35, 0.65)
SETTLING = 1 / 3  # of a run together, before shares are counted


@dataclass(frozen=True)
class Effort:
    """How long, how often, and with which random numbers."""

    seconds: float
    together_seconds: float
    repeat: int
    seed: int


@dataclass
class Alone:
    """One line of the table: an algorithm and a path."""

    cc: str
    path: Path
    mbit: dict[str, list[float]] = field(default_factory=dict)
    again: dict[str, list[float]] = field(default_factory=dict)  # of what was sent

    def run(self, networks: Networks, effort: Effort) -> Iterator[None]:
        """All turns; pauses after each."""
        for number in range(effort.repeat):
            sides = (PYSTACK, KERNEL) if number % 2 == 0 else (KERNEL, PYSTACK)
            for side in sides:
                seed = effort.seed + number
                flow = networks.run((side,), self.cc, self.path, effort.seconds, seed)[side]
                self.mbit.setdefault(side, []).append(flow.mbit(effort.seconds))
                self.again.setdefault(side, []).append(flow.again / max(flow.sent, 1))
                yield

    def median(self, side: str) -> float:
        """Goodput in Mbit/s."""
        return statistics.median(self.mbit[side])

    @property
    def ratio(self) -> float:
        """pystack's goodput over the kernel's."""
        theirs = self.median(KERNEL)
        return self.median(PYSTACK) / theirs if theirs else 0.0

    @property
    def is_met(self) -> bool:
        """Whether the ratio is as wanted."""
        return RATIO[0] <= self.ratio <= RATIO[1]

    def as_json(self) -> dict[str, Any]:
        """Everything about it."""
        figures = {
            side: {"mbit": self.mbit[side], "again": self.again[side]} for side in self.mbit
        }
        path = vars(self.path) | {"words": self.path.words}
        return {"cc": self.cc, "path": path, **figures, "ratio": self.ratio, "met": self.is_met}


@dataclass
class Together:
    """One flow of each side through one bottleneck."""

    cc: str
    path: Path
    shares: list[float] = field(default_factory=list)
    mbit: list[float] = field(default_factory=list)  # of both

    def run(self, networks: Networks, effort: Effort) -> Iterator[None]:
        """All repeats; pauses after each."""
        seconds = effort.together_seconds
        for number in range(effort.repeat):
            sides = (PYSTACK, KERNEL)
            flows = networks.run(sides, self.cc, self.path, seconds, effort.seed + number)
            began = max(flow.first_ms for flow in flows.values())
            end = began + seconds * 1e3
            start = began + seconds * 1e3 * SETTLING
            ours, theirs = (flows[side].octets(start, end) for side in sides)
            self.shares.append(ours / max(ours + theirs, 1))
            self.mbit.append((ours + theirs) * 8 / 1e3 / (end - start))
            yield

    @property
    def share(self) -> float:
        """pystack's part of what both brought."""
        return statistics.median(self.shares)

    @property
    def is_met(self) -> bool:
        """Whether the share is as wanted."""
        return SHARE[0] <= self.share <= SHARE[1]

    def as_json(self) -> dict[str, Any]:
        """Everything about it."""
        path = vars(self.path) | {"words": self.path.words}
        figures = {"shares": self.shares, "mbit": self.mbit}
        return {"cc": self.cc, "path": path, **figures, "share": self.share, "met": self.is_met}


