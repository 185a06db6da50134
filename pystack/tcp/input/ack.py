"""The fifth step of SEGMENT ARRIVES: the ACK field (RFC 9293 §3.10.7.4, RFC 5681, RFC 5961 §5).

Writes `snd_una`, `snd_wnd`, `snd_wl1`, `snd_wl2`, `max_snd_wnd`, `bytes_acked`, `last_ack_us`.
"""

from __future__ import annotations

from pystack.events import EVENT_WRITABLE
from pystack.tcp import recording, soft_errors
from pystack.tcp.ecn import ecn
from pystack.tcp.header import options
from pystack.tcp.recovery import mtu_probing, recovery, tlp
from pystack.tcp.recovery.sack_input import take_sack
from pystack.tcp.state.states import CLOSING, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK, TIME_WAIT
from pystack.tcp.tcb import CHALLENGE_ACK, Tcb
from pystack.tcp.timeouts import probes, timer_handlers
from pystack.tcp.timing import rtt, timers
from pystack.tcp.transitions import end, set_state
from pystack.wire.consts import DROP_BAD_ACK, DROP_OLD_ACK, FIN, HAS_TIMESTAMPS, SYN
from pystack.wire.segment import Segment
from pystack.wire.seq import HALF, MASK


def on_ack(tcb: Tcb, seg: Segment, seq: int, now_us: int) -> bool:
    """Take SEG.ACK and SEG.WND; `seq` is SEG.SEQ unwrapped. False: drop the segment."""
    una = tcb.snd_una
    ack = una + ((seg.ack - una + HALF) & MASK) - HALF
    if ack > tcb.snd_nxt:  # acknowledges what was never sent
        tcb.shared.counters.dropped[DROP_BAD_ACK] += 1
        tcb.pending |= CHALLENGE_ACK
        return False
    if ack < una - min(tcb.max_snd_wnd, tcb.bytes_acked):
        tcb.shared.counters.dropped[DROP_OLD_ACK] += 1
        tcb.pending |= CHALLENGE_ACK
        return False
    if ack >= una:
        tcb.last_ack_us = now_us
        if tcb.probes_out:
            probes.peer_answered(tcb)
        if tcb.soft_error and tcb.snd_nxt > una:
            soft_errors.clear(tcb)
    wnd = seg.wnd << tcb.snd_wscale
    marks = tcb.ecn
    if marks is not None:
        ecn.arrives(tcb, marks, seg)
    flight = tcb.snd_nxt - una
    delivered = 0
    if ack > una:
        delivered = _new_ack(tcb, seg, ack, now_us)
    elif seg.n_sack and tcb.by_sack:
        delivered = _sack_alone(tcb, seg, ack, now_us)
    if ack < una:
        return True  # old, but its payload may be good
    if (
        ack == una
        and tcb.snd_nxt > una
        and not tcb.by_sack
        and not seg.length
        and wnd == tcb.snd_wnd
        and not seg.flags & (SYN | FIN)
    ):
        recovery.on_dup_ack(tcb, now_us)
    elif (
        tcb.tail_probe is not None
        and ack == una
        and wnd == tcb.snd_wnd
        and not (seg.length or seg.n_sack)
    ):
        tlp.on_dup_ack(tcb)
    if marks is not None and ecn.is_told_of_marks(tcb, marks, seg):
        recovery.on_mark(tcb, delivered, flight, now_us)
    if flight and tcb.recorder is not None:
        recording.note(tcb, recording.ACKED, now_us)
    # an ACK that moves SND.UNA is news whatever its number (Linux): it may be on a retransmission
    if ack > una or seq > tcb.snd_wl1 or (seq == tcb.snd_wl1 and ack >= tcb.snd_wl2):
        _take_window(tcb, seq, ack, wnd, now_us)
    return True


def sign_of_life(tcb: Tcb, now_us: int) -> None:
    """The peer has shown that it knows where we are: probing starts over."""
    tcb.last_ack_us = now_us
    if tcb.probes_out:
        probes.peer_answered(tcb)


def _take_window(tcb: Tcb, seq: int, ack: int, wnd: int, now_us: int) -> None:
    tcb.snd_wl1 = seq
    tcb.snd_wl2 = ack
    if wnd == tcb.snd_wnd:
        return
    tcb.snd_wnd = wnd
    if wnd > tcb.max_snd_wnd:
        tcb.max_snd_wnd = wnd
    if tcb.persist_at_us and wnd:
        probes.window_opened(tcb, now_us)


def first_window(tcb: Tcb, seg: Segment, seq: int) -> None:
    """The window of a SYN or SYN,ACK, which is never scaled (RFC 7323 §2.2)."""
    tcb.snd_wnd = seg.wnd
    tcb.max_snd_wnd = max(tcb.max_snd_wnd, seg.wnd)
    tcb.snd_wl1 = seq
    tcb.snd_wl2 = tcb.snd_una


def syn_begins(tcb: Tcb, seg: Segment) -> None:
    """TCP Fast Open: the peer's SYN opens the connection at once, and with it its window."""
    tcb.snd_una = tcb.iss + 1
    first_window(tcb, seg, tcb.irs)


def syn_acked(tcb: Tcb, seg: Segment, now_us: int) -> None:
    """Our SYN is acknowledged: take it off, with its RTT (RFC 6298)."""
    rtt_us = tcb.scoreboard.acked(tcb.iss + 1, now_us).rtt_us
    if tcb.fast_accept is not None and not tcb.retransmits and not tcb.fast_accept.answered_us:
        rtt_us = now_us - tcb.opened_us  # a SYN,ACK that is not among what was sent
    if rtt_us < 0:
        rtt_us = _rtt_by_timestamp(tcb, seg, now_us)
    tcb.snd_una = tcb.iss + 1
    tcb.last_ack_us = now_us
    timers.arm_rto(tcb, 0)
    if rtt_us >= 0:
        rtt.take_sample(tcb, rtt_us, now_us)


def syn_data_acked(tcb: Tcb, ack: int, now_us: int) -> None:
    """A SYN,ACK acknowledges data of our SYN, up to `ack`."""
    tcb.scoreboard.acked(ack, now_us)
    tcb.bytes_acked += ack - tcb.snd_una
    tcb.snd_una = ack
    tcb.sndbuf.release(ack)


def _new_ack(tcb: Tcb, seg: Segment, ack: int, now_us: int) -> int:
    """SND.UNA < SEG.ACK =< SND.NXT: release, measure, grow, move on. The bytes that are newly
    delivered are returned."""
    una = tcb.snd_una
    acked = ack - una
    flight = tcb.snd_nxt - una
    prior_pipe = tcb.pipe
    result = tcb.scoreboard.acked(ack, now_us)
    rtt_us = result.rtt_us
    duplicate = False
    if seg.n_sack and tcb.by_sack:
        duplicate = take_sack(tcb, seg, ack, now_us)
        if rtt_us < 0:
            rtt_us = result.sack_rtt_us
    if rtt_us < 0 and not duplicate:  # D-SACK: it echoes an ACK that was lost
        rtt_us = _rtt_by_timestamp(tcb, seg, now_us)
    if rtt_us >= 0:  # else Karn: a backed-off RTO stays until a sample is had
        rtt.take_sample(tcb, rtt_us, now_us)
    sndbuf = tcb.sndbuf
    text_end = sndbuf.end_seq
    tcb.snd_una = ack
    if tcb.mtu_search is not None:
        mtu_probing.on_ack(tcb, tcb.mtu_search)
    released = (ack if ack < text_end else text_end) - sndbuf.start_seq
    if released > 0:
        tcb.bytes_acked += released
        sndbuf.release(sndbuf.start_seq + released)
        grow_send_buffer(tcb)
        if tcb.want_write and has_room(tcb):
            tcb.events |= EVENT_WRITABLE
            tcb.room_us = now_us
    if ack == tcb.snd_nxt:
        tcb.all_acked_us = now_us
        timers.arm_rto(tcb, 0)
    else:  # RFC 6298 §5.3; as Linux, at every partial ACK too
        timers.arm_rto(tcb, now_us + tcb.rto_us)
    recovery.on_ack(tcb, seg, result, acked, flight, prior_pipe, duplicate, now_us)
    if tcb.by_sack:
        tlp.schedule(tcb, now_us)
    if ack == tcb.snd_nxt and ack > text_end and tcb.fin_wanted:
        _fin_acked(tcb, now_us)
    return result.newly_delivered


def _sack_alone(tcb: Tcb, seg: Segment, ack: int, now_us: int) -> int:
    """SND.UNA stays, but SACK blocks may bring news, on old ACKs and on data too (RFC 6675 §2);
    D-SACK also when nothing is in flight any more. The bytes that are newly delivered are
    returned."""
    una = tcb.snd_una
    flight = tcb.snd_nxt - una
    prior_pipe = tcb.pipe
    result = tcb.scoreboard.acked(una, now_us)
    duplicate = take_sack(tcb, seg, ack, now_us)
    if not result.newly_delivered and not duplicate:
        return 0
    if result.sack_rtt_us >= 0:
        rtt.take_sample(tcb, result.sack_rtt_us, now_us)
    recovery.on_ack(tcb, seg, result, 0, flight, prior_pipe, duplicate, now_us)
    if tcb.tlp_at_us:
        tlp.schedule(tcb, now_us)  # losses are found by the blocks from here on
    return result.newly_delivered


def _rtt_by_timestamp(tcb: Tcb, seg: Segment, now_us: int) -> int:
    """A retransmission was acknowledged: timestamps tell which copy (RFC 7323 §4.1, RFC 6298 §3).
    In whole ms, one at the least (Linux). -1 without them."""
    if not tcb.ts_ok or not seg.options & HAS_TIMESTAMPS or not seg.tsecr:
        return -1
    ticks = (options.now_ts(tcb, now_us) - seg.tsecr) & MASK
    return max(ticks, 1) * 1000 if ticks < HALF else -1


def has_room(tcb: Tcb) -> bool:
    """Whether a user waiting to write should be told: a third free, little unsent (Linux)."""
    sndbuf = tcb.sndbuf
    held = sndbuf.end_seq - sndbuf.start_seq
    if 3 * held > 2 * sndbuf.limit:
        return False
    return sndbuf.end_seq - tcb.snd_nxt < tcb.notsent_lowat


def grow_send_buffer(tcb: Tcb) -> None:
    """Twice the congestion window, as Linux's tcp_sndbuf_expand, up to tcp_wmem[2]."""
    if tcb.sndbuf_locked:
        return
    cwnd = tcb.cc.cwnd
    wanted = 2 * max(cwnd, 10 * tcb.eff_mss)
    if wanted > tcb.sndbuf.limit:
        tcb.sndbuf.set_limit(max(tcb.sndbuf.limit, min(wanted, tcb.config.tcp_wmem[2])))


def _fin_acked(tcb: Tcb, now_us: int) -> None:
    """Our FIN is acknowledged."""
    state = tcb.state
    if state == FIN_WAIT_1:
        set_state(tcb, FIN_WAIT_2)
        timer_handlers.entered_fin_wait_2(tcb, now_us)
    elif state == CLOSING:
        set_state(tcb, TIME_WAIT)
    elif state == LAST_ACK:
        end(tcb, 0)
