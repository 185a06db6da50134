"""TCP Vegas (Brakmo, O'Malley, Peterson 1994), with the constants and the rules of Linux's
tcp_vegas.c: once per round trip the window is compared with what the shortest RTT would need, and
kept two to four segments above it. Without RTT samples, and after losses, it is Reno.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import AckSample
from pystack.cc.reno import Reno
from pystack.compiling import mypyc_attr

ALPHA_SEGS: Final = 2
BETA_SEGS: Final = 4
GAMMA_SEGS: Final = 1  # above this in the queue, slow start ends
_NO_RTT: Final = 1 << 62


@mypyc_attr(allow_interpreted_subclasses=True)
class Vegas(Reno):
    """Congestion avoidance by delay."""

    name: ClassVar[str] = "vegas"

    __slots__ = ("base_rtt_us", "round_min_rtt_us", "rtt_samples", "round_end")

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.base_rtt_us = _NO_RTT  # shortest ever
        self.round_min_rtt_us = _NO_RTT
        self.rtt_samples = 0
        self.round_end = 0  # `delivered` when the round began

    def on_sample(self, sample: AckSample) -> None:
        if sample.rtt_us > 0:
            self.base_rtt_us = min(self.base_rtt_us, sample.rtt_us)
            self.round_min_rtt_us = min(self.round_min_rtt_us, sample.rtt_us)
            self.rtt_samples += 1

    def on_ack(self, sample: AckSample) -> None:
        if sample.prior_delivered < self.round_end:
            if sample.cwnd_limited and self.cwnd < self.ssthresh:
                self.slow_start(sample.newly_delivered)
            return
        if self.rtt_samples <= 2:  # too few to tell a queue from a delayed ACK
            super().on_ack(sample)
        else:
            self._once_per_round(sample)
        self._begin_round(sample.delivered)

    def _begin_round(self, delivered: int) -> None:
        self.round_end = delivered
        self.round_min_rtt_us = _NO_RTT
        self.rtt_samples = 0

    def _once_per_round(self, sample: AckSample) -> None:
        cwnd, mss = self.cwnd, self.mss
        rtt_us, base_us = self.round_min_rtt_us, self.base_rtt_us
        queued = cwnd * (rtt_us - base_us) // base_us
        if cwnd < self.ssthresh:
            if queued > GAMMA_SEGS * mss:
                # down to what fills the path, and one
                self.cwnd = min(cwnd, cwnd * base_us // rtt_us + mss)
                self._lower_ssthresh()
            elif sample.cwnd_limited:
                self.slow_start(sample.newly_delivered)
        elif queued > BETA_SEGS * mss:
            self.cwnd = cwnd - mss
            self._lower_ssthresh()
        elif queued < ALPHA_SEGS * mss and sample.cwnd_limited:
            self.cwnd = cwnd + mss
        self.cwnd = max(self.cwnd, min(cwnd, 2 * mss))

    def _lower_ssthresh(self) -> None:
        """So that slow start does not follow."""
        self.ssthresh = max(min(self.ssthresh, self.cwnd - self.mss), 2 * self.mss)

    def on_exit_recovery(self, most: int, now_us: int) -> None:
        super().on_exit_recovery(most, now_us)
        self._forget_round()

    def on_rto(self, flight: int, first: bool, now_us: int) -> None:
        super().on_rto(flight, first, now_us)
        self._forget_round()

    def on_tx_start(self, idle_us: int, now_us: int) -> None:
        self._forget_round()

    def _forget_round(self) -> None:
        """What was measured before no longer holds."""
        self.round_min_rtt_us = _NO_RTT
        self.rtt_samples = 0
