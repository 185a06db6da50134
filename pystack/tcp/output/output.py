"""The one exit: what leaves, in which order, and how much (RFC 9293 §3.7.4, §3.8).

All other code only marks. `output` looks at the marks once per batch: RST, SYN, tail loss probe,
retransmissions (`retransmit`), new data and FIN, then probes and an ACK if no segment has had it
(`acks_and_probes`). It sends runs of up to 64 KB that the device (or `wire.batch`) cuts by the MSS.
Writes no variable; `sent` notes what has left.
"""

from __future__ import annotations

from pystack.cc.base import FAST, LOSS
from pystack.tcp.ecn import ecn
from pystack.tcp.header import sack_blocks
from pystack.tcp.header.options import MAX_RUN
from pystack.tcp.header.window import measure_read
from pystack.tcp.output import emit, mtu_probe, sent
from pystack.tcp.output.acks_and_probes import empty, output_acks
from pystack.tcp.output.retransmit import probe_tail, retransmit_extra, retransmit_lost
from pystack.tcp.recovery import cwnd_validation, recovery, tlp, undo
from pystack.tcp.state.states import (
    CLOSED,
    ESTABLISHED,
    SYN_RECEIVED,
    TIME_WAIT,
)
from pystack.tcp.tcb import (
    ACK_NOW,
    ANY_ACK,
    ARM,
    BEGIN_KEEPALIVE,
    NEW_PATH,
    PROBE_TAIL,
    RETRANSMIT_NOW,
    SEND_RST,
    SEND_SYN,
    WINDOW_PROBE,
    WINDOW_UPDATE,
    Tcb,
)
from pystack.tcp.timeouts import probes, timer_handlers
from pystack.tcp.timing import pacing, timers
from pystack.wire.batch import TxBatch
from pystack.wire.consts import FIN, PSH, RST


def output(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """Send all that may be sent now. False: the batch is full, call again after a flush."""
    pending = tcb.pending
    if pending & WINDOW_UPDATE:
        measure_read(tcb, now_us)
    if pending & (SEND_RST | SEND_SYN | ARM | NEW_PATH) or tcb.state < ESTABLISHED:
        return _output_rare(tcb, tx, now_us)
    if tcb.state == TIME_WAIT:
        return output_acks(tcb, tx, now_us)
    unsent = tcb.sndbuf.end_seq + tcb.fin_wanted > tcb.snd_nxt
    if unsent or tcb.scoreboard.lost_bytes or tcb.recovery or pending & PROBE_TAIL:
        if not _output_data(tcb, tx, unsent, now_us):
            return False
    if tcb.pending:
        return output_acks(tcb, tx, now_us)
    return True


def _output_data(tcb: Tcb, tx: TxBatch, unsent: bool, now_us: int) -> bool:
    """Tail loss probe, retransmissions, new data and FIN, as far as pacing allows."""
    board = tcb.scoreboard
    if tcb.pending & PROBE_TAIL and not probe_tail(tcb, tx, now_us):
        return False
    if tcb.release_us > now_us and not (tcb.pending & RETRANSMIT_NOW and tcb.recovery == LOSS):
        if pacing.holds(tcb, now_us):
            return True
    if board.lost_bytes and not (tcb.recovery == LOSS and tcb.undo.new_data_first):
        if not retransmit_lost(tcb, tx, now_us):
            return False
        if tcb.release_us > now_us and pacing.holds(tcb, now_us):
            return True
    if unsent:
        nxt = tcb.snd_nxt
        full = _send_new(tcb, tx, now_us)
        if tcb.by_sack and tcb.snd_nxt > nxt:
            tlp.schedule(tcb, now_us)
        if not full:
            return False
    if tcb.recovery == LOSS and tcb.undo.new_data_first and tcb.snd_nxt == tcb.recover:
        undo.frto_failed(tcb)  # no new data could go, so retransmissions do (Linux)
        return retransmit_lost(tcb, tx, now_us)
    if tcb.recovery == FAST and tcb.by_sack and not board.lost_bytes:
        return retransmit_extra(tcb, tx, now_us)
    return True


def _output_rare(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """RST, SYN and what a socket call wants put into effect."""
    pending = tcb.pending
    if pending & SEND_RST:
        if not emit.segment(tcb, tx, tcb.snd_nxt, 0, RST, tcb.eff_mss, now_us):
            return False
        tcb.shared.counters.out_rsts += 1
        tcb.pending = 0
        timers.stop_all(tcb)
        return True
    if tcb.state == CLOSED:
        tcb.pending = 0
        return True
    if pending & NEW_PATH:
        tcb.pending &= ~NEW_PATH
        emit.renew_flow_label(tcb)
    if pending & ARM:
        tcb.pending &= ~(ARM | BEGIN_KEEPALIVE)
        probes.arm_keepalive(tcb, now_us, pending & BEGIN_KEEPALIVE != 0)
        timer_handlers.arm_orphan(tcb, now_us)
        if tcb.pending & SEND_RST:  # TCP_LINGER2 wants no FIN_WAIT_2
            return _output_rare(tcb, tx, now_us)
    if tcb.pending & SEND_SYN and not _send_syn(tcb, tx, now_us):
        return False
    if tcb.state >= ESTABLISHED:
        return output(tcb, tx, now_us)
    if tcb.state == SYN_RECEIVED:
        early = tcb.fast_accept is not None or tcb.fin_wanted
        if early and not _send_early(tcb, tx, now_us):
            return False
        return output_acks(tcb, tx, now_us)
    tcb.pending = 0
    return True


def _send_syn(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    if not emit.syn(tcb, tx, tcb.state == SYN_RECEIVED, now_us):
        return False
    sent.syn_sent(tcb, now_us)
    return True


def _send_early(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """New data and FIN while the SYN,ACK is not acknowledged (RFC 7413 §4.2.2, RFC 9293 §3.10.4).
    The one timer that runs is the SYN,ACK's. False: the batch is full."""
    if not tcb.snd_wnd or tcb.sndbuf.end_seq + tcb.fin_wanted <= tcb.snd_nxt:
        return True
    if tcb.release_us > now_us and pacing.holds(tcb, now_us):
        return True
    full = _send_new(tcb, tx, now_us)
    timers.arm_persist(tcb, 0)
    return full


# -- new data and FIN --------------------------------------------------------------------------
def _bounded_mss(tcb: Tcb, mss: int) -> int:
    """Half of the largest window the peer ever offered is worth a segment (RFC 9293
    §3.8.6.2.1, Linux: tcp_bound_to_half_wnd)."""
    most = tcb.max_snd_wnd
    if most > 536:
        most >>= 1
    return max(most, 28) if 0 < most < mss else mss


def _send_new(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """New data within min(SND.WND, cwnd - pipe), then FIN. False: the batch is full."""
    sndbuf = tcb.sndbuf
    data_end = sndbuf.end_seq
    una, nxt = tcb.snd_una, tcb.snd_nxt
    if nxt > data_end:
        return True  # the FIN has left
    mss = tcb.eff_mss
    if tcb.sack_ok and (tcb.dsack is not None or tcb.recvbuf.ooo_bytes):
        mss -= sack_blocks.space(tcb)
    if tcb.max_snd_wnd < 2 * mss:
        mss = _bounded_mss(tcb, mss)
    if nxt == una:
        if tcb.accecn is not None and not _bare_ack_first(tcb, tx, now_us):
            return False
        cwnd_validation.after_idle(tcb, now_us)
    wnd_end = una + tcb.snd_wnd
    cwnd_end = nxt + recovery.allowance(tcb)
    if tcb.mtu_search is not None:
        allowed = mtu_probe.send_if_due(tcb, tcb.mtu_search, tx, now_us)
        if allowed < 0:
            return allowed == mtu_probe.WAIT
        nxt, cwnd_end = tcb.snd_nxt, tcb.snd_nxt + allowed
    may_end = min(wnd_end, cwnd_end)
    run_most = min(MAX_RUN, pacing.run_bytes(tcb, mss))
    run_most -= run_most % mss
    if emit.must_not_coalesce(tcb):
        run_most = mss
    full, fin = True, tcb.fin_wanted
    while nxt < data_end:
        stop = data_end if sndbuf.eor is None else sndbuf.record_end_after(nxt)
        length = stop - nxt
        room = may_end - nxt
        if length > run_most:
            length = run_most
        if length > room:
            length = room - room % mss if room > 0 else 0
            if not length:
                break
        tail = length % mss
        last = tail and nxt + length == data_end and not fin
        if last and _nagle_delays(tcb, data_end, length - tail):
            length -= tail
            if not length:
                break
        flags = 0
        end = nxt + length
        if end == stop:
            flags = PSH
            if fin and end == data_end and end < wnd_end:
                flags = PSH | FIN
        full = emit.segment(tcb, tx, nxt, length, flags, mss, now_us)
        if not full:
            break
        if flags & FIN:
            end += 1
        sent.new_data_sent(tcb, nxt, end, length, mss, now_us)
        nxt = end
        if tcb.release_us > now_us and pacing.holds(tcb, now_us):
            break
    cwnd_validation.note_use(tcb, nxt, data_end, cwnd_end, wnd_end, mss, now_us)
    if full and fin and nxt == data_end and nxt < wnd_end:
        full = _send_fin(tcb, tx, mss, now_us)
    if tcb.snd_nxt == una and full and not (tcb.persist_at_us or tcb.pending & WINDOW_PROBE):
        probes.start_persist(tcb, now_us)  # nothing is in flight whose ACK would wake us
    return full


def _bare_ack_first(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """Send an ACK that is due, if it must have no payload. False: the batch is full."""
    if tcb.pending & ACK_NOW and ecn.ack_must_be_bare(tcb):
        if not empty(tcb, tx, tcb.snd_nxt, now_us):
            return False
        tcb.pending &= ~ANY_ACK
    return True


def _send_fin(tcb: Tcb, tx: TxBatch, mss: int, now_us: int) -> bool:
    """The FIN, by itself. False: the batch is full."""
    nxt = tcb.snd_nxt
    if not emit.segment(tcb, tx, nxt, 0, FIN, mss, now_us):
        return False
    sent.new_data_sent(tcb, nxt, nxt + 1, 0, mss, now_us)
    return True


def _nagle_delays(tcb: Tcb, data_end: int, ahead: int) -> bool:
    """Whether a last partial segment waits: corked, more was announced, or by the Nagle policy."""
    if tcb.snd_up > tcb.snd_una:
        return False
    if tcb.recovery == LOSS and tcb.undo.new_data_first:
        return False  # new data of any length tells whether the timeout was spurious (Linux)
    if tcb.flush_seq >= data_end:
        return False
    if tcb.cork or (tcb.push_seq < data_end and tcb.segs_in == tcb.more_segs_in):
        return True
    return not tcb.nodelay and tcb.nagle_policy.holds(tcb, ahead)
