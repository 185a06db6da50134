"""One lazy heap of deadlines for a whole host: no periodic tick, cheap cancelling.

An entry is pushed only when a deadline becomes earlier than the one already in the heap; one
that fires too early is pushed again. `wake_at_us` on the object is the time of
its live entry, so older entries are known to be stale.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Protocol


class Wakeable(Protocol):
    """What can be woken: a TCB or a half-open connection."""

    wake_at_us: int


class Wakeups:
    """A heap of (deadline, serial, object)."""

    __slots__ = ("_heap", "_serial", "_live")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Wakeable]] = []
        self._serial = 0
        self._live = 0  # objects with a live entry; all other entries are stale

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, what: Wakeable, at_us: int) -> None:
        """Wake `what` at `at_us`, or earlier if that is in the heap already."""
        if what.wake_at_us and what.wake_at_us <= at_us:
            return
        if not what.wake_at_us:
            self._live += 1
        what.wake_at_us = at_us
        self._serial += 1
        heappush(self._heap, (at_us, self._serial, what))
        if len(self._heap) > 64 + 2 * self._live:
            self._compact()

    def next_at(self) -> int:
        """The earliest live deadline, 0 with none."""
        heap = self._heap
        while heap:
            at_us, _, what = heap[0]
            if what.wake_at_us == at_us:
                return at_us
            heappop(heap)
        return 0

    def take_due(self, now_us: int) -> Wakeable | None:
        """Remove and return one object whose deadline has passed, else None."""
        heap = self._heap
        while heap and heap[0][0] <= now_us:
            at_us, _, what = heappop(heap)
            if what.wake_at_us == at_us:
                what.wake_at_us = 0
                self._live -= 1
                return what
        return None

    def forget(self, what: Wakeable) -> None:
        """`what` is gone. When most entries are stale they are removed, with their objects."""
        if what.wake_at_us:
            what.wake_at_us = 0
            self._live -= 1
        if len(self._heap) > 64 + 2 * self._live:
            self._compact()

    def _compact(self) -> None:
        """Keep one entry for each object: a far deadline may have been pushed many times."""
        seen: set[int] = set()
        kept = []
        for entry in self._heap:
            at_us, _, what = entry
            if what.wake_at_us == at_us and id(what) not in seen:
                seen.add(id(what))
                kept.append(entry)
        self._heap[:] = kept
        heapify(self._heap)
