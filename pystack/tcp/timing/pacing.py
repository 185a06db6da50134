"""Pacing: when the next run may leave, and how long runs are (Linux: fq, TSO autosizing).

Writes `pacing_rate`, `release_us`. A connection is paced when its congestion control sets a rate,
when SO_MAX_PACING_RATE bounds it, or with `tcp_pacing`. Timers come late by up to a millisecond
(asyncio), so a connection that was held back may catch up that much and no more.
"""

from __future__ import annotations

from typing import Final

from pystack.tcp.state.variables import UNLIMITED
from pystack.tcp.tcb import Tcb
from pystack.tcp.timing import timers

_FREE_SEGS: Final = 10
_MAX_RUN: Final = 65535


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
    """`length` bytes of payload have left. The first ten segments of all go at once (Linux)."""
    rate = paced_rate(tcb)
    if rate and tcb.data_segs_out >= _FREE_SEGS:
        tcb.release_us = tcb.pacing.release_us(tcb.release_us, length, rate, now_us)


def run_bytes(tcb: Tcb, mss: int) -> int:
    """The longest run that may leave now."""
    rate = paced_rate(tcb) or tcb.pacing_rate
    if not rate:
        return _MAX_RUN
    return max(tcb.pacing.run_bytes(rate, mss, tcb.min_rtt_us, tcb.config), mss)
