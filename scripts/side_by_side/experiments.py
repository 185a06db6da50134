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
AGAIN = 1.5  # pystack's repeats over the kernel's, where nothing but a full queue loses
LITTLE = 0.0005  # of what was sent: so many repeats are never too many
SETTLING = 1 / 3  # of a run together, before shares are counted


@dataclass(frozen=True)
class Effort:
    """How long, how often, and with which random numbers."""

    seconds: float
    together_seconds: float
    repeat: int
    seed: int


@dataclass(frozen=True)
class Case:
    """A path of its own, beside those of the losses."""

    title: str
    path: Path
    seconds: float = 10


CASES = {
    "short-queue": Case("80 ms, 0.25 BDP", Path(100, 80, 0.25)),
    "reordering": Case("20 ms, 2 % reordered", Path(100, 20, reorder_percent=2)),
    "ack-loss": Case("20 ms, 20 % of ACKs lost", Path(100, 20, ack_loss_percent=20)),
    "outage": Case("40 ms, an outage of 5 s", Path(50, 40, outage=(5, 5)), 20),
    "step": Case("40 ms, 50 to 5 Mbit/s", Path(50, 40, later=(5, 5)), 20),
    "marks": Case("20 ms, CoDel marks", Path(100, 20, marks=True)),
}


@dataclass
class Alone:
    """One line of the table: an algorithm and a path."""

    cc: str
    path: Path
    case: Case | None = None
    mbit: dict[str, list[float]] = field(default_factory=dict)
    again: dict[str, list[float]] = field(default_factory=dict)  # of what was sent

    def run(self, networks: Networks, effort: Effort) -> Iterator[None]:
        """All turns; pauses after each."""
        for number in range(effort.repeat):
            sides = (PYSTACK, KERNEL) if number % 2 == 0 else (KERNEL, PYSTACK)
            seconds = effort.seconds if self.case is None else self.case.seconds
            for side in sides:
                seed = effort.seed + number
                flow = networks.run((side,), self.cc, self.path, seconds, seed)[side]
                self.mbit.setdefault(side, []).append(flow.mbit(seconds))
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

    def repeats(self, side: str) -> float:
        """The part of what was sent that was sent again, the median of all turns."""
        return statistics.median(self.again[side])

    @property
    def is_met(self) -> bool:
        """Whether the ratio is as wanted, and where only a full queue loses, the repeats too."""
        if not RATIO[0] <= self.ratio <= RATIO[1]:
            return False
        if self.case is not None or self.path.loss_percent:
            return True
        return self.repeats(PYSTACK) <= max(AGAIN * self.repeats(KERNEL), LITTLE)

    def as_json(self) -> dict[str, Any]:
        """Everything about it."""
        figures: dict[str, dict[str, Any]] = {
            side: {"mbit": self.mbit[side], "again": self.again[side]} for side in self.mbit
        }
        if self.case is not None:
            figures["case"] = {"title": self.case.title, "seconds": self.case.seconds}
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


