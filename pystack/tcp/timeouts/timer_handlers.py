"""What happens when a deadline passes: RTO, zero-window probe, keep-alive, FIN_WAIT_2.

Writes `probes_out`, `probe_backoff`. R1 and R2 (RFC 9293 §3.8.3) are Linux's: R2 is a time,
that of `tcp_retries2` doublings of the minimum RTO (about 924 s), or TCP_USER_TIMEOUT.
"""

from __future__ import annotations

from errno import ETIMEDOUT
from typing import Final

from pystack.ip.reports import ORIGIN_LOCAL
from pystack.tcp import recording, soft_errors
from pystack.tcp.ecn import ecn
from pystack.tcp.recovery import recovery, tlp
from pystack.tcp.state.states import ESTABLISHED, FIN_WAIT_2, SYN_RECEIVED, SYN_SENT
from pystack.tcp.tcb import KEEPALIVE_PROBE, SEND_RST, SEND_SYN, WINDOW_PROBE, Tcb
from pystack.tcp.timing import delayed_ack, rtt, timers
from pystack.tcp.transitions import end

_ORPHAN_RETRIES: Final = 8


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
            timers.arm_rto(tcb, next_rto_at(tcb, now_us))  # both are due: the probe goes first
    if tcb.pace_at_us and tcb.pace_at_us <= now_us:
        timers.arm_pace(tcb, 0)  # `output` goes on
    if tcb.rto_at_us and tcb.rto_at_us <= now_us:
        _on_rto(tcb, now_us)
    if tcb.persist_at_us and tcb.persist_at_us <= now_us:
        _on_persist(tcb, now_us)
    if tcb.keepalive_at_us and tcb.keepalive_at_us <= now_us:
        _on_keepalive(tcb, now_us)
    if tcb.fin_wait_2_at_us and tcb.fin_wait_2_at_us <= now_us:
        timers.arm_fin_wait_2(tcb, 0)
        if tcb.state == FIN_WAIT_2:
            end(tcb, 0)


def retries_time_us(tcb: Tcb, retries: int) -> int:
    """How long `retries` doublings of the minimum RTO take, capped each at the maximum."""
    base_us = tcb.config.tcp_rto_min_us
    most_us = tcb.config.tcp_rto_max_ms * 1000
    doublings = max(most_us // base_us, 1).bit_length() - 1
    if retries <= doublings:
        return ((2 << retries) - 1) * base_us
    return ((2 << doublings) - 1) * base_us + (retries - doublings) * most_us


def _give_up(tcb: Tcb) -> None:
    """R2: nobody answers. The reason is the last soft error, if there was one (RFC 5461 §2.2)."""
    timers.stop_all(tcb)
    end(tcb, tcb.soft_error or ETIMEDOUT)


def _on_rto(tcb: Tcb, now_us: int) -> None:
    timers.arm_rto(tcb, 0)
    if tcb.stopped_until_rto:
        ecn.resume(tcb)
        if tcb.snd_nxt == tcb.snd_una:
            return
    if tcb.state in (SYN_SENT, SYN_RECEIVED):
        _on_syn_rto(tcb, now_us)
        return
    if tcb.retransmits == tcb.config.tcp_retries1:
        soft_errors.report(tcb, ETIMEDOUT, ORIGIN_LOCAL, 0, 0, tcb.retransmits, b"")
    if tcb.retransmits:
        # a window shrunk to zero is no dead peer: count from its last answer (SHLD-17)
        since_us = tcb.retrans_since_us
        if not tcb.snd_wnd:
            since_us = max(since_us, tcb.last_ack_us)
        if now_us - since_us >= _patience_us(tcb):
            _give_up(tcb)
            return
    recovery.on_rto(tcb, now_us)
    rtt.back_off(tcb)
    if tcb.recorder is not None:
        recording.note(tcb, recording.RTO, now_us)


def _patience_us(tcb: Tcb) -> int:
    if tcb.user_timeout_us:
        return tcb.user_timeout_us
    retries = tcb.config.tcp_retries2
    if tcb.orphan:
        retries = tcb.config.tcp_orphan_retries or _ORPHAN_RETRIES
    return retries_time_us(tcb, retries)


def next_rto_at(tcb: Tcb, now_us: int) -> int:
    """When to look again after (re)sending now; a user timeout cuts the last wait short."""
    wait_us = tcb.rto_us
    if tcb.user_timeout_us and tcb.retrans_since_us:
        left_us = tcb.retrans_since_us + tcb.user_timeout_us - now_us
        wait_us = min(wait_us, max(left_us, 1000))
    return now_us + wait_us


def _on_syn_rto(tcb: Tcb, now_us: int) -> None:
    """Linux counts repeats and time, whichever ends first: `n` doublings of the first RTO, or
    TCP_USER_TIMEOUT."""
    config = tcb.config
    linear = config.tcp_syn_linear_timeouts if tcb.state == SYN_SENT else 0
    retries = tcb.user.syn_retries if tcb.state == SYN_SENT else config.tcp_synack_retries
    patience_us = tcb.user_timeout_us or ((2 << retries) - 1) * config.tcp_rto_initial_ms * 1000
    if tcb.retransmits >= retries + linear or now_us - tcb.opened_us >= patience_us:
        tcb.shared.counters.attempt_fails += 1
        _give_up(tcb)
        return
    recovery.note_retransmit(tcb, now_us)
    if tcb.retransmits <= linear:
        rtt.hold_syn_interval(tcb)
    else:
        rtt.back_off(tcb)
    tcb.pending |= SEND_SYN


# -- zero window (RFC 9293 §3.8.6.1) -----------------------------------------------------------
def start_persist(tcb: Tcb, now_us: int) -> None:
    """Text waits and nothing is in flight: probe after one RTO (SHLD-29)."""
    tcb.probe_backoff = 0
    timers.arm_persist(tcb, now_us + max(tcb.rto_us, tcb.config.tcp_rto_min_us))


def _on_persist(tcb: Tcb, now_us: int) -> None:
    timers.arm_persist(tcb, 0)
    if tcb.sndbuf.end_seq + tcb.fin_wanted <= tcb.snd_nxt:
        return
    if tcb.user_timeout_us and tcb.probes_out:
        if now_us - tcb.last_ack_us >= tcb.user_timeout_us:
            _give_up(tcb)
            return
    retries = tcb.config.tcp_retries2
    if tcb.orphan:  # nobody waits for it: not for ever (RFC 6429 §4, Linux)
        retries = tcb.config.tcp_orphan_retries or _ORPHAN_RETRIES
        if _probe_wait_us(tcb) >= tcb.config.tcp_rto_max_ms * 1000:
            retries = 0
    if tcb.probes_out >= retries:
        _give_up(tcb)
        return
    tcb.pending |= WINDOW_PROBE


def _probe_wait_us(tcb: Tcb) -> int:
    base_us = max(tcb.rto_us, tcb.config.tcp_rto_min_us)
    wait_us = base_us << min(tcb.probe_backoff, 30)
    return min(wait_us, tcb.config.tcp_rto_max_ms * 1000)


def probe_sent(tcb: Tcb, now_us: int) -> None:
    """A window probe has left: the next one after twice the time (SHLD-30)."""
    tcb.probes_out += 1
    tcb.probe_backoff += 1
    timers.arm_persist(tcb, now_us + _probe_wait_us(tcb))


def peer_answered(tcb: Tcb) -> None:
    """Any acceptable ACK: the peer lives (MUST-37: then probing never ends the connection)."""
    tcb.probes_out = 0


def window_opened(tcb: Tcb, now_us: int) -> None:
    """The window is no longer zero."""
    tcb.probe_backoff = 0
    timers.arm_persist(tcb, 0)


# -- keep-alive (RFC 9293 §3.8.4) ----------------------------------------------------------------
def arm_keepalive(tcb: Tcb, now_us: int) -> None:
    """Start the idle clock, or stop it, by the socket's settings."""
    if tcb.user.keepalive and tcb.state >= ESTABLISHED:
        idle_us = now_us - max(tcb.last_data_us, tcb.last_ack_us)
        wait_us = max(tcb.user.keepalive_time_us - idle_us, 1)
        timers.arm_keepalive(tcb, now_us + wait_us)
    else:
        timers.arm_keepalive(tcb, 0)


def _on_keepalive(tcb: Tcb, now_us: int) -> None:
    timers.arm_keepalive(tcb, 0)
    if not tcb.user.keepalive:
        return
    if tcb.snd_nxt > tcb.snd_una or tcb.sndbuf.end_seq > tcb.snd_nxt:
        # MUST-26: only when idle; retransmission and persist look after the rest
        timers.arm_keepalive(tcb, now_us + tcb.user.keepalive_time_us)
        return
    idle_us = now_us - max(tcb.last_data_us, tcb.last_ack_us)
    if idle_us < tcb.user.keepalive_time_us:
        timers.arm_keepalive(tcb, now_us + tcb.user.keepalive_time_us - idle_us)
        return
    if tcb.user_timeout_us:
        dead = tcb.probes_out > 0 and idle_us >= tcb.user_timeout_us
    else:
        dead = tcb.probes_out >= tcb.user.keepalive_probes
    if dead:
        tcb.pending |= SEND_RST
        _give_up(tcb)
        return
    tcb.probes_out += 1
    tcb.pending |= KEEPALIVE_PROBE
    timers.arm_keepalive(tcb, now_us + tcb.user.keepalive_intvl_us)


# -- FIN_WAIT_2 -----------------------------------------------------------------------------------
def entered_fin_wait_2(tcb: Tcb, now_us: int) -> None:
    """Our FIN is acknowledged. If nobody reads any more, the peer's FIN is not awaited for ever."""
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
