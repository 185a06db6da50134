"""SEGMENT ARRIVES in SYN_SENT (RFC 9293 §3.10.7.3), simultaneous open included."""

from __future__ import annotations

from errno import ECONNREFUSED
from typing import Final

from pystack.events import EVENT_WRITABLE
from pystack.tcp.ecn import ecn
from pystack.tcp.fastopen import active
from pystack.tcp.header import options, timestamps
from pystack.tcp.input import ack, handshake, receive
from pystack.tcp.state.states import SYN_RECEIVED
from pystack.tcp.tcb import ACK_NOW, SEND_SYN, Tcb
from pystack.tcp.timing import timers
from pystack.tcp.transitions import end, set_state
from pystack.wire.consts import (
    ACK,
    DROP_BAD_ACK,
    DROP_NO_ACK,
    HAS_EXPERIMENT,
    HAS_TIMESTAMPS,
    RST,
    SYN,
)
from pystack.wire.segment import Segment
from pystack.wire.seq import HALF, MASK

_SOON_US: Final = 2000  # TCP_TIMEOUT_MIN, two ticks of Linux's clock
# what the caller of `segment_arrives` is to do with the segment
HANDLED: Final = 0
ANSWER_WITH_RST: Final = 1  # as for a stranger: <SEQ=SEG.ACK><CTL=RST>


def on_segment_in_syn_sent(tcb: Tcb, seg: Segment, now_us: int) -> int:
    """HANDLED or ANSWER_WITH_RST, as `segment_arrives`."""
    flags = seg.flags
    # first: the ACK bit
    acceptable = False
    if flags & ACK:
        una = tcb.snd_una
        seg_ack = una + ((seg.ack - una + HALF) & MASK) - HALF
        if seg_ack <= tcb.iss or seg_ack > tcb.snd_nxt:
            tcb.shared.counters.dropped[DROP_BAD_ACK] += 1
            if not tcb.retransmits:
                # of an old connection, which our RST ends: the SYN again at once (Linux)
                timers.arm_rto(tcb, now_us + _SOON_US)
            return HANDLED if flags & RST else ANSWER_WITH_RST
        acceptable = True
        if tcb.ts_ok and seg.options & HAS_TIMESTAMPS and seg.tsecr:
            age = (options.now_ts(tcb, now_us) - seg.tsecr) & MASK
            if age > now_us // 1000 - tcb.opened_us // 1000:  # never sent (Linux: PAWSActive)
                return HANDLED if flags & RST else ANSWER_WITH_RST
    # second: the RST bit
    if flags & RST:
        if acceptable:
            tcb.shared.counters.attempt_fails += 1
            end(tcb, ECONNREFUSED)
        else:
            tcb.shared.counters.dropped[DROP_NO_ACK] += 1
        return HANDLED
    # third: security and compartment are not used on the Internet
    # fourth: the SYN bit
    if not flags & SYN:
        tcb.shared.counters.dropped[DROP_NO_ACK] += 1
        return HANDLED
    tcb.set_receive_sequence(seg.seq)
    if seg.options & HAS_EXPERIMENT and tcb.option is not None:
        tcb.option.take(seg, now_us)
    if acceptable:
        ecn.on_syn_ack(tcb, seg)
    else:
        ecn.on_syn(tcb, seg)
    options.agree(tcb, seg)
    if tcb.ts_ok:
        timestamps.first(tcb, seg.tsval, now_us)
    if acceptable:
        ack.syn_acked(tcb, seg, now_us)
        if seg_ack > tcb.snd_una:
            ack.syn_data_acked(tcb, seg_ack, now_us)
        ack.first_window(tcb, seg, seg.seq)
        handshake.become_established(tcb, now_us)
        if tcb.fast_open is not None:
            tcb.events |= EVENT_WRITABLE  # what did not go with the SYN
            if active.on_syn_ack(tcb, tcb.fast_open, seg, now_us):
                receive.on_syn_payload(tcb, seg, now_us)
        tcb.pending |= ACK_NOW
        return HANDLED
    # a SYN alone: both sides are opening at the same time (§3.5, MUST-10)
    ack.first_window(tcb, seg, seg.seq)
    set_state(tcb, SYN_RECEIVED)
    tcb.pending |= SEND_SYN
    return HANDLED
