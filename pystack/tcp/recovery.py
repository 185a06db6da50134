"""Loss recovery: what is lost and when to cut the window (RFC 5681 §3.2, 6582, 3042, 6298 §5).

Writes `dup_acks`, `dup_bytes`, `limited_from`, `last_sack`, `recover`, `recovery`, `marked_until`,
`retransmits`, `retrans_since_us`. The congestion control owns cwnd and ssthresh; this file tells
it. Instead of inflating cwnd by a segment per duplicate ACK, the same octets are counted in
`dup_bytes` as having left the network, so `pipe` falls and `output` may send: flight <= cwnd +
dup_bytes.
"""

from __future__ import annotations

from typing import Final

from pystack.tcp import ecn, timers
from pystack.tcp.tcb import RETRANSMIT_NOW, Tcb
from pystack.wire.segment import Segment
from pystack.wire.seq import unwrap

OPEN: Final = 0
FAST: Final = 1  # fast recovery
LOSS: Final = 2  # after a retransmission timeout

DUP_THRESH: Final = 3


def on_dup_ack(tcb: Tcb, seg: Segment, now_us: int) -> None:
    """A duplicate ACK by RFC 5681 §2; under SACK it must bring news (RFC 3042 §2, 6675 §2)."""
    if tcb.recovery == LOSS or (tcb.sack_ok and not _brings_news(tcb, seg)):
        return
    tcb.dup_acks += 1
    if tcb.dup_acks == 1:
        tcb.limited_from = tcb.snd_nxt
    mss = tcb.eff_mss
    if tcb.recovery != OPEN:
        tcb.dup_bytes += mss
    elif tcb.dup_acks < DUP_THRESH:
        tcb.dup_bytes += mss  # limited transmit (RFC 3042): one new segment each
    elif tcb.dup_acks == DUP_THRESH:
        if tcb.snd_una > tcb.recover or tcb.recover == tcb.iss:
            _enter_fast_recovery(tcb, now_us)
        else:
            tcb.dup_bytes = 0  # needless repeats after a timeout (RFC 6582 §3.2 step 1)
    if tcb.dup_bytes > tcb.snd_nxt - tcb.snd_una:
        tcb.dup_bytes = tcb.snd_nxt - tcb.snd_una


def _brings_news(tcb: Tcb, seg: Segment) -> bool:
    """Whether the first SACK block, the one of the newest arrival, is neither a report of a
    duplicate (RFC 2883) nor the one of the last ACK."""
    if not seg.n_sack:
        return False
    blocks = seg.sack_blocks()
    una = tcb.snd_una
    left, right = unwrap(blocks[0][0], una), unwrap(blocks[0][1], una)
    if right <= una or blocks[0] == tcb.last_sack:
        return False
    if len(blocks) > 1 and unwrap(blocks[1][0], una) <= left and right <= unwrap(blocks[1][1], una):
        return False
    tcb.last_sack = blocks[0]
    return True


def _enter_fast_recovery(tcb: Tcb, now_us: int) -> None:
    # what limited transmit sent must not count in FlightSize (RFC 3042 §2)
    flight = tcb.limited_from - tcb.snd_una
    tcb.recover = tcb.snd_nxt
    tcb.recovery = FAST
    tcb.dup_bytes = DUP_THRESH * tcb.eff_mss
    tcb.cc.on_enter_recovery(flight, now_us)
    ecn.window_cut(tcb)
    tcb.shared.counters.fast_retrans += 1
    _retransmit_first(tcb)


def _retransmit_first(tcb: Tcb) -> None:
    tcb.scoreboard.mark_first_lost(tcb.eff_mss)
    tcb.pending |= RETRANSMIT_NOW


def on_new_ack(tcb: Tcb, acked: int, rtt_us: int, flight: int, now_us: int) -> None:
    """SND.UNA has moved by `acked`; `flight` were outstanding before."""
    tcb.retransmits = 0
    tcb.retrans_since_us = 0
    if not tcb.scoreboard.lost_bytes:
        tcb.pending &= ~RETRANSMIT_NOW
    recovery = tcb.recovery
    if recovery == OPEN:
        if tcb.dup_acks:
            tcb.dup_acks = 0
            tcb.dup_bytes = 0
        _grow(tcb, acked, rtt_us, flight, now_us, False)
        return
    if tcb.snd_una >= tcb.recover:
        tcb.recovery = OPEN
        tcb.dup_acks = 0
        tcb.dup_bytes = 0
        if recovery == LOSS:
            _grow(tcb, acked, rtt_us, flight, now_us, True)
        else:
            # RFC 6582 §3.2 step 3, first option: no burst when little is outstanding
            mss = tcb.eff_mss
            tcb.cc.on_exit_recovery(max(tcb.snd_nxt - tcb.snd_una, mss) + mss, now_us)
        return
    if recovery == LOSS:
        _grow(tcb, acked, rtt_us, flight, now_us, True)
        return
    # partial ACK: the next hole is lost too; deflate by what was acknowledged, less one MSS
    mss = tcb.eff_mss
    if acked >= mss:
        acked -= mss
    tcb.dup_bytes = max(tcb.dup_bytes - acked, 0)
    _retransmit_first(tcb)


def _grow(tcb: Tcb, acked: int, rtt_us: int, flight: int, now_us: int, limited: bool) -> None:
    cc = tcb.cc
    if tcb.snd_una <= tcb.marked_until or (tcb.ce_bytes and not cc.scalable):
        return  # the peer echoes a mark: this is no time to grow (RFC 3168 §6.1.2)
    sample = tcb.sample
    sample.now_us = now_us
    sample.acked = acked
    sample.ce_bytes = tcb.ce_bytes
    sample.flight = flight
    sample.pipe = tcb.pipe
    sample.rtt_us = rtt_us
    sample.min_rtt_us = tcb.min_rtt_us
    # Linux: in slow start, more than half of the window in use is use enough
    sample.cwnd_limited = (
        limited or tcb.cwnd_limited or (cc.cwnd < cc.ssthresh and 2 * flight > cc.cwnd)
    )
    cc.on_ack(sample)


def on_mark(tcb: Tcb, flight: int, now_us: int) -> None:
    """The ACK that was just taken echoes a mark: cut the window as for a loss, once for what was
    in flight then (RFC 3168 §6.1.2). `flight` were outstanding before it."""
    cc = tcb.cc
    if cc.scalable:
        return  # it has counted the marks itself
    if cc.cwnd <= tcb.eff_mss:
        ecn.hold(tcb)
        timers.arm_rto(tcb, now_us + tcb.rto_us)
    elif tcb.recovery == OPEN and tcb.snd_una > tcb.marked_until:
        tcb.marked_until = tcb.snd_nxt
        cc.on_ecn(flight, now_us)
        ecn.window_cut(tcb)


def on_rto(tcb: Tcb, now_us: int) -> None:
    """The retransmission timer expired: all in flight is lost, start over with one segment."""
    tcb.shared.counters.timeouts += 1
    first = tcb.retransmits == 0
    tcb.cc.on_rto(tcb.snd_nxt - tcb.snd_una, first, now_us)
    ecn.window_cut(tcb)
    tcb.recover = tcb.snd_nxt
    tcb.recovery = LOSS
    tcb.dup_acks = 0
    tcb.dup_bytes = 0
    tcb.scoreboard.mark_all_lost()
    note_retransmit(tcb, now_us)
    tcb.pending |= RETRANSMIT_NOW


def note_retransmit(tcb: Tcb, now_us: int) -> None:
    """Count a timeout's retransmission; the time of the first one is kept for R2."""
    tcb.retransmits += 1
    if not tcb.retrans_since_us:
        tcb.retrans_since_us = now_us


def on_established(tcb: Tcb) -> None:
    """The handshake's own repeats don't count for the data that follows."""
    tcb.retransmits = 0
    tcb.retrans_since_us = 0
    tcb.recover = tcb.iss


def on_path_mtu(tcb: Tcb) -> None:
    """Segments in flight are too large for the path: send them again, re-cut; no congestion
    (RFC 8201 §5.4)."""
    tcb.scoreboard.mark_all_lost()
    tcb.recover = tcb.snd_nxt
    tcb.dup_acks = 0
    tcb.dup_bytes = 0
    tcb.pending |= RETRANSMIT_NOW
