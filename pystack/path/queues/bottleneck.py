"""A bottleneck: a link of a certain rate, and packets that wait for it.

Times are exact. An octet takes 8,000,000 / rate µs, so time is reckoned in units of 1/rate µs, in
which everything is an integer; a packet comes out at the first whole µs at which its last bit is
through. No rounding adds up, whatever the rate and however late `take` is called.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from pystack.path.link import Stage, kept
from pystack.path.queues.discipline import Discipline
from pystack.wire.batch import Packet

OCTET: Final = 8_000_000  # what one takes, in units of 1/rate µs


class Queue(Stage):
    """Packets wait by the rules of `discipline` until the link, of `rate_bps` bit/s, is free.

    The packet that is being sent waits no longer. `changes` are pairs (time in µs, rate from then
    on), ascending; the rest of a packet that is being sent goes at the new rate, and with a rate of
    0 not at all. Raises ValueError for a negative rate and for times out of order.
    """

    def __init__(
        self,
        rate_bps: int,
        discipline: Discipline,
        *,
        changes: Sequence[tuple[int, int]] = (),
    ) -> None:
        _check_rate(rate_bps, 1)
        for _, rate in changes:
            _check_rate(rate, 0)
        if list(changes) != sorted(changes, key=lambda change: change[0]):
            raise ValueError("changes of a rate come in the order of their times")
        self.rate_bps = rate_bps
        self.discipline = discipline
        self._changes = deque(changes)
        self._sending: Packet | None = None
        self._end = 0  # of its last bit, in units of 1/rate_bps µs
        self._deadline = 0

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        due = self._advance(now_us)
        discipline = self.discipline
        discipline.enqueue(packet, now_us)
        if self._sending is None:
            self._send(discipline.dequeue(now_us), now_us * self.rate_bps)
        return due

    def take(self, now_us: int) -> list[Packet]:
        return self._advance(now_us)

    def next_deadline(self) -> int:
        return self._deadline

    def counts(self) -> dict[str, int]:
        return self.discipline.counts()

    def _advance(self, now_us: int) -> list[Packet]:
        """Everything that happened until now."""
        due: list[Packet] = []
        while self._changes and self._changes[0][0] <= now_us:
            at_us, rate_bps = self._changes.popleft()
            self._finish(at_us, due)
            self._change(rate_bps, at_us)
        if 0 < self._deadline <= now_us:
            self._finish(now_us, due)
        return due

    def _finish(self, now_us: int, due: list[Packet]) -> None:
        """What goes through until now at the present rate."""
        rate_bps = self.rate_bps
        while self._sending is not None and self._end <= now_us * rate_bps:
            due.append(self._sending)
            self._send(self.discipline.dequeue(-(-self._end // rate_bps)), self._end)

    def _send(self, packet: Packet | None, begin: int) -> None:
        self._sending = packet
        if packet is None:
            self._deadline = 0
            return
        self._end = begin + OCTET * len(packet[0])
        self._deadline = self._end_us()

    def _change(self, rate_bps: int, at_us: int) -> None:
        rest = self._end - at_us * self.rate_bps  # bits still to go: the same at any rate
        self.rate_bps = rate_bps
        if self._sending is not None:
            self._end = at_us * rate_bps + rest
            self._deadline = self._end_us()

    def _end_us(self) -> int:
        """When the packet that is being sent is through; 0 when it never will be."""
        rate_bps, end = self.rate_bps, self._end
        for at_us, next_bps in self._changes:
            if end <= at_us * rate_bps:
                break
            end += at_us * (next_bps - rate_bps)
            rate_bps = next_bps
        return -(-end // rate_bps) if rate_bps else 0


class Pipe(Stage):
    """A link of `rate_bps` bit/s with a drop-tail queue before it and a delay of `delay_us` behind
    it.

    The same as a `Queue` with `DropTail` and a `Delay`, packet for packet, at a fraction of the
    cost: with a fixed rate, when a packet arrives is known when it comes. The queue has room for
    `limit` packets, or bytes with `in_bytes`. Raises ValueError for numbers that are out of range.
    """

    counted = ("dropped",)

    def __init__(
        self, rate_bps: int, limit: int, delay_us: int = 0, *, in_bytes: bool = False
    ) -> None:
        _check_rate(rate_bps, 1)
        if limit < 1 or delay_us < 0:
            raise ValueError(f"no pipe with room for {limit} and a delay of {delay_us} µs")
        self.rate_bps = rate_bps
        self.limit = limit
        self.delay_us = delay_us
        self.in_bytes = in_bytes
        self.dropped = 0
        self._free = 0  # when the line is, in units of 1/rate_bps µs
        self._waiting: deque[tuple[int, int]] = deque()  # (when it begins to be sent, its cost)
        self._held = 0  # the cost of all that wait
        self._line: deque[tuple[int, Packet]] = deque()  # (when it arrives, packet)

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        return self.feed_all((packet,), now_us)

    def feed_all(self, packets: Iterable[Packet], now_us: int) -> list[Packet]:
        rate_bps, delay_us, line, waiting = self.rate_bps, self.delay_us, self._line, self._waiting
        free, held, now = self._free, self._held, now_us * self.rate_bps
        while waiting and waiting[0][0] <= now:
            held -= waiting.popleft()[1]
        for packet in packets:
            length = len(packet[0])
            cost = length if self.in_bytes else 1
            if held + cost > self.limit:
                self.dropped += 1
                continue
            if free <= now:
                free = now
            else:
                held += cost
                waiting.append((free, cost))
            free += OCTET * length
            if type(packet[0]) is not bytes:
                packet = kept(packet)
            line.append((-(-free // rate_bps) + delay_us, packet))
        self._free, self._held = free, held
        return []

    def take(self, now_us: int) -> list[Packet]:
        line = self._line
        due: list[Packet] = []
        while line and line[0][0] <= now_us:
            due.append(line.popleft()[1])
        return due

    def next_deadline(self) -> int:
        return self._line[0][0] if self._line else 0


def _check_rate(rate_bps: int, least: int) -> None:
    if rate_bps < least:
        raise ValueError(f"a rate of {rate_bps} bit/s carries nothing")
