"""Delay as netem has it: a mean with jitter around it, correlated; some packets pass at once.

Jitter lets packets overtake each other, as each passes when its own time has come. Where netem
draws from tables made with libm, a normal distribution is made of sums here, the same on all
machines.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

from pystack.path.chance import Chance, Correlated
from pystack.path.link import RandomSource, Stage, kept
from pystack.wire.batch import Packet

UNIFORM: Final = "uniform"
NORMAL: Final = "normal"
DISTRIBUTIONS: Final = (UNIFORM, NORMAL)

_WHOLE: Final = 1 << 32
_TERMS: Final = 12  # uniform numbers; the sum of 12 has a standard deviation of 1


class NetemDelay(Stage):
    """Packets come `delay_us` later, plus or minus up to `jitter_us`, as netem delays them.

    Delays are distributed evenly, or with `distribution` NORMAL with `jitter_us` as standard
    deviation (6 of them at most); none is negative. `correlation` is that of successive delays.
    With `overtakes`, packets that it strikes pass at once, one of `gap` packets at most; with `gap`
    alone exactly every `gap`-th does. The others keep their order if `in_order`, as netem's do
    behind a rate. At most `limit` packets are kept, what comes then is dropped (0: no limit).
    Raises ValueError for negative numbers and for an unknown distribution.
    """

    counted = ("reordered", "dropped")

    def __init__(
        self,
        delay_us: int,
        jitter_us: int,
        source: RandomSource,
        *,
        correlation: float = 0.0,
        distribution: str = UNIFORM,
        overtakes: Chance | None = None,
        gap: int = 0,
        limit: int = 0,
        in_order: bool = False,
    ) -> None:
        if delay_us < 0 or jitter_us < 0 or gap < 0 or limit < 0:
            raise ValueError(
                f"nothing is negative: delay {delay_us}, jitter {jitter_us} µs, gap {gap}, "
                f"limit {limit}"
            )
        if distribution not in DISTRIBUTIONS:
            raise ValueError(f"there is no distribution {distribution!r}")
        self.delay_us = delay_us
        self.jitter_us = jitter_us
        self.distribution = distribution
        self.gap = gap
        self.limit = limit
        self.in_order = in_order
        self.reordered = 0
        self.dropped = 0
        self._overtakes = overtakes
        self._since = 0  # packets since the last one that passed at once
        self._correlated = Correlated(source, correlation)
        self._heap: list[tuple[int, int, Packet]] = []  # when due, number in order of coming
        self._count = 0
        self._last_us = 0  # when the last one is due, of those that keep their order

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        due = self.take(now_us) if self._heap else []
        if self._goes_at_once():
            self.reordered += 1
            due.append(packet)
            return due
        until = now_us + self._drawn_us()
        if self.in_order:
            until = self._last_us = max(until, self._last_us)
        if until <= now_us:
            due.append(packet)
            return due
        if self.limit and len(self._heap) >= self.limit:
            self.dropped += 1
            return due
        self._count += 1
        heappush(self._heap, (until, self._count, kept(packet)))
        return due

    def take(self, now_us: int) -> list[Packet]:
        due: list[Packet] = []
        heap = self._heap
        while heap and heap[0][0] <= now_us:
            due.append(heappop(heap)[2])
        return due

    def next_deadline(self) -> int:
        return self._heap[0][0] if self._heap else 0

    def _goes_at_once(self) -> bool:
        if self._overtakes is None and not self.gap:
            return False
        if self._since < self.gap - 1:
            self._since += 1
            return False
        if self._overtakes is not None and not self._overtakes.strikes():
            self._since += 1
            return False
        self._since = 0
        return True

    def _drawn_us(self) -> int:
        jitter_us = self.jitter_us
        if not jitter_us:
            return self.delay_us
        if self.distribution == NORMAL:
            total = self._correlated.draw(_TERMS) - _TERMS * _WHOLE // 2
            return self.delay_us + (total * jitter_us >> 32)
        return self.delay_us - jitter_us + ((2 * jitter_us + 1) * self._correlated.draw() >> 32)
