"""Probes of a peer that is silent: of its zero window (RFC 9293 §3.8.6.1), and keep-alive (§3.8.4).

Writes `probes_out`, `probe_backoff`, `probes_since_us`.
"""

from __future__ import annotations

from pystack.tcp.state.states import ESTABLISHED
from pystack.tcp.tcb import KEEPALIVE_PROBE, SEND_RST, WINDOW_PROBE, Tcb
from pystack.tcp.timeouts.retry_limits import give_up, orphan_retries, probing_ends_at_us
from pystack.tcp.timing import timers


# -- zero window -----------------------------------------------------------------------------------
def start_persist(tcb: Tcb, now_us: int) -> None:
    """Payload waits and nothing is in flight: probe after one RTO (SHLD-29)."""
    tcb.probe_backoff = 0
    tcb.probes_since_us = 0
    timers.arm_persist(tcb, now_us + max(tcb.rto_us, tcb.config.tcp_rto_min_us))


def on_persist(tcb: Tcb, now_us: int) -> None:
    """The persist timer has expired."""
    timers.arm_persist(tcb, 0)
    if tcb.sndbuf.end_seq + tcb.fin_wanted <= tcb.snd_nxt:
        return
    if not tcb.probes_since_us:
        tcb.probes_since_us = now_us
    retries = tcb.config.tcp_retries2
    is_over = now_us >= probing_ends_at_us(tcb)
    if tcb.orphan:  # the user is gone: this must end, though the peer answers (RFC 6429 §4, Linux)
        wait_us = _probe_wait_us(tcb)
        retries = orphan_retries(tcb, wait_us)
        if wait_us >= tcb.config.tcp_rto_max_ms * 1000 and tcb.probe_backoff >= retries:
            is_over = True
    if is_over or tcb.probes_out >= retries:
        give_up(tcb)
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
    at_us = min(now_us + _probe_wait_us(tcb), max(probing_ends_at_us(tcb), now_us + 1))
    timers.arm_persist(tcb, at_us)


def peer_answered(tcb: Tcb) -> None:
    """Any acceptable ACK: the peer lives (MUST-37: then probing never ends the connection)."""
    tcb.probes_out = 0


def window_opened(tcb: Tcb, now_us: int) -> None:
    """The window is no longer zero."""
    tcb.probe_backoff = 0
    tcb.probes_since_us = 0
    timers.arm_persist(tcb, 0)


# -- keep-alive (RFC 9293 §3.8.4) ----------------------------------------------------------------
def arm_keepalive(tcb: Tcb, now_us: int, anew: bool = False) -> None:
    """Start the idle clock, or stop it, by the socket's settings; `anew`: it begins now."""
    if tcb.user.keepalive and tcb.state >= ESTABLISHED:
        idle_us = 0 if anew else now_us - max(tcb.last_data_us, tcb.last_ack_us)
        wait_us = max(tcb.user.keepalive_time_us - idle_us, 1)
        timers.arm_keepalive(tcb, now_us + wait_us)
    else:
        timers.arm_keepalive(tcb, 0)


def on_keepalive(tcb: Tcb, now_us: int) -> None:
    """The keep-alive timer has expired."""
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
        give_up(tcb)
        return
    tcb.probes_out += 1
    tcb.pending |= KEEPALIVE_PROBE
    timers.arm_keepalive(tcb, now_us + tcb.user.keepalive_intvl_us)
