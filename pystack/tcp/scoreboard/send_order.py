"""The order of sending: when which numbers left, oldest first, for detection by time (RACK)."""

from __future__ import annotations

from typing import Final

_FRONT: Final = 64  # entries taken off at the front are removed when there are so many


class SendOrder:
    """A queue of (time in µs, start, end). What was sent in one go is one entry; an entry may be
    stale: its numbers may have been sent again, or delivered, since. No other file writes it."""

    __slots__ = ("_entries", "_first")

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, int]] = []  # a deque would take 600 bytes when empty
        self._first = 0

    def note(self, now_us: int, start: int, end: int) -> None:
        """Numbers [start, end) have left."""
        entries = self._entries
        if entries:
            time_us, first, before = entries[-1]
            if time_us == now_us and before == start and len(entries) > self._first:
                entries[-1] = (now_us, first, end)
                return
        entries.append((now_us, start, end))

    def oldest(self) -> tuple[int, int, int] | None:
        """The entry that was sent first, None when there is none."""
        entries = self._entries
        return entries[self._first] if self._first < len(entries) else None

    def drop_oldest(self, until: int = 0) -> None:
        """Take the oldest entry off, or its numbers below `until`."""
        first = self._first
        if until:
            time_us, _, end = self._entries[first]
            self._entries[first] = (time_us, until, end)
            return
        self._first = first + 1
        if self._first >= _FRONT:
            del self._entries[: self._first]
            self._first = 0

    def acked(self, ack: int) -> None:
        """Numbers below `ack` are of no interest any more."""
        entries = self._entries
        first = self._first
        while first < len(entries) and entries[first][2] <= ack:
            first += 1
        if first >= _FRONT:
            del entries[:first]
            first = 0
        self._first = first

    def replace(self, entries: list[tuple[int, int, int]]) -> None:
        """Only these count from now on, oldest first."""
        self._entries = entries
        self._first = 0

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self._first = 0
