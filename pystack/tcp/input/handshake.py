"""The end of the three-way handshake, from whichever side (RFC 9293 §3.5, RFC 5681 §3.1)."""

from __future__ import annotations

from pystack.events import EVENT_ESTABLISHED
from pystack.tcp.input import ack
from pystack.tcp.recovery import mtu_probing, recovery
from pystack.tcp.state.states import ESTABLISHED, FIN_WAIT_1
from pystack.tcp.tcb import Tcb
from pystack.tcp.timeouts import probes, retry_limits
from pystack.tcp.timing import delayed_ack, rtt, timers
from pystack.tcp.transitions import set_state


def begin_transfer(tcb: Tcb, now_us: int) -> None:
    """Data may be sent: choose the initial window. When both SYNs are acknowledged, or with TCP
    Fast Open when the peer's has come."""
    if tcb.config.tcp_mtu_probing == mtu_probing.ALWAYS:
        mtu_probing.begin(tcb, now_us)
    mss = tcb.eff_mss
    initial_cwnd = tcb.initial_window.in_bytes(mss, tcb.config)
    if tcb.retransmits > 1:
        initial_cwnd = mss  # Linux forgives one lost SYN; RFC 5681 §3.1 none
    recovery.on_transfer(tcb)
    tcb.cc.on_established(initial_cwnd, now_us)
    ack.grow_send_buffer(tcb)
    delayed_ack.set_up(tcb)


def become_established(tcb: Tcb, now_us: int) -> None:
    """Both SYNs are acknowledged: choose the initial window and start the clocks."""
    set_state(tcb, ESTABLISHED)
    lost_syns = tcb.retransmits
    if tcb.fast_accept is None:
        begin_transfer(tcb, now_us)
    else:
        recovery.on_fast_accept_established(tcb)
    if lost_syns and not tcb.rtt_samples:
        rtt.fall_back(tcb)
    if tcb.snd_nxt > tcb.snd_una:  # data has left before
        timers.arm_rto(tcb, retry_limits.next_rto_at(tcb, now_us))
    if tcb.user.keepalive:
        probes.arm_keepalive(tcb, now_us)
    tcb.events |= EVENT_ESTABLISHED
    if tcb.fin_wanted:  # closed while the handshake was on
        set_state(tcb, FIN_WAIT_1)
