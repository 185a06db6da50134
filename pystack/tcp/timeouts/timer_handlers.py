"""What happens when a deadline passes; here the retransmission timeout and FIN_WAIT_2.

R1 and R2 (RFC 9293 §3.8.3) are Linux's, see `retry_limits`. Writes no variable.
"""

from __future__ import annotations

from errno import ETIMEDOUT

from pystack.ip.reports import ORIGIN_LOCAL
from pystack.tcp import recording, soft_errors
from pystack.tcp.fastopen import active, passive
from pystack.tcp.recovery import mtu_probing, recovery, tlp
from pystack.tcp.state.states import FIN_WAIT_2, SYN_RECEIVED, SYN_SENT
from pystack.tcp.tcb import NEW_PATH, SEND_RST, SEND_SYN, Tcb
from pystack.tcp.timeouts import probes, retry_limits
from pystack.tcp.timing import delayed_ack, rtt, timers
from pystack.tcp.transitions import end


def on_time(tcb: Tcb, now_us: int) -> None:
    """Handle every deadline of `tcb` that has passed; marks what `output` is to send."""
    if tcb.delack_at_us and tcb.delack_at_us <= now_us:
        delayed_ack.on_timer(tcb)
    if tcb.rack_at_us and tcb.rack_at_us <= now_us:
        recovery.on_rack_timer(tcb, now_us)
        if tcb.recorder is not None:
            recording.note(tcb, recording.LOOKED, now_us)
    if tcb.tlp_at_us and tcb.tlp_at_us <= now_us:
        if tlp.on_timer(tcb) and tcb.rto_at_us <= now_us:
            # both are due: the probe goes first
            timers.arm_rto(tcb, retry_limits.next_rto_at(tcb, now_us))
    if tcb.pace_at_us and tcb.pace_at_us <= now_us:
        timers.arm_pace(tcb, 0)  # `output` goes on
    if tcb.rto_at_us and tcb.rto_at_us <= now_us:
        _on_rto(tcb, now_us)
    if tcb.persist_at_us and tcb.persist_at_us <= now_us:
        probes.on_persist(tcb, now_us)
    if tcb.keepalive_at_us and tcb.keepalive_at_us <= now_us:
        probes.on_keepalive(tcb, now_us)
    if tcb.fin_wait_2_at_us and tcb.fin_wait_2_at_us <= now_us:
        timers.arm_fin_wait_2(tcb, 0)
        if tcb.state == FIN_WAIT_2:
            end(tcb, 0)


def _on_rto(tcb: Tcb, now_us: int) -> None:
    timers.arm_rto(tcb, 0)
    if tcb.state in (SYN_SENT, SYN_RECEIVED):
        _on_syn_rto(tcb, now_us)
        return
    if tcb.retransmits == tcb.config.tcp_retries1:
        soft_errors.report(tcb, ETIMEDOUT, ORIGIN_LOCAL, 0, 0, tcb.retransmits, b"")
    is_over = now_us >= retry_limits.ends_at_us(tcb)
    if tcb.fast_open is not None:
        active.on_timeout(tcb, tcb.fast_open, is_over, now_us)
    if is_over:
        retry_limits.give_up(tcb)
        return
    if tcb.retransmits and now_us - tcb.reduced_us < tcb.rto_us:
        # TCP_USER_TIMEOUT had cut the wait short, and is longer now
        timers.arm_rto(tcb, retry_limits.next_rto_at(tcb, tcb.reduced_us))
        return
    if tcb.config.tcp_mtu_probing and retry_limits.is_past_r1(tcb, now_us):
        mtu_probing.on_black_hole(tcb, now_us)
    recovery.on_rto(tcb, now_us)
    if not tcb.v4:
        tcb.pending |= NEW_PATH
    rtt.back_off(tcb)
    if tcb.recorder is not None:
        recording.note(tcb, recording.RTO, now_us)


def _on_syn_rto(tcb: Tcb, now_us: int) -> None:
    """Linux counts retransmissions and time, whichever ends first: `n` doublings of the first RTO,
    or TCP_USER_TIMEOUT."""
    if tcb.fast_accept is not None:
        if passive.gives_up(tcb):
            retry_limits.give_up(tcb)
        else:
            passive.on_syn_ack_timeout(tcb, now_us)
        return
    config = tcb.config
    linear = config.tcp_syn_linear_timeouts if tcb.state == SYN_SENT else 0
    retries = tcb.user.syn_retries if tcb.state == SYN_SENT else config.tcp_synack_retries
    ends_at_us = retry_limits.attempt_ends_at_us(tcb, retries)
    is_over = tcb.retransmits >= retries + linear or now_us >= ends_at_us
    if tcb.fast_open is not None:
        active.on_timeout(tcb, tcb.fast_open, is_over, now_us)
    if is_over:
        tcb.shared.counters.attempt_fails += 1
        retry_limits.give_up(tcb)
        return
    if tcb.retransmits == config.tcp_retries1:
        soft_errors.report(tcb, ETIMEDOUT, ORIGIN_LOCAL, 0, 0, tcb.retransmits, b"")
    recovery.note_retransmit(tcb, now_us)
    if tcb.retransmits <= linear:
        rtt.hold_syn_interval(tcb)
    else:
        rtt.back_off(tcb)
    tcb.pending |= SEND_SYN if tcb.v4 else SEND_SYN | NEW_PATH


# -- FIN_WAIT_2 -----------------------------------------------------------------------------------
def entered_fin_wait_2(tcb: Tcb, now_us: int) -> None:
    """Our FIN is acknowledged. When the user has closed, the wait for the peer's FIN is bounded."""
    if not tcb.orphan:
        return
    if tcb.user.linger2_us < 0:
        tcb.pending |= SEND_RST
        end(tcb, 0)
        return
    timers.arm_fin_wait_2(tcb, now_us + tcb.user.linger2_us)


def arm_orphan(tcb: Tcb, now_us: int) -> None:
    """The user has closed while in FIN_WAIT_2: the wait for the peer's FIN is bounded now."""
    if tcb.state == FIN_WAIT_2 and not tcb.fin_wait_2_at_us:
        entered_fin_wait_2(tcb, now_us)
