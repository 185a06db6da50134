"""Delivery-rate samples: how fast data reaches the peer (draft-ietf-ccwg-bbr, "Delivery Rate
Samples"; Linux: tcp_rate.c).

The rate is what was delivered between the sending of the newest data of an ACK and now, over the
longer of the two times that it took to send and to acknowledge it. Writes the scoreboard's
`app_limited_until`.
"""

from __future__ import annotations

from pystack.cc.base import AckSample
from pystack.tcp.scoreboard.ack_result import AckResult
from pystack.tcp.scoreboard.scoreboard import Scoreboard
from pystack.tcp.scoreboard.sent_range import SentRange
from pystack.tcp.tcb import Tcb


def take_sample(board: Scoreboard, ack: AckResult, sample: AckSample, now_us: int) -> None:
    """Put the rate that the present ACK shows into `sample`."""
    newest = ack.newest
    if newest is None:
        sample.delivery_rate = 0
        sample.interval_us = 0
        sample.rtt_us = -1
        sample.prior_delivered = 0
        sample.prior_lost = 0
        sample.tx_in_flight = 0
        sample.app_limited = False
        return
    delivered = board.delivered
    if board.app_limited_until and delivered > board.app_limited_until:
        board.app_limited_until = 0
    sent_us = newest.sent_us
    prior_delivered = newest.delivered
    send_us = sent_us - newest.first_sent_us
    ack_us = now_us - newest.delivered_us
    interval_us = send_us if send_us > ack_us else ack_us
    board.rate_sampled(sent_us, now_us)
    sample.rtt_us = now_us - sent_us if not ack.newest_copies else -1
    sample.prior_delivered = prior_delivered
    sample.prior_lost = newest.lost_before
    sample.tx_in_flight = newest.tx_in_flight
    sample.app_limited = newest.app_limited
    if interval_us <= 0 or interval_us < sample.min_rtt_us:
        sample.delivery_rate = 0  # shorter than any round trip: merged or early ACKs
        sample.interval_us = 0
    else:
        sample.delivery_rate = (delivered - prior_delivered) * 1_000_000 // interval_us
        sample.interval_us = interval_us


def take_lost(sent: SentRange, sample: AckSample) -> None:
    """Put into `sample` what was so when the range left that is lost now."""
    sample.prior_delivered = sent.delivered
    sample.prior_lost = sent.lost_before
    sample.tx_in_flight = sent.tx_in_flight
    sample.app_limited = sent.app_limited


def check_app_limited(tcb: Tcb) -> None:
    """The application writes, and less than a segment waited to be sent. Unless the window was full
    or losses were to be repaired, what goes up to here tells nothing of the network's rate."""
    board = tcb.scoreboard
    pipe = tcb.pipe
    if pipe < tcb.cc.cwnd and not board.lost_bytes:
        board.app_limited_until = board.delivered + pipe or 1
