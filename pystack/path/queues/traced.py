"""A line whose rate is a recording, in the format of Mahimahi's link traces.

Such a trace has a line for each opportunity to send one packet of MTU size: the millisecond, from
the start, at which it comes. The last line is also the length of the trace, which then begins anew.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from pystack.path.link import Stage
from pystack.path.queues.discipline import Discipline
from pystack.wire.batch import Packet

OPPORTUNITY: Final = 1500  # octets of an opportunity


def parsed(text: str) -> tuple[int, ...]:
    """The opportunities of a trace, in ms. Raises ValueError, naming the line."""
    times: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        if not (word.isascii() and word.isdecimal()):
            raise ValueError(f"line {number}: {word[:40]!r} is no time in ms")
        if times and int(word) < times[-1]:
            raise ValueError(f"line {number}: {word} comes before the time above it")
        times.append(int(word))
    if not times:
        raise ValueError("there is no time in it")
    if not times[-1]:
        raise ValueError("it lasts 0 ms")
    return tuple(times)


class TracedQueue(Stage):
    """Packets wait by the rules of `discipline` for the opportunities of a trace.

    An opportunity carries `octets`: several small packets, or a part of a large one, the rest of
    which goes with the next opportunity. What is left of it when nothing waits is lost. The trace
    begins at `start_us`; a packet that comes at the very moment of an opportunity misses it. Raises
    ValueError for times that do not ascend.
    """

    def __init__(
        self,
        times_ms: tuple[int, ...],
        discipline: Discipline,
        *,
        start_us: int = 0,
        octets: int = OPPORTUNITY,
    ) -> None:
        """`times_ms` as from `parsed`."""
        if not times_ms or times_ms[-1] < 1 or list(times_ms) != sorted(times_ms) or octets < 1:
            raise ValueError("a trace has ascending times in ms, the last above 0")
        self.discipline = discipline
        self.octets = octets
        self.start_us = start_us
        self._times_us = [1000 * time for time in times_ms]
        self._period_us = self._times_us[-1]
        self._next = 0  # opportunity, counted over all rounds of the trace
        self._sending: Packet | None = None
        self._rest = 0  # octets of it that have not gone

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        due = self.take(now_us) if self._is_busy() else []
        if not self._is_busy():
            self._next = self._after(now_us)
        self.discipline.enqueue(packet, now_us)
        return due

    def take(self, now_us: int) -> list[Packet]:
        due: list[Packet] = []
        while self._is_busy() and self._at_us(self._next) <= now_us:
            self._use(self._at_us(self._next), due)
            self._next += 1
        return due

    def next_deadline(self) -> int:
        return self._at_us(self._next) if self._is_busy() else 0

    def counts(self) -> dict[str, int]:
        return self.discipline.counts()

    def _is_busy(self) -> bool:
        return self._sending is not None or self.discipline.packets > 0

    def _use(self, at_us: int, due: list[Packet]) -> None:
        left = self.octets
        while left:
            if self._sending is None:
                self._sending = self.discipline.dequeue(at_us)
                if self._sending is None:
                    return
                self._rest = len(self._sending[0])
            gone = min(left, self._rest)
            left -= gone
            self._rest -= gone
            if not self._rest:
                due.append(self._sending)
                self._sending = None

    def _at_us(self, number: int) -> int:
        rounds, index = divmod(number, len(self._times_us))
        return self.start_us + rounds * self._period_us + self._times_us[index]

    def _after(self, now_us: int) -> int:
        """The first opportunity later than now."""
        since = now_us - self.start_us
        if since < 0:
            return 0
        rounds, within = divmod(since, self._period_us)
        return rounds * len(self._times_us) + bisect_right(self._times_us, within)
