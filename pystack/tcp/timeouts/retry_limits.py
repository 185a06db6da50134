"""How long a peer that does not answer is waited for: R2 of RFC 9293 §3.8.3.

As in Linux R2 is a time, that of `tcp_retries2` doublings of the minimum RTO (about 924 s), or
TCP_USER_TIMEOUT. All who ask when a connection ends for want of answers ask here, so that a timer
is never set by one rule and judged by another. Writes no variable.
"""

from __future__ import annotations

from errno import ETIMEDOUT
from typing import Final

from pystack.tcp.state.states import ESTABLISHED
from pystack.tcp.tcb import Tcb
from pystack.tcp.timing import timers
from pystack.tcp.transitions import end

NEVER: Final = 1 << 62  # µs
_ORPHAN_RETRIES: Final = 8  # where tcp_orphan_retries is 0


def retries_time_us(tcb: Tcb, retries: int) -> int:
    """How long `retries` doublings of the minimum RTO take, capped each at the maximum."""
    base_us = tcb.config.tcp_rto_min_us
    most_us = tcb.config.tcp_rto_max_ms * 1000
    doublings = max(most_us // base_us, 1).bit_length() - 1
    if retries <= doublings:
        return ((2 << retries) - 1) * base_us
    return ((2 << doublings) - 1) * base_us + (retries - doublings) * most_us


def is_past_r1(tcb: Tcb, now_us: int) -> bool:
    """R1 as a time: `tcp_retries1` doublings of the minimum RTO since the first timeout."""
    if not tcb.retransmits:
        return False
    return now_us - tcb.retrans_since_us >= retries_time_us(tcb, tcb.config.tcp_retries1)


def give_up(tcb: Tcb) -> None:
    """R2: there is no answer. The reason is the last soft error, if any (RFC 5461 §2.2)."""
    timers.stop_all(tcb)
    end(tcb, tcb.soft_error or ETIMEDOUT)


def ends_at_us(tcb: Tcb) -> int:
    """When the connection ends unless what has been sent again is acknowledged: at its next timeout
    from then on, and with TCP_USER_TIMEOUT at that time itself. NEVER before its first timeout.

    An answered window of zero is no progress, so it doesn't put the user timeout off, and neither
    does it keep an orphan. Otherwise a peer that answers is not given up (MUST-37): one that took
    its window back has two of the longest timeouts from its last answer (Linux:
    tcp_rtx_probe0_timed_out).
    """
    since_us = tcb.retrans_since_us
    if not since_us:
        return NEVER
    if tcb.user_timeout_us:
        return since_us + tcb.user_timeout_us
    config = tcb.config
    if tcb.orphan:
        return since_us + retries_time_us(tcb, orphan_retries(tcb, tcb.rto_us))
    if not tcb.snd_wnd:
        return max(since_us, tcb.last_ack_us) + 2 * config.tcp_rto_max_ms * 1000
    return since_us + retries_time_us(tcb, config.tcp_retries2)


def attempt_ends_at_us(tcb: Tcb, retries: int) -> int:
    """The same of an attempt to connect, or an unanswered SYN,ACK of `retries` retransmissions."""
    limit_us = tcb.user_timeout_us or ((2 << retries) - 1) * tcb.config.tcp_rto_initial_ms * 1000
    return tcb.opened_us + limit_us


def probing_ends_at_us(tcb: Tcb) -> int:
    """When TCP_USER_TIMEOUT ends a connection that probes a zero window since `probes_since_us`,
    whatever the peer answers; NEVER without it."""
    if not tcb.user_timeout_us or not tcb.probes_since_us:
        return NEVER
    return tcb.probes_since_us + tcb.user_timeout_us


def orphan_retries(tcb: Tcb, wait_us: int) -> int:
    """How often to try for a user that is gone, when the next wait is `wait_us`. That is
    `tcp_orphan_retries`, and where it is 0 eight times, but no more once waits are the longest
    (Linux; RFC 6429 §4)."""
    retries = tcb.config.tcp_orphan_retries
    is_longest = wait_us >= tcb.config.tcp_rto_max_ms * 1000
    if is_longest:
        return 0 if tcb.soft_error else retries
    return retries or _ORPHAN_RETRIES


def next_rto_at(tcb: Tcb, now_us: int) -> int:
    """When to look again after (re)sending now; a user timeout cuts the last wait short."""
    at_us = now_us + tcb.rto_us
    if tcb.user_timeout_us and tcb.retransmits:
        ends_us = tcb.opened_us + tcb.user_timeout_us
        if tcb.state >= ESTABLISHED:
            ends_us = ends_at_us(tcb)
        return min(at_us, max(ends_us, now_us + 1))
    return at_us
