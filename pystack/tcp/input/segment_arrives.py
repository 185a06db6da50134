"""SEGMENT ARRIVES for one connection, in the order of RFC 9293 §3.10.7, with RFC 5961 and PAWS.

CLOSED and LISTEN have no TCB (see `stack.listener`); SYN_SENT has a function of its own in
`syn_sent`; all other states share the body below. Nothing is sent here: steps set bits in
`tcb.pending`. Writes `segs_in`, `last_seg_us`, `rcv_tos`.
"""

from __future__ import annotations

from errno import ECONNREFUSED, ECONNRESET, EPIPE
from typing import Final

from pystack.tcp.ecn import ecn
from pystack.tcp.fastopen import active, passive
from pystack.tcp.header import timestamps
from pystack.tcp.input import ack, handshake, receive, urgent
from pystack.tcp.input.syn_sent import ANSWER_WITH_RST, HANDLED, on_segment_in_syn_sent
from pystack.tcp.state.states import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
)
from pystack.tcp.tcb import ACK_NOW, CHALLENGE_ACK, Tcb
from pystack.tcp.transitions import end
from pystack.wire.consts import (
    ACK,
    AE,
    CWR,
    DROP_AFTER_CLOSE,
    DROP_NO_ACK,
    DROP_OUT_OF_WINDOW,
    DROP_PAWS,
    DROP_RST_REFUSED,
    ECE,
    FIN,
    HAS_EXPERIMENT,
    HAS_TIMESTAMPS,
    PSH,
    RST,
    SYN,
    URG,
)
from pystack.wire.segment import Segment
from pystack.wire.seq import HALF, MASK, unwrap

# flags that make no difference to the fast path; those of ECN are looked at in ack and receive
_PLAIN: Final = ~(PSH | ECE | CWR | AE)
_FAST_OPTIONS: Final = HAS_TIMESTAMPS | HAS_EXPERIMENT  # options that it looks at


def segment_arrives(tcb: Tcb, seg: Segment, now_us: int) -> int:
    """Take one segment for `tcb`; HANDLED or ANSWER_WITH_RST is returned."""
    tcb.segs_in += 1
    tcb.last_seg_us = now_us
    tcb.rcv_tos = seg.tos
    state = tcb.state
    if state == ESTABLISHED and _fast_path(tcb, seg, now_us):
        return HANDLED
    if state == SYN_SENT:
        return on_segment_in_syn_sent(tcb, seg, now_us)
    if state == CLOSED:
        return HANDLED
    rcv_nxt = tcb.rcv_nxt
    seq = rcv_nxt + ((seg.seq - rcv_nxt + HALF) & MASK) - HALF
    if not _first_check_sequence(tcb, seg, seq, now_us):
        return HANDLED
    if seg.flags & RST:
        _second_check_rst(tcb, seq)
        return HANDLED
    # third: security and compartment are not used on the Internet
    if seg.flags & SYN:
        return _fourth_check_syn(tcb, seg, seq)
    answer = _fifth_check_ack(tcb, seg, seq, now_us)
    if answer >= 0:
        return answer
    if seg.options & HAS_TIMESTAMPS and tcb.ts_ok:
        timestamps.remember(tcb, seg, seq, now_us)
    if seg.options & HAS_EXPERIMENT and tcb.option is not None:
        tcb.option.take(seg, now_us)
    if seg.flags & URG:
        urgent.on_urgent(tcb, seg, seq)  # sixth
    if seg.length or seg.flags & FIN:
        return _seventh_payload_eighth_fin(tcb, seg, seq, now_us)
    return HANDLED


def _fast_path(tcb: Tcb, seg: Segment, now_us: int) -> bool:
    """The common case in ESTABLISHED, with the same outcome as the full body: the next segment
    in order, with no flags but ACK, PSH and those of ECN, fitting the window, its timestamp not
    older."""
    rcv_nxt = tcb.rcv_nxt
    if seg.flags & _PLAIN != ACK or seg.seq != rcv_nxt & MASK or tcb.recvbuf.ooo_bytes:
        return False
    if seg.length > tcb.rcv_adv - rcv_nxt:
        return False
    if tcb.ts_ok:
        if seg.options & _FAST_OPTIONS != HAS_TIMESTAMPS:
            return False
        tsval = seg.tsval
        if tsval != tcb.ts_recent:
            if (tsval - tcb.ts_recent) & MASK >= HALF:
                return False
            if not ack.on_ack(tcb, seg, rcv_nxt, now_us):
                return True
            timestamps.remember(tcb, seg, rcv_nxt, now_us)
        elif not ack.on_ack(tcb, seg, rcv_nxt, now_us):
            return True
    elif seg.options & HAS_EXPERIMENT:
        return False
    elif not ack.on_ack(tcb, seg, rcv_nxt, now_us):
        return True
    if seg.length:
        receive.in_order(tcb, seg, now_us)
    return True


def _first_check_sequence(tcb: Tcb, seg: Segment, seq: int, now_us: int) -> bool:
    """First: PAWS (RFC 7323 §5.3), then whether any of the segment lies in the window. A segment
    that lacks the timestamps agreed on is taken, as Linux does (§3.2 says SHOULD drop): there are
    middle boxes that take them away."""
    flags = seg.flags
    if tcb.ts_ok and seg.options & HAS_TIMESTAMPS and not flags & RST:
        if timestamps.paws_refuses(tcb, seg, seq, now_us):
            tcb.shared.counters.dropped[DROP_PAWS] += 1
            _answer_unacceptable(tcb, seg, seq)
            return False
    if _acceptable(tcb, seg, seq):
        return True
    if tcb.state == SYN_RECEIVED and flags & SYN and not flags & RST:
        return True  # the peer's SYN again, or the SYN,ACK of a simultaneous open
    if flags & RST:
        if seq == tcb.rcv_nxt - 1 and tcb.fin_received:
            return True  # Linux: a RST from just before the FIN that we have taken
        tcb.shared.counters.dropped[DROP_RST_REFUSED] += 1
        return False
    tcb.shared.counters.dropped[DROP_OUT_OF_WINDOW] += 1
    _answer_unacceptable(tcb, seg, seq)
    return False


def _acceptable(tcb: Tcb, seg: Segment, seq: int) -> bool:
    """The four cases of RFC 9293 §3.4. An empty segment may also lie between the last ACK sent
    and RCV.NXT (RFC 7323 §2.4, Linux), and one at RCV.NXT is always taken: with a zero window
    for its ACK, RST and URG only (MUST-66)."""
    rcv_nxt = tcb.rcv_nxt
    seg_len = seg.seg_len
    if seq == rcv_nxt:
        return True
    if not seg_len:
        return tcb.last_ack_sent <= seq < tcb.rcv_adv
    return seq < tcb.rcv_adv and seq + seg_len > rcv_nxt


def _answer_unacceptable(tcb: Tcb, seg: Segment, seq: int) -> None:
    """An ACK in answer; for an empty segment its rate is limited, against ACK loops."""
    if seg.flags & SYN:
        tcb.pending |= CHALLENGE_ACK  # RFC 5961 §4.2: whatever its number
        if tcb.ecn is not None and seq == tcb.irs:
            ecn.on_syn_again(tcb, seg)
    elif seg.length or seg.flags & FIN:
        receive.on_old_segment(tcb, seq, seg.seg_len)
        tcb.pending |= ACK_NOW
    else:
        # keep-alive and window probes each have their answer (RFC 9293 §3.8.4, §3.8.6.1)
        if seq != tcb.rcv_nxt - 1:
            tcb.pending |= CHALLENGE_ACK
            return
        tcb.pending |= ACK_NOW
        if seg.flags & ACK and tcb.snd_una <= unwrap(seg.ack, tcb.snd_una) <= tcb.snd_nxt:
            ack.sign_of_life(tcb, tcb.last_seg_us)  # the peer's own probe (MUST-26)


def _second_check_rst(tcb: Tcb, seq: int) -> None:
    """Second: RST is obeyed only at exactly RCV.NXT (RFC 5961 §3), also at the right edge of
    what is held out of order and just before a FIN (Linux); else a challenge ACK."""
    highest = tcb.recvbuf.highest()
    if seq == tcb.rcv_nxt or (highest and seq == highest) or (
        tcb.fin_received and seq == tcb.rcv_nxt - 1
    ):
        state = tcb.state
        if state == TIME_WAIT:
            if not tcb.config.tcp_rfc1337:
                end(tcb, 0)
        elif state == SYN_RECEIVED:
            tcb.shared.counters.attempt_fails += 1
            end(tcb, ECONNREFUSED if tcb.fast_accept is None else ECONNRESET)
        elif state == CLOSE_WAIT:
            end(tcb, EPIPE)
        else:
            end(tcb, ECONNRESET)
        if state in (ESTABLISHED, CLOSE_WAIT):
            tcb.shared.counters.estab_resets += 1
        return
    tcb.shared.counters.dropped[DROP_RST_REFUSED] += 1
    tcb.pending |= CHALLENGE_ACK
    if tcb.fast_open is not None:
        active.on_strange_rst(tcb, tcb.fast_open)


def _fourth_check_syn(tcb: Tcb, seg: Segment, seq: int) -> int:
    """Fourth: a SYN here is answered by a challenge ACK (RFC 5961 §4.2). In SYN_RECEIVED it is
    the peer's SYN again, or the SYN,ACK of a simultaneous open, whose ACK counts (§3.5)."""
    if tcb.state == SYN_RECEIVED and seq == tcb.irs:
        if tcb.ecn is not None:
            ecn.on_syn_again(tcb, seg)
        if tcb.fast_accept is not None:
            passive.syn_again(tcb, tcb.fast_accept, tcb.last_seg_us)
            return HANDLED
        acked = unwrap(seg.ack, tcb.snd_nxt)
        if seg.flags & ACK and tcb.iss < acked <= tcb.snd_nxt:
            ack.syn_acked(tcb, seg, tcb.last_seg_us)
            if acked > tcb.snd_una:
                ack.syn_data_acked(tcb, acked, tcb.last_seg_us)
            ack.first_window(tcb, seg, seq)
            handshake.become_established(tcb, tcb.last_seg_us)
        tcb.pending |= ACK_NOW
        return HANDLED
    tcb.pending |= CHALLENGE_ACK
    return HANDLED


def _fifth_check_ack(tcb: Tcb, seg: Segment, seq: int, now_us: int) -> int:
    """Fifth: the ACK field. -1 to go on with the segment, else the answer to return."""
    if not seg.flags & ACK:
        tcb.shared.counters.dropped[DROP_NO_ACK] += 1
        return HANDLED
    if tcb.state == SYN_RECEIVED:
        una = tcb.snd_una
        acked = una + ((seg.ack - una + HALF) & MASK) - HALF
        if not tcb.iss < acked <= tcb.snd_nxt:
            return ANSWER_WITH_RST
        ack.syn_acked(tcb, seg, now_us)
        ack.first_window(tcb, seg, seq)
        handshake.become_established(tcb, now_us)
    if not ack.on_ack(tcb, seg, seq, now_us):
        return HANDLED
    return HANDLED if tcb.state == CLOSED else -1


def _seventh_payload_eighth_fin(tcb: Tcb, seg: Segment, seq: int, now_us: int) -> int:
    """Seventh: payload. Eighth: FIN, if all before it has come."""
    state = tcb.state
    length = seg.length
    if length and state in (ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2):
        if seq + length > tcb.rcv_nxt and (
            tcb.orphan or (tcb.user.read_shut and state != ESTABLISHED)
        ):
            # the user will not read it (SHLD-3, Linux: TCPAbortOnData)
            tcb.shared.counters.dropped[DROP_AFTER_CLOSE] += 1
            end(tcb, 0 if tcb.orphan else ECONNRESET)
            return ANSWER_WITH_RST
        fits = seq + length <= tcb.rcv_adv
        receive.on_payload(tcb, seg, seq, now_us)
        if seg.flags & FIN and fits and tcb.state == state:
            receive.on_fin(tcb, seq + length, now_us)
    elif length:
        tcb.pending |= ACK_NOW  # payload behind a FIN is not taken
    elif seg.flags & FIN:
        if state in (ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2):
            receive.on_fin(tcb, seq + length, now_us)
        else:
            tcb.pending |= ACK_NOW  # the FIN again: our ACK of it was lost
    return HANDLED
