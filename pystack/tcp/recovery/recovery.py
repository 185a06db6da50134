"""Loss recovery: what follows when something is lost, marked or was not lost after all.

RFC 5681 §3.2, 6582, 6675, 8985, 3042, 5682, 6298 §5. `tcb.loss` judges what is lost, on the
scoreboard (without SACK `newreno_recovery` counts duplicate ACKs). `prr` says how much may leave
during recovery, `undo` whether it was a loss. The congestion control owns cwnd and ssthresh; this
file and `cc_facts` tell it. Writes `recover`, `recovery`, `by_sack`, `reduced_us`, `retransmits`,
`retrans_since_us`.
"""

from __future__ import annotations

from typing import Final

from pystack.cc.base import CWR, FAST, LOSS, OPEN
from pystack.tcp.ecn import ecn
from pystack.tcp.header import options
from pystack.tcp.recovery import (
    cc_facts,
    mtu_probing,
    newreno_recovery,
    prr,
    reordering,
    tlp,
    undo,
)
from pystack.tcp.scoreboard.ack_result import NEVER, AckResult
from pystack.tcp.tcb import RETRANSMIT_NOW, Tcb
from pystack.tcp.timing import timers
from pystack.wire.segment import Segment

_SOONEST_US: Final = 1000
_IN_RECOVERY: Final = (FAST, LOSS)


# -- each ACK -----------------------------------------------------------------------------------
def on_ack(
    tcb: Tcb, seg: Segment, ack: AckResult, acked: int, flight: int, prior_pipe: int,
    duplicate: bool, now_us: int,
) -> None:  # fmt: skip
    """An ACK was put on the scoreboard, with `ack` as its result: SND.UNA has moved by `acked`, or
    SACK brought something.

    `flight` and `prior_pipe` are from before it; `duplicate`: it carries a D-SACK.
    """
    board = tcb.scoreboard
    lost_before = board.lost
    if acked and tcb.retransmits:
        _timeouts_are_over(tcb, now_us)
    if tcb.ecn is not None:
        ecn.on_delivery(tcb, tcb.ecn, seg, ack.newly_delivered)
    if tcb.by_sack:
        if ack.reord_sacked != NEVER or ack.reord_acked != NEVER:
            reordering.on_ack(tcb, ack)
        _note_facts(tcb)
        board.echoed_us = (
            options.echoed_us(tcb, seg, now_us)
            if ack.retransmission_acked and tcb.ts_ok else NEVER
        )  # fmt: skip
        tcb.loss.on_ack(board, ack, now_us)
        if tcb.tail_probe is not None and duplicate and tlp.came_twice(tcb, tcb.tail_probe, seg):
            pass  # a probe is no sign of reordering (Linux)
        elif duplicate:
            tcb.loss.on_duplicate(board, tcb.snd_una, tcb.snd_nxt)
        if tcb.tail_probe is not None and tlp.lost_one(tcb, tcb.tail_probe):
            _cut_once(tcb, flight, now_us)
    recovery = tcb.recovery
    if recovery == LOSS:
        _in_loss(tcb, seg, ack, acked, duplicate, now_us)
    elif recovery != OPEN or (duplicate and tcb.undo.seq >= 0):
        _in_recovery(tcb, seg, acked, duplicate, now_us)
    if not tcb.by_sack:
        if acked:
            newreno_recovery.after_ack(tcb, recovery, acked)
    elif tcb.snd_una < tcb.snd_nxt:
        _look_for_losses(tcb, ack.newly_delivered, flight, lost_before, now_us)
        if acked and board.has_reneged():
            timers.arm_rto(tcb, now_us + max(tcb.srtt_us >> 1, 10_000))
    elif tcb.rack_at_us:
        timers.arm_rack(tcb, 0)
    if tcb.prr is not None:
        prr.on_ack(tcb, tcb.prr, ack.newly_delivered, acked > 0 and board.lost == lost_before)
    if not board.lost_bytes:
        tcb.pending &= ~RETRANSMIT_NOW
    cc_facts.tell(tcb, ack, recovery, acked, flight, prior_pipe, board.lost - lost_before, now_us)


def _note_facts(tcb: Tcb) -> None:
    board = tcb.scoreboard
    board.mss = tcb.eff_mss
    board.srtt_us = tcb.srtt_us
    board.min_rtt_us = tcb.min_rtt_us
    board.in_recovery = tcb.recovery in _IN_RECOVERY


# -- the states ---------------------------------------------------------------------------------
def _look_for_losses(
    tcb: Tcb, delivered: int, flight: int, lost_before: int, now_us: int
) -> None:
    """Let the detector judge; a loss begins recovery. The ACK, if there was one, has delivered
    `delivered` bytes."""
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
    if recovery == OPEN and mtu_probing.is_lost(tcb):
        _repair_probe(tcb, now_us)
    elif recovery in (OPEN, CWR):
        _enter(tcb, delivered, flight, now_us)
    elif board.retransmission_lost_us >= tcb.reduced_us:
        # a retransmission was lost as well: a second sign of congestion (RFC 5681 §4.3)
        undo.forget(tcb)
        undo.frto_failed(tcb)
        tcb.recovery = FAST
        _cut(tcb, delivered, flight, now_us)


def _enter(tcb: Tcb, delivered: int, flight: int, now_us: int) -> None:
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
    _cut(tcb, delivered, flight, now_us)


def _repair_probe(tcb: Tcb, now_us: int) -> None:
    """A probe of the path's MTU was too large: neither it nor what else is out cuts a window."""
    mtu_probing.probe_failed(tcb)
    tcb.recovery = LOSS
    tcb.recover = tcb.snd_nxt
    tcb.reduced_us = now_us


def _flight_to_cut(tcb: Tcb, flight: int) -> int:
    """FlightSize of RFC 5681 (4): without what limited transmit has sent (RFC 3042 §2), and with
    what the window would have taken, as several ACKs may be taken before more is sent."""
    cwnd = max(tcb.cc.cwnd, tcb.eff_mss)
    if tcb.cwnd_limited and tcb.sndbuf.end_seq > tcb.snd_nxt:
        return cwnd
    return min(flight, cwnd)


def _cut(tcb: Tcb, delivered: int, flight: int, now_us: int) -> None:
    cc = tcb.cc
    tlp.forget(tcb)
    tcb.recover = tcb.snd_nxt
    tcb.reduced_us = now_us
    cc.on_enter_recovery(_flight_to_cut(tcb, flight), now_us)
    ecn.window_cut(tcb)
    prr.begin(tcb, delivered)


def _cut_once(tcb: Tcb, flight: int, now_us: int) -> None:
    """A loss that a tail loss probe has repaired already (RFC 8985 §7.4.2)."""
    if tcb.recovery != OPEN:
        return
    undo.forget(tcb)
    cc = tcb.cc
    cc.on_enter_recovery(_flight_to_cut(tcb, flight), now_us)
    cc.on_exit_recovery(cc.ssthresh, now_us)
    ecn.window_cut(tcb)


def on_mark(tcb: Tcb, delivered: int, flight: int, now_us: int) -> None:
    """The ACK that was just taken echoes a mark: cut the window as for a loss, once for what was
    in flight then (RFC 3168 §6.1.2). A window of one segment stays, and nothing waits for the timer
    (Linux). It has delivered `delivered` bytes; `flight` were
    outstanding before it."""
    cc = tcb.cc
    if cc.scalable:
        ecn.answered_by_itself(tcb)
        return
    if tcb.recovery != OPEN:
        return
    undo.forget(tcb)
    tcb.recovery = CWR
    tcb.recover = tcb.snd_nxt
    tcb.reduced_us = now_us
    cc.on_ecn(_flight_to_cut(tcb, flight), now_us)
    ecn.window_cut(tcb)
    prr.begin(tcb, delivered)
    if tcb.prr is not None:
        prr.on_ack(tcb, tcb.prr, delivered, True)


def _in_recovery(tcb: Tcb, seg: Segment, acked: int, duplicate: bool, now_us: int) -> None:
    """In FAST or CWR, or soon after: is it over, or was it spurious?"""
    if tcb.undo.seq >= 0 and (acked or duplicate) and tcb.recovery != CWR:
        over = tcb.snd_una >= tcb.recover
        if undo.is_proven(tcb, seg, acked) and (over or not tcb.scoreboard.retransmitted_bytes):
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
    newreno_recovery.forget(tcb)


def _undo(tcb: Tcb, now_us: int) -> None:
    """It was no loss: the windows, the marks and the timer are as before."""
    tcb.shared.counters.spurious_recoveries += 1
    board = tcb.scoreboard
    board.unmark_lost()
    if tcb.recovery != LOSS:
        reordering.note(tcb, tcb.undo.seq)  # Linux: what had overtaken it was mistaken for a loss
    tcb.loss.on_undone(board)
    undo.take_back(tcb)
    if tcb.rto_at_us:
        timers.arm_rto(tcb, now_us + tcb.rto_us)
    prr.end(tcb)
    tcb.recovery = OPEN
    tcb.recover = tcb.snd_una
    tcb.retransmits = 0
    tcb.retrans_since_us = 0
    newreno_recovery.forget(tcb)


def _in_loss(
    tcb: Tcb, seg: Segment, ack: AckResult, acked: int, duplicate: bool, now_us: int
) -> None:
    """After a retransmission timeout (RFC 5681 §3.1, F-RTO of RFC 5682 as Linux has it)."""
    if (acked or duplicate) and undo.is_proven(tcb, seg, acked):
        _undo(tcb, now_us)
        return
    recovered = tcb.snd_una >= tcb.recover
    if tcb.undo.frto:
        verdict = undo.frto_verdict(tcb, ack, acked, recovered)
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
    if not newreno_recovery.count_dup_ack(tcb):
        return
    if tcb.recovery == OPEN and mtu_probing.is_lost(tcb):
        _repair_probe(tcb, now_us)
        newreno_recovery.bound(tcb)
        return
    cut = tcb.recovery == OPEN
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
    tcb.scoreboard.result.clear()
    newreno_recovery.retransmit_head(tcb)
    if tcb.cc.wants_losses:
        cc_facts.tell_losses(tcb, now_us)


# -- timers and the rest ---------------------------------------------------------------------------
def on_rack_timer(tcb: Tcb, now_us: int) -> None:
    """The detector wanted to look again without an ACK (RFC 8985 §6.2 step 5)."""
    timers.arm_rack(tcb, 0)
    board = tcb.scoreboard
    board.acked(tcb.snd_una, now_us)  # there is no ACK
    _note_facts(tcb)
    lost_before = board.lost
    pipe = tcb.pipe
    _look_for_losses(tcb, 0, tcb.snd_nxt - tcb.snd_una, lost_before, now_us)
    if tcb.prr is not None:
        prr.on_lost(tcb, tcb.prr, pipe - tcb.pipe)
    if tcb.cc.wants_losses:
        cc_facts.tell_losses(tcb, now_us)


def on_rto(tcb: Tcb, now_us: int) -> None:
    """The retransmission timer expired: start over with one segment."""
    tcb.shared.counters.timeouts += 1
    board = tcb.scoreboard
    first = tcb.retransmits == 0
    undo.on_rto(tcb, first)
    is_cut = tcb.recovery != OPEN and tcb.snd_una < tcb.recover  # for this flight (Linux)
    tcb.cc.on_rto(
        tcb.snd_nxt - tcb.snd_una, not is_cut or (first and tcb.recovery == LOSS), now_us
    )
    ecn.window_cut(tcb)
    tcb.recover = tcb.snd_nxt
    tcb.reduced_us = now_us
    tcb.recovery = LOSS
    newreno_recovery.forget(tcb)
    prr.end(tcb)
    timers.arm_rack(tcb, 0)
    timers.arm_tlp(tcb, 0)
    tlp.forget(tcb)
    board.result.clear()  # there is no ACK
    reneged = board.has_reneged()
    if reneged:
        board.forget_sacked()
        tcb.shared.counters.sack_reneging += 1
    if tcb.by_sack and not reneged:
        _note_facts(tcb)
        tcb.loss.on_timeout(board, now_us)
    else:
        board.mark_all_lost()  # what the receiver has dropped is lost whenever it was sent (Linux)
    if tcb.cc.wants_losses:
        cc_facts.tell_losses(tcb, now_us)
    note_retransmit(tcb, now_us)
    tcb.pending |= RETRANSMIT_NOW


def note_retransmit(tcb: Tcb, now_us: int) -> None:
    """Count a timeout's retransmission; the time of the first one is kept for R2."""
    tcb.stats.timeouts += 1
    if not tcb.retransmits:
        tcb.stats.timeout_recoveries += 1
    tcb.retransmits += 1
    if not tcb.retrans_since_us:
        tcb.retrans_since_us = now_us


def _timeouts_are_over(tcb: Tcb, now_us: int) -> None:
    """New data is acknowledged after timeouts."""
    tcb.stats.timeout_us += now_us - tcb.retrans_since_us
    tcb.retransmits = 0
    tcb.retrans_since_us = 0


def on_transfer(tcb: Tcb) -> None:
    """Data may be sent from now on, for which retransmissions of the handshake don't count."""
    tcb.recover = tcb.iss
    tcb.by_sack = tcb.sack_ok and tcb.loss.uses_sack
    tcb.retransmits = 0
    tcb.retrans_since_us = 0


def on_fast_accept_established(tcb: Tcb) -> None:
    """The same for a connection whose data did not wait for the end of the handshake."""
    tcb.retransmits = 0
    tcb.retrans_since_us = 0


def loss_chosen(tcb: Tcb) -> None:
    """The detector was chosen, perhaps another one in mid-connection: what was judged lost stays
    so, duplicate ACKs are counted anew."""
    tcb.by_sack = tcb.sack_ok and tcb.loss.uses_sack
    newreno_recovery.forget(tcb)
    if not tcb.by_sack:
        tcb.scoreboard.forget_sacked()
        timers.arm_rack(tcb, 0)
        timers.arm_tlp(tcb, 0)


def send_again(tcb: Tcb) -> None:
    """What is in flight was too large for the path (RFC 8201 §5.4), or left out by a SYN,ACK (RFC
    7413 §4.2.2): it is cut and sent again; no congestion."""
    tcb.scoreboard.mark_all_lost()
    tcb.recover = tcb.snd_nxt
    newreno_recovery.forget(tcb)
    tcb.pending |= RETRANSMIT_NOW


def allowance(tcb: Tcb) -> int:
    """How many bytes may leave now by congestion control: cwnd - pipe, or what proportional rate
    reduction grants."""
    prr_now = tcb.prr
    if prr_now is not None:
        return prr_now.allow
    return tcb.cc.cwnd - tcb.pipe
