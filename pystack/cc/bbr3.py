"""BBR, version 3 (draft-ietf-ccwg-bbr): the model of version 1, bounded by what losses show.

Beside the largest rate of two probing cycles and the shortest RTT it keeps `inflight_hi`, above
which a round lost more than 2 %, and, between probes, `bw_lo` and `inflight_lo`, that fall to 0.7
in a round with a loss. PROBE_BW goes round DOWN, CRUISE, REFILL, UP: UP looks for more every two
to three seconds (or as often as Reno would), CRUISE leaves 15 % of `inflight_hi` to others.

Deviations: losses are evaluated per ACK, not per lost packet, as the contract has them (what was in
flight when the newest acknowledged packet was sent, and what was lost since); in recovery packets
are conserved for a round as in version 1. Congestion marks are not used.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import FAST, AckSample
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
from pystack.compiling import mypyc_attr

# modes of PROBE_BW
DOWN: Final = 3
CRUISE: Final = 4
REFILL: Final = 5
UP: Final = 6

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

LOSS_THRESH: Final = 50  # one packet of these
BETA: Final = 7, 10
HEADROOM: Final = 15, 100
STARTUP_LOSSES: Final = 6  # ACKs with losses in a round that end STARTUP
PROBE_RTT_EVERY_US: Final = 5_000_000
PROBE_WAIT_US: Final = 2_000_000  # plus up to 1 s
RENO_ROUNDS: Final = 63

# what the ACKs that arrive are about
ACKS_INIT: Final = 0
ACKS_REFILLING: Final = 1
ACKS_PROBE_STARTING: Final = 2
ACKS_PROBE_FEEDBACK: Final = 3
ACKS_PROBE_STOPPING: Final = 4

INFINITE: Final = 1 << 62


@mypyc_attr(allow_interpreted_subclasses=True)
class Bbr3(Model):
    """Paces by a model of the path, and leaves room where the path drops."""

    name: ClassVar[str] = "bbr3"
    startup_gain: ClassVar[int] = PACING_GAINS[STARTUP]

    __slots__ = (
        "max_bws", "full_bw_now",
        "bw_latest", "inflight_latest", "loss_round_end", "loss_round_start", "loss_in_round",
        "losses_in_round", "bw_lo", "inflight_lo", "inflight_hi", "before_loss",
        "ack_phase", "probe_samples", "up_rounds", "up_acked", "up_step",
        "rounds_since_probe", "probe_wait_us", "cycle_from_us",
        "probe_rtt_min_us", "probe_rtt_min_at_us",
    )  # fmt: skip

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.cwnd_gain = CWND_GAINS[STARTUP]
        self.max_bws = [0, 0]  # of the last cycle and of this one
        self.full_bw_now = False
        self.bw_latest = self.inflight_latest = 0  # the most delivered in a round trip of losses
        self.loss_round_end = 0
        self.loss_round_start = self.loss_in_round = False
        self.losses_in_round = 0
        self.bw_lo = self.inflight_lo = self.inflight_hi = INFINITE
        self.before_loss = (INFINITE, INFINITE, INFINITE)
        self.ack_phase = ACKS_INIT
        self.probe_samples = False
        self.up_rounds = self.up_acked = 0
        self.up_step = INFINITE  # bytes acknowledged for each segment more in flight
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
        self._note_delivery(sample, delivered)
        self._update_max_bw(sample)
        self._note_losses(sample)
        self.update_extra_acked(sample)
        self._check_full_bw(sample)
        self._check_startup(sample)
        if self.mode == DRAIN and sample.pipe <= self._inflight(UNIT):
            self._start_down(sample.now_us)
        if self.full_bw_reached:
            self._update_cycle(sample)
        self._update_min_rtt(sample)
        if self.loss_round_start:
            self.bw_latest, self.inflight_latest = sample.delivery_rate, delivered
        self.bw = min(max(self.max_bws), self.bw_lo)
        self.set_pacing_rate(self.pacing_gain)
        self._set_cwnd(sample)

    def _enter(self, mode: int) -> None:
        self.mode = mode
        self.pacing_gain = PACING_GAINS[mode]
        self.cwnd_gain = CWND_GAINS[mode]

    def _start_round(self) -> None:
        self.round_end = self.delivered

    # -- what was delivered and lost --------------------------------------------------------------
    def _note_delivery(self, sample: AckSample, delivered: int) -> None:
        self.loss_round_start = False
        if not delivered:
            return
        self.bw_latest = max(self.bw_latest, sample.delivery_rate)
        self.inflight_latest = max(self.inflight_latest, delivered)
        if sample.prior_delivered >= self.loss_round_end:
            self.loss_round_end = sample.delivered
            self.loss_round_start = True

    def _update_max_bw(self, sample: AckSample) -> None:
        rate = sample.delivery_rate
        if rate > self.max_bws[1] and (rate >= self.max_bws[0] or not self.is_app_limited(sample)):
            self.max_bws[1] = rate

    def _note_losses(self, sample: AckSample) -> None:
        """Lower bounds after a round with a loss, unless it was a probe that caused it."""
        if sample.newly_lost:
            self.loss_in_round = True
            self.losses_in_round += 1
        if not self.loss_round_start:
            return
        if self.loss_in_round and self.mode not in (STARTUP, REFILL, UP):
            if self.bw_lo == INFINITE:
                self.bw_lo = max(self.max_bws)
            if self.inflight_lo == INFINITE:
                self.inflight_lo = self.cwnd
            part, whole = BETA
            self.bw_lo = max(self.bw_latest, self.bw_lo * part // whole, 1)
            self.inflight_lo = max(self.inflight_latest, self.inflight_lo * part // whole)
        self.loss_in_round = False

    def _forget_lower_bounds(self) -> None:
        self.bw_lo = self.inflight_lo = INFINITE

    def _lost_too_much(self, sample: AckSample) -> bool:
        """Whether more than 2 % was lost of what was in flight when the newest delivered packet
        left."""
        if not sample.newly_delivered:
            return False
        return (sample.lost - sample.prior_lost) * LOSS_THRESH > sample.tx_in_flight

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
        if self.mode != STARTUP:
            return
        if (
            not self.full_bw_reached and self.loss_round_start and sample.recovery == FAST
            and self.losses_in_round >= STARTUP_LOSSES and self._lost_too_much(sample)
        ):  # fmt: skip
            self.full_bw_reached = True
            self.inflight_hi = max(self.bdp(UNIT), self.inflight_latest)
        if self.loss_round_start:
            self.losses_in_round = 0
        if self.full_bw_reached:
            self._enter(DRAIN)
            self.ssthresh = self._inflight(UNIT)

    # -- the cycle of PROBE_BW --------------------------------------------------------------------
    def _start_down(self, now_us: int) -> None:
        self.loss_in_round = False
        self.bw_latest = self.inflight_latest = 0
        self.up_step = INFINITE
        # a second between connections keeps them from probing together
        self.rounds_since_probe = self.chance(2)
        self.probe_wait_us = PROBE_WAIT_US + self.chance(1_000_000)
        self.cycle_from_us = now_us
        self.ack_phase = ACKS_PROBE_STOPPING
        self._start_round()
        self._enter(DOWN)

    def _start_refill(self) -> None:
        self._forget_lower_bounds()
        self.up_rounds = self.up_acked = 0
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
        self._adapt_upper_bound(sample)
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
        elif mode == UP:
            if sample.cwnd_limited and self.cwnd >= self.inflight_hi:
                self._reset_full_bw(sample.delivery_rate)  # the bound limits us
            elif self.full_bw_now:
                self._start_down(sample.now_us)

    def _is_time_to_cruise(self, pipe: int) -> bool:
        return pipe <= min(self._with_headroom(), self._inflight(UNIT))

    def _is_time_to_probe(self, now_us: int) -> bool:
        """After two to three seconds, or as soon as Reno had the window that this path needs."""
        if now_us > self.cycle_from_us + self.probe_wait_us:
            return True
        reno_rounds = min(self._target() // self.mss, RENO_ROUNDS)
        return self.rounds_since_probe >= reno_rounds

    def _target(self) -> int:
        return min(self.bdp(UNIT), self.cwnd)

    def _with_headroom(self) -> int:
        """`inflight_hi` less what others may take."""
        if self.inflight_hi == INFINITE:
            return INFINITE
        part, whole = HEADROOM
        headroom = max(self.inflight_hi * part // whole, self.mss)
        return max(self.inflight_hi - headroom, MIN_WINDOW_SEGS * self.mss)

    def _adapt_upper_bound(self, sample: AckSample) -> None:
        """Adapt `inflight_hi` to what the ACKs of a probe show."""
        if self.round_start:
            if self.ack_phase == ACKS_PROBE_STARTING:
                self.ack_phase = ACKS_PROBE_FEEDBACK
            elif self.ack_phase == ACKS_PROBE_STOPPING:
                self.ack_phase = ACKS_INIT
                self.probe_samples = False
                if self.mode >= DOWN and not self.is_app_limited(sample):
                    if self.max_bws[1]:
                        self.max_bws = [self.max_bws[1], 0]
        if self._lost_too_much(sample):
            if self.probe_samples:
                self._on_inflight_too_high(sample)
            return
        if self.inflight_hi == INFINITE:
            return
        if sample.newly_delivered:
            self.inflight_hi = max(self.inflight_hi, sample.tx_in_flight)
        if self.mode == UP:
            self._probe_upward(sample)

    def _on_inflight_too_high(self, sample: AckSample) -> None:
        self.probe_samples = False  # one reaction to each probe
        if not self.is_app_limited(sample):
            part, whole = BETA
            self.inflight_hi = max(sample.tx_in_flight, self._target() * part // whole)
        if self.mode == UP:
            self._start_down(sample.now_us)

    def _probe_upward(self, sample: AckSample) -> None:
        if not sample.cwnd_limited or self.cwnd < self.inflight_hi:
            return
        self.up_acked += sample.newly_delivered
        if self.up_acked >= self.up_step:
            segs = self.up_acked // self.up_step
            self.up_acked -= segs * self.up_step
            self.inflight_hi += segs * self.mss
        if self.round_start:
            self._steepen()

    def _steepen(self) -> None:
        """One segment more in the first round of a probe, then 2, 4, 8 …"""
        self.up_step = max(self.cwnd >> self.up_rounds, 1)
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
        self._forget_lower_bounds()
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
        acked = sample.newly_delivered
        least = MIN_WINDOW_SEGS * self.mss
        if acked and not self.recovers(sample):
            most = self._inflight(self.cwnd_gain, self.extra_room())
            if self.full_bw_reached:
                self.cwnd = min(self.cwnd + acked, most)
            elif self.cwnd < most or sample.delivered < self.initial_cwnd:
                self.cwnd += acked
            self.cwnd = max(self.cwnd, least)
        if self.mode == PROBE_RTT:
            self.cwnd = min(self.cwnd, self.probe_rtt_cwnd())
        if self.mode in (PROBE_RTT, CRUISE):
            bound = self._with_headroom()
        else:
            bound = self.inflight_hi if self.mode >= DOWN else INFINITE
        self.cwnd = min(self.cwnd, max(min(bound, self.inflight_lo), least))

    # -- recovery ---------------------------------------------------------------------------------
    def _note_bounds(self) -> None:
        self.before_loss = (self.bw_lo, self.inflight_lo, self.inflight_hi)

    def on_enter_recovery(self, flight: int, now_us: int) -> None:
        super().on_enter_recovery(flight, now_us)
        self._note_bounds()

    def on_rto(self, flight: int, first: bool, now_us: int) -> None:
        if first:
            self._note_bounds()
        super().on_rto(flight, first, now_us)

    def on_undo(self, cwnd: int, ssthresh: int) -> None:
        super().on_undo(cwnd, ssthresh)
        self.loss_in_round = False
        self._reset_full_bw(0)
        bw_lo, inflight_lo, inflight_hi = self.before_loss
        self.bw_lo = max(self.bw_lo, bw_lo)
        self.inflight_lo = max(self.inflight_lo, inflight_lo)
        self.inflight_hi = max(self.inflight_hi, inflight_hi)
