"""Pacing: when the next run may leave, and how long runs are (Linux: fq, TSO autosizing).

Writes `pacing_rate`, `release_us`. A connection is paced when its congestion control sets a rate,
when SO_MAX_PACING_RATE bounds it, or with `tcp_pacing`. Timers come late by up to a millisecond
(asyncio), so a connection that was held back may catch up that much and no more.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import CongestionControl
from pystack.compiling import mypyc_attr
from pystack.config import Config
from pystack.tcp.policies.contracts import Part
from pystack.tcp.tcb import UNLIMITED, Tcb
from pystack.tcp.timing import timers

CREDIT_US: Final = 1000
_FREE_SEGS: Final = 10
_MAX_RUN: Final = 65535
_RUN_SHIFT: Final = 10  # Linux's sk_pacing_shift: about a millisecond's worth


@mypyc_attr(allow_interpreted_subclasses=True)
class Pacing(Part):
    """Linux's: bytes leave at the rate, with up to a millisecond of credit. Stateless, one for
    all connections of a stack; open to users' classes."""

    shared: ClassVar[bool] = True

    __slots__ = ()

    def rate(self, cc: CongestionControl, srtt_us: int, config: Config) -> int:
        """Bytes/s for a congestion control that sets none itself: twice cwnd per round trip in
        slow start, a fifth above it else. 0 while there is no SRTT."""
        if not srtt_us:
            return 0
        slow_start = 2 * cc.cwnd < cc.ssthresh
        percent = config.tcp_pacing_ss_ratio if slow_start else config.tcp_pacing_ca_ratio
        return cc.cwnd * percent * 10_000 // srtt_us

    def release_us(self, release_us: int, length: int, rate: int, now_us: int) -> int:
        """When the next run may leave, after `length` bytes that left now; `release_us` was when
        these might have."""
        return max(release_us, now_us - CREDIT_US) + length * 1_000_000 // rate

    def run_bytes(self, rate: int, mss: int, min_rtt_us: int, config: Config) -> int:
        """How long a run may be: about a millisecond's worth at the rate, more on short paths
        (Linux: tcp_tso_autosize)."""
        length = rate >> _RUN_SHIFT
        shift = min_rtt_us >> config.tcp_tso_rtt_log if config.tcp_tso_rtt_log else 32
        if shift < 17:
            length += _MAX_RUN >> shift
        return max(min(length, _MAX_RUN), config.tcp_min_tso_segs * mss)


def update(tcb: Tcb) -> None:
    """After each ACK: the rate by the windows as they are now."""
    cc = tcb.cc
    cc.paced = paced_rate(tcb) > 0
    rate = cc.pacing_rate
    if not rate:
        rate = tcb.pacing.rate(cc, tcb.srtt_us, tcb.config)
    most = tcb.max_pacing_rate
    tcb.pacing_rate = rate if rate < most else most


def paced_rate(tcb: Tcb) -> int:
    """Bytes/s at which it has to leave; 0 when it may leave at once."""
    most = tcb.max_pacing_rate
    rate = tcb.pacing_rate
    if most != UNLIMITED:
        return rate if 0 < rate < most else most
    return rate if tcb.cc.pacing_rate or tcb.config.tcp_pacing else 0


def holds(tcb: Tcb, now_us: int) -> bool:
    """Whether nothing may leave yet; then `output` comes again when it may."""
    if tcb.release_us <= now_us or not paced_rate(tcb):
        return False
    timers.arm_pace(tcb, tcb.release_us)
    return True


def on_sent(tcb: Tcb, length: int, now_us: int) -> None:
    """So many bytes of text have left. The first ten segments of all go at once (Linux)."""
    rate = paced_rate(tcb)
    if rate and tcb.data_segs_out >= _FREE_SEGS:
        tcb.release_us = tcb.pacing.release_us(tcb.release_us, length, rate, now_us)


def run_bytes(tcb: Tcb, mss: int) -> int:
    """The longest run that may leave now."""
    rate = paced_rate(tcb) or tcb.pacing_rate
    if not rate:
        return _MAX_RUN
    return max(tcb.pacing.run_bytes(rate, mss, tcb.min_rtt_us, tcb.config), mss)
