"""What both versions of BBR have in common: round trips, aggregated ACKs, pacing, recovery.

A model of the path, the most that it delivers per second and its shortest RTT, paces the sender and
bounds what is in flight. Gains are in 1/256, rates in bytes/s.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pystack.cc.base import FAST, LOSS, OPEN, AckSample, CongestionControl
from pystack.compiling import mypyc_attr

UNIT: Final = 256
MIN_WINDOW_SEGS: Final = 4
PACING_MARGIN: Final = 99, 100  # a little below the rate, so that the queue goes down
NOMINAL_RTT_US: Final = 1000  # until there is a sample
SLOW_RATE: Final = 150_000  # below 1.2 Mbit/s one segment is sent at a time
MOST_AT_ONCE: Final = 0xFFFF
EXTRA_ACKED_ROUNDS: Final = 5  # of each of two windows
EXTRA_ACKED_US: Final = 100_000
EXTRA_ACKED_RESET: Final = 1 << 30
FULL_BW_GAIN: Final = UNIT * 5 // 4
FULL_BW_ROUNDS: Final = 3
MIN_RTT_WINDOW_US: Final = 10_000_000
PROBE_RTT_US: Final = 200_000
LARGEST_WINDOW: Final = 1 << 30  # that a peer can offer (RFC 7323 §2.3)
NO_RTT: Final = 1 << 62

# modes of both
STARTUP: Final = 0
DRAIN: Final = 1
PROBE_RTT: Final = 2


@mypyc_attr(allow_interpreted_subclasses=True)
class Model(CongestionControl):
    """Base of both. A version has `startup_gain`, and moves between modes in `on_sample`."""

    uses_prr: ClassVar[bool] = False
    startup_gain: ClassVar[int] = UNIT

    __slots__ = (
        "mode", "pacing_gain", "cwnd_gain", "initial_cwnd",
        "round_end", "round_count", "round_start", "delivered", "lost",
        "bw", "full_bw", "full_bw_count", "full_bw_reached",
        "min_rtt_us", "min_rtt_at_us", "has_rtt",
        "probe_rtt_done_us", "probe_rtt_round_done", "slow_until", "idle_restart",
        "extra_acked", "extra_acked_now", "extra_acked_rounds", "epoch_us", "epoch_acked",
        "prior_cwnd", "prior_recovery", "conserving",
    )  # fmt: skip

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.mode = STARTUP
        self.pacing_gain = self.cwnd_gain = self.startup_gain
        self.initial_cwnd = initial_cwnd
        self.round_end = 0  # `delivered` when the round began
        self.round_count = 0
        self.round_start = False
        self.delivered = self.lost = 0
        self.bw = 0
        self.full_bw = self.full_bw_count = 0
        self.full_bw_reached = False
        self.min_rtt_us = NO_RTT
        self.min_rtt_at_us = 0
        self.has_rtt = False
        self.probe_rtt_done_us = 0  # 0: the flight is not down yet
        self.probe_rtt_round_done = False
        self.slow_until = 0  # what is sent until `delivered` gets there is slow on purpose
        self.idle_restart = False
        self.extra_acked = [0, 0]
        self.extra_acked_now = self.extra_acked_rounds = 0
        self.epoch_us = self.epoch_acked = 0
        self.prior_cwnd = 0
        self.prior_recovery = OPEN
        self.conserving = False
        self.init_pacing(NOMINAL_RTT_US)

    def on_established(self, initial_cwnd: int, now_us: int) -> None:
        self.cwnd = self.initial_cwnd = initial_cwnd
        self.init_pacing(NOMINAL_RTT_US)

    def note_sample(self, sample: AckSample) -> None:
        """First thing on every ACK."""
        self.delivered, self.lost = sample.delivered, sample.lost
        if sample.srtt_us and not self.has_rtt:
            self.has_rtt = True
            self.init_pacing(sample.srtt_us)
        self.count_round(sample)

    def count_round(self, sample: AckSample) -> None:
        """A round trip ends when what was sent after its start is delivered."""
        self.round_start = False
        if sample.newly_delivered and sample.prior_delivered >= self.round_end:
            self.round_end = sample.delivered
            self.round_count += 1
            self.round_start = True
            self.conserving = False

    def is_app_limited(self, sample: AckSample) -> bool:
        """Whether the sampled rate may be below what the path gives; that of PROBE_RTT is."""
        return sample.app_limited or sample.prior_delivered < self.slow_until

    def chance(self, below: int) -> int:
        """A number from 0 to below - 1, by the connection's own seed (Marsaglia's xorshift)."""
        x = self.seed or 0x9E3779B97F4A7C15
        x ^= (x << 13) & 0xFFFF_FFFF_FFFF_FFFF
        x ^= x >> 7
        x ^= (x << 17) & 0xFFFF_FFFF_FFFF_FFFF
        self.seed = x
        return (x >> 32) % below

    # -- aggregated ACKs --------------------------------------------------------------------------
    def update_extra_acked(self, sample: AckSample, rounds: int = EXTRA_ACKED_ROUNDS) -> None:
        """How much more was acknowledged at once than the bandwidth explains; it is remembered for
        one to two times `rounds`."""
        if not sample.newly_delivered or not sample.delivery_rate:
            return
        if self.round_start:
            self.extra_acked_rounds += 1
            if self.extra_acked_rounds >= rounds:
                self.extra_acked_rounds = 0
                self.extra_acked_now ^= 1
                self.extra_acked[self.extra_acked_now] = 0
        expected = self.bw * (sample.now_us - self.epoch_us) // 1_000_000
        if self.epoch_acked <= expected or self.epoch_acked >= EXTRA_ACKED_RESET:
            self.epoch_us = sample.now_us
            self.epoch_acked = expected = 0
        self.epoch_acked += sample.newly_delivered
        extra = min(self.epoch_acked - expected, self.cwnd)
        if extra > self.extra_acked[self.extra_acked_now]:
            self.extra_acked[self.extra_acked_now] = extra

    def extra_room(self) -> int:
        """What is added to the window so that aggregated ACKs leave no gap."""
        if not self.full_bw_reached:
            return 0
        return min(max(self.extra_acked), self.bw * EXTRA_ACKED_US // 1_000_000)

    # -- pacing -----------------------------------------------------------------------------------
    def init_pacing(self, rtt_us: int) -> None:
        self.pacing_rate = max(self.cwnd * 1_000_000 // rtt_us * self.startup_gain // UNIT, 1)

    def set_pacing_rate(self, gain: int) -> None:
        part, whole = PACING_MARGIN
        rate = self.bw * gain * part // (UNIT * whole)
        if rate and (self.full_bw_reached or rate > self.pacing_rate):
            self.pacing_rate = rate

    def bdp(self, gain: int) -> int:
        """Bytes that the model has in flight at this gain."""
        if self.min_rtt_us == NO_RTT:
            return self.initial_cwnd
        return min(-(-self.bw * self.min_rtt_us * gain // (UNIT * 1_000_000)), LARGEST_WINDOW)

    def at_once(self) -> int:
        """Bytes that leave in one go: about 1 ms of the rate."""
        least = self.mss if self.pacing_rate < SLOW_RATE else 2 * self.mss
        return min(max(self.pacing_rate >> 10, least), MOST_AT_ONCE)

    # -- recovery ---------------------------------------------------------------------------------
    def recovers(self, sample: AckSample) -> bool:
        """Packet conservation in the first round of recovery, the old window after it; whether
        this decides on the window."""
        cwnd, recovery, prior = self.cwnd, sample.recovery, self.prior_recovery
        if sample.newly_lost:
            cwnd = max(cwnd - sample.newly_lost, self.mss)
        if recovery == FAST and prior != FAST:
            self.conserving = True
            self.round_end = sample.delivered
            cwnd = sample.pipe + sample.newly_delivered
        elif prior in (FAST, LOSS) and recovery not in (FAST, LOSS):
            cwnd = max(cwnd, self.prior_cwnd)
            self.conserving = False
        self.prior_recovery = recovery
        if self.conserving:
            self.cwnd = max(cwnd, sample.pipe + sample.newly_delivered, self.mss)
        else:
            self.cwnd = max(cwnd, self.mss)
        return self.conserving

    def save_cwnd(self) -> None:
        """Note the window that comes back after recovery or PROBE_RTT."""
        if self.prior_recovery not in (FAST, LOSS) and self.mode != PROBE_RTT:
            self.prior_cwnd = self.cwnd
        else:
            self.prior_cwnd = max(self.prior_cwnd, self.cwnd)

    def on_enter_recovery(self, flight: int, now_us: int) -> None:
        self.save_cwnd()

    def on_ecn(self, flight: int, now_us: int) -> None:
        """The model ignores marks; a loss may follow while this one is handled."""
        self.save_cwnd()

    def on_rto(self, flight: int, first: bool, now_us: int) -> None:
        self.save_cwnd()
        self.prior_recovery = LOSS
        self.full_bw = 0  # measured anew from here
        self.conserving = False
        self.cwnd = self.mss

    # -- PROBE_RTT --------------------------------------------------------------------------------
    def probe_rtt_cwnd(self) -> int:
        """The window of PROBE_RTT in bytes."""
        return MIN_WINDOW_SEGS * self.mss

    def begin_probe_rtt(self) -> None:
        """Called once the mode is another one still."""
        self.save_cwnd()
        self.mode = PROBE_RTT
        self.probe_rtt_done_us = 0

    def probe_rtt(self, sample: AckSample) -> None:
        """Little in flight for 200 ms and a round, so that the queue is empty and the RTT shows."""
        self.slow_until = sample.delivered + sample.pipe
        if not self.probe_rtt_done_us:
            if sample.pipe <= self.probe_rtt_cwnd():
                self.probe_rtt_done_us = sample.now_us + PROBE_RTT_US
                self.probe_rtt_round_done = False
                self.round_end = sample.delivered
            return
        if self.round_start:
            self.probe_rtt_round_done = True
        if self.probe_rtt_round_done:
            self._check_probe_rtt_done(sample.now_us)

    def _check_probe_rtt_done(self, now_us: int) -> None:
        if self.probe_rtt_done_us and now_us > self.probe_rtt_done_us:
            self.cwnd = max(self.cwnd, self.prior_cwnd)
            self.end_probe_rtt(now_us)

    def end_probe_rtt(self, now_us: int) -> None:
        """Change the mode."""
        raise NotImplementedError

    def on_tx_start(self, idle_us: int, now_us: int) -> None:
        """After an idle time nothing has to be probed: the rate of the model goes on."""
        self.idle_restart = True
        self.epoch_us, self.epoch_acked = now_us, 0
        if self.mode > PROBE_RTT:  # PROBE_BW
            self.set_pacing_rate(UNIT)
        elif self.mode == PROBE_RTT:
            self._check_probe_rtt_done(now_us)
