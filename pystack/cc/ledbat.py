"""LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus): uses what other traffic leaves over.

The target is a queueing delay of 60 ms, measured by RTT: the least of the last four samples above
the least of the last ten minutes. Below it the window grows by GAIN segments a round, where GAIN =
1 / min(16, ceil(2 · target / base)) ("slower than Reno increase"); above it, it shrinks in
proportion to the excess, by a half at most ("multiplicative decrease"). Slow start grows by GAIN
too, begins with two segments, and ends the first time at 3/4 of the target ("modified slow start").
Two rounds after that, and then for a tenth of the time, a slowdown leaves two segments for two
rounds, so that the base delay can be seen even if others have filled the queue ("initial and
periodic slowdown"). Losses halve the window as Reno's.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import INFINITE_SSTHRESH, AckSample
from pystack.cc.reno import Reno
from pystack.compiling import mypyc_attr

TARGET_US: Final = 60_000
MOST_OF_GAIN: Final = 16  # 1/GAIN is at most this
CURRENT_FILTER: Final = 4
BASE_HISTORY: Final = 10
BASE_STEP_US: Final = 60_000_000
SLOWDOWN_EVERY: Final = 9  # times as long as a slowdown took
ROUNDS_DOWN: Final = 2
_NO_RTT: Final = 1 << 62

# phases
_NORMAL: Final = 0
_WAIT: Final = 1  # the first slow start is over, the initial slowdown comes in two rounds
_DOWN: Final = 2  # two segments
_RAMP: Final = 3  # back to where it was


@mypyc_attr(allow_interpreted_subclasses=True)
class Ledbat(Reno):
    """Less than best effort: gives way to whatever makes the queue grow."""

    name: ClassVar[str] = "ledbat++"

    __slots__ = (
        "current", "current_next", "history", "history_from_us", "base_us",
        "round_end", "grown_part", "phase", "phase_rounds", "slowdown_from_us", "slowdown_at_us",
    )  # fmt: skip

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.current = [_NO_RTT] * CURRENT_FILTER
        self.current_next = 0
        self.history: list[int] = []  # least RTT of each minute, the present one last
        self.history_from_us = 0
        self.base_us = _NO_RTT
        self.round_end = 0
        self.grown_part = 0  # 1/GAIN-ths of bytes not yet added
        self.phase = _NORMAL
        self.phase_rounds = 0
        self.slowdown_from_us = 0
        self.slowdown_at_us = 0  # 0: not known yet

    def on_established(self, initial_cwnd: int, now_us: int) -> None:
        self.cwnd = min(initial_cwnd, 2 * self.mss)  # modified slow start

    # -- delay ------------------------------------------------------------------------------------
    def on_sample(self, sample: AckSample) -> None:
        rtt_us = sample.rtt_us
        if rtt_us <= 0:
            return
        self.current[self.current_next] = rtt_us
        self.current_next = (self.current_next + 1) % CURRENT_FILTER
        if not self.history or sample.now_us - self.history_from_us >= BASE_STEP_US:
            self.history_from_us = sample.now_us
            self.history.append(rtt_us)
            del self.history[:-BASE_HISTORY]
            self.base_us = min(self.history)
        elif rtt_us < self.history[-1]:
            self.history[-1] = rtt_us
            self.base_us = min(self.base_us, rtt_us)

    def _queueing_us(self) -> int:
        least = min(self.current)
        return max(least - self.base_us, 0) if least < _NO_RTT else 0

    def _slower(self) -> int:
        """1/GAIN."""
        if self.base_us >= 2 * TARGET_US:
            return 1
        return min(MOST_OF_GAIN, -(-2 * TARGET_US // self.base_us))

    # -- the window -------------------------------------------------------------------------------
    def on_ack(self, sample: AckSample) -> None:
        if sample.prior_delivered >= self.round_end:
            self.round_end = sample.delivered
            if self._once_per_round(sample):
                return
        if self.phase == _DOWN or not sample.cwnd_limited or self.cwnd >= self.ssthresh:
            return
        if self.ssthresh == INFINITE_SSTHRESH and self._queueing_us() > TARGET_US * 3 // 4:
            self.ssthresh = max(self.cwnd, 2 * self.mss)
            self.phase, self.phase_rounds = _WAIT, 0
            return
        slower = self._slower()
        self.grown_part += sample.newly_delivered
        self.slow_start(self.grown_part // slower)
        self.grown_part %= slower

    def _once_per_round(self, sample: AckSample) -> bool:
        """Slowdowns, or congestion avoidance; returns whether it has set the window."""
        now_us = sample.now_us
        self.phase_rounds += 1
        if self.phase == _DOWN:
            if self.phase_rounds < ROUNDS_DOWN:
                return True
            self.phase = _RAMP
        if self.phase == _RAMP and self.cwnd >= self.ssthresh:
            self._end_slowdown(now_us)
        if (self.phase == _WAIT and self.phase_rounds >= ROUNDS_DOWN) or (
            self.phase == _NORMAL and 0 < self.slowdown_at_us <= now_us
        ):
            self._slow_down(now_us)
            return True
        if self.cwnd < self.ssthresh:
            return False
        self._avoid_delay(sample)
        return True

    def _slow_down(self, now_us: int) -> None:
        self.ssthresh = max(self.cwnd, 2 * self.mss)
        self.cwnd = min(self.cwnd, 2 * self.mss)
        self.slowdown_from_us = now_us
        self.phase, self.phase_rounds = _DOWN, 0

    def _end_slowdown(self, now_us: int) -> None:
        self.phase = _NORMAL
        self.slowdown_at_us = now_us + SLOWDOWN_EVERY * (now_us - self.slowdown_from_us)

    def _avoid_delay(self, sample: AckSample) -> None:
        """Once per round: W += GAIN − W (delay / target − 1), by −W/2 at most."""
        cwnd, mss = self.cwnd, self.mss
        gain = mss // self._slower()
        queueing_us = self._queueing_us()
        if queueing_us <= TARGET_US:
            if sample.cwnd_limited:
                self.cwnd = cwnd + gain
            return
        change = gain - cwnd * (queueing_us - TARGET_US) // TARGET_US
        if change > 0 and not sample.cwnd_limited:
            return
        self.cwnd = max(cwnd + max(change, -(cwnd >> 1)), min(cwnd, 2 * mss))
        if change < 0:
            self.ssthresh = max(min(self.ssthresh, self.cwnd), 2 * mss)

    # -- reductions -------------------------------------------------------------------------------
    def on_enter_recovery(self, flight: int, now_us: int) -> None:
        super().on_enter_recovery(flight, now_us)
        self._after_loss(now_us)

    def on_rto(self, flight: int, first: bool, now_us: int) -> None:
        super().on_rto(flight, first, now_us)
        self._after_loss(now_us)

    def _after_loss(self, now_us: int) -> None:
        """The loss has set the window; the first one ends the first slow start, too."""
        if self.phase in (_DOWN, _RAMP):
            self._end_slowdown(now_us)
        elif not self.slowdown_at_us:
            self.phase, self.phase_rounds = _WAIT, 0
