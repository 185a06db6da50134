"""Round-trip time and retransmission timeout: RFC 6298, with Linux's bounds unless replaced.

Writes `srtt_us`, `rttvar_us`, `rto_us`, `min_rtt_…`, `next_min_rtt_…`, `backoff`, `rtt_samples`.
How samples become an RTO is a part that can be replaced.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.compiling import mypyc_attr
from pystack.tcp.policies.contracts import Part
from pystack.tcp.tcb import Tcb

FALLBACK_RTO_US: Final = 3_000_000  # RFC 6298 §5.7
MIN_RTO_US: Final = 1_000_000  # RFC 6298 §2.4


@mypyc_attr(allow_interpreted_subclasses=True)
class RttEstimator(Part):
    """From samples to an RTO. It alone writes `srtt_us`, `rttvar_us` and `rto_us` while samples
    come, whole µs each; a subclass says how, in `on_sample`."""

    __slots__ = ()

    def on_sample(self, tcb: Tcb, rtt_us: int) -> None:
        """A segment that was sent once took `rtt_us` (1 at least). It is the connection's first
        sample while `tcb.rtt_samples` is 0."""
        raise NotImplementedError

    def backed_off_us(self, tcb: Tcb) -> int:
        """The RTO after the timer has expired: twice as long (RFC 6298 §5.5). At most
        `tcp_rto_max_ms` is taken."""
        return 2 * tcb.rto_us


def smooth(tcb: Tcb, rtt_us: int) -> None:
    """RFC 6298 §2.2 and §2.3: a sample into `srtt_us` and `rttvar_us`."""
    if not tcb.rtt_samples:
        tcb.srtt_us = rtt_us
        tcb.rttvar_us = rtt_us >> 1
        return
    srtt_us = tcb.srtt_us
    error_us = rtt_us - srtt_us
    tcb.rttvar_us += (abs(error_us) - tcb.rttvar_us) // 4
    tcb.srtt_us = srtt_us + error_us // 8


@mypyc_attr(allow_interpreted_subclasses=True)
class Linux(RttEstimator):
    """RFC 6298 with Linux's minimum of 200 ms (§2.4 says 1 s; FreeBSD and Windows are below it as
    well): it is the floor of the variance term, so the RTO is never under SRTT + 200 ms."""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def on_sample(self, tcb: Tcb, rtt_us: int) -> None:
        smooth(tcb, rtt_us)
        config = tcb.config
        rto_us = tcb.srtt_us + max(4 * tcb.rttvar_us, config.tcp_rto_min_us)
        tcb.rto_us = min(rto_us, config.tcp_rto_max_ms * 1000)


@mypyc_attr(allow_interpreted_subclasses=True)
class Rfc6298(RttEstimator):
    """RFC 6298 to the letter: RTO = SRTT + 4 RTTVAR, but 1 s at the least (§2.4)."""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def on_sample(self, tcb: Tcb, rtt_us: int) -> None:
        smooth(tcb, rtt_us)
        rto_us = max(tcb.srtt_us + max(4 * tcb.rttvar_us, 1), MIN_RTO_US)
        tcb.rto_us = min(rto_us, tcb.config.tcp_rto_max_ms * 1000)


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
    tcb.rto_us = min(tcb.rtt_estimator.backed_off_us(tcb), tcb.config.tcp_rto_max_ms * 1000)


def undo_back_off(tcb: Tcb, rto_us: int) -> None:
    """The timeout was spurious: back to the RTO from before it, unless a sample has set one."""
    if tcb.backoff:
        tcb.backoff = 0
        tcb.rto_us = rto_us


def hold_syn_interval(tcb: Tcb) -> None:
    """A repeat of the SYN in Linux's linear phase: the interval stays."""
    tcb.backoff += 1


def fall_back(tcb: Tcb) -> None:
    """The SYN was repeated and gave no sample: data starts with 3 s (RFC 6298 §5.7)."""
    tcb.backoff = 0
    tcb.rttvar_us = FALLBACK_RTO_US
    tcb.rto_us = FALLBACK_RTO_US
