"""Outages: intervals of time in which nothing passes."""

from __future__ import annotations

from pystack.path.intervals import Interval
from pystack.path.link import Stage
from pystack.wire.batch import Packet


class Outage(Stage):
    """Packets that come within one of the `intervals` are lost."""

    counted = ("cut_off",)

    def __init__(self, *intervals: Interval) -> None:
        self.intervals = intervals
        self.cut_off = 0

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        for interval in self.intervals:
            if interval.end_us(now_us):
                self.cut_off += 1
                return []
        return [packet]
