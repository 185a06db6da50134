"""Segments without payload: ACKs, challenge ACKs, and probes of a zero window or an idle peer.

Writes `last_challenge_us`.
"""

from __future__ import annotations

from pystack.tcp.header.window import update_is_worth_it
from pystack.tcp.output import emit, sent
from pystack.tcp.policies.experimental_option import OPTIONS_MOST
from pystack.tcp.state.states import SYN_RECEIVED
from pystack.tcp.tcb import (
    ACK_NOW,
    ACK_SOON,
    ANY_ACK,
    CHALLENGE_ACK,
    KEEPALIVE_PROBE,
    WINDOW_PROBE,
    WINDOW_UPDATE,
    Tcb,
)
from pystack.tcp.timeouts import probes
from pystack.wire.batch import TxBatch
from pystack.wire.consts import PSH


def output_acks(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """What is left of the marks: window probe, keep-alive probe, ACK. False: the batch is full."""
    pending = tcb.pending
    if pending & WINDOW_PROBE:
        if not _window_probe(tcb, tx, now_us):
            return False
        tcb.pending &= ~(WINDOW_PROBE | ACK_NOW | ACK_SOON)
    if pending & KEEPALIVE_PROBE:
        if not empty(tcb, tx, tcb.snd_una - 1, now_us):
            return False
        tcb.pending &= ~KEEPALIVE_PROBE
    if pending & WINDOW_UPDATE:
        tcb.pending &= ~WINDOW_UPDATE
        if update_is_worth_it(tcb):
            tcb.pending |= ACK_NOW
    if tcb.pending & (ACK_NOW | ACK_SOON):
        if not empty(tcb, tx, tcb.snd_nxt, now_us):
            return False
        tcb.pending &= ~ANY_ACK
    elif tcb.pending & CHALLENGE_ACK:
        if tx.reserve(emit.tcb_headers(tcb) + OPTIONS_MOST) < 0:
            return False  # before the budget is touched
        tcb.pending &= ~CHALLENGE_ACK
        if _may_challenge(tcb, now_us):
            return empty(tcb, tx, tcb.snd_nxt, now_us)
    return True


def output_ack(tcb: Tcb, tx: TxBatch, now_us: int) -> None:
    """An ACK that must leave before the next segment of this connection is handled."""
    if tcb.state >= SYN_RECEIVED and empty(tcb, tx, tcb.snd_nxt, now_us):
        tcb.pending &= ~ANY_ACK


def empty(tcb: Tcb, tx: TxBatch, seq: int, now_us: int) -> bool:
    """An ACK without payload, numbered `seq`. False: the batch is full."""
    if not emit.segment(tcb, tx, seq, 0, 0, tcb.eff_mss, now_us):
        return False
    sent.empty_sent(tcb)
    return True


def _may_challenge(tcb: Tcb, now_us: int) -> bool:
    """One per `tcp_invalid_ratelimit` ms for a connection, and within the stack's budget."""
    limit_us = tcb.config.tcp_invalid_ratelimit * 1000
    if limit_us and tcb.last_challenge_us and now_us - tcb.last_challenge_us < limit_us:
        return False
    if not tcb.shared.take_challenge(now_us):
        return False
    tcb.last_challenge_us = now_us
    return True


def _window_probe(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """Zero window: an empty segment before SND.UNA (Linux). Where the window takes something, or
    payload was delayed: as much as may go, which is the override of §3.8.6.2.1."""
    nxt = tcb.snd_nxt
    mss = tcb.eff_mss
    room = min(tcb.snd_una + tcb.snd_wnd - nxt, tcb.sndbuf.end_seq - nxt, mss)
    if room > 0 and tcb.snd_una == nxt:
        if not emit.segment(tcb, tx, nxt, room, PSH, mss, now_us):
            return False
        sent.new_data_sent(tcb, nxt, nxt + room, room, mss, now_us)
        return True
    if tcb.snd_up > tcb.snd_una and not empty(tcb, tx, tcb.snd_una, now_us):
        return False  # acceptable to a shut window, so that it tells of urgent data (MUST-66)
    if not empty(tcb, tx, tcb.snd_una - 1, now_us):
        return False
    probes.probe_sent(tcb, now_us)
    return True
