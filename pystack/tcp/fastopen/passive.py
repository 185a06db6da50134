"""The server's side of TCP Fast Open (RFC 7413 §4.2.2): SYN_RECEIVED of a connection whose SYN had
a good cookie, as Linux has it. The user may read and write before the handshake is complete.

Writes the record `fast_accept`. SND.UNA is behind the SYN from the start: that the SYN,ACK is not
acknowledged yet, the state says. Until it is, nothing but the SYN,ACK is sent again.
"""

from __future__ import annotations

from typing import Any

from pystack.tcp.recovery import recovery
from pystack.tcp.state.records import FastAccept
from pystack.tcp.state.states import SYN_RECEIVED
from pystack.tcp.tcb import SEND_SYN, Tcb
from pystack.tcp.timing import rtt
from pystack.wire.segment import Segment


def begin(tcb: Tcb, seg: Segment, listener: Any, wscale: int, cookie: bytes) -> None:
    """The SYN `seg` begins the connection: its SYN,ACK leaves with the next transmit, with `cookie`
    as its option and window scale `wscale` (-1 for none)."""
    tcb.fast_accept = FastAccept(listener, wscale, cookie, seg.length > 0)
    tcb.pending |= SEND_SYN


def is_open(tcb: Tcb) -> bool:
    """Whether the user may read and write although the handshake is not complete."""
    return tcb.fast_accept is not None and tcb.state == SYN_RECEIVED


def syn_again(tcb: Tcb, accept: FastAccept, now_us: int) -> None:
    """The peer's SYN once more: our SYN,ACK was lost. It is answered, within
    `tcp_invalid_ratelimit`."""
    limit_us = tcb.config.tcp_invalid_ratelimit * 1000
    if accept.answered_us and now_us - accept.answered_us < limit_us:
        return
    accept.answered_us = now_us
    tcb.pending |= SEND_SYN


def gives_up(tcb: Tcb) -> bool:
    """Whether the last SYN,ACK has gone unanswered: one more than others get (Linux)."""
    return tcb.retransmits > tcb.config.tcp_synack_retries


def on_syn_ack_timeout(tcb: Tcb, now_us: int) -> None:
    """The SYN,ACK again. What data has left meanwhile waits for the handshake; the second timeout
    cuts the window (Linux)."""
    if tcb.retransmits == 1 and tcb.snd_nxt > tcb.snd_una:
        recovery.on_rto(tcb, now_us)
    else:
        recovery.note_retransmit(tcb, now_us)
    rtt.back_off(tcb)
    tcb.pending |= SEND_SYN
