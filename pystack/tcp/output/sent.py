"""What is noted when something has left: numbers, counts, timers, pacing.

Writes `snd_nxt`, `snd_sml`, `last_sent_us`, `opened_us`, `segs_out`, `data_segs_out`, `bytes_sent`,
`busy_since_us`, and the counts of retransmissions and the time of being busy in `stats`.
"""

from __future__ import annotations

from pystack.tcp import recording
from pystack.tcp.recovery import mtu_probing, prr, recovery, undo
from pystack.tcp.scoreboard.sent_range import SentRange
from pystack.tcp.state.records import HELD_BY_WINDOW
from pystack.tcp.tcb import ANY_ACK, SEND_SYN, WINDOW_UPDATE, Tcb
from pystack.tcp.timeouts import retry_limits
from pystack.tcp.timing import delayed_ack, pacing, timers


def new_data_sent(
    tcb: Tcb, start: int, end: int, payload: int, mss: int, now_us: int
) -> None:
    """New numbers [start, end) have left, `payload` octets and perhaps a FIN, cut by `mss`."""
    if start == tcb.snd_una:
        if tcb.busy_since_us and tcb.held != HELD_BY_WINDOW:  # waiting for a window is no break
            tcb.stats.busy_us += tcb.all_acked_us - tcb.busy_since_us
            tcb.busy_since_us = now_us
        elif not tcb.busy_since_us:
            tcb.busy_since_us = now_us
    pipe = tcb.pipe
    tcb.scoreboard.sent(start, end, now_us, 0, pipe)
    tcb.snd_nxt = end
    if payload:
        segs = 1 if payload <= mss else -(-payload // mss)
        tcb.segs_out += segs
        tcb.data_segs_out += segs
        tcb.bytes_sent += payload
        if payload % mss:
            tcb.snd_sml = start + payload
        delayed_ack.on_data_sent(tcb, now_us)
        pacing.on_sent(tcb, payload, now_us)
        if tcb.prr is not None:
            prr.on_sent(tcb.prr, payload)
    else:
        tcb.segs_out += 1
    tcb.last_sent_us = now_us
    tcb.pending &= ~(ANY_ACK | WINDOW_UPDATE)
    if not tcb.rto_at_us:
        timers.arm_rto(tcb, retry_limits.next_rto_at(tcb, now_us))
    if tcb.persist_at_us:
        timers.arm_persist(tcb, 0)
    if tcb.recorder is not None:
        recording.note(tcb, recording.SENT, now_us)


def retransmission_sent(
    tcb: Tcb, sent: SentRange, length: int, payload: int, mss: int, now_us: int
) -> None:
    """The first `length` numbers of `sent` have left again, `payload` of them octets of data."""
    segs = -(-payload // mss) or 1
    tcb.segs_out += segs
    tcb.bytes_sent += payload
    tcb.stats.total_retrans += segs
    tcb.stats.bytes_retrans += payload
    tcb.shared.counters.retrans_segs += segs
    tcb.last_sent_us = now_us
    tcb.pending &= ~(ANY_ACK | WINDOW_UPDATE)
    tcb.scoreboard.retransmitted(sent, length, now_us, tcb.pipe)
    undo.on_retransmission(tcb, length, now_us)
    if tcb.mtu_search is not None:
        mtu_probing.probe_is_inconclusive(tcb.mtu_search)
    if tcb.prr is not None:
        prr.on_sent(tcb.prr, length)
    pacing.on_sent(tcb, length, now_us)
    if tcb.recorder is not None:
        recording.note(tcb, recording.RETRANSMITTED, now_us)


def syn_sent(tcb: Tcb, now_us: int) -> None:
    """The SYN, or a SYN,ACK that a TCB sends, has left, for the first time or again."""
    tcb.pending &= ~(SEND_SYN | ANY_ACK)
    if tcb.fast_accept is not None:
        _fast_syn_ack_sent(tcb, now_us)
        return
    board = tcb.scoreboard
    if tcb.snd_nxt == tcb.iss:
        tcb.snd_nxt = tcb.iss + 1
        tcb.opened_us = now_us
        board.sent(tcb.iss, tcb.snd_nxt, now_us)
        if tcb.fast_open is not None and tcb.fast_open.length:
            _syn_data_sent(tcb, tcb.fast_open.length, now_us)
    elif tcb.retransmits:
        board.mark_all_lost()
        syn = board.first_lost(1)
        if syn is not None:
            board.retransmitted(syn, 1, now_us)
        tcb.stats.total_retrans += 1
        tcb.shared.counters.retrans_segs += 1
    tcb.segs_out += 1
    timers.arm_rto(tcb, retry_limits.next_rto_at(tcb, now_us))


def _syn_data_sent(tcb: Tcb, length: int, now_us: int) -> None:
    """The SYN had `length` octets of data, which count as sent by themselves."""
    start = tcb.snd_nxt
    tcb.snd_nxt = start + length
    tcb.scoreboard.sent(start, tcb.snd_nxt, now_us)
    tcb.data_segs_out += 1
    tcb.bytes_sent += length
    tcb.last_sent_us = now_us


def begin_fast_accept(tcb: Tcb) -> None:
    """Set-up of a connection that its SYN begins: the SYN,ACK does not count as sent data."""
    tcb.snd_nxt = tcb.iss + 1


def _fast_syn_ack_sent(tcb: Tcb, now_us: int) -> None:
    """The SYN,ACK of TCP Fast Open, for the first time or again."""
    if not tcb.opened_us:
        tcb.opened_us = now_us
    else:
        tcb.stats.total_retrans += 1
        tcb.shared.counters.retrans_segs += 1
    tcb.segs_out += 1
    if not tcb.rto_at_us:
        timers.arm_rto(tcb, retry_limits.next_rto_at(tcb, now_us))


def begin_passive(tcb: Tcb, sent_us: int, retransmissions: int) -> None:
    """Set-up from a half-open record: its SYN,ACK left at `sent_us`, and again so often since."""
    tcb.snd_nxt = tcb.iss + 1
    tcb.opened_us = sent_us
    tcb.scoreboard.sent(tcb.iss, tcb.snd_nxt, sent_us, retransmissions)
    if retransmissions:
        tcb.stats.total_retrans = retransmissions
        for _ in range(retransmissions):
            recovery.note_retransmit(tcb, sent_us)


def empty_sent(tcb: Tcb) -> None:
    """A segment without payload, SYN or FIN has left."""
    tcb.segs_out += 1
