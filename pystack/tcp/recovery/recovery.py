"""Loss recovery: what follows when something is lost, marked or was not lost after all.

RFC 5681 §3.2, 6582, 6675, 8985, 3042, 5682, 6298 §5. What is lost is judged by `tcb.loss` on the
scoreboard; how much may go during recovery, by `prr`; whether it was spurious, by `spurious`.
The congestion control owns cwnd and ssthresh; this file tells it. Writes `dup_acks`, `dup_bytes`,
`limited_from`, `recover`, `recovery`, `by_sack`, `reduced_us`, `retransmits`, `retrans_since_us`,
`delivery_rate`, `delivery_app_limited`.

Without SACK (or with the detector `newreno`) duplicate ACKs count: instead of inflating cwnd by a
segment for each, the same octets are counted in `dup_bytes` as having left the network, so `pipe`
falls and `output` may send: flight <= cwnd + dup_bytes.
"""

from __future__ import annotations

from typing import Final

from pystack.cc.base import CWR, FAST, LOSS, OPEN
from pystack.tcp.ecn import ecn
from pystack.tcp.header import options
from pystack.tcp.recovery import cwnd_validation, delivery_rate, prr, tlp, undo
from pystack.tcp.tcb import RETRANSMIT_NOW, Tcb
from pystack.tcp.timing import pacing, timers
from pystack.wire.segment import Segment
from pystack.wire.seq import unwrap

_GROWS: Final = (OPEN, LOSS)
_SOONEST_US: Final = 1000
_IN_RECOVERY: Final = (FAST, LOSS)


# -- what SACK blocks say --------------------------------------------------------------------------
def take_sack(tcb: Tcb, seg: Segment, ack: int, now_us: int) -> bool:
    """Put the SACK blocks of an ACK on the scoreboard; whether the first is a D-SACK.

    It is judged against this packet's own ACK number (RFC 2883 §5). Blocks are taken from the
    lowest up, so that several new ones are not mistaken for reordering.
    """
    una = tcb.snd_una
    snd_nxt = tcb.snd_nxt
    board = tcb.scoreboard
    blocks = [(unwrap(left, una), unwrap(right, una)) for left, right in seg.sack_blocks()]
    left, right = blocks[0]
    duplicate = left < right and (
        right <= ack or (len(blocks) > 1 and blocks[1][0] <= left and right <= blocks[1][1])
    )
    if duplicate:
        if left < tcb.snd_una - tcb.max_snd_wnd or right > snd_nxt:
            duplicate = False  # never sent, or too long ago to mean anything
        else:
            duplicate = undo.on_dsack(tcb, left, right)
        del blocks[0]
    if len(blocks) > 1:
        blocks.sort()
    for left, right in blocks:
        if una < right and left < right <= snd_nxt:
            board.sacked(left, right, now_us)
    return duplicate


# -- each ACK -----------------------------------------------------------------------------------
def on_ack(
    tcb: Tcb, seg: Segment, acked: int, flight: int, prior_pipe: int, duplicate: bool, now_us: int
) -> None:
    """An ACK was put on the scoreboard: SND.UNA has moved by `acked`, or SACK brought something.

    `flight` and `prior_pipe` are from before it; `duplicate`: it carries a D-SACK.
    """
    board = tcb.scoreboard
    lost_before = board.lost
    if acked:
        tcb.retransmits = 0
        tcb.retrans_since_us = 0
    if tcb.ecn is not None:
        ecn.on_delivery(tcb, tcb.ecn, seg, board.newly_delivered)
    if tcb.by_sack:
        _note_facts(tcb)
        if board.repeat_acked and tcb.ts_ok:
            board.echoed_us = options.echoed_us(tcb, seg, now_us)
        tcb.loss.on_ack(board, now_us)
        if tcb.tail_probe is not None and duplicate and tlp.came_twice(tcb, tcb.tail_probe, seg):
            pass  # a probe is no sign of reordering (Linux)
        elif duplicate:
            tcb.loss.on_duplicate(board, tcb.snd_una, tcb.snd_nxt)
        if tcb.tail_probe is not None and tlp.lost_one(tcb, tcb.tail_probe):
            _cut_once(tcb, flight, now_us)
    recovery = tcb.recovery
    if recovery == LOSS:
        _in_loss(tcb, seg, acked, duplicate, now_us)
    elif recovery != OPEN or (duplicate and tcb.undo.seq >= 0):
        _in_recovery(tcb, seg, acked, duplicate, now_us)
    if not tcb.by_sack:
        _after_ack_by_count(tcb, recovery, acked)
    elif tcb.snd_una < tcb.snd_nxt:
        _look_for_losses(tcb, flight, lost_before, now_us)
        if acked and board.has_reneged():
            timers.arm_rto(tcb, now_us + max(tcb.srtt_us >> 1, 10_000))
    else:
        timers.arm_rack(tcb, 0)
    if tcb.prr is not None:
        prr.on_ack(tcb, tcb.prr, board.newly_delivered, acked > 0 and board.lost == lost_before)
    if not board.lost_bytes:
        tcb.pending &= ~RETRANSMIT_NOW
    _tell(tcb, recovery, acked, flight, prior_pipe, board.lost - lost_before, now_us)


def _note_facts(tcb: Tcb) -> None:
    board = tcb.scoreboard
    board.mss = tcb.eff_mss
    board.srtt_us = tcb.srtt_us
    board.min_rtt_us = tcb.min_rtt_us
    board.in_recovery = tcb.recovery in _IN_RECOVERY


def _tell(
    tcb: Tcb, before: int, acked: int, flight: int, prior_pipe: int, newly_lost: int, now_us: int
) -> None:
    """Tell the congestion control; `before` was the state when the ACK came."""
    cc = tcb.cc
    board = tcb.scoreboard
    sample = tcb.shared.sample
    recovery = tcb.recovery
    sample.now_us = now_us
    sample.acked = acked
    sample.newly_delivered = board.newly_delivered
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
    delivery_rate.take_sample(board, sample, now_us)
    sample.cwnd_limited = before == LOSS or cwnd_validation.is_used(tcb)
    rate = sample.delivery_rate
    if rate and (not sample.app_limited or rate >= tcb.delivery_rate):
        tcb.delivery_rate = rate
        tcb.delivery_app_limited = sample.app_limited
    cc.on_sample(sample)
    if acked and before in _GROWS and recovery in _GROWS:
        if not tcb.ce_bytes or cc.scalable:  # no time to grow (RFC 3168 §6.1.2)
            cc.on_ack(sample)
    board.newest = board.newest_once = None
    pacing.update(tcb)


# -- the states ---------------------------------------------------------------------------------
def _look_for_losses(tcb: Tcb, flight: int, lost_before: int, now_us: int) -> None:
    """Let the detector judge; a loss begins recovery."""
    board = tcb.scoreboard
    loss = tcb.loss
    board.in_recovery = tcb.recovery in _IN_RECOVERY  # this ACK may have ended it
    loss.detect(board, now_us)
    at_us = loss.look_at_us
    if at_us or tcb.rack_at_us:
        if at_us and at_us <= now_us:
            at_us = now_us + _SOONEST_US  # it would be due for ever
        timers.arm_rack(tcb, at_us)
    if board.lost == lost_before:
        return
    recovery = tcb.recovery
    if recovery in (OPEN, CWR):
        _enter(tcb, flight, now_us)
    elif board.repeat_lost_us >= tcb.reduced_us:
        # a repeat was lost as well: a second sign of congestion (RFC 5681 §4.3)
        undo.forget(tcb)
        undo.frto_failed(tcb)
        tcb.recovery = FAST
        _cut(tcb, flight, now_us)


def _enter(tcb: Tcb, flight: int, now_us: int) -> None:
    """Begin fast recovery. A cut for a mark, still under way, is the only one (Linux)."""
    tcb.shared.counters.fast_retrans += 1
    tcb.pending |= RETRANSMIT_NOW
    timers.arm_tlp(tcb, 0)
    if tcb.recovery == CWR:
        tlp.forget(tcb)
        tcb.recovery = FAST
        tcb.recover = tcb.snd_nxt
        return
    undo.begin(tcb)
    tcb.recovery = FAST
    _cut(tcb, flight, now_us)


def _flight_to_cut(tcb: Tcb, flight: int) -> int:
    """FlightSize of RFC 5681 (4): without what limited transmit has sent (RFC 3042 §2), and with
    what the window would have taken, as several ACKs may be taken before more is sent."""
    cwnd = max(tcb.cc.cwnd, tcb.eff_mss)
    if tcb.cwnd_limited and tcb.sndbuf.end_seq > tcb.snd_nxt:
        return cwnd
    return min(flight, cwnd)


def _cut(tcb: Tcb, flight: int, now_us: int) -> None:
    cc = tcb.cc
    tlp.forget(tcb)
    tcb.recover = tcb.snd_nxt
    tcb.reduced_us = now_us
    cc.on_enter_recovery(_flight_to_cut(tcb, flight), now_us)
    ecn.window_cut(tcb)
    prr.begin(tcb)


def _cut_once(tcb: Tcb, flight: int, now_us: int) -> None:
    """A loss that is repaired already, by a tail loss probe (RFC 8985 §7.4.2)."""
    if tcb.recovery != OPEN:
        return
    undo.forget(tcb)
    cc = tcb.cc
    cc.on_enter_recovery(_flight_to_cut(tcb, flight), now_us)
    cc.on_exit_recovery(cc.ssthresh, now_us)
    ecn.window_cut(tcb)


def on_mark(tcb: Tcb, flight: int, now_us: int) -> None:
    """The ACK that was just taken echoes a mark: cut the window as for a loss, once for what was
    in flight then (RFC 3168 §6.1.2). `flight` were outstanding before it."""
    cc = tcb.cc
    if cc.scalable:
        return  # it has counted the marks itself
    if tcb.recovery != OPEN:
        return
    if cc.cwnd <= tcb.eff_mss:
        ecn.stop_until_rto(tcb)
        ecn.window_cut(tcb)  # or the echo would never end
        timers.arm_rto(tcb, now_us + tcb.rto_us)
    else:
        undo.forget(tcb)
        tcb.recovery = CWR
        tcb.recover = tcb.snd_nxt
        tcb.reduced_us = now_us
        cc.on_ecn(_flight_to_cut(tcb, flight), now_us)
        ecn.window_cut(tcb)
        prr.begin(tcb)
        if tcb.prr is not None:
            prr.on_ack(tcb, tcb.prr, tcb.scoreboard.newly_delivered, True)


def _in_recovery(tcb: Tcb, seg: Segment, acked: int, duplicate: bool, now_us: int) -> None:
    """In FAST or CWR, or soon after: is it over, or was it spurious?"""
    if tcb.undo.seq >= 0 and (acked or duplicate) and tcb.recovery != CWR:
        over = tcb.snd_una >= tcb.recover
        if undo.is_proven(tcb, seg, acked) and (over or not tcb.scoreboard.repeated_bytes):
            _undo(tcb, now_us)
            return
    # CWR lasts until something sent after the cut, perhaps with CWR, is acknowledged (Linux)
    if tcb.recovery != OPEN and tcb.snd_una >= tcb.recover + (tcb.recovery == CWR):
        _leave(tcb, now_us)


def _leave(tcb: Tcb, now_us: int) -> None:
    """All that was outstanding when it began is acknowledged."""
    cc = tcb.cc
    if tcb.recovery != LOSS:
        if tcb.by_sack or tcb.recovery == CWR:
            most = max(cc.ssthresh, tcb.eff_mss)
        else:  # RFC 6582 §3.2 step 3, first option: no burst when little is outstanding
            mss = tcb.eff_mss
            most = max(tcb.snd_nxt - tcb.snd_una, mss) + mss
        cc.on_exit_recovery(most, now_us)
    if tcb.recovery != CWR:
        tcb.loss.on_recovered(tcb.scoreboard)
    prr.end(tcb)
    tcb.recovery = OPEN
    tcb.dup_acks = 0
    tcb.dup_bytes = 0


def _undo(tcb: Tcb, now_us: int) -> None:
    """It was no loss: the windows, the marks and the timer are as before."""
    tcb.shared.counters.spurious_recoveries += 1
    board = tcb.scoreboard
    board.unmark_lost()
    if tcb.recovery != LOSS:
        board.note_reordering()  # Linux: what had overtaken it was mistaken for a loss
    tcb.loss.on_undone(board)
    undo.undo(tcb)
    if tcb.rto_at_us:
        timers.arm_rto(tcb, now_us + tcb.rto_us)
    prr.end(tcb)
    tcb.recovery = OPEN
    tcb.recover = tcb.snd_una
    tcb.retransmits = 0
    tcb.dup_acks = 0
    tcb.dup_bytes = 0


def _in_loss(tcb: Tcb, seg: Segment, acked: int, duplicate: bool, now_us: int) -> None:
    """After a retransmission timeout (RFC 5681 §3.1, F-RTO of RFC 5682 as Linux has it)."""
    if (acked or duplicate) and undo.is_proven(tcb, seg, acked):
        _undo(tcb, now_us)
        return
    recovered = tcb.snd_una >= tcb.recover
    if tcb.undo.frto:
        verdict = undo.frto_verdict(tcb, acked, recovered)
        if verdict == undo.SPURIOUS:
            _undo(tcb, now_us)
            return
        if verdict == undo.TRY_NEW:
            tcb.recover = tcb.snd_nxt
            return
    if recovered:
        undo.frto_failed(tcb)
        _leave(tcb, 0)


# -- without SACK ---------------------------------------------------------------------------------
def on_dup_ack(tcb: Tcb, now_us: int) -> None:
    """A duplicate ACK by RFC 5681 §2, where SACK does not count."""
    if tcb.recovery == LOSS:
        undo.frto_failed(tcb)
        if tcb.dup_bytes + tcb.recover < tcb.snd_nxt:  # for what was sent since (Linux)
            tcb.dup_bytes += tcb.eff_mss
        return
    tcb.dup_acks += 1
    if tcb.dup_acks == 1:
        tcb.limited_from = tcb.snd_nxt
    mss = tcb.eff_mss
    thresh = tcb.loss.dup_thresh
    if tcb.recovery == FAST:
        tcb.dup_bytes += mss
    elif tcb.dup_acks < thresh:
        if tcb.dup_acks < 3:
            tcb.dup_bytes += mss  # limited transmit (RFC 3042): one new segment each
    elif tcb.dup_acks == thresh:
        if tcb.snd_una > tcb.recover or tcb.recover == tcb.iss or tcb.recovery == CWR:
            tcb.dup_bytes = thresh * mss
            cut = tcb.recovery == OPEN
            _enter_by_count(tcb, cut, now_us)
        else:
            tcb.dup_bytes = 0  # needless repeats after a timeout (RFC 6582 §3.2 step 1)
    _bound_dup_bytes(tcb)


def _bound_dup_bytes(tcb: Tcb) -> None:
    """No more can have left the network than is out and not lost."""
    most = tcb.snd_nxt - tcb.snd_una - tcb.scoreboard.lost_bytes
    if tcb.dup_bytes > most:
        tcb.dup_bytes = most


def _enter_by_count(tcb: Tcb, cut: bool, now_us: int) -> None:
    if cut:
        undo.begin(tcb)
        # what limited transmit sent must not count in FlightSize (RFC 3042 §2)
        tcb.cc.on_enter_recovery(tcb.limited_from - tcb.snd_una, now_us)
    prr.end(tcb)
    tcb.recover = tcb.snd_nxt
    tcb.reduced_us = now_us
    tcb.recovery = FAST
    if cut:
        ecn.window_cut(tcb)
    tcb.shared.counters.fast_retrans += 1
    _repeat_first(tcb)


def _repeat_first(tcb: Tcb) -> None:
    tcb.scoreboard.mark_first_lost(tcb.eff_mss)
    tcb.pending |= RETRANSMIT_NOW


def _after_ack_by_count(tcb: Tcb, before: int, acked: int) -> None:
    if not acked:
        return
    if tcb.recovery == LOSS:
        # the repeat was one segment of it, what duplicates have told of the rest
        tcb.dup_bytes = max(tcb.dup_bytes - max(acked - tcb.eff_mss, 0), 0)
        _bound_dup_bytes(tcb)
        return
    if before == OPEN or tcb.recovery == CWR:
        tcb.dup_acks = 0
        tcb.dup_bytes = 0
    elif tcb.recovery == FAST:
        # partial ACK: the next hole is lost too; deflate by what was acknowledged, less one MSS
        mss = tcb.eff_mss
        if acked >= mss:
            acked -= mss
        tcb.dup_bytes = max(tcb.dup_bytes - acked, 0)
        _repeat_first(tcb)
        _bound_dup_bytes(tcb)


# -- timers and the rest ---------------------------------------------------------------------------
def on_rack_timer(tcb: Tcb, now_us: int) -> None:
    """The detector wanted to look again without an ACK (RFC 8985 §6.2 step 5)."""
    timers.arm_rack(tcb, 0)
    board = tcb.scoreboard
    board.begin_ack()
    _note_facts(tcb)
    lost_before = board.lost
    pipe = tcb.pipe
    _look_for_losses(tcb, tcb.snd_nxt - tcb.snd_una, lost_before, now_us)
    if tcb.prr is not None:
        prr.on_lost(tcb, tcb.prr, pipe - tcb.pipe)


def on_rto(tcb: Tcb, now_us: int) -> None:
    """The retransmission timer expired: start over with one segment."""
    tcb.shared.counters.timeouts += 1
    board = tcb.scoreboard
    first = tcb.retransmits == 0
    undo.on_rto(tcb, first)
    tcb.cc.on_rto(tcb.snd_nxt - tcb.snd_una, first, now_us)
    ecn.window_cut(tcb)
    tcb.recover = tcb.snd_nxt
    tcb.reduced_us = now_us
    tcb.recovery = LOSS
    tcb.dup_acks = 0
    tcb.dup_bytes = 0
    prr.end(tcb)
    timers.arm_rack(tcb, 0)
    timers.arm_tlp(tcb, 0)
    tlp.forget(tcb)
    reneged = board.has_reneged()
    if reneged:
        board.forget_sacked()
        tcb.shared.counters.sack_reneging += 1
    if tcb.by_sack and not reneged:
        _note_facts(tcb)
        tcb.loss.on_timeout(board, now_us)
    else:
        board.mark_all_lost()  # where it was let go of, when it was sent says nothing (Linux)
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
    loss_chosen(tcb)


def loss_chosen(tcb: Tcb) -> None:
    """The detector was chosen, perhaps another one in mid-connection: what had been judged stays,
    what was counted is forgotten."""
    tcb.by_sack = tcb.sack_ok and tcb.loss.uses_sack
    tcb.dup_acks = 0
    tcb.dup_bytes = 0
    if not tcb.by_sack:
        tcb.scoreboard.forget_sacked()
        timers.arm_rack(tcb, 0)
        timers.arm_tlp(tcb, 0)


def on_path_mtu(tcb: Tcb) -> None:
    """Segments in flight are too large for the path: send them again, re-cut; no congestion
    (RFC 8201 §5.4)."""
    tcb.scoreboard.mark_all_lost()
    tcb.recover = tcb.snd_nxt
    tcb.dup_acks = 0
    tcb.dup_bytes = 0
    tcb.pending |= RETRANSMIT_NOW


def allowance(tcb: Tcb) -> int:
    """How many bytes may leave now by congestion control: cwnd - pipe, or what proportional rate
    reduction grants."""
    prr_now = tcb.prr
    if prr_now is not None:
        return prr_now.allow
    return tcb.cc.cwnd - tcb.pipe
