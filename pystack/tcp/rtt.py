"""Round-trip time and retransmission timeout: RFC 6298, with Linux's bounds.

Writes `srtt_us`, `rttvar_us`, `rto_us`, `min_rtt_us`, `backoff`, `rtt_samples`. The minimum
of 200 ms is Linux's (RFC 6298 §2.4 says 1 s; FreeBSD and Windows are below it as well): it is
added to SRTT as the floor of the variance term, so RTO is never under SRTT + 200 ms.
"""

from __future__ import annotations

from typing import Final

from pystack.tcp.tcb import Tcb

FALLBACK_RTO_US: Final = 3_000_000  # RFC 6298 §5.7


def take_sample(tcb: Tcb, rtt_us: int) -> None:
    """One measurement, in µs, of a segment that was sent once (or told apart by timestamps)."""
    if rtt_us < 1:
        rtt_us = 1
    if not tcb.rtt_samples:
        tcb.srtt_us = rtt_us
        tcb.rttvar_us = rtt_us >> 1
        tcb.min_rtt_us = rtt_us
    else:
        srtt_us = tcb.srtt_us
        error_us = rtt_us - srtt_us
        tcb.rttvar_us += (abs(error_us) - tcb.rttvar_us) // 4
        tcb.srtt_us = srtt_us + error_us // 8
        if rtt_us < tcb.min_rtt_us:
            tcb.min_rtt_us = rtt_us
    tcb.rtt_samples += 1
    tcb.backoff = 0
    _set_rto(tcb)


def _set_rto(tcb: Tcb) -> None:
    config = tcb.config
    rto_us = tcb.srtt_us + max(4 * tcb.rttvar_us, config.tcp_rto_min_us)
    tcb.rto_us = min(rto_us, config.tcp_rto_max_ms * 1000)


def back_off(tcb: Tcb) -> None:
    """The timer expired: double it (RFC 6298 §5.5), up to the maximum."""
    tcb.backoff += 1
    tcb.rto_us = min(tcb.rto_us * 2, tcb.config.tcp_rto_max_ms * 1000)


def hold_syn_interval(tcb: Tcb) -> None:
    """A repeat of the SYN in Linux's linear phase: the interval stays."""
    tcb.backoff += 1


def fall_back(tcb: Tcb) -> None:
    """The SYN was repeated and gave no sample: data starts with 3 s (RFC 6298 §5.7)."""
    tcb.backoff = 0
    tcb.rttvar_us = FALLBACK_RTO_US
    tcb.rto_us = FALLBACK_RTO_US
