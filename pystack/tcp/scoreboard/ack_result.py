"""What one ACK has told, by its number and by its SACK blocks, and what was found lost with it."""

from __future__ import annotations

from typing import Final

from pystack.tcp.scoreboard.sent_range import SentRange

NEVER: Final = 1 << 80  # above all numbers and times


class AckResult:
    """One object of a stack, filled anew by each ACK: read it, don't keep it.

    The newest delivery is the one that was sent last, the higher number counting among those that
    were sent together.
    """

    newly_delivered: int  # bytes, each counted once
    newly_sacked: int  # of these, bytes beyond a hole
    rtt_us: int  # of the newest range below the ACK; -1 if any was sent more than once (Karn)
    sack_rtt_us: int  # of the last range that a block has brought and that was sent once, or -1
    retransmission_acked: bool  # the ACK's number covers a range that was sent more than once
    first_copy_end: int  # where the first delivery ends that was never retransmitted, or NEVER
    newest: SentRange | None  # the newest delivery
    newest_end: int  # where what was delivered of it ends
    newest_copies: int  # how often it had been retransmitted
    newest_original: SentRange | None  # if `newest` is a retransmission: the newest that is none
    newest_original_end: int
    reord_acked: int  # the lowest number that came late, not sent again: below the ACK, or NEVER
    reord_sacked: int  # the same by a block
    losses: list[tuple[int, int, SentRange]]  # bytes, `lost` with them, and what was found lost

    __slots__ = tuple(__annotations__)

    def __init__(self) -> None:
        self.newly_delivered = self.newly_sacked = 0
        self.rtt_us = self.sack_rtt_us = -1
        self.retransmission_acked = False
        self.first_copy_end = NEVER
        self.newest = self.newest_original = None
        self.newest_end = self.newest_original_end = self.newest_copies = 0
        self.reord_acked = self.reord_sacked = NEVER
        self.losses = []

    def clear(self) -> None:
        """Nothing is told yet."""
        self.newly_delivered = 0
        self.newly_sacked = 0
        self.rtt_us = -1
        self.sack_rtt_us = -1
        self.retransmission_acked = False
        self.first_copy_end = NEVER
        self.newest = None
        self.newest_original = None
        self.reord_acked = NEVER
        self.reord_sacked = NEVER
        if self.losses:
            self.losses.clear()

    def overtaken(self, start: int, by_sack: bool) -> None:
        """What begins at `start` was sent once, and something that was sent later came before."""
        if by_sack:
            self.reord_sacked = min(self.reord_sacked, start)
        else:
            self.reord_acked = min(self.reord_acked, start)

    def deliver(self, sent: SentRange, start: int, end: int, by_sack: bool, now_us: int) -> None:
        """Numbers [start, end) of `sent` are delivered, for the first time; `by_sack`: beyond a
        hole."""
        self.newly_delivered += end - start
        sent_us = sent.sent_us
        copies = sent.copies
        if by_sack:
            self.newly_sacked += end - start
            if not copies:
                self.sack_rtt_us = now_us - sent_us
        else:
            if copies:
                self.retransmission_acked = True
            self.rtt_us = -1 if self.retransmission_acked else now_us - sent_us
        newest = self.newest
        if newest is None or sent_us > newest.sent_us or (
            sent_us == newest.sent_us and end > self.newest_end
        ):
            if copies and newest is not None and not self.newest_copies:
                self.newest_original = newest
                self.newest_original_end = self.newest_end
            self.newest = sent
            self.newest_end = end
            self.newest_copies = copies
        elif self.newest_copies and not copies:
            original = self.newest_original
            if original is None or (
                (sent_us, end) > (original.sent_us, self.newest_original_end)
            ):
                self.newest_original = sent
                self.newest_original_end = end
        if not copies and end < self.first_copy_end:
            self.first_copy_end = end
