"""Explicit congestion notification: what two SYNs agree on, the echo of marks, ECT and CWR
(RFC 3168 §6.1), and DCTCP's exact echo for algorithms that are `scalable` (RFC 8257 §3.2).

Marks on packets and the peer's echo come in here; `recovery` decides what to do about them. What
is particular to accurate feedback is in `accecn`, whose record a connection then has. Writes `ecn`
and that record, `ce_bytes`.
"""

from __future__ import annotations

from typing import Final

from pystack.cc.base import ECT_0, ECT_1, CongestionControl
from pystack.config import Config
from pystack.tcp.ecn import accecn
from pystack.tcp.state.records import Ecn
from pystack.tcp.tcb import ACK_NOW, Tcb
from pystack.tcp.timing import delayed_ack
from pystack.wire.consts import ACK, AE, CE, CWR, ECE, ECN_FIELD
from pystack.wire.segment import Segment

# Ecn.mode: the way in which marks are fed back; in SYN_SENT what was asked for
OFF: Final = 0
CLASSIC: Final = 1  # RFC 3168
ACCURATE: Final = 2  # RFC 9768

_SETUP: Final = ECE | CWR  # both on a SYN: an ECN-setup SYN

# by `tcp_ecn`
_ASKS: Final = (OFF, CLASSIC, OFF, ACCURATE, CLASSIC, OFF)
_ANSWERS: Final = (OFF, CLASSIC, CLASSIC, ACCURATE, ACCURATE, ACCURATE)


def mode_of(tcb: Tcb) -> int:
    """OFF, CLASSIC or ACCURATE."""
    return OFF if tcb.ecn is None else tcb.ecn.mode


# -- what two SYNs agree on ----------------------------------------------------------------------
def wanted_by(cc: CongestionControl) -> int:
    """The mode that an algorithm wants whatever `tcp_ecn` says: one that uses ECT(1) needs to hear
    of every mark (RFC 9331 §4.1)."""
    if not cc.wants_ecn:
        return OFF
    return ACCURATE if cc.ect == ECT_1 else CLASSIC


def syn_flags(tcb: Tcb, with_ack: bool) -> int:
    """The flags of our SYN, each time that it leaves, or of the SYN,ACK of a simultaneous open.

    A peer that does not answer may drop SYNs that have them. Retransmissions go without, accurate
    ECN being asked for twice (RFC 3168 §6.1.1.1, RFC 9768 §3.1.4.1); then our data is not ECT,
    whatever the answer."""
    if with_ack:
        acc = tcb.accecn
        return syn_ack_flags(mode_of(tcb), 0 if acc is None else acc.their_syn)
    if not tcb.retransmits:
        mode = max(_ASKS[tcb.config.tcp_ecn], wanted_by(tcb.cc))
        if tcb.user.route is not None and tcb.user.route.ecn:
            mode = max(mode, CLASSIC)
        tcb.ecn = Ecn(mode, True) if mode else None
    ecn = tcb.ecn
    if ecn is None:
        return 0
    if tcb.retransmits >= ecn.mode and tcb.config.tcp_ecn_fallback:
        ecn.ect_ok = False
    if not ecn.ect_ok:
        return 0
    return _SETUP | AE if ecn.mode == ACCURATE else _SETUP


def on_syn_ack(tcb: Tcb, seg: Segment) -> None:
    """The SYN,ACK that answers our SYN (RFC 3168 §6.1.1, RFC 9768 §3.1.1 and §3.1.2)."""
    ecn = tcb.ecn
    if ecn is None:
        return
    if ecn.mode == CLASSIC:
        if seg.flags & _SETUP != ECE:
            tcb.ecn = None
        return
    code = accecn.ace(seg.flags)
    if code in (0b000, 0b111):
        tcb.ecn = None
    elif code == 0b001:
        ecn.mode = CLASSIC
    else:
        acc = accecn.begin(tcb, passive=False, syn_field=control_ect(tcb))
        if not accecn.on_syn_ack(acc, tcb, seg):
            ecn.ect_ok = False


def on_syn(tcb: Tcb, seg: Segment) -> None:
    """The SYN of a simultaneous open: its request answers ours."""
    ecn = tcb.ecn
    if ecn is None:
        return
    if ecn.mode == ACCURATE and accecn.ace(seg.flags) not in (0b000, accecn.CLASSIC_SETUP):
        accecn.begin(
            tcb, passive=True, syn_field=control_ect(tcb), their_syn=seg.tos & ECN_FIELD
        )
    elif asks(seg.flags):
        ecn.mode = CLASSIC
    else:
        tcb.ecn = None


def on_syn_again(tcb: Tcb, seg: Segment) -> None:
    """The peer's SYN,ACK or SYN once more, numbered as the first. What was agreed on stays, but
    one that does not agree takes the right to send ECT (RFC 3168 §6.1.1, RFC 9768 §3.1.5)."""
    acc = tcb.accecn
    if acc is None:
        good = seg.flags & _SETUP == ECE if seg.flags & ACK else asks(seg.flags)
    else:
        good = accecn.ace(seg.flags) != 0
        if seg.flags & ACK and tcb.snd_nxt == tcb.iss + 1 and tcb.rcv_nxt == tcb.irs + 1:
            accecn.on_syn_ack(acc, tcb, seg)
    if not good and tcb.ecn is not None:
        tcb.ecn.ect_ok = False


def asks(flags: int) -> bool:
    """Whether a SYN asks for ECN as in RFC 3168; accurate ECN's request does so too."""
    return flags & _SETUP == _SETUP


def agrees(mode: int, flags: int) -> bool:
    """Whether the peer's SYN, sent again, asks as the first one did, for `mode` or more."""
    return accecn.ace(flags) != 0 if mode == ACCURATE else asks(flags)


def answer(config: Config, wanted: int, seg: Segment, by_route: bool = False) -> int:
    """LISTEN: the mode that a SYN is answered with; `wanted` is what the listener's algorithm
    wants, `by_route`: the route has `features ecn`. A request of RFC 3168 that is ECT itself comes
    from a network that writes there, or from DCTCP (Linux)."""
    willing = max(_ANSWERS[config.tcp_ecn], wanted, CLASSIC if by_route else OFF)
    if willing == ACCURATE and accecn.ace(seg.flags) not in (0b000, accecn.CLASSIC_SETUP):
        return ACCURATE  # also by what later versions may ask with (RFC 9768 §3.1.3)
    if not asks(seg.flags):
        return OFF
    credible = not seg.tos & ECN_FIELD or seg.flags & AE
    return CLASSIC if wanted or (willing and credible) else OFF


def syn_ack_flags(mode: int, syn_field: int) -> int:
    """The flags of a SYN,ACK in that mode, the SYN having had the ECN field `syn_field`."""
    if mode == ACCURATE:
        return accecn.report_of(syn_field)
    return ECE if mode == CLASSIC else 0


def first_flags(mode: int) -> int:
    """The flags of an ACK of a connection that is not established yet."""
    return accecn.first_flags() if mode == ACCURATE else 0


def syn_ack_option(mode: int, config: Config) -> bytes:
    """The AccECN option of a SYN,ACK in that mode."""
    return accecn.syn_ack_option() if mode == ACCURATE and config.tcp_ecn_option else b""


def take_agreed(
    tcb: Tcb, mode: int, ect_ok: bool, syn_ack_field: int, their_syn: int
) -> None:
    """What a half-open connection's record has agreed on, when it becomes a TCB."""
    tcb.ecn = Ecn(mode, ect_ok) if mode else None
    if mode == ACCURATE:
        accecn.begin(tcb, passive=True, syn_field=syn_ack_field, their_syn=their_syn)


def control_ect(tcb: Tcb) -> int:
    """The ECN field of segments without payload: only of a `scalable` algorithm's network, where
    they must not be dropped sooner than others, ECT (RFC 8257 §3.4, Linux)."""
    return _ect(tcb) if tcb.cc.scalable else 0


def _ect(tcb: Tcb) -> int:
    """ECT(1) is for algorithms that are told of every mark (RFC 9331 §4.1)."""
    ecn = tcb.ecn
    if ecn is None or not ecn.ect_ok:
        return 0
    return ECT_0 if ecn.mode == CLASSIC else tcb.cc.ect


# -- what leaves -----------------------------------------------------------------------------------
def leaving(tcb: Tcb, ecn: Ecn, seq: int, length: int, flags: int) -> int:
    """The ECN field of a segment that leaves now, with `length` octets of payload from `seq` on,
    plus 4 times its flags of ECN. New data is ECT and has the CWR that is due. Retransmissions,
    ACKs and probes are not ECT; with accurate feedback, which counts marks on them too, they are
    (Linux; RFC 8311 §4.3 lets experiments differ from RFC 3168 here)."""
    acc = tcb.accecn
    if acc is not None:
        return _ect(tcb) | accecn.leaving(acc, tcb, length, flags) << 2
    new = length > 0 and seq >= tcb.snd_nxt
    ect = _ect(tcb) if new else control_ect(tcb)
    if ecn.echo:
        ect |= ECE << 2
    if new and ecn.cwr_due:
        ecn.cwr_due = False
        ect |= CWR << 2
    return ect


def ack_must_be_bare(tcb: Tcb) -> bool:
    """Whether the ACK that is due must have no payload: it tells how the SYN,ACK came (RFC 9768
    §3.2.2.1)."""
    acc = tcb.accecn
    return acc is not None and acc.reflect >= 0


def window_cut(tcb: Tcb) -> None:
    """The congestion window was cut, for whatever reason: tell the peer (RFC 3168 §6.1.2)."""
    ecn = tcb.ecn
    if ecn is not None and ecn.mode == CLASSIC:
        ecn.cwr_due = True


def answered_by_itself(tcb: Tcb) -> None:
    """A `scalable` algorithm has counted the marks that are echoed: tell the peer once for each
    window, or one that echoes as in RFC 3168 would go on for ever (RFC 8257 §3.3)."""
    ecn = tcb.ecn
    if ecn is not None and ecn.mode == CLASSIC and tcb.snd_una > ecn.cwr_seq:
        ecn.cwr_due = True
        ecn.cwr_seq = tcb.snd_nxt


def cut_undone(tcb: Tcb) -> None:
    """The cut was needless, and is taken back (Linux: tcp_ecn_withdraw_cwr)."""
    if tcb.ecn is not None:
        tcb.ecn.cwr_due = False


# -- what comes in ---------------------------------------------------------------------------------
def ack_goes_first(tcb: Tcb, ecn: Ecn, seg: Segment) -> bool:
    """Whether what has come so far is to be acknowledged before `seg` is looked at, because its
    mark differs (RFC 8257 §3.2)."""
    if not tcb.cc.scalable or not tcb.ack_scheduled or not seg.length or ecn.mode != CLASSIC:
        return False
    return (seg.tos & ECN_FIELD == CE) != ecn.echo


def arrives(tcb: Tcb, ecn: Ecn, seg: Segment) -> None:
    """A segment with an acceptable ACK has come."""
    tcb.ce_bytes = 0
    acc = tcb.accecn
    if acc is not None and not accecn.arrives(acc, tcb, seg):
        ecn.ect_ok = False


def on_payload(tcb: Tcb, ecn: Ecn, seg: Segment) -> None:
    """Payload in the window has come: note its mark, for the ACKs that follow."""
    field = seg.tos & ECN_FIELD
    acc = tcb.accecn
    if acc is not None:
        accecn.on_payload(acc, tcb, seg)
    elif tcb.cc.scalable:
        if field and (field == CE) != ecn.echo:
            ecn.echo = field == CE
            delayed_ack.on_mark(tcb)
            tcb.pending |= ACK_NOW
    else:
        if seg.flags & CWR:
            ecn.echo = False
            tcb.pending |= ACK_NOW  # its sender may have a window of one segment (Linux)
        if field == CE and not ecn.echo:
            ecn.echo = True
            delayed_ack.on_mark(tcb)
    if field:
        ecn.ect_seen = True
    elif ecn.ect_seen:
        delayed_ack.on_mark(tcb)  # no longer ECT: it must be a retransmission (Linux)


def on_duplicate(tcb: Tcb, seq: int) -> None:
    """Payload from `seq` on, all of which we had, has come once more."""
    if tcb.accecn is not None:
        accecn.on_duplicate(tcb.accecn, tcb, seq)


def on_delivery(tcb: Tcb, ecn: Ecn, seg: Segment, delivered: int) -> None:
    """An ACK has shown the arrival of `delivered` octets: how many of them, and how many segments,
    count as marked. Accurate feedback is not believed of a path on which we must not send ECT (RFC
    9768 §3.2.2.1, §3.2.2.4)."""
    acc = tcb.accecn
    if acc is not None:
        if not acc.decoded and ecn.ect_ok:
            ecn.delivered_ce += accecn.decode(acc, tcb, seg, delivered)
            tcb.ce_bytes = acc.ce_bytes
    elif seg.flags & ECE:
        tcb.ce_bytes = delivered
        ecn.delivered_ce += -(-delivered // tcb.eff_mss)


def is_told_of_marks(tcb: Tcb, ecn: Ecn, seg: Segment) -> bool:
    """Whether the ACK that was just taken, which need not have shown that anything arrived, tells
    of marks."""
    acc = tcb.accecn
    if acc is None:
        return seg.flags & ECE != 0
    if not acc.decoded and accecn.is_newer(tcb, seg):
        on_delivery(tcb, ecn, seg, 0)
    return acc.marked > 0
