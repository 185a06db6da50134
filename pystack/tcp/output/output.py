"""The one exit: what leaves, in which order, and how much (RFC 9293 §3.7.4, §3.8).

Writes `snd_nxt`, `snd_sml`, `last_sent_us`, `opened_us`, the counts of what left and
`last_challenge_us`. Everything else marks; `output` looks at the marks once per batch:
RST, SYN, repeats of lost runs, new text and FIN, window probe, then an ACK if nothing carried
it. It sends in runs of up to 64 KB that the device (or `wire.batch`) cuts by the MSS.
"""

from __future__ import annotations

from pystack.cc.base import FAST, LOSS
from pystack.tcp import recording
from pystack.tcp.ecn import accecn, ecn
from pystack.tcp.header.options import MAX_RUN
from pystack.tcp.header.window import measure_read, update_is_worth_it
from pystack.tcp.output import emit
from pystack.tcp.policies.experimental_option import OPTIONS_MOST
from pystack.tcp.recovery import cwnd_validation, prr, recovery, tlp, undo
from pystack.tcp.scoreboard.sent_range import Run
from pystack.tcp.state.states import (
    CLOSED,
    ESTABLISHED,
    SYN_RECEIVED,
    TIME_WAIT,
)
from pystack.tcp.tcb import (
    ACK_NOW,
    ACK_SOON,
    ANY_ACK,
    ARM,
    CHALLENGE_ACK,
    KEEPALIVE_PROBE,
    PROBE_TAIL,
    RETRANSMIT_NOW,
    SEND_RST,
    SEND_SYN,
    WINDOW_PROBE,
    WINDOW_UPDATE,
    Tcb,
)
from pystack.tcp.timeouts import timer_handlers
from pystack.tcp.timing import delayed_ack, pacing, timers
from pystack.wire.batch import TxBatch
from pystack.wire.consts import FIN, PSH, RST


def output(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """Send all that may be sent now. False: the batch is full, call again after a flush."""
    pending = tcb.pending
    if pending & WINDOW_UPDATE:
        measure_read(tcb, now_us)
    if pending & (SEND_RST | SEND_SYN | ARM) or tcb.state < ESTABLISHED:
        return _output_rare(tcb, tx, now_us)
    if tcb.state == TIME_WAIT or tcb.stopped_until_rto:
        return _output_acks(tcb, tx, now_us)
    unsent = tcb.sndbuf.end_seq + tcb.fin_wanted > tcb.snd_nxt
    if unsent or tcb.scoreboard.lost_bytes or tcb.recovery or pending & PROBE_TAIL:
        if not _output_text(tcb, tx, unsent, now_us):
            return False
    if tcb.pending:
        return _output_acks(tcb, tx, now_us)
    return True


def _output_text(tcb: Tcb, tx: TxBatch, unsent: bool, now_us: int) -> bool:
    """Repeats, new text and FIN, tail loss probe, when pacing lets them go."""
    board = tcb.scoreboard
    if tcb.pending & PROBE_TAIL and not _probe_tail(tcb, tx, now_us):
        return False
    if tcb.release_us > now_us and not (tcb.pending & RETRANSMIT_NOW and tcb.recovery == LOSS):
        if pacing.holds(tcb, now_us):
            return True
    if board.lost_bytes and not (tcb.recovery == LOSS and tcb.undo.new_data_first):
        if not _resend(tcb, tx, now_us):
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
        undo.frto_failed(tcb)  # the windows have let nothing new go: repeats do (Linux)
        return _resend(tcb, tx, now_us)
    if tcb.recovery == FAST and tcb.by_sack and not board.lost_bytes:
        return _resend_extra(tcb, tx, now_us)
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
    if pending & ARM:
        tcb.pending &= ~ARM
        timer_handlers.arm_keepalive(tcb, now_us)
        timer_handlers.arm_orphan(tcb, now_us)
        if tcb.pending & SEND_RST:  # TCP_LINGER2 wants no FIN_WAIT_2
            return _output_rare(tcb, tx, now_us)
    if tcb.pending & SEND_SYN:
        return _send_syn(tcb, tx, now_us)
    if tcb.state >= ESTABLISHED:
        return output(tcb, tx, now_us)
    if tcb.state == SYN_RECEIVED:
        return _output_acks(tcb, tx, now_us)
    tcb.pending = 0
    return True


def _send_syn(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    if not emit.syn(tcb, tx, tcb.state == SYN_RECEIVED, now_us):
        return False
    tcb.pending &= ~(SEND_SYN | ANY_ACK)
    board = tcb.scoreboard
    if tcb.snd_nxt == tcb.iss:
        tcb.snd_nxt = tcb.iss + 1
        tcb.opened_us = now_us
        board.sent(tcb.iss, tcb.snd_nxt, now_us)
    elif tcb.retransmits:
        board.mark_all_lost()
        run = board.first_lost(1)
        if run is not None:
            board.resent(run, 1, now_us)
        tcb.stats.total_retrans += 1
        tcb.shared.counters.retrans_segs += 1
    tcb.segs_out += 1
    timers.arm_rto(tcb, timer_handlers.next_rto_at(tcb, now_us))
    return True


def begin_passive(tcb: Tcb, sent_us: int, repeats: int) -> None:
    """Set-up from a half-open record: its SYN,ACK left at `sent_us`, `repeats` copies since."""
    tcb.snd_nxt = tcb.iss + 1
    tcb.opened_us = sent_us
    tcb.scoreboard.sent(tcb.iss, tcb.snd_nxt, sent_us, repeats)
    if repeats:
        tcb.stats.total_retrans = repeats
        for _ in range(repeats):
            recovery.note_retransmit(tcb, sent_us)


# -- repeats ---------------------------------------------------------------------------------
def _resend(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """Lost runs again, as far as cwnd - pipe allows; the first at once when marked so."""
    board = tcb.scoreboard
    mss = tcb.eff_mss - (emit.sack_space(tcb) if tcb.sack_ok else 0)
    run_most = min(MAX_RUN, pacing.run_bytes(tcb, mss))
    while board.lost_bytes:
        run = board.first_lost(run_most)
        if run is None:
            break
        allow = recovery.allowance(tcb)
        wnd_left = tcb.snd_una + tcb.snd_wnd - run.start
        if tcb.pending & RETRANSMIT_NOW:
            allow = max(allow, mss) if tcb.by_sack or tcb.recovery == LOSS else mss
            if run.start == tcb.snd_una:
                wnd_left = max(wnd_left, mss)  # the head also serves as the window's probe
        if allow < mss:
            if allow <= 0 or run.end - run.start > allow:
                break
        limit = min(allow, wnd_left, run_most)
        if limit <= 0:
            break
        length = run.end - run.start
        if length > limit:
            length = limit - limit % mss or min(limit, length)
        if length > mss and _goes_alone(tcb):
            length = mss
        start = run.start
        if not _resend_run(tcb, tx, run, length, mss, now_us):
            return False
        tcb.pending &= ~RETRANSMIT_NOW
        if tcb.rto_at_us == 0 or start <= tcb.snd_una or (tcb.recovery == FAST and not tcb.by_sack):
            timers.arm_rto(tcb, timer_handlers.next_rto_at(tcb, now_us))
        if tcb.release_us > now_us and pacing.holds(tcb, now_us):
            break
    return True


def _resend_extra(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """In recovery, with window to spare and nothing else to send: what the detector wants."""
    mss = tcb.eff_mss - emit.sack_space(tcb)
    text_end = tcb.sndbuf.end_seq
    tcb.scoreboard.text_end = text_end
    while recovery.allowance(tcb) >= mss:
        run = tcb.loss.extra(tcb.scoreboard)
        if run is None:
            return True
        if run.end > tcb.snd_una + tcb.snd_wnd:
            return True
        length = run.end - run.start
        if min(run.end, text_end) - run.start > mss:
            length = mss
        if not _resend_run(tcb, tx, run, length, mss, now_us):
            return False
    return True


def _probe_tail(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """A tail loss probe: a segment of new text if the window takes it, else the last one again
    (RFC 8985 §7.3)."""
    if not tlp.is_wanted(tcb):
        tcb.pending &= ~PROBE_TAIL
        return True
    nxt = tcb.snd_nxt
    mss = tcb.eff_mss - emit.sack_space(tcb)
    text_end = tcb.sndbuf.end_seq
    length = min(text_end - nxt, mss)
    if length > 0 and nxt + length <= tcb.snd_una + tcb.snd_wnd:
        flags = PSH if nxt + length == text_end else 0
        if not emit.segment(tcb, tx, nxt, length, flags, mss, now_us):
            return False
        if length < mss:
            tcb.snd_sml = nxt + length
        _sent(tcb, nxt, nxt + length, length, mss, now_us)
        tlp.sent(tcb, False)
    else:
        tcb.scoreboard.text_end = text_end
        run = tcb.scoreboard.cut_tail(mss)
        if run is None or (run.start > tcb.snd_una and run.end > tcb.snd_una + tcb.snd_wnd):
            tcb.pending &= ~PROBE_TAIL
            return True  # all has come meanwhile, or the window has shrunk
        if not _resend_run(tcb, tx, run, run.end - run.start, mss, now_us):
            return False
        tlp.sent(tcb, True)
    tcb.pending &= ~PROBE_TAIL
    tcb.shared.counters.loss_probes += 1
    timers.arm_rto(tcb, timer_handlers.next_rto_at(tcb, now_us))
    return True


def _resend_run(tcb: Tcb, tx: TxBatch, run: Run, length: int, mss: int, now_us: int) -> bool:
    """The first `length` numbers of a run again. False: the batch is full."""
    seq = run.start
    end = seq + length
    text_end = tcb.sndbuf.end_seq
    flags = 0
    text = length
    if end > text_end:
        flags = FIN
        text -= 1
    if end >= text_end and text:
        flags |= PSH
    if not emit.segment(tcb, tx, seq, text, flags, mss, now_us):
        return False
    segs = -(-text // mss) or 1
    tcb.segs_out += segs
    tcb.stats.total_retrans += segs
    tcb.stats.bytes_retrans += text
    tcb.bytes_sent += text
    tcb.shared.counters.retrans_segs += segs
    tcb.last_sent_us = now_us
    tcb.pending &= ~(ANY_ACK | WINDOW_UPDATE)
    tcb.last_sent_us = now_us
    tcb.scoreboard.resent(run, length, now_us, tcb.pipe)
    undo.on_repeat(tcb, length, now_us)
    if tcb.prr is not None:
        prr.on_sent(tcb.prr, length)
    pacing.on_sent(tcb, length, now_us)
    if tcb.recorder is not None:
        recording.note(tcb, recording.RETRANSMITTED, now_us)
    return True


# -- new text and FIN --------------------------------------------------------------------------
def _bounded_mss(tcb: Tcb, mss: int) -> int:
    """Half of the largest window the peer ever offered is worth a segment (RFC 9293
    §3.8.6.2.1, Linux: tcp_bound_to_half_wnd)."""
    most = tcb.max_snd_wnd
    if most > 536:
        most >>= 1
    return max(most, 28) if 0 < most < mss else mss


def _send_new(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """New text within min(SND.WND, cwnd - pipe), then FIN. False: the batch is full."""
    sndbuf = tcb.sndbuf
    text_end = sndbuf.end_seq
    nxt = tcb.snd_nxt
    if nxt > text_end:
        return True  # the FIN has left
    mss = tcb.eff_mss
    if tcb.sack_ok and (tcb.dsack is not None or tcb.recvbuf.ooo_bytes):
        mss -= emit.sack_space(tcb)
    mss = _bounded_mss(tcb, mss)
    una = tcb.snd_una
    if nxt == una:
        if tcb.ecn is not None and tcb.pending & ACK_NOW and ecn.goes_alone(tcb):
            if not _empty(tcb, tx, nxt, now_us):
                return False
            tcb.pending &= ~ANY_ACK
        _after_idle(tcb, now_us)
    wnd_end = una + tcb.snd_wnd
    cwnd_end = nxt + recovery.allowance(tcb)
    may_end = min(wnd_end, cwnd_end)
    run_most = min(MAX_RUN, pacing.run_bytes(tcb, mss))
    run_most -= run_most % mss
    if _goes_alone(tcb):
        run_most = mss
    full = True
    fin = tcb.fin_wanted
    while nxt < text_end:
        stop = text_end if sndbuf.eor is None else sndbuf.record_end_after(nxt)
        length = stop - nxt
        room = may_end - nxt
        if length > run_most:
            length = run_most
        if length > room:
            length = room - room % mss if room > 0 else 0
            if not length:
                break
        tail = length % mss
        last = tail and nxt + length == text_end and not fin
        if last and _hold_small(tcb, text_end, length - tail):
            length -= tail
            if not length:
                break
            tail = 0
        flags = 0
        end = nxt + length
        if end == stop:
            flags = PSH
            if fin and end == text_end and end < wnd_end:
                flags = PSH | FIN
        full = emit.segment(tcb, tx, nxt, length, flags, mss, now_us)
        if not full:
            break
        if tail:
            tcb.snd_sml = end
        if flags & FIN:
            end += 1
        _sent(tcb, nxt, end, length, mss, now_us)
        nxt = end
        if tcb.release_us > now_us and pacing.holds(tcb, now_us):
            break
    cwnd_validation.note_use(tcb, cwnd_end - nxt < mss)
    if full and fin and nxt == text_end and nxt < wnd_end:
        full = emit.segment(tcb, tx, nxt, 0, FIN, mss, now_us)
        if full:
            _sent(tcb, nxt, nxt + 1, 0, mss, now_us)
    waits = not tcb.persist_at_us and not tcb.pending & WINDOW_PROBE
    if tcb.snd_nxt == una and full and waits:
        timer_handlers.start_persist(tcb, now_us)  # nothing is in flight to wake us
    return full


def _goes_alone(tcb: Tcb) -> bool:
    """Whether each segment has something of its own: urgent pointer, experimental option, a digit
    of accurate ECN in CWR."""
    if tcb.snd_up > tcb.snd_una or (tcb.option is not None and tcb.option.goes_alone()):
        return True
    return tcb.accecn is not None and accecn.breaks_runs(tcb.accecn)


def _hold_small(tcb: Tcb, text_end: int, ahead: int) -> bool:
    """Whether a last partial segment waits: corked, more was announced, or by the Nagle policy."""
    if tcb.snd_up > tcb.snd_una:
        return False
    if tcb.recovery == LOSS and tcb.undo.new_data_first:
        return False  # new text of any length tells whether the timeout was spurious (Linux)
    if tcb.cork or tcb.push_seq < text_end:
        return True
    return not tcb.nodelay and tcb.nagle_policy.holds(tcb, ahead)


def _sent(tcb: Tcb, start: int, end: int, text: int, mss: int, now_us: int) -> None:
    """New numbers [start, end) have left."""
    segs = 1 if text <= mss else -(-text // mss)
    tcb.scoreboard.sent(start, end, now_us, 0, tcb.pipe)
    tcb.snd_nxt = end
    tcb.segs_out += segs
    if text:
        tcb.data_segs_out += segs
        tcb.bytes_sent += text
        delayed_ack.on_data_sent(tcb, now_us)
        pacing.on_sent(tcb, text, now_us)
        if tcb.prr is not None:
            prr.on_sent(tcb.prr, text)
    tcb.last_sent_us = now_us
    tcb.pending &= ~(ANY_ACK | WINDOW_UPDATE)
    if not tcb.rto_at_us:
        timers.arm_rto(tcb, timer_handlers.next_rto_at(tcb, now_us))
    if tcb.persist_at_us:
        timers.arm_persist(tcb, 0)
    if tcb.recorder is not None:
        recording.note(tcb, recording.SENT, now_us)


def _after_idle(tcb: Tcb, now_us: int) -> None:
    """Nothing sent for longer than an RTO: the window is validated anew (RFC 5681 §4.1)."""
    config = tcb.config
    if not tcb.last_sent_us:
        return
    idle_us = now_us - tcb.last_sent_us
    tcb.cc.on_tx_start(idle_us, now_us)
    if config.tcp_slow_start_after_idle and idle_us > tcb.rto_us:
        restart_window = tcb.initial_window.in_bytes(tcb.eff_mss, config)
        tcb.cc.on_restart(idle_us, tcb.rto_us, restart_window)


# -- ACKs and probes ------------------------------------------------------------------------------
def _output_acks(tcb: Tcb, tx: TxBatch, now_us: int) -> bool:
    """What is left of the marks: window probe, keep-alive probe, ACK."""
    pending = tcb.pending
    if pending & WINDOW_PROBE:
        if not _window_probe(tcb, tx, now_us):
            return False
        tcb.pending &= ~(WINDOW_PROBE | ACK_NOW | ACK_SOON)
    if pending & KEEPALIVE_PROBE:
        if not _empty(tcb, tx, tcb.snd_una - 1, now_us):
            return False
        tcb.pending &= ~KEEPALIVE_PROBE
    if pending & WINDOW_UPDATE:
        tcb.pending &= ~WINDOW_UPDATE
        if update_is_worth_it(tcb):
            tcb.pending |= ACK_NOW
    if tcb.pending & (ACK_NOW | ACK_SOON):
        if not _empty(tcb, tx, tcb.snd_nxt, now_us):
            return False
        tcb.pending &= ~ANY_ACK
    elif tcb.pending & CHALLENGE_ACK:
        if tx.reserve(emit.tcb_headers(tcb) + OPTIONS_MOST) < 0:
            return False  # before the budget is touched
        tcb.pending &= ~CHALLENGE_ACK
        if _may_challenge(tcb, now_us):
            return _empty(tcb, tx, tcb.snd_nxt, now_us)
    return True


def output_ack(tcb: Tcb, tx: TxBatch, now_us: int) -> None:
    """An ACK that must leave before the next segment of this connection is handled."""
    if tcb.state >= SYN_RECEIVED and _empty(tcb, tx, tcb.snd_nxt, now_us):
        tcb.pending &= ~ANY_ACK


def _empty(tcb: Tcb, tx: TxBatch, seq: int, now_us: int) -> bool:
    if not emit.segment(tcb, tx, seq, 0, 0, tcb.eff_mss, now_us):
        return False
    tcb.segs_out += 1
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
    """Zero window: an empty segment before SND.UNA (Linux). A window that takes something, or
    text that was held back: as much as goes, which is the override of §3.8.6.2.1."""
    nxt = tcb.snd_nxt
    text_end = tcb.sndbuf.end_seq
    room = min(tcb.snd_una + tcb.snd_wnd - nxt, text_end - nxt, tcb.eff_mss)
    if room > 0 and tcb.snd_una == nxt:
        if not emit.segment(tcb, tx, nxt, room, PSH, tcb.eff_mss, now_us):
            return False
        if room < tcb.eff_mss:
            tcb.snd_sml = nxt + room
        _sent(tcb, nxt, nxt + room, room, tcb.eff_mss, now_us)
        return True
    if tcb.snd_up > tcb.snd_una and not _empty(tcb, tx, tcb.snd_una, now_us):
        return False  # acceptable to a shut window, so that it tells of urgent data (MUST-66)
    if not _empty(tcb, tx, tcb.snd_una - 1, now_us):
        return False
    timer_handlers.probe_sent(tcb, now_us)
    return True
