"""Samples of the round-trip time: the least of them, and the timer's back-off (RFC 6298 §5.5).

Writes `min_rtt_…`, `next_min_rtt_…`, `backoff` and `rtt_samples`. How samples, and the back-off,
become an RTO is a part that can be replaced: `policies.rtt_estimators` writes `rto_us`.
"""

from __future__ import annotations

from pystack.tcp.policies import rtt_estimators
from pystack.tcp.tcb import Tcb


def take_sample(tcb: Tcb, rtt_us: int, now_us: int) -> None:
    """One measurement, in µs, of a segment that was sent once (or told apart by timestamps)."""
    if rtt_us < 1:
        rtt_us = 1
    _take_min(tcb, rtt_us, now_us)
    tcb.rtt_estimator.on_sample(tcb, rtt_us)
    tcb.rtt_samples += 1
    tcb.backoff = 0


def _take_min(tcb: Tcb, rtt_us: int, now_us: int) -> None:
    """The least RTT of the last `tcp_min_rtt_wlen` s: a path that has become longer is seen."""
    if rtt_us <= tcb.min_rtt_us or not tcb.rtt_samples:
        tcb.min_rtt_us = tcb.next_min_rtt_us = rtt_us
        tcb.min_rtt_at_us = tcb.next_min_rtt_at_us = now_us
        return
    window_us = tcb.config.tcp_min_rtt_wlen * 1_000_000
    if rtt_us <= tcb.next_min_rtt_us or now_us - tcb.next_min_rtt_at_us > window_us >> 1:
        tcb.next_min_rtt_us = rtt_us
        tcb.next_min_rtt_at_us = now_us
    if now_us - tcb.min_rtt_at_us > window_us:
        tcb.min_rtt_us = tcb.next_min_rtt_us
        tcb.min_rtt_at_us = tcb.next_min_rtt_at_us
        tcb.next_min_rtt_us = rtt_us
        tcb.next_min_rtt_at_us = now_us


def back_off(tcb: Tcb) -> None:
    """The timer expired: wait longer, up to the maximum."""
    tcb.backoff += 1
    rto_us = tcb.rtt_estimator.backed_off_us(tcb)
    rtt_estimators.set_rto(tcb, min(rto_us, tcb.config.tcp_rto_max_ms * 1000))


def undo_back_off(tcb: Tcb, rto_us: int) -> None:
    """The timeout was spurious: back to the RTO from before it, unless a sample has set one."""
    if tcb.backoff:
        tcb.backoff = 0
        rtt_estimators.set_rto(tcb, rto_us)


def hold_syn_interval(tcb: Tcb) -> None:
    """A retransmission of the SYN in Linux's linear phase: the interval stays."""
    tcb.backoff += 1


def fall_back(tcb: Tcb) -> None:
    """The SYN was retransmitted and gave no sample: data starts with 3 s (RFC 6298 §5.7)."""
    tcb.backoff = 0
    rtt_estimators.fall_back(tcb)
