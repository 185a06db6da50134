"""A run: numbers that were sent in one go, and what is known of their delivery."""

from __future__ import annotations


class Run:
    """Numbers [start, end) last sent at `sent_us`; `copies` retransmissions so far. `doubled`: the
    copy before the last one was not judged lost, so two of them are on their way.

    `delivered`, `delivered_us`, `first_sent_us`, `app_limited`, `tx_in_flight` and `lost_before`
    are the state of delivery when it was sent (see `delivery`).
    """

    __slots__ = ("start", "end", "sent_us", "copies", "doubled", "lost", "sacked", "delivered",
                 "delivered_us", "first_sent_us", "app_limited", "tx_in_flight",
                 "lost_before")  # fmt: skip

    def __init__(self, start: int, end: int, sent_us: int, copies: int) -> None:
        self.start = start
        self.end = end
        self.sent_us = sent_us
        self.copies = copies
        self.doubled = False
        self.lost = False
        self.sacked = False
        self.delivered = 0
        self.delivered_us = 0
        self.first_sent_us = 0
        self.app_limited = False
        self.tx_in_flight = 0
        self.lost_before = 0

    def split_off(self, start: int) -> Run:
        """Cut at `start`; what lies behind is returned as a run of its own."""
        tail = Run(start, self.end, self.sent_us, self.copies)
        tail.doubled = self.doubled
        tail.lost = self.lost
        tail.sacked = self.sacked
        tail.delivered = self.delivered
        tail.delivered_us = self.delivered_us
        tail.first_sent_us = self.first_sent_us
        tail.app_limited = self.app_limited
        tail.tx_in_flight = self.tx_in_flight
        tail.lost_before = self.lost_before
        self.end = start
        return tail
