"""When to acknowledge (RFC 9293 §3.8.6.3, RFC 5681 §4.2), with Linux's timing unless replaced.

Writes `rcv_mss`, `ato_us`, `quick_acks`, `pingpong`, `ack_scheduled`. How long the ACK of payload
in order may wait is a part that can be replaced (`policies.ack_policies`). What must be
acknowledged at once, such as payload out of order, is so with every policy.
"""

from __future__ import annotations

from typing import Final

from pystack.tcp.policies.ack_policies import ATO_MIN_US
from pystack.tcp.policies.contracts import NOW
from pystack.tcp.tcb import ACK_NOW, ACK_SOON, Tcb
from pystack.tcp.timing import timers
from pystack.wire.segment import Segment

MAX_QUICK_ACKS: Final = 16
LONGEST_US: Final = 499_000  # RFC 9293 MUST-40: less than half a second
_DEFAULT_MSS: Final = 536
_MIN_MSS: Final = 88

def set_up(tcb: Tcb) -> None:
    """At ESTABLISHED: a cautious first guess of the peer's segment size."""
    hint = min(tcb.adv_mss, tcb.eff_mss, max(tcb.rcv_wnd >> 1, 1), _DEFAULT_MSS)
    tcb.rcv_mss = max(hint, _MIN_MSS)


def enter_quick_acks(tcb: Tcb) -> None:
    """The next segments are acknowledged at once: start, long idle, loss seen, duplicates."""
    quick = tcb.rcv_wnd // (2 * tcb.rcv_mss)
    quick = min(quick or 2, MAX_QUICK_ACKS)
    if quick > tcb.quick_acks:
        tcb.quick_acks = quick


def on_duplicate(tcb: Tcb) -> None:
    """A retransmission of what we have: our ACK may have been lost (Linux: tcp_send_dupack)."""
    enter_quick_acks(tcb)
    tcb.pingpong = False
    tcb.ato_us = ATO_MIN_US


def on_mark(tcb: Tcb) -> None:
    """A congestion mark, whose echo is not to wait (Linux: two quick ACKs)."""
    tcb.quick_acks = max(tcb.quick_acks, 2)
    tcb.pingpong = False
    tcb.ato_us = ATO_MIN_US


def on_payload(tcb: Tcb, seg: Segment, now_us: int) -> None:
    """In-order payload came: note the peer's segment size and its rhythm."""
    size = seg.gso_size or seg.length
    if size >= tcb.rcv_mss:
        tcb.rcv_mss = min(size, tcb.adv_mss)
    ato_us = tcb.ato_us
    if not ato_us:
        enter_quick_acks(tcb)
        tcb.ato_us = ATO_MIN_US
        return
    gap_us = now_us - tcb.last_data_us
    if gap_us <= ATO_MIN_US >> 1:
        tcb.ato_us = (ato_us >> 1) + (ATO_MIN_US >> 1)
    elif gap_us < ato_us:
        tcb.ato_us = min((ato_us >> 1) + gap_us, tcb.rto_us)
    elif gap_us > tcb.rto_us:
        enter_quick_acks(tcb)  # long idle: the peer has restarted from a small window


def schedule(tcb: Tcb, now_us: int) -> None:
    """In-order payload was taken: acknowledge now or later."""
    tcb.ack_scheduled = True
    if tcb.recvbuf.ooo_bytes:  # a gap is still there (RFC 5681 §4.2)
        tcb.pending |= ACK_NOW
        return
    wait_us = tcb.ack_policy.wait_us(tcb, now_us)
    if wait_us == NOW:
        tcb.pending |= ACK_NOW
    elif wait_us < 0:
        tcb.pending |= ACK_SOON
    else:
        at_us = now_us + (wait_us if wait_us < LONGEST_US else LONGEST_US)
        if not tcb.delack_at_us or at_us < tcb.delack_at_us:
            timers.arm_delack(tcb, at_us)


def on_fin(tcb: Tcb, now_us: int) -> None:
    """The peer's FIN came while our side is open: where requests and answers take turns, its ACK
    waits as for payload, so that it may ride on our own FIN (Linux: tcp_fin)."""
    if tcb.pingpong:
        schedule(tcb, now_us)
    else:
        tcb.pending |= ACK_NOW


def on_timer(tcb: Tcb) -> None:
    """The delayed ACK is due: nothing carried it."""
    timers.arm_delack(tcb, 0)
    if not tcb.ack_scheduled:
        return
    if tcb.pingpong:
        tcb.pingpong = False
        tcb.ato_us = ATO_MIN_US
    else:
        tcb.ato_us = min(tcb.ato_us << 1, tcb.rto_us)
    tcb.pending |= ACK_NOW


def on_ack_sent(tcb: Tcb) -> None:
    """A segment with an ACK has left."""
    if tcb.ack_scheduled:
        tcb.ack_scheduled = False
        if tcb.quick_acks:
            tcb.quick_acks -= 1
            if not tcb.quick_acks:
                tcb.ato_us = ATO_MIN_US
    if tcb.delack_at_us:
        timers.arm_delack(tcb, 0)


def on_data_sent(tcb: Tcb, now_us: int) -> None:
    """Data left: if it answers what came just before, ACKs will ride on such answers."""
    if tcb.last_data_us and now_us - tcb.last_data_us < tcb.ato_us:
        tcb.pingpong = True


def set_quick(tcb: Tcb, on: bool) -> None:
    """TCP_QUICKACK: leave (or enter) the mode in which ACKs wait for answers."""
    tcb.pingpong = not on
    if on and tcb.ack_scheduled:
        tcb.pending |= ACK_NOW
