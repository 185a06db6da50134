"""Spans of time in which nothing passes."""

from __future__ import annotations

from pystack.path.intervals import Window
from pystack.path.link import Stage
from pystack.wire.batch import Packet


class Outage(Stage):
    """Packets that come within a window are lost."""

    counted = ("cut_off",)

    def __init__(self, *windows: Window) -> None:
        self.windows = windows
        self.cut_off = 0

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        for window in self.windows:
            if window.end_us(now_us):
                self.cut_off += 1
                return []
        return [packet]
