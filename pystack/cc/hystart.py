"""When does the first slow start end? Linux's HyStart and HyStart++ (RFC 9406), both for CUBIC.

Linux's ends slow start at once, at the window reached, and works in every slow start: by the
length of a train of ACKs (they come 2 ms apart at most, and for more than half of the shortest
RTT), and by the least RTT of 8 samples of a round (an eighth above the shortest, 4 to 16 ms).
HyStart++ looks at the RTT alone, and goes on at a quarter of the speed for five rounds before it
believes it. Linux's is the default: over the paths of docs/congestion-control.md it repeats less
and brings as much.

Deviation: RFC 9406 §4.3 lets an ACK add at most 8 segments where nothing paces (RFC 3465 §2.3:
two). All that it covers counts here, as in Linux: where a receiver joins segments (GRO) or a path
thins ACKs, slow start else takes several times as long.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import AckSample
from pystack.cc.reno import Reno
from pystack.compiling import mypyc_attr

# HyStart++ (RFC 9406 §4.3); Linux has the same
MIN_RTT_THRESH_US: Final = 4_000
MAX_RTT_THRESH_US: Final = 16_000
MIN_RTT_DIVISOR: Final = 8
N_RTT_SAMPLE: Final = 8
CSS_GROWTH_DIVISOR: Final = 4
CSS_ROUNDS: Final = 5

# hystart_detect
ACK_TRAIN: Final = 1
DELAY: Final = 2
RFC_9406: Final = 4

_NO_RTT: Final = 1 << 62
_ACK_DELAY_US: Final = 1000  # what offload may put between ACKs, at the most
_GSO_BYTES: Final = 65536


@mypyc_attr(allow_interpreted_subclasses=True)
class Hystart(Reno):
    """Reno that leaves slow start before the queue overflows. Its parameters are those of Linux's
    module tcp_cubic: `hystart` (0 off), `hystart_detect` (a sum of 1, the ACK train, and 2, the
    delay; or 4, which Linux has not: RFC 9406), `hystart_low_window` in segments and
    `hystart_ack_delta_us`."""

    parameters: ClassVar[tuple[str, ...]] = (
        "hystart",
        "hystart_detect",
        "hystart_low_window",
        "hystart_ack_delta_us",
    )

    __slots__ = (
        "hystart", "hystart_detect", "hystart_low_window", "hystart_ack_delta_us",
        "round_end", "round_min_rtt_us", "rtt_samples",
        "css_rounds", "last_round_min_rtt_us", "css_baseline_us",
        "found", "delay_min_us", "round_start_us", "last_ack_us",
    )  # fmt: skip

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.hystart = 1
        self.hystart_detect = ACK_TRAIN | DELAY
        self.hystart_low_window = 16
        self.hystart_ack_delta_us = 2000
        self.round_end = 0
        self.round_min_rtt_us = _NO_RTT
        self.rtt_samples = 0
        self.css_rounds = 0  # rounds of conservative slow start begun; 0: not in it
        self.last_round_min_rtt_us = _NO_RTT
        self.css_baseline_us = _NO_RTT
        self.found = False
        self.delay_min_us = 0
        self.round_start_us = self.last_ack_us = 0

    def end_slow_start(self) -> None:
        """It is over at this window."""
        self.ssthresh = max(self.cwnd, 2 * self.mss)

    # -- RFC 9406 §4.2 ----------------------------------------------------------------------------
    def _hystart(self, sample: AckSample) -> None:
        """An ACK of the first slow start: grow, and look at its RTT."""
        if sample.prior_delivered >= self.round_end:
            self.round_end = sample.delivered
            self.last_round_min_rtt_us = self.round_min_rtt_us
            self.round_min_rtt_us = _NO_RTT
            self.rtt_samples = 0
            if self.css_rounds:
                if self.css_rounds == CSS_ROUNDS:
                    self.end_slow_start()
                    return
                self.css_rounds += 1
        if sample.cwnd_limited:
            acked = sample.newly_delivered
            self.cwnd += acked // CSS_GROWTH_DIVISOR if self.css_rounds else acked
        if sample.rtt_us < 0:
            return
        self.rtt_samples += 1
        round_min = self.round_min_rtt_us = min(self.round_min_rtt_us, sample.rtt_us)
        if self.rtt_samples < N_RTT_SAMPLE:
            return
        if self.css_rounds:
            if round_min < self.css_baseline_us:  # it was jitter
                self.css_baseline_us = _NO_RTT
                self.css_rounds = 0
        elif self.last_round_min_rtt_us != _NO_RTT:
            last = self.last_round_min_rtt_us
            if round_min >= last + _rise_us(last):
                self.css_baseline_us = round_min
                self.css_rounds = 1

    # -- Linux's ----------------------------------------------------------------------------------
    def look_for_end(self, sample: AckSample) -> None:
        """An ACK of any slow start, before the window grows."""
        rtt_us = max(sample.rtt_us, 1)
        if sample.rtt_us < 0 or self.found:
            return
        if not self.delay_min_us or rtt_us < self.delay_min_us:
            self.delay_min_us = rtt_us
        now_us = sample.now_us
        if sample.prior_delivered >= self.round_end:
            self.round_end = sample.delivered
            self.round_min_rtt_us = _NO_RTT
            self.rtt_samples = 0
            self.round_start_us = self.last_ack_us = now_us
        if self.cwnd < self.hystart_low_window * self.mss:
            return
        detect = self.hystart_detect
        self.found = (detect & ACK_TRAIN > 0 and self._is_long_train(sample)) or (
            detect & DELAY > 0 and self._is_delayed(rtt_us)
        )
        if self.found:
            self.end_slow_start()

    def _is_long_train(self, sample: AckSample) -> bool:
        now_us = sample.now_us
        if now_us - self.last_ack_us > self.hystart_ack_delta_us:
            return False
        self.last_ack_us = now_us
        rate = self.pacing_rate or 2 * self.cwnd * 1_000_000 // max(sample.srtt_us, 1)
        ack_delay_us = min(_ACK_DELAY_US, _GSO_BYTES * 4 * 1_000_000 // max(rate, 1))
        threshold_us = self.delay_min_us + ack_delay_us
        if not (self.paced or self.pacing_rate):  # pacing spreads a window over half an RTT
            threshold_us >>= 1
        return now_us - self.round_start_us > threshold_us

    def _is_delayed(self, rtt_us: int) -> bool:
        self.round_min_rtt_us = min(self.round_min_rtt_us, rtt_us)
        if self.rtt_samples < N_RTT_SAMPLE:
            self.rtt_samples += 1
            return False
        return self.round_min_rtt_us > self.delay_min_us + _rise_us(self.delay_min_us)

    def on_rto(self, flight: int, first: bool, now_us: int) -> None:
        super().on_rto(flight, first, now_us)
        self.found = False  # the slow start that follows is looked at again (Linux)
        self.delay_min_us = 0


def _rise_us(rtt_us: int) -> int:
    """How much more is a queue."""
    return min(max(MIN_RTT_THRESH_US, rtt_us // MIN_RTT_DIVISOR), MAX_RTT_THRESH_US)
