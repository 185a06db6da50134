"""All that was sent and is not acknowledged cumulatively, and what can be asked of it.

`scoreboard` writes it, but for the facts for loss detection.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from pystack.tcp.scoreboard.ack_result import NEVER, AckResult
from pystack.tcp.scoreboard.send_order import SendOrder
from pystack.tcp.scoreboard.sent_range import SentRange

_MANY_RANGES: Final = 1024
_LEAST_MSS: Final = 48
_DUP_THRESH: Final = 3


class InFlight:
    """Ranges that follow each other without a gap, found by bisection, and the totals of the
    connection in bytes."""

    _ranges: list[SentRange]
    _starts: list[int]  # where each begins
    _first: int  # index of the first range still held
    fack: int  # the highest number delivered so far
    result: AckResult  # of the present ACK
    send_order: SendOrder
    _lost_starts: list[int]  # heap: where lost ranges begin or began
    _last_us: int  # when something was sent last, and where it ended
    _last_end: int
    lost_bytes: int  # judged lost, and not sent again since
    sacked_bytes: int  # delivered beyond a hole
    retransmitted_bytes: int  # on their way, and sent more than once
    duplicate_bytes: int  # of these, on their way twice
    # degree in segments and how often it was seen; `recovery.reordering` writes them
    reordering: int
    reord_seen: int
    retransmission_lost_us: int  # when the last retransmission left that this ACK shows lost
    # totals, and marks of delivery (see `recovery.delivery_rate`, which writes the last one)
    delivered: int
    lost: int
    delivered_us: int
    first_sent_us: int
    app_limited_until: int
    # facts for the detector: `recovery` sets them before it asks
    mss: int
    srtt_us: int
    min_rtt_us: int
    in_recovery: bool
    echoed_us: int  # the present ACK, by its timestamp, answers what was sent before this
    # set by `output`
    data_end: int  # the number behind the last octet of payload, where a FIN may be

    __slots__ = tuple(__annotations__)

    def __init__(self, result: AckResult, reordering: int = _DUP_THRESH) -> None:
        """`result` is filled anew by each ACK: all scoreboards of a stack may have the same.
        `reordering` is the degree of it that is assumed, in segments."""
        self._ranges = []
        self._starts = []
        self._first = self.fack = 0
        self.result = result
        self.send_order = SendOrder()
        self._lost_starts = []
        self._last_us = self._last_end = 0
        self.lost_bytes = self.sacked_bytes = self.retransmitted_bytes = self.duplicate_bytes = 0
        self.reordering = reordering
        self.reord_seen = 0
        self.retransmission_lost_us = 0
        self.delivered = self.lost = 0
        self.delivered_us = self.first_sent_us = self.app_limited_until = 0
        self.mss = self.srtt_us = self.min_rtt_us = 0
        self.in_recovery = False
        self.echoed_us = NEVER
        self.data_end = NEVER

    def head(self) -> SentRange | None:
        """The range with the lowest numbers."""
        return self._ranges[self._first] if self._first < len(self._ranges) else None

    def has_reneged(self) -> bool:
        """Whether the receiver has dropped what it had reported: the ACK does not cover it."""
        return self._first < len(self._ranges) and self._ranges[self._first].sacked

    def tail(self) -> SentRange | None:
        """The range with the highest numbers that were not delivered."""
        for index in range(len(self._ranges) - 1, self._first - 1, -1):
            if not self._ranges[index].sacked:
                return self._ranges[index]
        return None

    def is_out(self, start: int, end: int, sent_us: int) -> bool:
        """Whether anything in [start, end) that was sent at `sent_us` is still on its way."""
        ranges = self._ranges
        index = self._at_or_above(start)
        while index < len(ranges):
            sent = ranges[index]
            if sent.start >= end:
                return False
            if sent.sent_us == sent_us and sent.end > start and not sent.lost and not sent.sacked:
                return True
            index += 1
        return False

    def first_not_retransmitted(self, floor: int, below: int) -> SentRange | None:
        """The first range in [floor, below) that was neither delivered nor retransmitted, nor is
        lost."""
        for index in range(self._at_or_above(floor), len(self._ranges)):
            sent = self._ranges[index]
            if sent.start >= below:
                return None
            if not sent.sacked and not sent.copies and not sent.lost:
                return sent
        return None

    def delivered_from_top(self, length: int, blocks: int) -> int:
        """The number above which more than `length` bytes, or `blocks` separate blocks, were
        delivered; 0 if that is nowhere (RFC 6675 §4, IsLost)."""
        delivered = 0
        seen = 0
        for index in range(self._index(self.fack - 1), self._first - 1, -1):
            sent = self._ranges[index]
            if sent.sacked:
                delivered += sent.end - sent.start
                seen += 1
                if delivered > length or seen >= blocks:
                    return sent.start
        return 0

    def _index(self, seq: int) -> int:
        """The index of the range that has `seq`; below the first one, if none has."""
        return bisect_right(self._starts, seq, self._first) - 1

    def _at_or_above(self, seq: int) -> int:
        """The index of the range that has `seq`, or of the first one."""
        return max(bisect_right(self._starts, seq, self._first) - 1, self._first)

    def _is_crowded(self) -> bool:
        """Whether there are many more ranges than segments in flight: a peer that reports tiny
        blocks (as in CVE-2019-11478) must not make a range of each. Whole ones are marked then."""
        count = len(self._ranges) - self._first
        if count < _MANY_RANGES:
            return False
        flight = self._ranges[-1].end - self._ranges[self._first].start
        return count > 2 * flight // max(self.mss, _LEAST_MSS)
