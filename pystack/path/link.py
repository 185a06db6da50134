"""The way of packets from one end to the other: stages, one behind the other.

A stage is fed packets with the time, lets some of them out at once and keeps others until their
time has come; who drives it asks for `next_deadline` and calls `take` then. Several of them make a
`Link`, which is a stage again. One link is one direction. Times are µs above 0, and never go back.

A packet that is let out at once may be the very buffer that was fed; what is kept is copied.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Protocol

from pystack.wire.batch import Packet


class RandomSource(Protocol):
    """What stages draw from: `random.Random(seed)`, made by the caller, is one."""

    def random(self) -> float: ...

    def randrange(self, stop: int, /) -> int: ...


class Stage:
    """Lets every packet pass. Stages override what they need."""

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        """A packet comes in; the packets that go on at once, in order."""
        return [packet]

    def take(self, now_us: int) -> list[Packet]:
        """The packets kept until now, in order."""
        return []

    def next_deadline(self) -> int:
        """When `take` has something, in µs; 0 when nothing is kept."""
        return 0


class Link(Stage):
    """Stages that a packet passes in turn."""

    def __init__(self, *stages: Stage) -> None:
        self.stages = stages

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        return self._through(0, [packet], now_us)

    def take(self, now_us: int) -> list[Packet]:
        out: list[Packet] = []
        # the last stage first: what it has kept was there before what comes to it now
        for index in range(len(self.stages) - 1, -1, -1):
            kept = self.stages[index].take(now_us)
            out += self._through(index + 1, kept, now_us)
        return out

    def next_deadline(self) -> int:
        deadlines = [stage.next_deadline() for stage in self.stages]
        return min((deadline for deadline in deadlines if deadline), default=0)

    def _through(self, index: int, packets: list[Packet], now_us: int) -> list[Packet]:
        for stage in self.stages[index:]:
            packets = [out for packet in packets for out in stage.feed(packet, now_us)]
        return packets


class Delay(Stage):
    """Every packet comes `delay_us` later, and up to `jitter_us` more, drawn evenly.

    In order all the same, unless `reorder`: then jitter lets packets overtake each other.
    """

    def __init__(
        self,
        delay_us: int,
        jitter_us: int = 0,
        source: RandomSource | None = None,
        *,
        reorder: bool = False,
    ) -> None:
        """`source` is needed for jitter only."""
        if delay_us < 0 or jitter_us < 0:
            raise ValueError(f"a delay cannot be negative: {delay_us} and {jitter_us} µs")
        if jitter_us and source is None:
            raise ValueError("jitter needs a source of random numbers")
        self.delay_us = delay_us
        self.jitter_us = jitter_us
        self.reorder = reorder
        self._source = source
        self._last_us = 0
        self._heap: list[tuple[int, int, Packet]] = []  # deadline, number in order of coming
        self._count = 0

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        until = now_us + self.delay_us
        if self._source is not None and self.jitter_us:
            until += self._source.randrange(self.jitter_us + 1)
        if not self.reorder:
            until = self._last_us = max(until, self._last_us)
        if until <= now_us:
            return [packet]
        buffer, gso_size, checksum_state = packet
        self._count += 1
        heappush(self._heap, (until, self._count, (bytes(buffer), gso_size, checksum_state)))
        return []

    def take(self, now_us: int) -> list[Packet]:
        due: list[Packet] = []
        while self._heap and self._heap[0][0] <= now_us:
            due.append(heappop(self._heap)[2])
        return due

    def next_deadline(self) -> int:
        return self._heap[0][0] if self._heap else 0
