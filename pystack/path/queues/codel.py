"""Controlled Delay (RFC 8289): drops or marks by how long packets have waited, not by how many do.

A queue may be long for a while; when even the shortest wait of an `interval` was above `target`, a
packet that goes is dropped, then another after interval/√2, interval/√3 …, until it is short again.
All in integers: a deadline is rounded down to whole µs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import isqrt
from typing import Final

from pystack.path.link import kept
from pystack.path.marking import marked
from pystack.path.queues.discipline import Discipline
from pystack.wire.batch import Packet

TARGET_US: Final = 5_000  # RFC 8289 §4.2, §4.3
INTERVAL_US: Final = 100_000


@dataclass(slots=True)
class CodelLaw:
    """What all queues of one discipline have in common, and what was done in them.

    `ce_threshold_us` marks every packet that has waited longer (Linux, for DCTCP and the like); 0:
    none. Raises ValueError for numbers that are out of range.
    """

    target_us: int = TARGET_US
    interval_us: int = INTERVAL_US
    ecn: bool = False
    ce_threshold_us: int = 0
    early_dropped: int = 0
    marked: int = 0
    largest: int = 0  # octets of the largest packet seen: a queue of one is never too long

    def __post_init__(self) -> None:
        if self.target_us < 1 or self.interval_us < 1 or self.ce_threshold_us < 0:
            raise ValueError(
                f"CoDel cannot have target {self.target_us}, interval {self.interval_us} and CE "
                f"threshold {self.ce_threshold_us} µs"
            )

    def next_drop_us(self, from_us: int, count: int) -> int:
        """RFC 8289 §5.2: interval / √count later."""
        return from_us + isqrt(self.interval_us * self.interval_us // count)


class CodelQueue:
    """One first-in-first-out queue under the law, without a limit: RFC 8289 §5, name by name."""

    __slots__ = (
        "law", "octets", "packets", "_count", "_drop_next_us", "_dropping", "_first_above_us",
        "_last_count", "_line", "_waited_us",
    )  # fmt: skip

    def __init__(self, law: CodelLaw) -> None:
        self.law = law
        self.packets = 0
        self.octets = 0
        self._line: deque[tuple[int, Packet]] = deque()  # (when it came, packet)
        self._first_above_us = 0
        self._drop_next_us = 0
        self._count = 0
        self._last_count = 0
        self._dropping = False
        self._waited_us = 0  # how long the packet had that was taken out last

    def push(self, packet: Packet, now_us: int) -> None:
        """A packet comes to wait."""
        length = len(packet[0])
        if length > self.law.largest:
            self.law.largest = length
        self._line.append((now_us, kept(packet)))
        self.packets += 1
        self.octets += length

    def drop_head(self) -> int:
        """Drop the oldest, as there is no room; the octets that it had."""
        return len(self._pop()[1][0])

    def pull(self, now_us: int) -> Packet | None:
        """The next to go."""
        packet = self._controlled(now_us)
        law = self.law
        if packet is not None and 0 < law.ce_threshold_us < self._waited_us:
            mark = marked(packet)
            if mark is not None and mark[0] is not packet[0]:
                law.marked += 1
                packet = mark
        return packet

    def _controlled(self, now_us: int) -> Packet | None:
        """`deque` of RFC 8289 §5.5."""
        law = self.law
        packet, ok_to_drop = self._next(now_us)
        if self._dropping:
            if not ok_to_drop:
                self._dropping = False
            while self._dropping and now_us >= self._drop_next_us:
                assert packet is not None
                self._count += 1
                mark = self._mark(packet)
                if mark is not None:
                    self._drop_next_us = law.next_drop_us(self._drop_next_us, self._count)
                    return mark
                packet, ok_to_drop = self._next(now_us)
                if ok_to_drop:
                    self._drop_next_us = law.next_drop_us(self._drop_next_us, self._count)
                else:
                    self._dropping = False
        elif ok_to_drop:
            assert packet is not None
            mark = self._mark(packet)
            packet = mark if mark is not None else self._next(now_us)[0]
            self._start_dropping(now_us)
        return packet

    def _start_dropping(self, now_us: int) -> None:
        """Where the last time is not long ago, go on at the rate that was found then."""
        law = self.law
        delta = self._count - self._last_count
        recent = now_us - self._drop_next_us < 16 * law.interval_us
        self._count = delta if delta > 1 and recent else 1
        self._drop_next_us = law.next_drop_us(now_us, self._count)
        self._last_count = self._count
        self._dropping = True

    def _next(self, now_us: int) -> tuple[Packet | None, bool]:
        """The oldest, and whether it is one to drop: `dodequeue` of RFC 8289 §5.6."""
        if not self._line:
            self._first_above_us = 0
            return None, False
        came_us, packet = self._pop()
        law = self.law
        self._waited_us = now_us - came_us
        ok_to_drop = False
        if self._waited_us < law.target_us or self.octets <= law.largest:
            self._first_above_us = 0
        elif not self._first_above_us:
            self._first_above_us = now_us + law.interval_us
        else:
            ok_to_drop = now_us >= self._first_above_us
        return packet, ok_to_drop

    def _mark(self, packet: Packet) -> Packet | None:
        """Instead of being dropped it is marked, if it may be; None counts as dropped."""
        law = self.law
        mark = marked(packet) if law.ecn else None
        if mark is None:
            law.early_dropped += 1
        else:
            law.marked += 1
        return mark

    def _pop(self) -> tuple[int, Packet]:
        entry = self._line.popleft()
        self.packets -= 1
        self.octets -= len(entry[1][0])
        return entry


class Codel(Discipline):
    """One queue under the law; more than `limit` packets (or bytes with `in_bytes`) are dropped."""

    counted = ("dropped", "early_dropped", "marked")

    def __init__(self, limit: int, law: CodelLaw, *, in_bytes: bool = False) -> None:
        super().__init__(limit, in_bytes=in_bytes)
        self._queue = CodelQueue(law)

    @property
    def early_dropped(self) -> int:
        """Packets dropped by the law."""
        return self._queue.law.early_dropped

    @property
    def marked(self) -> int:
        """Packets marked instead."""
        return self._queue.law.marked

    def enqueue(self, packet: Packet, now_us: int) -> None:
        if not self.has_room(len(packet[0])):
            self.dropped += 1
            return
        self._queue.push(packet, now_us)
        self._measure()

    def dequeue(self, now_us: int) -> Packet | None:
        packet = self._queue.pull(now_us)
        self._measure()
        return packet

    def _measure(self) -> None:
        self.packets = self._queue.packets
        self.octets = self._queue.octets
