"""Explicit congestion notification: what two SYNs agree on, the echo of marks, ECT and CWR
(RFC 3168 §6.1), and DCTCP's exact echo for algorithms that are `scalable` (RFC 8257 §3.2).

Writes `ecn`, `ect_ok`, `ecn_echo`, `cwr_due`, `ecn_seen`, `ecn_hold`, `ce_bytes`, `delivered_ce`.
Marks on packets and the peer's echo come in here; `recovery` decides what to do about them.
"""

from __future__ import annotations

from typing import Final

from pystack.config import Config
from pystack.tcp import delayed_ack
from pystack.tcp.tcb import ACK_NOW, Tcb
from pystack.wire.consts import AE, CE, CWR, ECE, ECN_FIELD
from pystack.wire.segment import Segment

# Tcb.ecn: the way in which marks are fed back
OFF: Final = 0
CLASSIC: Final = 1  # RFC 3168

_SETUP: Final = ECE | CWR  # both on a SYN: an ECN-setup SYN


# -- what two SYNs agree on ----------------------------------------------------------------------
def syn_flags(tcb: Tcb) -> int:
    """The flags that our SYN, or its repeat, asks with. A peer that is silent may not bear them:
    repeats go without (RFC 3168 §6.1.1.1), and then our data is not ECT whatever comes."""
    if not tcb.retransmits:
        asks = tcb.config.tcp_ecn == 1 or tcb.cc.wants_ecn
        tcb.ecn = CLASSIC if asks else OFF
        tcb.ect_ok = asks
    elif tcb.config.tcp_ecn_fallback:
        tcb.ect_ok = False
    return _SETUP if tcb.ect_ok else 0


def on_syn_ack(tcb: Tcb, seg: Segment) -> None:
    """The SYN,ACK that answers our SYN: ECN-setup when it has ECE and not CWR."""
    if seg.flags & _SETUP != ECE:
        _refuse(tcb)


def on_syn(tcb: Tcb, seg: Segment) -> None:
    """The SYN of a simultaneous open."""
    if not asks(seg.flags):
        _refuse(tcb)


def _refuse(tcb: Tcb) -> None:
    tcb.ecn = OFF
    tcb.ect_ok = False


def asks(flags: int) -> bool:
    """Whether a SYN asks for ECN."""
    return flags & _SETUP == _SETUP


def answer(config: Config, wants_ecn: bool, seg: Segment) -> int:
    """LISTEN: the mode that a SYN is answered with. One that is ECT itself comes from a network
    that writes there, or from DCTCP (Linux), which `wants_ecn` is for."""
    if not asks(seg.flags):
        return OFF
    credible = not seg.tos & ECN_FIELD or seg.flags & AE
    return CLASSIC if wants_ecn or (config.tcp_ecn and credible) else OFF


def syn_ack_flags(mode: int) -> int:
    """The flags of a SYN,ACK of a connection in that mode."""
    return ECE if mode == CLASSIC else 0


def take_agreed(tcb: Tcb, mode: int, ect_ok: bool) -> None:
    """What a half-open connection's record has agreed on, when it becomes a TCB."""
    tcb.ecn = mode
    tcb.ect_ok = ect_ok


def control_ect(tcb: Tcb) -> int:
    """The ECN field of segments without text: only of a `scalable` algorithm's network, where
    they must not be dropped sooner than others, ECT (RFC 8257 §3.4, Linux)."""
    cc = tcb.cc
    return cc.ect if tcb.ect_ok and cc.scalable else 0


# -- what leaves -----------------------------------------------------------------------------------
def leaving(tcb: Tcb, seq: int, length: int) -> int:
    """A segment with `length` octets of text from `seq` on leaves now: its ECN field, and 4 times
    its flags. New text is ECT and has the CWR that is due; repeats, ACKs and probes are not."""
    bits = ECE << 2 if tcb.ecn_echo else 0
    if not length or seq < tcb.snd_nxt:
        return bits | control_ect(tcb)
    if tcb.cwr_due:
        tcb.cwr_due = False
        bits |= CWR << 2
    return bits | tcb.cc.ect if tcb.ect_ok else bits


def window_cut(tcb: Tcb) -> None:
    """The congestion window was cut, for whatever reason: tell the peer (RFC 3168 §6.1.2)."""
    if tcb.ecn:
        tcb.cwr_due = True


def cut_undone(tcb: Tcb) -> None:
    """The cut was for nothing, and is taken back (Linux: tcp_ecn_withdraw_cwr)."""
    tcb.cwr_due = False


# -- what comes in ---------------------------------------------------------------------------------
def ack_goes_first(tcb: Tcb, seg: Segment) -> bool:
    """Whether what has come so far is to be acknowledged before `seg` is looked at, because its
    mark differs (RFC 8257 §3.2). ECN is on."""
    if not tcb.cc.scalable or not tcb.ack_scheduled or not seg.length:
        return False
    return (seg.tos & ECN_FIELD == CE) != tcb.ecn_echo


def on_text(tcb: Tcb, seg: Segment) -> None:
    """Text in the window came: note its mark, for the ACKs that follow. ECN is on."""
    field = seg.tos & ECN_FIELD
    if tcb.cc.scalable:
        if field and (field == CE) != tcb.ecn_echo:
            tcb.ecn_echo = field == CE
            delayed_ack.on_mark(tcb)
            tcb.pending |= ACK_NOW
    else:
        if seg.flags & CWR:
            tcb.ecn_echo = False
            tcb.pending |= ACK_NOW  # its sender may have a window of one segment (Linux)
        if field == CE and not tcb.ecn_echo:
            tcb.ecn_echo = True
            delayed_ack.on_mark(tcb)
    if field:
        tcb.ecn_seen = True
    elif tcb.ecn_seen:
        delayed_ack.on_mark(tcb)  # no longer ECT: it must be a repeat (Linux)


def on_ack(tcb: Tcb, seg: Segment, delivered: int) -> bool:
    """An acceptable ACK tells that `delivered` octets have arrived: note how many of these count
    as marked. Whether it echoes a mark is returned. ECN is on."""
    if not seg.flags & ECE:
        tcb.ce_bytes = 0
        return False
    tcb.ce_bytes = delivered
    tcb.delivered_ce += -(-delivered // tcb.eff_mss)
    return True


# -- a window of one segment -----------------------------------------------------------------------
def hold(tcb: Tcb) -> None:
    """A mark came while the window was one segment, which cannot be cut: the next one waits for
    the retransmission timer (RFC 3168 §6.1.2)."""
    tcb.ecn_hold = True


def release(tcb: Tcb) -> None:
    """The timer expired."""
    tcb.ecn_hold = False
