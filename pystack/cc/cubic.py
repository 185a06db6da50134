"""CUBIC (RFC 9438), with HyStart in its slow start (see hystart.py).

All of it in integers: windows in bytes, times in µs, the cube root by Newton's method. With C = 0.4
segments/s³, W_cubic(t) = C·(t − K)³ + W_max is, in bytes, W_max + 4·mss·(t − K)³ / 10¹⁹.

Deviations: growth counts all bytes that an ACK covers, as RFC 9438 §4.4 counts segments; a mark
leaves two segments at the least (Linux), where §4.6 goes down to one.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import INFINITE_SSTHRESH, AckSample
from pystack.cc.hystart import RFC_9406, Hystart
from pystack.compiling import mypyc_attr

_CUBE: Final = 4, 10**19  # C per byte of MSS, for times in µs

# what on_undo restores beside the windows (RFC 9438 §4.9)
_Epoch = tuple[int, int, int, int, int, int, int, int]


def cube_root(n: int) -> int:
    """The largest integer whose cube is not above `n`; 0 for n < 1."""
    if n < 1:
        return 0
    root = 1 << -(-n.bit_length() // 3)  # not below the result
    while True:
        better = (2 * root + n // (root * root)) // 3
        if better >= root:
            return root
        root = better


@mypyc_attr(allow_interpreted_subclasses=True)
class Cubic(Hystart):
    """Grows by the time since the last loss: fast, flat near the old maximum, then fast again."""

    name: ClassVar[str] = "cubic"

    __slots__ = (
        "w_max", "cwnd_prior", "epoch_us", "k_us", "origin", "w_est", "w_est_part", "cwnd_part",
        "last_us", "before",
    )  # fmt: skip

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.w_max = 0  # cwnd before the last reduction; 0 when K is to be 0 (RFC 9438 §4.8, §4.10)
        self.cwnd_prior = 0
        self.epoch_us = 0  # start of congestion avoidance, without idle times; 0: not begun
        self.k_us = 0
        self.origin = 0  # W_max of this epoch
        self.w_est = 0
        self.w_est_part = 0  # fractions of a byte, of w_est and of cwnd
        self.cwnd_part = 0
        self.last_us = 0
        self.before: _Epoch | None = None

    # -- growth -----------------------------------------------------------------------------------
    def on_ack(self, sample: AckSample) -> None:
        acked = sample.newly_delivered
        if self.cwnd < self.ssthresh:
            self.epoch_us = 0
            if self.hystart:
                if self.hystart_detect != RFC_9406:
                    self.look_for_end(sample)
                elif self.ssthresh == INFINITE_SSTHRESH:  # the first slow start
                    self._hystart(sample)
                    return
            if sample.cwnd_limited:
                acked = self.slow_start(acked)
                if acked:
                    self._avoid_congestion(acked, sample)
        elif sample.cwnd_limited:
            self._avoid_congestion(acked, sample)
        else:
            # time in which cwnd was not the limit is no part of t (RFC 9438 §4.2, §5.8)
            if self.epoch_us:
                self.epoch_us += sample.now_us - self.last_us
            self.last_us = sample.now_us

    def _begin_epoch(self, now_us: int) -> None:
        cwnd = self.cwnd
        if not self.w_max:
            self.w_max = cwnd  # after a timeout (§4.8), or HyStart++ has ended slow start (§4.10)
        self.epoch_us = self.last_us = now_us
        self.origin = max(self.w_max, cwnd)
        rise, unit = _CUBE
        self.k_us = cube_root((self.origin - cwnd) * unit // (rise * self.mss))
        self.w_est = cwnd
        self.w_est_part = self.cwnd_part = 0

    def _w_cubic(self, t_us: int) -> int:
        """RFC 9438 §4.2 (1)."""
        rise, unit = _CUBE
        return self.origin + rise * self.mss * (t_us - self.k_us) ** 3 // unit

    def _avoid_congestion(self, acked: int, sample: AckSample) -> None:
        now_us = sample.now_us
        if not self.epoch_us:
            self._begin_epoch(now_us)
        self.last_us = now_us
        t_us = now_us - self.epoch_us
        cwnd = self.cwnd
        acked = min(acked, cwnd)

        # Reno's window (§4.3): α = 3(1 − β)/(1 + β) = 9/17, later 1
        alpha = 9 if self.w_est < self.cwnd_prior else 17
        part = self.w_est_part + alpha * acked * self.mss
        self.w_est += part // (17 * cwnd)
        self.w_est_part = part % (17 * cwnd)
        if self._w_cubic(t_us) < self.w_est:
            self.cwnd = max(cwnd, min(self.w_est, cwnd + acked))
            return
        # concave and convex (§4.4, §4.5): to where the curve will be in one round trip
        target = min(self._w_cubic(t_us + sample.srtt_us), cwnd + (cwnd >> 1))
        if target > cwnd:
            part = self.cwnd_part + (target - cwnd) * acked
            self.cwnd += part // cwnd
            self.cwnd_part = part % cwnd

    def end_slow_start(self) -> None:
        super().end_slow_start()
        self.cwnd_prior = self.cwnd
        self.w_max = 0

    # -- reductions -------------------------------------------------------------------------------
    def _note_reduction(self) -> None:
        """Before the windows are cut: what RFC 9438 §4.6 and §4.7 remember."""
        self.before = (
            self.w_max, self.cwnd_prior, self.epoch_us, self.k_us, self.origin, self.w_est,
            self.w_est_part, self.cwnd_part,
        )  # fmt: skip
        cwnd = self.cwnd
        # fast convergence (§4.7): a shrinking window, (1 + β)/2 of it, leaves room to others
        self.w_max = cwnd if cwnd >= self.w_max else cwnd * 17 // 20
        self.cwnd_prior = cwnd
        self.epoch_us = 0

    def on_enter_recovery(self, flight: int, now_us: int) -> None:
        self._note_reduction()
        self.ssthresh = max(self.cwnd * 7 // 10, 2 * self.mss)
        self.cwnd = self.ssthresh

    def on_rto(self, flight: int, first: bool, now_us: int) -> None:
        ssthresh = self.ssthresh
        if first:
            self._note_reduction()
            ssthresh = max(self.cwnd * 7 // 10, 2 * self.mss)
        super().on_rto(flight, first, now_us)
        self.ssthresh = ssthresh
        self.w_max = 0  # the next epoch begins with K = 0 (§4.8)
        self.epoch_us = 0

    def on_undo(self, cwnd: int, ssthresh: int) -> None:
        super().on_undo(cwnd, ssthresh)
        if self.before is not None:
            (
                self.w_max, self.cwnd_prior, self.epoch_us, self.k_us, self.origin, self.w_est,
                self.w_est_part, self.cwnd_part,
            ) = self.before  # fmt: skip
            self.before = None

    # -- what is no growth ------------------------------------------------------------------------
    def on_tx_start(self, idle_us: int, now_us: int) -> None:
        if self.epoch_us:
            self.epoch_us += now_us - self.last_us  # idle time is no part of t (§4.2)
            self.last_us = now_us

    def on_mss(self, mss: int) -> None:
        super().on_mss(mss)
        self.epoch_us = 0  # K was computed in segments of the old size
