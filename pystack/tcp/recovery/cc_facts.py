"""What the congestion control is told: of each ACK an `AckSample`, of each loss what was in flight.

Writes `delivery_rate`, `delivery_app_limited` and the sample, which a stack's connections share.
"""

from __future__ import annotations

from typing import Final

from pystack.cc.base import LOSS, OPEN
from pystack.tcp.recovery import cwnd_validation, delivery_rate
from pystack.tcp.scoreboard.ack_result import AckResult
from pystack.tcp.tcb import Tcb
from pystack.tcp.timing import pacing

_GROWS: Final = (OPEN, LOSS)


def tell(
    tcb: Tcb, ack: AckResult, before: int, acked: int, flight: int, prior_pipe: int,
    newly_lost: int, now_us: int,
) -> None:  # fmt: skip
    """Tell the congestion control; `before` was the state when the ACK came."""
    cc = tcb.cc
    board = tcb.scoreboard
    sample = tcb.shared.sample
    recovery = tcb.recovery
    if newly_lost and cc.wants_losses:
        tell_losses(tcb, now_us)
    sample.now_us = now_us
    sample.acked = acked
    sample.newly_delivered = ack.newly_delivered
    sample.newly_lost = newly_lost
    sample.flight = flight
    sample.prior_pipe = prior_pipe
    sample.pipe = tcb.pipe
    sample.ce_bytes = tcb.ce_bytes
    sample.delivered = board.delivered
    sample.lost = board.lost
    sample.min_rtt_us = tcb.min_rtt_us
    sample.srtt_us = tcb.srtt_us
    sample.recovery = recovery
    delivery_rate.take_sample(board, ack, sample, now_us)
    sample.cwnd_limited = before == LOSS or cwnd_validation.is_used(tcb)
    rate = sample.delivery_rate
    if rate and (not sample.app_limited or rate >= tcb.delivery_rate):
        tcb.delivery_rate = rate
        tcb.delivery_app_limited = sample.app_limited
    cc.on_sample(sample)
    # by blocks alone only where much reordering was seen (Linux: tcp_may_raise_cwnd)
    grows = acked or (sample.newly_delivered and board.reordering > tcb.config.tcp_reordering)
    if grows and before in _GROWS and recovery in _GROWS:
        if not tcb.ce_bytes or cc.scalable:  # no time to grow (RFC 3168 §6.1.2)
            cc.on_ack(sample)
    pacing.update(tcb)


def tell_losses(tcb: Tcb, now_us: int) -> None:
    """Tell a congestion control that wants to know of each range that was just found lost."""
    board = tcb.scoreboard
    losses = board.result.losses
    sample = tcb.shared.sample
    sample.now_us = now_us
    sample.delivered = board.delivered
    sample.pipe = tcb.pipe
    for length, lost, sent in losses:
        sample.lost = lost
        delivery_rate.take_lost(sent, sample)
        tcb.cc.on_lost(length, sample)
    losses.clear()
