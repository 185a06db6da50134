"""BBR, version 1 (draft-cardwell-iccrg-bbr-congestion-control-00, as in Linux's tcp_bbr.c).

The model is the most that was delivered per second in ten rounds, and the shortest RTT of ten
seconds (see bbr_model.py). It has a recovery of its own: packet conservation for a round, then slow
start up to the model's window. It ignores congestion marks. `ssthresh` only says where STARTUP
ended.

As Linux, beyond the draft: room for aggregated ACKs (`extra_acked`), and the rate behind a policer.
Where Linux estimates what its fq will have sent by then, the flight is taken as it is.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import AckSample
from pystack.cc.bbr_model import (
    DRAIN,
    FULL_BW_GAIN,
    FULL_BW_ROUNDS,
    MIN_RTT_WINDOW_US,
    MIN_WINDOW_SEGS,
    NO_RTT,
    PROBE_RTT,
    STARTUP,
    UNIT,
    Model,
)
from pystack.cc.policer import Policer
from pystack.compiling import mypyc_attr

HIGH_GAIN: Final = UNIT * 2885 // 1000 + 1  # 2/ln 2: doubles the rate each round
DRAIN_GAIN: Final = UNIT * 1000 // 2885
CWND_GAIN: Final = UNIT * 2
PROBE_BW_GAINS: Final = (UNIT * 5 // 4, UNIT * 3 // 4, UNIT, UNIT, UNIT, UNIT, UNIT, UNIT)
BW_ROUNDS: Final = 10

PROBE_BW: Final = 3  # the fourth mode


class MaxOfRounds:
    """The largest of the values of the last `rounds` rounds; three are kept (Kathleen Nichols'
    windowed filter, as in Linux's lib/win_minmax.c)."""

    __slots__ = ("rounds", "best")

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.best = [(0, 0)] * 3  # round and value: best, second, third

    def update(self, at: int, value: int) -> int:
        """Add the value of round `at`; returns the largest now."""
        best = self.best
        new = (at, value)
        if value >= best[0][1] or at - best[2][0] > self.rounds:
            self.best = [new] * 3
            return value
        if value >= best[1][1]:
            best[1] = best[2] = new
        elif value >= best[2][1]:
            best[2] = new
        self._age(at, new)
        return best[0][1]

    def _age(self, at: int, new: tuple[int, int]) -> None:
        """Drop the best value when it is too old; keep the others apart in time."""
        best = self.best
        gone = at - best[0][0]
        if gone > self.rounds:
            best[:] = best[1], best[2], new
            if at - best[0][0] > self.rounds:
                best[:] = best[1], best[2], new
        elif best[1][0] == best[0][0] and gone > self.rounds // 4:
            best[1] = best[2] = new
        elif best[2][0] == best[1][0] and gone > self.rounds // 2:
            best[2] = new


@mypyc_attr(allow_interpreted_subclasses=True)
class Bbr(Model):
    """Paces by a model of the path: bottleneck bandwidth and round-trip propagation time."""

    name: ClassVar[str] = "bbr"
    startup_gain: ClassVar[int] = HIGH_GAIN

    __slots__ = ("max_bw", "cycle", "cycle_from_us", "policer")

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.max_bw = MaxOfRounds(BW_ROUNDS)
        self.cycle = 0
        self.cycle_from_us = 0
        self.policer = Policer()

    def on_sample(self, sample: AckSample) -> None:
        self.note_sample(sample)
        self._update_bw(sample)
        self.update_extra_acked(sample)
        self._update_cycle(sample)
        self._check_full_bw(sample)
        self._check_drain(sample)
        self._update_min_rtt(sample)
        self._set_gains()
        self.set_pacing_rate(self.pacing_gain)
        self._set_cwnd(sample)

    def _set_gains(self) -> None:
        if self.mode == STARTUP:
            self.pacing_gain = self.cwnd_gain = HIGH_GAIN
        elif self.mode == DRAIN:
            self.pacing_gain, self.cwnd_gain = DRAIN_GAIN, HIGH_GAIN
        elif self.mode == PROBE_BW:
            self.pacing_gain = UNIT if self.policer.in_use else PROBE_BW_GAINS[self.cycle]
            self.cwnd_gain = CWND_GAIN
        else:
            self.pacing_gain = self.cwnd_gain = UNIT

    # -- bandwidth --------------------------------------------------------------------------------
    def _update_bw(self, sample: AckSample) -> None:
        self._look_for_policer(sample)
        rate = sample.delivery_rate
        best = self.max_bw.best[0][1]
        if rate and (rate >= best or not self.is_app_limited(sample)):
            best = self.max_bw.update(self.round_count, rate)
        self.bw = self.policer.bw if self.policer.in_use else best

    def _look_for_policer(self, sample: AckSample) -> None:
        policer = self.policer
        if policer.in_use:
            if self.mode == PROBE_BW and self.round_start and policer.is_over():
                policer.forget()
                self._enter_probe_bw(sample.now_us)
        elif self.is_app_limited(sample):
            policer.forget()
        else:
            policer.on_ack(
                sample.now_us, sample.delivered, sample.lost,
                losing=sample.newly_lost > 0, round_start=self.round_start,
            )  # fmt: skip

    def _check_full_bw(self, sample: AckSample) -> None:
        """STARTUP has filled the pipe when the rate grew by less than a quarter in three rounds."""
        if self.full_bw_reached or not self.round_start or self.is_app_limited(sample):
            return
        best = self.max_bw.best[0][1]
        if best >= self.full_bw * FULL_BW_GAIN // UNIT:
            self.full_bw, self.full_bw_count = best, 0
            return
        self.full_bw_count += 1
        self.full_bw_reached = self.full_bw_count >= FULL_BW_ROUNDS

    def _check_drain(self, sample: AckSample) -> None:
        if self.mode == STARTUP and self.full_bw_reached:
            self.mode = DRAIN
            self.ssthresh = self._inflight(UNIT)
        if self.mode == DRAIN and sample.pipe <= self._inflight(UNIT):
            self._enter_probe_bw(sample.now_us)

    # -- the cycle of PROBE_BW --------------------------------------------------------------------
    def _enter_probe_bw(self, now_us: int) -> None:
        self.mode = PROBE_BW
        # any phase but the second, which would drain what nothing has filled
        self.cycle = len(PROBE_BW_GAINS) - 1 - self.chance(len(PROBE_BW_GAINS) - 1)
        self._next_phase(now_us)

    def _next_phase(self, now_us: int) -> None:
        self.cycle = (self.cycle + 1) % len(PROBE_BW_GAINS)
        self.cycle_from_us = now_us

    def _update_cycle(self, sample: AckSample) -> None:
        if self.mode != PROBE_BW:
            return
        over = sample.now_us - self.cycle_from_us > self.min_rtt_us
        if self.pacing_gain > UNIT:
            # until the higher flight has been tried or has met its limit
            over = over and (
                sample.newly_lost > 0 or sample.prior_pipe >= self._inflight(self.pacing_gain)
            )
        elif self.pacing_gain < UNIT:
            over = over or sample.prior_pipe <= self._inflight(UNIT)
        if over:
            self._next_phase(sample.now_us)

    # -- shortest RTT -----------------------------------------------------------------------------
    def _update_min_rtt(self, sample: AckSample) -> None:
        now_us, rtt_us = sample.now_us, sample.rtt_us
        expired = now_us > self.min_rtt_at_us + MIN_RTT_WINDOW_US and self.min_rtt_us < NO_RTT
        if rtt_us > 0 and (rtt_us < self.min_rtt_us or expired):
            self.min_rtt_us, self.min_rtt_at_us = rtt_us, now_us
        if expired and not self.idle_restart and self.mode != PROBE_RTT:
            self.begin_probe_rtt()
        if self.mode == PROBE_RTT:
            self.probe_rtt(sample)
        if sample.newly_delivered:
            self.idle_restart = False

    def end_probe_rtt(self, now_us: int) -> None:
        self.min_rtt_at_us = now_us
        if self.full_bw_reached:
            self._enter_probe_bw(now_us)
        else:
            self.mode = STARTUP

    # -- window ------------------------------------------------------------------------
    def _inflight(self, gain: int, extra: int = 0) -> int:
        """`bdp`, and what offload and delayed ACKs need in addition."""
        mss = self.mss
        window = self.bdp(gain) + extra + 3 * self.at_once()
        window += -window % (2 * mss)  # a whole number of pairs, for delayed ACKs
        if self.mode == PROBE_BW and self.cycle == 0:
            window += 2 * mss
        return window

    def _set_cwnd(self, sample: AckSample) -> None:
        acked = sample.newly_delivered
        if acked and not self.recovers(sample):
            target = self._inflight(self.cwnd_gain, self.extra_room())
            if self.full_bw_reached:
                self.cwnd = min(self.cwnd + acked, target)
            elif self.cwnd < target or sample.delivered < self.initial_cwnd:
                self.cwnd += acked
            self.cwnd = max(self.cwnd, MIN_WINDOW_SEGS * self.mss)
        if self.mode == PROBE_RTT:
            self.cwnd = min(self.cwnd, self.probe_rtt_cwnd())

    def on_rto(self, flight: int, first: bool, now_us: int) -> None:
        super().on_rto(flight, first, now_us)
        self.policer.on_loss(now_us, self.delivered, self.lost)

    def on_undo(self, cwnd: int, ssthresh: int) -> None:
        super().on_undo(cwnd, ssthresh)
        self.full_bw = self.full_bw_count = 0
        self.policer.forget()
