"""A range of numbers that was sent in one go, and what is known of its delivery."""

from __future__ import annotations


class SentRange:
    """Numbers [start, end), last sent at `sent_us`. `scoreboard` writes all of it."""

    start: int
    end: int
    sent_us: int  # when it was last sent
    copies: int  # retransmissions so far
    in_flight_twice: bool  # the copy before the last was not judged lost: both are on their way
    lost: bool  # judged lost, and not sent again since
    sacked: bool  # delivered, beyond a hole
    # the state of delivery when it was sent (see `recovery.delivery_rate`)
    delivered: int
    delivered_us: int
    first_sent_us: int
    app_limited: bool
    tx_in_flight: int
    lost_before: int

    __slots__ = tuple(__annotations__)

    def __init__(
        self, start: int, end: int, sent_us: int, copies: int, like: SentRange | None = None
    ) -> None:
        """`like`: the range that it was a part of, whose fate it shares."""
        self.start = start
        self.end = end
        self.sent_us = sent_us
        self.copies = copies
        if like is None:
            self.in_flight_twice = self.lost = self.sacked = False
            self.delivered = self.delivered_us = self.first_sent_us = 0
            self.app_limited = False
            self.tx_in_flight = self.lost_before = 0
        else:
            self.in_flight_twice = like.in_flight_twice
            self.lost = like.lost
            self.sacked = like.sacked
            self.delivered = like.delivered
            self.delivered_us = like.delivered_us
            self.first_sent_us = like.first_sent_us
            self.app_limited = like.app_limited
            self.tx_in_flight = like.tx_in_flight
            self.lost_before = like.lost_before
