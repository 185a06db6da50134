"""What of the data in flight is lost: the contract of loss detection, and RFC 6675's and NewReno's.

A detector is told of each ACK, and of its own timer; it judges by what the scoreboard knows and
marks there. What follows from a loss (cutting the window, what goes next and how fast, undoing it
all) is `recovery`'s and the same for all. RACK, the default, has a file of its own.
"""

from __future__ import annotations

from typing import ClassVar

from pystack.compiling import mypyc_attr
from pystack.tcp.policies.contracts import LossDetection
from pystack.tcp.scoreboard.ack_result import AckResult
from pystack.tcp.scoreboard.scoreboard import Scoreboard
from pystack.tcp.scoreboard.sent_range import SentRange


@mypyc_attr(allow_interpreted_subclasses=True)
class NewReno(LossDetection):
    """RFC 6582: duplicate ACKs alone; SACK blocks are not looked at."""

    uses_sack: ClassVar[bool] = False

    __slots__ = ()


@mypyc_attr(allow_interpreted_subclasses=True)
class Rfc6675(LossDetection):
    """RFC 6675: lost is what has three separate blocks, or more than two segments, above it; the
    head also after three duplicate ACKs, however small what they report."""

    __slots__ = ("_dup_acks", "_head_seq", "_judged", "_rescue_seq")

    def __init__(self) -> None:
        super().__init__()
        self._dup_acks = 0  # DupAcks of §5: they brought news by SACK
        self._head_seq = 0
        self._judged = 0  # up to here everything was looked at
        self._rescue_seq = 0  # where the end began that was chosen by rule 4 of NextSeg

    def on_ack(self, board: Scoreboard, ack: AckResult, now_us: int) -> None:
        """Count the duplicate ACKs outside of recovery (§5, before step 1)."""
        head = board.head()
        if head is None:
            return
        if head.start != self._head_seq:
            self._head_seq = head.start
            self._dup_acks = 0
        if ack.newly_sacked:
            self._dup_acks += 1

    def detect(self, board: Scoreboard, now_us: int) -> None:
        """IsLost of §4, and step 1 of §5. The bound only moves up, so no number is looked at twice
        in one recovery."""
        if not board.in_recovery:
            self._judged = 0
            self._rescue_seq = 0
            if self._dup_acks >= self.dup_thresh:
                board.mark_first_lost(board.mss)
        if not board.sacked_bytes:
            return
        below = board.delivered_from_top((self.dup_thresh - 1) * board.mss, self.dup_thresh)
        if below > self._judged:
            board.mark_lost_below(below, self._judged)
            self._judged = below

    def extra(self, board: Scoreboard) -> SentRange | None:
        """NextSeg of §4: rule 3, a hole below the highest block that was not judged lost; rule 4,
        once in a recovery, the end of what is out, unless it was retransmitted already."""
        if board.sacked_bytes:
            run = board.first_not_retransmitted(self._judged, board.fack)
            if run is not None:
                return run
        run = board.tail()
        if run is None or run.copies or (self._rescue_seq and run.start != self._rescue_seq):
            return None
        run = board.cut_tail(board.mss)
        if run is not None:
            self._rescue_seq = run.start  # the same one until it has left
        return run
