"""The clock of a world, and the one heap of all that is to happen in it.

Time is an int in µs that only moves from one event to the next. What happens at the same µs
happens in the order of ranks, which depends on nothing but the order in which links, hosts and
calls were made: the same program has the same order everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final, Protocol

START_US: Final = 1_000_000  # a host's clock is above 0; times that users give count from here
ENDLESS: Final = 100_000  # so many events at one moment are an endless loop
_RANK_BITS: Final = 40  # below them the serial number of the entry
_CALLS: Final = 1 << 60  # the rank of calls: behind all that packets and timers do at that time


class Due(Protocol):
    """What can be entered: a line, a host, a call."""

    def due(self, now_us: int) -> None:
        """The time has come. It may be entered several times: whoever is called looks."""


class _Call:
    __slots__ = ("function",)

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function

    def due(self, now_us: int) -> None:
        self.function()


class Events:
    """The heap; `now_us` is the present, `count` how many events there were."""

    __slots__ = ("now_us", "count", "_heap", "_serial", "_ranks", "_still")

    def __init__(self) -> None:
        self.now_us = START_US
        self.count = 0
        self._heap: list[tuple[int, int, Due]] = []
        self._serial = 0
        self._ranks = 0
        self._still = 0

    def new_rank(self) -> int:
        """A place for a new source, behind those that were made before."""
        self._ranks += 1
        return self._ranks << _RANK_BITS

    def at(self, at_us: int, rank: int, what: Due) -> None:
        """Have `what.due` called at `at_us`, which is not over yet."""
        self._serial += 1
        heappush(self._heap, (at_us, rank + self._serial, what))

    def call_at(self, at_us: int, function: Callable[[], object]) -> None:
        """Have a function called at `at_us`, or now if that is over."""
        self.at(max(at_us, self.now_us), _CALLS, _Call(function))

    def next_at(self) -> int:
        """When the next event is, 0 when none is left."""
        return self._heap[0][0] if self._heap else 0

    def step(self) -> None:
        """Let the next event happen; there must be one.

        Raises RuntimeError when a great many happen while no time passes.
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

    def run(self, until_us: int) -> None:
        """Let everything up to `until_us` happen, that included; the present is then that."""
        heap = self._heap
        step = self.step
        while heap and heap[0][0] <= until_us:
            step()
        self.now_us = max(self.now_us, until_us)
