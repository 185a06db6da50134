"""How long a peer that does not answer is waited for: R2 of RFC 9293 §3.8.3.

As in Linux R2 is a time, that of `tcp_retries2` doublings of the minimum RTO (about 924 s), or
TCP_USER_TIMEOUT. Writes no variable.
"""

from __future__ import annotations

from errno import ETIMEDOUT
from typing import Final

from pystack.tcp.tcb import Tcb
from pystack.tcp.timing import timers
from pystack.tcp.transitions import end

ORPHAN_RETRIES: Final = 8  # where the user has closed, and tcp_orphan_retries is 0


def retries_time_us(tcb: Tcb, retries: int) -> int:
    """How long `retries` doublings of the minimum RTO take, capped each at the maximum."""
    base_us = tcb.config.tcp_rto_min_us
    most_us = tcb.config.tcp_rto_max_ms * 1000
    doublings = max(most_us // base_us, 1).bit_length() - 1
    if retries <= doublings:
        return ((2 << retries) - 1) * base_us
    return ((2 << doublings) - 1) * base_us + (retries - doublings) * most_us


def give_up(tcb: Tcb) -> None:
    """R2: there is no answer. The reason is the last soft error, if any (RFC 5461 §2.2)."""
    timers.stop_all(tcb)
    end(tcb, tcb.soft_error or ETIMEDOUT)


def retransmission_limit_us(tcb: Tcb) -> int:
    """How long retransmissions may go without an answer."""
    if tcb.user_timeout_us:
        return tcb.user_timeout_us
    retries = tcb.config.tcp_retries2
    if tcb.orphan:
        retries = tcb.config.tcp_orphan_retries or ORPHAN_RETRIES
    return retries_time_us(tcb, retries)


def next_rto_at(tcb: Tcb, now_us: int) -> int:
    """When to look again after (re)sending now; a user timeout cuts the last wait short."""
    wait_us = tcb.rto_us
    if tcb.user_timeout_us and tcb.retrans_since_us:
        left_us = tcb.retrans_since_us + tcb.user_timeout_us - now_us
        wait_us = min(wait_us, max(left_us, 1000))
    return now_us + wait_us
