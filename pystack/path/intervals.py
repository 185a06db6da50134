"""Intervals of time in which something happens: once, or periodically."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """From `begin_us` on for `length_us`; every `every_us` again, unless that is 0. Raises
    ValueError for negative times, and for an interval that is longer than its period."""

    begin_us: int
    length_us: int
    every_us: int = 0

    def __post_init__(self) -> None:
        if self.begin_us < 0 or self.length_us < 1 or self.every_us < 0:
            raise ValueError(
                f"no span of time: {self.begin_us} µs, {self.length_us} µs long, every "
                f"{self.every_us} µs"
            )
        if 0 < self.every_us <= self.length_us:
            raise ValueError("a span of time ends before it begins again")

    def end_us(self, now_us: int) -> int:
        """When the interval ends that `now_us` lies in; 0 when it lies in none."""
        since = now_us - self.begin_us
        if since < 0:
            return 0
        if self.every_us:
            since %= self.every_us
        return now_us - since + self.length_us if since < self.length_us else 0

    def later(self, by_us: int) -> Interval:
        """The same interval, `by_us` later."""
        return Interval(self.begin_us + by_us, self.length_us, self.every_us)
