"""The rate behind a policer, as BBR version 1 in Linux looks for it (tcp_bbr.c, `lt_bw`).

A token bucket lets a burst through at the full rate and drops what is above its own rate after
that; the largest rate seen is then the wrong one. Two intervals in turn of 4 to 16 rounds, each
with a fifth lost and at the same rate, show such a bucket: that rate is used for 48 rounds.
"""

from __future__ import annotations

from typing import Final

LEAST_ROUNDS: Final = 4
MOST_ROUNDS: Final = 16
LOSS_THRESH: Final = 50  # of 256: about a fifth
RATE_RATIO: Final = 8  # rates are the same that differ by an eighth at most,
RATE_DIFF: Final = 500  # or by this, bytes/s
ROUNDS_IN_USE: Final = 48


class Policer:
    """`bw` is the policer's rate in bytes/s while `in_use`."""

    __slots__ = ("bw", "in_use", "sampling", "rounds", "from_us", "delivered", "lost")

    def __init__(self) -> None:
        self.delivered = self.lost = self.from_us = 0
        self.forget()

    def forget(self) -> None:
        """Forget everything."""
        self.bw = self.rounds = 0
        self.in_use = self.sampling = False

    def on_loss(self, now_us: int, delivered: int, lost: int) -> None:
        """Something was lost: an interval begins, if none has. `delivered` and `lost` are the
        connection's totals in bytes."""
        if not self.in_use and not self.sampling:
            self._begin(now_us, delivered, lost)

    def on_ack(
        self, now_us: int, delivered: int, lost: int, *, losing: bool, round_start: bool
    ) -> None:
        """An ACK of data that the network and not the application was the limit of; `losing`:
        this ACK told of a loss."""
        if losing:
            self.on_loss(now_us, delivered, lost)
        if self.in_use or not self.sampling:
            return
        self.rounds += round_start
        if self.rounds > MOST_ROUNDS:
            self.forget()
        elif losing and self.rounds >= LEAST_ROUNDS:
            self._end(now_us, delivered, lost)

    def is_over(self) -> bool:
        """Called once a round while in use; returns whether it is time to probe the path again."""
        self.rounds += 1
        return self.rounds >= ROUNDS_IN_USE

    def _begin(self, now_us: int, delivered: int, lost: int) -> None:
        self.sampling = True
        self.from_us, self.delivered, self.lost = now_us, delivered, lost
        self.rounds = 0

    def _end(self, now_us: int, delivered: int, lost: int) -> None:
        got = delivered - self.delivered
        took_us = now_us - self.from_us
        if took_us < 1000 or (lost - self.lost) * 256 < LOSS_THRESH * got:
            return
        bw = got * 1_000_000 // took_us
        diff = abs(bw - self.bw)
        if self.bw and (diff * RATE_RATIO <= self.bw or diff <= RATE_DIFF):
            self.bw = (bw + self.bw) >> 1
            self.in_use = True
            self.rounds = 0
            return
        self.bw = bw
        self._begin(now_us, delivered, lost)
