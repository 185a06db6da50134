"""Timestamps of the peer: TS.Recent and PAWS (RFC 7323 §4.3, §5).

Writes `ts_recent` and `ts_recent_us`. Our own clock is `options.now_ts`.
"""

from __future__ import annotations

from typing import Final

from pystack.tcp.tcb import Tcb
from pystack.wire.consts import ACK
from pystack.wire.segment import Segment
from pystack.wire.seq import MASK, ts_older

_PAWS_IDLE_US: Final = 24 * 86_400_000_000  # RFC 7323 §5.5
_FASTEST_HZ: Final = 1200  # of a peer's clock, some of which tick faster than each ms (Linux)


def first(tcb: Tcb, tsval: int, now_us: int) -> None:
    """The TSval of the peer's SYN."""
    tcb.ts_recent = tsval
    tcb.ts_recent_us = now_us


def remember(tcb: Tcb, seg: Segment, seq: int, now_us: int) -> None:
    """Take SEG.TSval if it is not older and the segment covers the last ACK sent (§4.3)."""
    if seq > tcb.last_ack_sent:
        return
    if not ts_older(seg.tsval, tcb.ts_recent) or now_us - tcb.ts_recent_us >= _PAWS_IDLE_US:
        tcb.ts_recent = seg.tsval
        tcb.ts_recent_us = now_us


def paws_refuses(tcb: Tcb, seg: Segment, seq: int, now_us: int) -> bool:
    """Whether the segment is an old duplicate by its timestamp (§5.3).

    TS.Recent is not trusted after 24 days (§5.5). Linux also lets pure duplicate ACKs pass
    whose timestamp is older by reordering alone: by an RTO at most.
    """
    if not ts_older(seg.tsval, tcb.ts_recent):
        return False
    if now_us - tcb.ts_recent_us >= _PAWS_IDLE_US:
        return False
    return not (
        not seg.length
        and seg.flags == ACK
        and seq == tcb.rcv_nxt
        and seg.ack == tcb.snd_una & MASK
        and seg.wnd << tcb.snd_wscale == tcb.snd_wnd
        and (tcb.ts_recent - seg.tsval) & MASK <= tcb.rto_us * _FASTEST_HZ // 1_000_000
    )
