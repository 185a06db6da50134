"""Certain packets are lost, by their number: a loss that a test can rely on."""

from __future__ import annotations

from pystack.path.link import Stage
from pystack.wire.batch import Packet


class Nth(Stage):
    """Loses the packets whose numbers are given; the first packet is number 1. Raises ValueError
    for lower numbers."""

    counted = ("lost",)

    def __init__(self, *numbers: int) -> None:
        if any(number < 1 for number in numbers):
            raise ValueError("packets are counted from 1")
        self.lost = 0
        self._numbers = frozenset(numbers)
        self._came = 0

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        self._came += 1
        if self._came not in self._numbers:
            return [packet]
        self.lost += 1
        return []
