"""The clock of a world, and the one heap of all that is to happen in it.

Time is an int in µs that only moves from one event to the next. What happens at the same µs
happens in the order of ranks, which depends on nothing but the order in which links, hosts and
calls were made: the same program has the same order everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final, Protocol

from pystack.printed import printed

START_US: Final = 1_000_000  # a host's clock is above 0; times that users give count from here
ENDLESS: Final = 100_000  # as many events at one moment are taken for an endless loop
_RANK_BITS: Final = 40  # below them the serial number of the entry
_CALLS: Final = 1 << 60  # the rank of calls: behind packets and timers of that time


class Due(Protocol):
    """What can be entered: a link, a host, a call."""

    def due(self, now_us: int) -> None:
        """The time has come. One thing may be entered several times, so it looks what is due."""


class _Call:
    __slots__ = ("function",)

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function

    def due(self, now_us: int) -> None:
        self.function()


class Events:
    """The heap; `now_us` is the present, `count` how many events there were.

    `watchers` are called after each. Up to `horizon_us` nothing looks at the world between two
    events.
    """

    __slots__ = (
        "now_us",
        "count",
        "horizon_us",
        "watchers",
        "_heap",
        "_serial",
        "_ranks",
        "_still",
    )

    def __init__(self) -> None:
        self.now_us = START_US
        self.count = 0
        self.horizon_us = 0
        self.watchers: list[Callable[[], object]] = []
        self._heap: list[tuple[int, int, Due]] = []
        self._serial = 0
        self._ranks = 0
        self._still = 0

    def __repr__(self) -> str:
        return printed(
            self, lambda: f"at {self.now_us} µs: {self.count} happened, {len(self._heap)} wait"
        )

    def new_rank(self) -> int:
        """The rank of a new source of events, behind all that were made before."""
        self._ranks += 1
        return self._ranks << _RANK_BITS

    def at(self, at_us: int, rank: int, what: Due) -> None:
        """Have `what.due` called at `at_us`, which is not in the past."""
        self._serial += 1
        heappush(self._heap, (at_us, rank + self._serial, what))

    def call_at(self, at_us: int, function: Callable[[], object]) -> None:
        """Have a function called at `at_us`, or now if that is in the past."""
        self.at(max(at_us, self.now_us), _CALLS, _Call(function))

    def next_at(self) -> int:
        """When the next event is, 0 when none is left."""
        return self._heap[0][0] if self._heap else 0

    def go_to(self, at_us: int) -> None:
        """Time passes until `at_us`, up to which nothing is to happen."""
        self.now_us = at_us

    def step(self) -> None:
        """Let the next event happen; there must be one.

        Raises RuntimeError when `ENDLESS` events happen while no time passes.
        """
        at_us, _, what = heappop(self._heap)
        self.count += 1
        if at_us > self.now_us:
            self.now_us = at_us
            self._still = 0
        else:
            self._still += 1
            if self._still >= ENDLESS:
                raise RuntimeError(f"time does not move on: {ENDLESS} events at {at_us} µs")
        what.due(at_us)
        for watcher in self.watchers:
            watcher()

    def goes_on(self, at_us: int, rank: int) -> bool:
        """Asked by a source that is being called: whether what it has to do at `at_us` would be
        the next event of all. If so, that counts as an event, and the present moves there."""
        if at_us > self.horizon_us:
            return False
        if self._heap:
            first_us, first_rank, _ = self._heap[0]
            if first_us < at_us or (first_us == at_us and first_rank < rank):
                return False
        self.count += 1
        if at_us > self.now_us:
            self.now_us = at_us
            self._still = 0
        return True

    def run(self, until_us: int) -> None:
        """Let all events up to and including `until_us` happen."""
        heap = self._heap
        step = self.step
        self.horizon_us = 0 if self.watchers else until_us
        try:
            while heap and heap[0][0] <= until_us:
                step()
        finally:
            self.horizon_us = 0
