"""The path of packets from one end to the other: stages, one behind the other.

A stage is fed packets with the time; it lets some of them out at once and keeps others until their
time has come. Its driver asks for `next_deadline` and calls `take` then. Several stages make a
`Link`, which is a stage again. One link is one direction. Times are µs above 0, and never go back.

A driver that is late gets the same packets, only later: a stage computes with the moments at which
things were due, not with those at which it was called.

A packet that is let out at once may be the very buffer that was fed; what is kept is copied, unless
it is `bytes` and so cannot change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import ClassVar, Protocol

from pystack.printed import attributes, printed
from pystack.wire.batch import Packet


class RandomSource(Protocol):
    """What stages draw from: `random.Random(seed)`, made by the caller, is one."""

    def random(self) -> float: ...

    def randrange(self, stop: int, /) -> int: ...


class Stage:
    """Lets every packet pass. Stages override what they need."""

    counted: ClassVar[tuple[str, ...]] = ()  # attributes that count what it did
    answers: bool = False  # whether `take_answers` may ever return something

    def __repr__(self) -> str:
        return printed(self, lambda: attributes(self))

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        """A packet comes in; the packets that go on at once, in order."""
        return [packet]

    def feed_all(self, packets: Iterable[Packet], now_us: int) -> list[Packet]:
        """The same for packets that come in at the same moment, one behind the other."""
        feed = self.feed
        return [out for packet in packets for out in feed(packet, now_us)]

    def take(self, now_us: int) -> list[Packet]:
        """The packets kept until now, in order."""
        return []

    def next_deadline(self) -> int:
        """When to call `take` next, in µs; 0 when nothing is kept.

        After `take(now_us)` it is later than `now_us`.
        """
        return 0

    def take_answers(self) -> list[Packet]:
        """ICMP errors about packets that did not pass, since the last call.

        They are for the senders of those packets; the driver of the stage has to deliver them.
        """
        return []

    def counts(self) -> dict[str, int]:
        """What it has done to packets so far, by name."""
        return {name: getattr(self, name) for name in self.counted}


class Link(Stage):
    """`stages` that a packet passes in turn: each at the moment at which the one before let it
    go."""

    def __init__(self, *stages: Stage) -> None:
        self.stages = stages
        self._answering = [stage for stage in stages if stage.answers]
        self.answers = bool(self._answering)
        self._deadline = 0  # the earliest of the stages'

    def __repr__(self) -> str:
        return printed(self, lambda: ", ".join(map(repr, self.stages)))

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        return self.feed_all((packet,), now_us)

    def feed_all(self, packets: Iterable[Packet], now_us: int) -> list[Packet]:
        before = self.take(now_us) if 0 < self._deadline <= now_us else []
        out = self._through(0, list(packets), now_us)
        self._deadline = self._earliest()
        return before + out if before else out

    def take(self, now_us: int) -> list[Packet]:
        out: list[Packet] = []
        while 0 < self._deadline <= now_us:
            at_us = self._deadline
            # the last stage first: what it has kept comes before what it gets now
            for index in range(len(self.stages) - 1, -1, -1):
                kept = self.stages[index].take(at_us)
                if kept:
                    out += self._through(index + 1, kept, at_us)
            self._deadline = self._earliest()
        return out

    def next_deadline(self) -> int:
        return self._deadline

    def take_answers(self) -> list[Packet]:
        return [answer for stage in self._answering for answer in stage.take_answers()]

    def counts(self) -> dict[str, int]:
        """Those of all stages; counts of the same name are added up."""
        total: dict[str, int] = {}
        for stage in self.stages:
            for name, count in stage.counts().items():
                total[name] = total.get(name, 0) + count
        return total

    def _through(self, index: int, packets: list[Packet], now_us: int) -> list[Packet]:
        for stage in self.stages[index:]:
            if not packets:
                break
            packets = stage.feed_all(packets, now_us)
        return packets

    def _earliest(self) -> int:
        earliest = 0
        for stage in self.stages:
            at_us = stage.next_deadline()
            if at_us and (at_us < earliest or not earliest):
                earliest = at_us
        return earliest


class Delay(Stage):
    """Every packet comes `delay_us` later, and up to `jitter_us` more, drawn evenly.

    Packets stay in order, unless `reorder` is set: then jitter lets them overtake each other.
    Raises ValueError for negative times, and for jitter without a `source` of random numbers.
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
        self.reorder = reorder and jitter_us > 0
        self._source = source
        # (when it is due, packet) in order of coming, which is that of going unless `reorder`
        self._line: deque[tuple[int, Packet]] = deque()
        self._heap: list[tuple[int, int, Packet]] = []  # when due, number in order of coming
        self._count = 0

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        until = now_us + self.delay_us
        if self.jitter_us and self._source is not None:
            until += self._source.randrange(self.jitter_us + 1)
        if self.reorder:
            if until <= now_us:
                return [packet]
            self._count += 1
            heappush(self._heap, (until, self._count, kept(packet)))
            return []
        line = self._line
        if line and line[-1][0] > until:
            until = line[-1][0]
        if until <= now_us and not line:
            return [packet]
        line.append((until, kept(packet)))
        return self.take(now_us) if until <= now_us else []

    def take(self, now_us: int) -> list[Packet]:
        due: list[Packet] = []
        line = self._line
        while line and line[0][0] <= now_us:
            due.append(line.popleft()[1])
        heap = self._heap
        while heap and heap[0][0] <= now_us:
            due.append(heappop(heap)[2])
        return due

    def next_deadline(self) -> int:
        if self._line:
            return self._line[0][0]
        return self._heap[0][0] if self._heap else 0


def kept(packet: Packet) -> Packet:
    """The packet in a form that outlives the buffer it came in."""
    buffer = packet[0]
    return packet if type(buffer) is bytes else (bytes(buffer), packet[1], packet[2])
