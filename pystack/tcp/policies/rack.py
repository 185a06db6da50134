"""RACK: losses by time (RFC 8985 §6). What was sent well before something that was delivered, and
has not been delivered itself, is lost; "well" being a round trip and a reordering window.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.compiling import mypyc_attr
from pystack.tcp.policies.contracts import LossDetection
from pystack.tcp.scoreboard.ack_result import AckResult
from pystack.tcp.scoreboard.scoreboard import Scoreboard

KEPT_RECOVERIES: Final = 16  # a widened window is kept so long (§6.2, step 4)


@mypyc_attr(allow_interpreted_subclasses=True)
class Rack(LossDetection):
    """RFC 8985, with Linux's choices: no window while no reordering was seen and three segments
    were delivered beyond the hole or a recovery is on; else min_rtt/4, more with each round trip in
    which needless retransmissions are reported, SRTT at the most."""

    uses_tlp: ClassVar[bool] = True

    __slots__ = ("xmit_us", "end_seq", "rtt_us", "reo_wnd_mult", "reo_wnd_persist", "_dsack_until")

    def __init__(self) -> None:
        super().__init__()
        self.xmit_us = 0  # RACK.xmit_ts, RACK.end_seq: the last sent of all that was delivered
        self.end_seq = 0
        self.rtt_us = 0
        self.reo_wnd_mult = 1
        self.reo_wnd_persist = 0  # recoveries that the multiplier still lasts
        self._dsack_until = 0  # RACK.dsack_round: SND.NXT at the last D-SACK

    def on_ack(self, board: Scoreboard, ack: AckResult, now_us: int) -> None:
        """Steps 1 and 2: remember the most recently sent of what was delivered."""
        newest = ack.newest
        if newest is None:
            return
        end = ack.newest_end
        sent_us = newest.sent_us
        if ack.newest_copies and (
            now_us - sent_us < board.min_rtt_us or sent_us >= board.echoed_us
        ):  # more likely the first copy was delivered
            newest = ack.newest_original
            if newest is None:
                return
            end = ack.newest_original_end
            sent_us = newest.sent_us
        self.rtt_us = now_us - sent_us
        if sent_us > self.xmit_us or (sent_us == self.xmit_us and end > self.end_seq):
            self.xmit_us = sent_us
            self.end_seq = end

    def reo_wnd_us(self, board: Scoreboard) -> int:
        """Step 4: how much later than a round trip a segment may come."""
        if not board.reord_seen:
            if board.in_recovery or board.sacked_bytes >= board.reordering * board.mss:
                return 0
        return min(board.min_rtt_us // 4 * self.reo_wnd_mult, board.srtt_us)

    def detect(self, board: Scoreboard, now_us: int) -> None:
        """Step 5: mark what is overdue; `look_at_us` is when the next is."""
        self.look_at_us = 0
        send_order = board.send_order
        oldest = send_order.oldest()
        xmit_us = self.xmit_us
        if oldest is None or oldest[0] > xmit_us or not (
            board.sacked_bytes
            or board.retransmitted_bytes
            or board.lost_bytes
            or oldest[0] < xmit_us
        ):
            return  # only in order: nothing that was sent earlier is missing
        allowed_us = self.rtt_us + self.reo_wnd_us(board)
        end_seq = self.end_seq
        while oldest is not None:
            sent_us, start, end = oldest
            if sent_us > xmit_us or (sent_us == xmit_us and start >= end_seq):
                return
            stop = min(end, end_seq) if sent_us == xmit_us else end
            if sent_us + allowed_us > now_us:
                if board.is_out(start, stop, sent_us):
                    self.look_at_us = sent_us + allowed_us
                    return
            else:
                board.mark_sent_lost(start, stop, sent_us)
            if stop < end:
                send_order.drop_oldest(stop)
                return
            send_order.drop_oldest()
            oldest = send_order.oldest()

    def on_duplicate(self, board: Scoreboard, una: int, snd_nxt: int) -> None:
        """Once per round trip with a needless retransmission: a quarter of min_rtt more."""
        if una >= self._dsack_until:
            self._dsack_until = max(snd_nxt, una + 1)
            self.reo_wnd_mult += 1
            self.reo_wnd_persist = KEPT_RECOVERIES

    def on_recovered(self, board: Scoreboard) -> None:
        if self.reo_wnd_persist:
            self.reo_wnd_persist -= 1
            if not self.reo_wnd_persist:
                self.reo_wnd_mult = 1

    def on_timeout(self, board: Scoreboard, now_us: int) -> None:
        """§6.3: the head is lost, and whatever was sent longer ago than a round trip and the
        window; the others may still be on their way."""
        self.look_at_us = 0
        head = board.head()
        if head is None:
            return
        board.mark_first_lost(board.mss)
        board.mark_all_lost(now_us - self.rtt_us - self.reo_wnd_us(board) + 1)
