"""How far the congestion window is used: one that is not says nothing of the path, so it does not
grow (RFC 7661 §4.3, Linux: tcp_cwnd_validate). It stays while ACKs come; an idle time reduces it
(RFC 5681 §4.1). A loss cuts the window, used or not.

Writes `cwnd_…`, `held` and `held_since_us`.
"""

from __future__ import annotations

from pystack.tcp.state.records import HELD_BY_BUFFER, HELD_BY_WINDOW, NOT_HELD
from pystack.tcp.tcb import Tcb


def note_use(
    tcb: Tcb, nxt: int, data_end: int, cwnd_end: int, wnd_end: int, mss: int, now_us: int
) -> None:
    """New data has left as far as it may, up to `nxt`; the congestion window, the peer's window and
    what the user has written go as far as the numbers say. A congestion window that takes no
    segment more counts as used until what was sent by then is acknowledged."""
    full = cwnd_end - nxt < mss
    held = NOT_HELD
    if nxt < data_end:
        if wnd_end < cwnd_end and wnd_end < data_end and wnd_end - nxt < mss:
            held = HELD_BY_WINDOW
    elif tcb.want_write and not full:
        held = HELD_BY_BUFFER
    if held != tcb.held or (held == HELD_BY_BUFFER and tcb.room_us > tcb.held_since_us):
        before, since_us = tcb.held, tcb.held_since_us
        if before == HELD_BY_WINDOW:
            tcb.stats.rwnd_limited_us += now_us - since_us
        elif before == HELD_BY_BUFFER:
            end_us = tcb.room_us if tcb.room_us >= since_us else now_us
            tcb.stats.sndbuf_limited_us += end_us - since_us
        tcb.held = held
        tcb.held_since_us = now_us
    flight = tcb.snd_nxt - tcb.snd_una
    if full or tcb.snd_una >= tcb.cwnd_seq or (not tcb.cwnd_limited and flight > tcb.cwnd_most):
        tcb.cwnd_limited = full
        tcb.cwnd_most = flight
        tcb.cwnd_seq = tcb.snd_nxt


def after_idle(tcb: Tcb, now_us: int) -> None:
    """Data is to be sent with nothing in flight. Perhaps it cannot leave yet (corked, no window, a
    full batch), and this is called again: the same idle time does not reduce the window twice."""
    if not tcb.last_sent_us:
        return  # nothing was ever sent
    idle_us = now_us - tcb.last_sent_us
    tcb.cc.on_tx_start(idle_us, now_us)
    config = tcb.config
    idle_us = min(idle_us, now_us - tcb.cwnd_restarted_us)
    if config.tcp_slow_start_after_idle and idle_us > tcb.rto_us:
        tcb.cwnd_restarted_us = now_us
        restart_window = tcb.initial_window.in_bytes(tcb.eff_mss, config)
        tcb.cc.on_restart(idle_us, tcb.rto_us, restart_window)


def is_used(tcb: Tcb) -> bool:
    """Whether the last flight was bounded by the window; in slow start more than half of it is use
    enough (Linux), as it is to double."""
    cc = tcb.cc
    return tcb.cwnd_limited or (cc.cwnd < cc.ssthresh and cc.cwnd < 2 * tcb.cwnd_most)
