"""TCP Westwood+ (Grieco, Mascolo 2004): grows as Reno, and after a loss goes on with the window
that the measured bandwidth needs over the shortest RTT, so that random losses cost little.

Bandwidth is what was delivered in each round trip of at least 50 ms, smoothed twice by 7/8 as in
Linux's tcp_westwood.c.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import AckSample
from pystack.cc.reno import Reno
from pystack.compiling import mypyc_attr

SHORTEST_WINDOW_US: Final = 50_000


@mypyc_attr(allow_interpreted_subclasses=True)
class Westwood(Reno):
    """Bandwidth × shortest RTT in place of half of the flight."""

    name: ClassVar[str] = "westwood"

    __slots__ = ("bw", "bw_once", "min_rtt_us", "forget_rtt", "window_from_us", "window_bytes")

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.bw = 0  # bytes/s, smoothed
        self.bw_once = 0  # smoothed once
        self.min_rtt_us = 0
        self.forget_rtt = False
        self.window_from_us = 0
        self.window_bytes = 0

    def on_sample(self, sample: AckSample) -> None:
        rtt_us = sample.rtt_us
        if rtt_us > 0:
            if self.forget_rtt or not self.min_rtt_us or rtt_us < self.min_rtt_us:
                self.min_rtt_us = rtt_us
                self.forget_rtt = False
        if not self.window_from_us:
            self.window_from_us = sample.now_us  # the first ACK: its data was sent before
            return
        self.window_bytes += sample.newly_delivered
        took_us = sample.now_us - self.window_from_us
        if took_us > max(sample.srtt_us, SHORTEST_WINDOW_US):
            self._filter(self.window_bytes * 1_000_000 // took_us)
            self.window_from_us = sample.now_us
            self.window_bytes = 0

    def _filter(self, rate: int) -> None:
        if not self.bw:
            self.bw = self.bw_once = rate
            return
        self.bw_once = (7 * self.bw_once + rate) >> 3
        self.bw = (7 * self.bw + self.bw_once) >> 3

    def _needed(self) -> int:
        """The window that the path needs, in bytes."""
        return max(self.bw * self.min_rtt_us // 1_000_000, 2 * self.mss)

    def on_enter_recovery(self, flight: int, now_us: int) -> None:
        self.ssthresh = self._needed()
        self.cwnd = min(self.cwnd, self.ssthresh)
        self.bytes_acked = 0

    def on_rto(self, flight: int, first: bool, now_us: int) -> None:
        super().on_rto(flight, first, now_us)
        if first:
            self.ssthresh = self._needed()
            self.forget_rtt = True  # the path may be another one

    def on_tx_start(self, idle_us: int, now_us: int) -> None:
        # an idle spell says nothing of the bandwidth
        if self.window_from_us:
            self.window_from_us = now_us
            self.window_bytes = 0
