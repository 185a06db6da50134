"""Spikes of the delay: for a while nothing passes, then everything at once.

As on a radio link that repeats a frame, or hands over to another cell: nothing is lost, but what is
on its way comes late, and a timeout that happens meanwhile turns out to be spurious.
"""

from __future__ import annotations

from collections import deque

from pystack.path.intervals import Interval
from pystack.path.link import Stage, kept
from pystack.wire.batch import Packet


class Spikes(Stage):
    """Packets that come within one of the `intervals` are kept until its end, in order."""

    counted = ("held_up",)

    def __init__(self, *intervals: Interval) -> None:
        self.intervals = intervals
        self.held_up = 0
        self._line: deque[tuple[int, Packet]] = deque()  # (when it is let go, packet), ascending

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        due = self.take(now_us) if self._line else []
        until = max((interval.end_us(now_us) for interval in self.intervals), default=0)
        if self._line and until < self._line[-1][0]:
            until = self._line[-1][0]
        if until <= now_us:
            due.append(packet)
            return due
        self.held_up += 1
        self._line.append((until, kept(packet)))
        return due

    def take(self, now_us: int) -> list[Packet]:
        due: list[Packet] = []
        line = self._line
        while line and line[0][0] <= now_us:
            due.append(line.popleft()[1])
        return due

    def next_deadline(self) -> int:
        return self._line[0][0] if self._line else 0
