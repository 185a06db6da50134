"""BBR, version 3 (draft-ietf-ccwg-bbr-06): the model of version 1, bounded by what losses show.

Beside the largest rate of two probing cycles and the shortest RTT it keeps `inflight_longterm`,
above which a round lost more than 2 %, and, between probes, `bw_shortterm` and
`inflight_shortterm`, that fall to 0.7 at the least after a round with a loss. PROBE_BW goes round
DOWN, CRUISE, REFILL, UP: UP looks for more every two to three seconds (or as often as Reno would),
CRUISE leaves 15 % of `inflight_longterm` to others. Fast recovery has no window of its own.

Deviations: losses of STARTUP are counted by ACKs that show them, as Linux does, not by ranges;
room for aggregated ACKs is at most what 100 ms bring (Linux); marks are ignored.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import FAST, LOSS, AckSample
from pystack.cc.bbr3_model import (
    BETA,
    CRUISE,
    DOWN,
    INFINITE,
    NO_MODE,
    REFILL,
    UP,
    Bbr3Model,
)
from pystack.cc.bbr_model import (
    DRAIN,
    EXTRA_ACKED_ROUNDS,
    EXTRA_ACKED_US,
    FULL_BW_GAIN,
    FULL_BW_ROUNDS,
    MIN_RTT_WINDOW_US,
    MIN_WINDOW_SEGS,
    NO_RTT,
    PROBE_RTT,
    STARTUP,
    UNIT,
)
from pystack.compiling import mypyc_attr

# by mode: STARTUP, DRAIN, PROBE_RTT, DOWN, CRUISE, REFILL, UP
PACING_GAINS: Final = (
    UNIT * 277 // 100,
    UNIT // 2,
    UNIT,
    UNIT * 9 // 10,
    UNIT,
    UNIT,
    UNIT * 5 // 4,
)
CWND_GAINS: Final = (UNIT * 2, UNIT * 2, UNIT // 2, UNIT * 2, UNIT * 2, UNIT * 2, UNIT * 9 // 4)

STARTUP_LOSSES: Final = 6  # ACKs with losses in a round that end STARTUP
DRAIN_ROUNDS: Final = 3  # DRAIN lasts no longer
PROBE_RTT_EVERY_US: Final = 5_000_000
PROBE_WAIT_US: Final = 2_000_000  # plus up to 1 s
RENO_ROUNDS: Final = 63

# what the ACKs that arrive are about
ACKS_INIT: Final = 0
ACKS_REFILLING: Final = 1
ACKS_PROBE_STARTING: Final = 2
ACKS_PROBE_FEEDBACK: Final = 3
ACKS_PROBE_STOPPING: Final = 4


@mypyc_attr(allow_interpreted_subclasses=True)
class Bbr3(Bbr3Model):
    """Paces by a model of the path, and leaves room where the path drops."""

    name: ClassVar[str] = "bbr3"
    startup_gain: ClassVar[int] = PACING_GAINS[STARTUP]

    __slots__ = (
        "full_bw_now", "losses_in_round", "drain_from_round",
        "ack_phase", "probe_samples", "up_rounds", "up_acked", "up_step",
        "last_probe_too_high", "last_probe_cautious",
        "rounds_since_probe", "probe_wait_us", "cycle_from_us",
        "probe_rtt_min_us", "probe_rtt_min_at_us",
    )  # fmt: skip

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.cwnd_gain = CWND_GAINS[STARTUP]
        self.full_bw_now = False
        self.losses_in_round = 0
        self.drain_from_round = 0
        self.ack_phase = ACKS_INIT
        self.probe_samples = False
        self.up_rounds = self.up_acked = 0
        self.up_step = INFINITE  # bytes acknowledged for each segment more in flight
        self.last_probe_too_high = False
        self.last_probe_cautious = False  # it ended at `inflight_longterm`
        self.rounds_since_probe = 0
        self.probe_wait_us = 0
        self.cycle_from_us = 0
        self.probe_rtt_min_us = NO_RTT
        self.probe_rtt_min_at_us = 0

    # -- one ACK ----------------------------------------------------------------------------------
    def on_sample(self, sample: AckSample) -> None:
        self.note_sample(sample)
        if self.round_start:
            self.rounds_since_probe += 1
        delivered = sample.delivered - sample.prior_delivered if sample.newly_delivered else 0
        self.note_delivery(sample, delivered)
        self.adapt_short_term()
        self.update_extra_acked(sample, EXTRA_ACKED_ROUNDS if self.full_bw_reached else 1)
        self._check_full_bw(sample)
        self._check_startup(sample)
        self._check_drain(sample)
        if self.full_bw_reached:
            self._update_cycle(sample)
        self._update_min_rtt(sample)
        self.advance_delivery(sample, delivered)
        self.bw = min(max(self.max_bws), self.bw_shortterm)
        self.set_pacing_rate(self.pacing_gain)
        self._set_cwnd(sample)

    def on_lost(self, length: int, sample: AckSample) -> None:
        self.note_loss(sample.delivered)
        if not self.probe_samples:
            return
        lost, in_flight = sample.lost - sample.prior_lost, sample.tx_in_flight
        if self.is_too_high(lost, in_flight):
            at = self.inflight_at_loss(lost, in_flight, length)
            self._on_inflight_too_high(at, self.is_app_limited(sample), sample.now_us)

    def _enter(self, mode: int) -> None:
        self.mode = mode
        self.pacing_gain = PACING_GAINS[mode]
        self.cwnd_gain = CWND_GAINS[mode]

    def _start_round(self) -> None:
        self.round_end = self.delivered

    # -- STARTUP ----------------------------------------------------------------------------------
    def _reset_full_bw(self, rate: int) -> None:
        self.full_bw, self.full_bw_count = rate, 0
        self.full_bw_now = False

    def _check_full_bw(self, sample: AckSample) -> None:
        """Three rounds in which the rate grew by less than a quarter show that there is no more."""
        if self.full_bw_now or not self.round_start or self.is_app_limited(sample):
            return
        rate = sample.delivery_rate
        if rate >= self.full_bw * FULL_BW_GAIN // UNIT:
            self._reset_full_bw(rate)
            return
        self.full_bw_count += 1
        self.full_bw_now = self.full_bw_count >= FULL_BW_ROUNDS
        self.full_bw_reached = self.full_bw_reached or self.full_bw_now

    def _check_startup(self, sample: AckSample) -> None:
        if sample.newly_lost:
            self.losses_in_round += 1
        if self.mode != STARTUP:
            return
        if (
            not self.full_bw_reached and self.loss_round_start and sample.recovery == FAST
            and self.losses_in_round >= STARTUP_LOSSES
            and self.is_too_high(sample.lost - sample.prior_lost, sample.tx_in_flight)
        ):  # fmt: skip
            self.undo_mode = STARTUP
            self.full_bw_reached = True
            self.inflight_longterm = max(self.bdp(UNIT), self.inflight_latest)
        if self.loss_round_start:
            self.losses_in_round = 0
        if self.full_bw_reached:
            self._enter(DRAIN)
            self.drain_from_round = self.round_count
            self.ssthresh = self._inflight(UNIT)

    def _check_drain(self, sample: AckSample) -> None:
        if self.mode == DRAIN and (
            sample.pipe <= self._inflight(UNIT)
            or self.round_count > self.drain_from_round + DRAIN_ROUNDS
        ):
            self._start_down(sample.now_us)

    # -- the cycle of PROBE_BW --------------------------------------------------------------------
    def _start_down(self, now_us: int) -> None:
        self.reset_congestion_signals()
        self.up_step = INFINITE
        # a second between connections keeps them from probing together
        self.rounds_since_probe = self.chance(2)
        self.probe_wait_us = PROBE_WAIT_US + self.chance(1_000_000)
        self.cycle_from_us = now_us
        self.ack_phase = ACKS_PROBE_STOPPING
        self._start_round()
        self._enter(DOWN)

    def _start_refill(self) -> None:
        self.reset_short_term()
        self.up_rounds = self.up_acked = 0
        self.last_probe_cautious = False
        self.ack_phase = ACKS_REFILLING
        self._start_round()
        self._enter(REFILL)

    def _start_up(self, sample: AckSample) -> None:
        self.ack_phase = ACKS_PROBE_STARTING
        self._start_round()
        self._reset_full_bw(sample.delivery_rate)
        self._enter(UP)
        self._steepen()

    def _update_cycle(self, sample: AckSample) -> None:
        if self._adapt_long_term(sample):
            return
        mode = self.mode
        if mode in (DOWN, CRUISE):
            if self._is_time_to_probe(sample.now_us):
                self._start_refill()
            elif mode == DOWN and self._is_time_to_cruise(sample.pipe):
                self._enter(CRUISE)
        elif mode == REFILL:
            if self.round_start:
                self.probe_samples = True
                self._start_up(sample)
        elif mode == UP and self._is_time_to_go_down(sample):
            self.last_probe_too_high = False  # so far
            self._start_down(sample.now_us)

    def _is_time_to_go_down(self, sample: AckSample) -> bool:
        full = sample.prior_pipe + self.mss > self.inflight_longterm  # no segment more fits
        if self.last_probe_too_high and full:
            self.last_probe_cautious = True  # so much was too much the last time
            return True
        if sample.cwnd_limited and self.cwnd >= self.inflight_longterm:
            self._reset_full_bw(sample.delivery_rate)  # the bound limits us
            return False
        return self.full_bw_now

    def _is_time_to_cruise(self, pipe: int) -> bool:
        return pipe <= min(self.with_headroom(), self._inflight(UNIT))

    def _is_time_to_probe(self, now_us: int) -> bool:
        """After two to three seconds, or as soon as Reno had the window that this path needs."""
        if now_us > self.cycle_from_us + self.probe_wait_us:
            return True
        reno_rounds = min(self._target() // self.mss, RENO_ROUNDS)
        return self.rounds_since_probe >= reno_rounds

    def _target(self) -> int:
        return min(self.bdp(UNIT), self.cwnd)

    def _adapt_long_term(self, sample: AckSample) -> bool:
        """Adapt the largest rate and `inflight_longterm` to what the ACKs of a probe show; whether
        the next probe has begun."""
        if self.round_start:
            if self.ack_phase == ACKS_PROBE_STARTING:
                self.ack_phase = ACKS_PROBE_FEEDBACK
            elif self.ack_phase == ACKS_PROBE_STOPPING:
                self.ack_phase = ACKS_INIT
                self.probe_samples = False
                if self.mode >= DOWN:
                    if not self.is_app_limited(sample):
                        self.advance_max_bw()
                    if self.last_probe_cautious and not self.last_probe_too_high:
                        self._start_refill()  # it was no longer too much: look beyond it
                        return True
        if self.inflight_longterm == INFINITE or not sample.newly_delivered:
            return False
        if self.is_too_high(sample.lost - sample.prior_lost, sample.tx_in_flight):
            return False
        self.inflight_longterm = max(self.inflight_longterm, sample.tx_in_flight)
        if self.mode == UP:
            self._probe_upward(sample)
        return False

    def _on_inflight_too_high(self, in_flight: int, app_limited: bool, now_us: int) -> None:
        self.last_probe_too_high = True
        self.probe_samples = False  # one reaction to each probe
        if not app_limited:
            part, whole = BETA
            self.inflight_longterm = max(in_flight, self._target() * part // whole)
        if self.mode == UP:
            self.undo_mode = UP
            self._start_down(now_us)

    def _probe_upward(self, sample: AckSample) -> None:
        if not sample.cwnd_limited or self.cwnd < self.inflight_longterm:
            return
        self.up_acked += sample.newly_delivered
        if self.up_acked >= self.up_step:
            segs = self.up_acked // self.up_step
            self.up_acked -= segs * self.up_step
            self.inflight_longterm += segs * self.mss
        if self.round_start:
            self._steepen()

    def _steepen(self) -> None:
        """One segment more in the first round of a probe, then 2, 4, 8 …"""
        self.up_step = max(self.cwnd >> self.up_rounds, self.mss)
        self.up_rounds = min(self.up_rounds + 1, 30)

    # -- shortest RTT -----------------------------------------------------------------------------
    def _update_min_rtt(self, sample: AckSample) -> None:
        now_us, rtt_us = sample.now_us, sample.rtt_us
        expired = (
            self.probe_rtt_min_us < NO_RTT
            and now_us > self.probe_rtt_min_at_us + PROBE_RTT_EVERY_US
        )
        if rtt_us > 0 and (rtt_us < self.probe_rtt_min_us or expired):
            self.probe_rtt_min_us, self.probe_rtt_min_at_us = rtt_us, now_us
        if (
            self.probe_rtt_min_us < self.min_rtt_us
            or now_us > self.min_rtt_at_us + MIN_RTT_WINDOW_US
        ):
            self.min_rtt_us, self.min_rtt_at_us = self.probe_rtt_min_us, self.probe_rtt_min_at_us
        if expired and not self.idle_restart and self.mode != PROBE_RTT:
            self.begin_probe_rtt()
            self._enter(PROBE_RTT)
            self.ack_phase = ACKS_PROBE_STOPPING
            self._start_round()
        if self.mode == PROBE_RTT:
            self.probe_rtt(sample)
        if sample.newly_delivered:
            self.idle_restart = False

    def probe_rtt_cwnd(self) -> int:
        return max(self.bdp(CWND_GAINS[PROBE_RTT]), MIN_WINDOW_SEGS * self.mss)

    def end_probe_rtt(self, now_us: int) -> None:
        self.probe_rtt_min_at_us = now_us
        self.reset_short_term()
        if self.full_bw_reached:
            self._start_down(now_us)
            self._enter(CRUISE)
        else:
            self._enter(STARTUP)

    # -- window -----------------------------------------------------------------------------------
    def _inflight(self, gain: int, extra: int = 0) -> int:
        """`bdp`, and what offload and aggregated ACKs need."""
        window = max(self.bdp(gain) + extra, 3 * self.at_once(), MIN_WINDOW_SEGS * self.mss)
        return window + 2 * self.mss if self.mode == UP else window

    def _set_cwnd(self, sample: AckSample) -> None:
        recovery = sample.recovery
        if self.prior_recovery in (FAST, LOSS) and recovery not in (FAST, LOSS):
            self.cwnd = max(self.cwnd, self.prior_cwnd)
        self.prior_recovery = recovery
        acked = sample.newly_delivered
        if acked:
            extra = min(max(self.extra_acked), self.bw * EXTRA_ACKED_US // 1_000_000)
            most = self._inflight(self.cwnd_gain, extra)
            if self.full_bw_reached:
                self.cwnd = min(self.cwnd + acked, most)
            elif self.cwnd < most or sample.delivered < self.initial_cwnd:
                self.cwnd += acked
            self.cwnd = max(self.cwnd, MIN_WINDOW_SEGS * self.mss)
        if self.mode == PROBE_RTT:
            self.cwnd = min(self.cwnd, self.probe_rtt_cwnd())
        self.cwnd = min(self.cwnd, self.bound())

    # -- losses that were none --------------------------------------------------------------------
    def on_undo(self, cwnd: int, ssthresh: int) -> None:
        super().on_undo(cwnd, ssthresh)
        self.cwnd = max(self.cwnd, self.prior_cwnd)
        self._reset_full_bw(0)
        self.restore_bounds()
        mode, ended = self.mode, self.undo_mode
        if ended == STARTUP and mode != STARTUP:
            self.full_bw_reached = False
            if mode != PROBE_RTT:
                self._enter(STARTUP)
        elif ended == UP and mode not in (UP, PROBE_RTT):
            self._start_refill()
        self.undo_mode = NO_MODE
