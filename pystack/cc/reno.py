"""Reno: slow start and congestion avoidance of RFC 5681, counting bytes as Linux does (all that an
ACK covers, where RFC 5681 §3.1 would take one SMSS per ACK). A mark costs what a loss does.

Fast recovery itself (RFC 6582) lives in `tcp.recovery`; this file keeps the two windows. Several
algorithms build on it, as Linux's do on `tcp_reno_…`.
"""

from __future__ import annotations

from typing import ClassVar

from pystack.cc.base import AckSample, CongestionControl
from pystack.compiling import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Reno(CongestionControl):
    """RFC 5681 §3.1: cwnd doubles per round trip below ssthresh, then grows one MSS per round."""

    name: ClassVar[str] = "reno"

    __slots__ = ("bytes_acked",)

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.bytes_acked = 0

    def on_ack(self, sample: AckSample) -> None:
        if not sample.cwnd_limited:
            return  # RFC 7661 §4, Linux: an unused window is no evidence for a larger one
        acked = sample.newly_delivered
        if self.cwnd < self.ssthresh:
            acked = self.slow_start(acked)
        if acked:
            self.avoid_congestion(acked)

    def slow_start(self, acked: int) -> int:
        """Grow by `acked` up to ssthresh; what is left over of it."""
        grown = self.cwnd + acked
        if grown <= self.ssthresh:
            self.cwnd = grown
            return 0
        self.cwnd = self.ssthresh
        return grown - self.ssthresh

    def avoid_congestion(self, acked: int) -> None:
        """One segment more for each window of bytes acknowledged (RFC 5681 §3.1, RFC 3465)."""
        self.bytes_acked += acked
        if self.bytes_acked >= self.cwnd:
            self.bytes_acked -= self.cwnd
            self.cwnd += self.mss

    def on_enter_recovery(self, flight: int, now_us: int) -> None:
        self.ssthresh = max(self.cwnd >> 1, 2 * self.mss)
        self.cwnd = self.ssthresh
        self.bytes_acked = 0

    def on_exit_recovery(self, most: int, now_us: int) -> None:
        self.cwnd = max(min(self.cwnd, self.ssthresh, most), self.mss)
        self.bytes_acked = 0

    def on_rto(self, flight: int, first: bool, now_us: int) -> None:
        if first:
            self.ssthresh = max(self.cwnd >> 1, 2 * self.mss)
        self.cwnd = self.mss
        self.bytes_acked = 0

    def on_restart(self, idle_us: int, rto_us: int, initial_cwnd: int) -> None:
        # RFC 5681 §4.1 allows min(IW, cwnd) at once; Linux halves per idle RTO (RFC 2861)
        cwnd = self.cwnd
        self.ssthresh = max(self.ssthresh, (cwnd >> 1) + (cwnd >> 2))
        floor = min(initial_cwnd, cwnd)
        while idle_us > rto_us and cwnd > floor:
            cwnd >>= 1
            idle_us -= rto_us
        self.cwnd = max(cwnd, floor)
        self.bytes_acked = 0
