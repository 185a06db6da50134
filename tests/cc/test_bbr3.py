"""BBR version 3 (draft-ietf-ccwg-bbr): what it adds to version 1."""

from __future__ import annotations

import pytest

from pystack.cc.base import FAST, AckSample
from pystack.cc.bbr3 import CWND_GAINS, PACING_GAINS, Bbr3
from pystack.cc.bbr3_model import CRUISE, DOWN, INFINITE, REFILL, UP
from pystack.cc.bbr_model import DRAIN, PROBE_RTT, STARTUP, UNIT
from tests.cc.bottleneck import Flow, Path
from tests.cc.flows import BDP, MSS, RATE, RTT_US, flow


def bbr3(of: Flow) -> Bbr3:
    assert isinstance(of.cc, Bbr3)
    return of.cc


def until(of: Flow, mode: int, most_ms: int = 6000) -> Flow:
    for _ in range(most_ms):
        if bbr3(of).mode == mode:
            return of
        of.run_us(1000)
    raise AssertionError("that mode never came")


def test_the_gains_are_those_of_the_draft() -> None:
    assert PACING_GAINS[STARTUP] == 277 * UNIT // 100
    assert (PACING_GAINS[DRAIN], PACING_GAINS[DOWN], PACING_GAINS[UP]) == (128, 230, 320)
    assert (CWND_GAINS[STARTUP], CWND_GAINS[PROBE_RTT], CWND_GAINS[UP]) == (512, 128, 576)


@pytest.mark.requirement("BBR3-ProbeBW-1")
def test_the_modes_follow_each_other() -> None:
    one = flow("bbr3")
    seen: list[int] = []
    for _ in range(4900):
        one.run_us(1000)
        if not seen or bbr3(one).mode != seen[-1]:
            seen.append(bbr3(one).mode)
    # the queue of STARTUP is gone after DRAIN, so that DOWN lasts for that one ACK
    assert seen[:7] == [STARTUP, DRAIN, CRUISE, REFILL, UP, DOWN, CRUISE]
    assert set(seen[7:]) <= {DOWN, CRUISE, REFILL, UP}


def test_it_settles_at_the_rate_of_the_link_without_a_queue() -> None:
    one = flow("bbr3")
    one.run(1)
    assert bbr3(one).bw == pytest.approx(RATE, rel=0.002)
    assert RTT_US <= bbr3(one).min_rtt_us <= RTT_US + 600
    rows = until(one, CRUISE).run(1, 10)
    assert max(row.queue_ms for row in rows) <= 1


@pytest.mark.requirement("BBR3-ProbeBW-1")
def test_it_probes_every_two_to_three_seconds() -> None:
    waits = []
    for seed in range(1, 7):
        one = until(flow("bbr3", seed=seed), CRUISE)
        begin = bbr3(one).cycle_from_us
        waits.append(until(one, REFILL).now_us - begin)
    assert all(2_000_000 < wait < 3_050_000 for wait in waits)
    assert max(waits) - min(waits) > 300_000


def test_on_a_short_path_it_probes_as_often_as_reno_would() -> None:
    one = until(flow("bbr3", rate=500_000, rtt_us=20_000, queue=10), CRUISE)
    begin = bbr3(one).cycle_from_us
    rounds = (until(one, REFILL).now_us - begin) / 20_000
    assert rounds <= one.cc.cwnd // MSS + 2  # a BDP of 7 segments: not the 100 rounds of 2 s


def test_every_five_seconds_half_of_the_flight_shows_the_shortest_rtt() -> None:
    one = flow("bbr3", queue=400)
    one.run(4)
    until(one, PROBE_RTT)
    assert 5_000_000 <= one.now_us - 1_000_000 <= 5_300_000
    begin = one.now_us
    one.run_us(150_000)
    assert bbr3(one).mode == PROBE_RTT
    assert one.cc.cwnd == pytest.approx(BDP // 2, abs=2 * MSS)
    until(one, CRUISE)
    assert 200_000 < one.now_us - begin < 400_000
    assert bbr3(one).bw == pytest.approx(RATE, rel=0.01)


# -- losses ---------------------------------------------------------------------------------------
def test_a_short_queue_is_learnt_and_kept_free() -> None:
    one = flow("bbr3", queue=10)
    one.run(1)
    lost, sent = one.lost_packets, one.sent
    one.run(9)
    model = bbr3(one)
    assert BDP * 7 // 10 < model.inflight_longterm < BDP * 13 // 10
    assert (one.lost_packets - lost) * MSS * 200 < one.sent - sent  # under 0.5 % after STARTUP
    assert one.delivered > 0.88 * 10 * RATE


def test_cruise_leaves_fifteen_hundredths_of_inflight_longterm_to_others() -> None:
    one = flow("bbr3", queue=10)
    one.run(2)
    until(one, CRUISE)
    one.run_us(100_000)
    model = bbr3(one)
    assert one.cc.cwnd <= model.inflight_longterm - model.inflight_longterm * 15 // 100


@pytest.mark.requirement("BBR3-Loss-1")
def test_a_probe_that_loses_more_than_two_percent_is_stopped_and_lowers_inflight_longterm() -> None:
    one = flow("bbr3")
    until(one, CRUISE)
    model = bbr3(one)
    assert model.inflight_longterm == INFINITE
    one.path.queue = 2 * MSS
    until(one, UP)
    until(one, DOWN, 400)
    assert BDP * 7 // 10 <= model.inflight_longterm <= BDP * 13 // 10
    assert not model.probe_samples


def test_one_percent_is_borne() -> None:
    one = flow("bbr3", lose_every=120)
    one.run(8)
    assert bbr3(one).inflight_longterm > BDP


def test_a_loss_outside_of_probes_lowers_the_short_term_bounds_to_seven_tenths_at_least() -> None:
    one = until(flow("bbr3"), CRUISE)
    one.path.lose_every = 50
    one.run_us(200_000)
    model = bbr3(one)
    assert RATE * 7 // 10 <= model.bw_shortterm < RATE
    assert model.inflight_shortterm < INFINITE
    one.path.lose_every = 0
    until(one, REFILL)
    assert (model.bw_shortterm, model.inflight_shortterm) == (INFINITE, INFINITE)


@pytest.mark.requirement("BBR3-Loss-1")
def test_many_losses_end_startup() -> None:
    one = flow("bbr3", lose_every=10)
    until(one, DRAIN, 1000)
    assert bbr3(one).full_bw_reached
    assert bbr3(one).full_bw_count < 3  # no rounds without growth have shown it
    assert bbr3(one).inflight_longterm < INFINITE


def test_a_spurious_loss_brings_the_bounds_back() -> None:
    one = until(flow("bbr3"), CRUISE)
    model = bbr3(one)
    model.bw_shortterm, model.inflight_shortterm, model.inflight_longterm = RATE, BDP, 2 * BDP
    model.on_enter_recovery(BDP, one.now_us)
    model.bw_shortterm, model.inflight_shortterm = RATE // 2, BDP // 2
    model.inflight_longterm = BDP
    model.on_undo(model.cwnd, model.ssthresh)
    assert (model.bw_shortterm, model.inflight_shortterm) == (RATE, BDP)
    assert model.inflight_longterm == 2 * BDP


def lost(model: Bbr3, length: int, **facts: int) -> None:
    """`length` bytes are found lost; facts are those of an `AckSample`."""
    sample = AckSample()
    for name, value in facts.items():
        setattr(sample, name, value)
    model.on_lost(length, sample)


def test_a_round_trip_of_losses_begins_with_the_first_loss() -> None:
    one = until(flow("bbr3", queue=400), CRUISE)
    one.run_us(100_000)
    model, before = bbr3(one), bbr3(one).loss_round_end
    assert before < one.delivered
    lost(model, MSS, delivered=one.delivered, lost=MSS, tx_in_flight=BDP)
    assert model.loss_round_end == one.delivered
    end = one.delivered
    one.run_us(20_000)
    lost(model, MSS, delivered=one.delivered, lost=2 * MSS, tx_in_flight=BDP)
    assert model.loss_round_end == end, "a second one is of the same round trip"
    assert model.bw_shortterm == INFINITE
    one.run_us(30_000)
    assert RATE * 95 // 100 < model.bw_shortterm < RATE, "all that a round trip has delivered"


def test_fast_recovery_has_no_window_of_its_own() -> None:
    one = until(flow("bbr3"), CRUISE)
    model = bbr3(one)
    cwnd = model.cwnd
    sample = AckSample()
    sample.now_us, sample.delivered, sample.newly_delivered = one.now_us, one.delivered + MSS, MSS
    sample.prior_delivered, sample.newly_lost, sample.pipe = one.delivered, 10 * MSS, 20 * MSS
    sample.recovery = FAST
    model.on_enter_recovery(BDP, one.now_us)
    model.on_sample(sample)
    assert model.cwnd == cwnd


def test_where_the_losses_passed_two_percent_is_reckoned_within_what_left_in_one_go() -> None:
    # 98 segments before it, 1 of them lost: (98 - 50)/49 of the 10 that follow were still fine
    assert Bbr3.inflight_at_loss(11 * MSS, 108 * MSS, 10 * MSS) == 98 * MSS + 48 * MSS // 49
    assert Bbr3.inflight_at_loss(5 * MSS, 101 * MSS, MSS) == 100 * MSS  # they had passed it before
    assert not Bbr3.is_too_high(2 * MSS, 100 * MSS)
    assert Bbr3.is_too_high(2 * MSS + 1, 100 * MSS)


def test_a_probe_is_judged_by_each_lost_packet_and_reacts_once() -> None:
    one = until(flow("bbr3"), UP)
    model = bbr3(one)
    assert model.probe_samples
    facts = {"delivered": one.delivered, "now_us": one.now_us, "prior_lost": 0}
    lost(model, MSS, lost=MSS, tx_in_flight=80 * MSS, **facts)
    assert (model.mode, model.inflight_longterm) == (UP, INFINITE)
    lost(model, MSS, lost=2 * MSS, tx_in_flight=90 * MSS, **facts)
    assert model.mode == DOWN
    assert model.inflight_longterm == 89 * MSS + 39 * MSS // 49
    lost(model, MSS, lost=9 * MSS, tx_in_flight=60 * MSS, **facts)
    assert model.inflight_longterm == 89 * MSS + 39 * MSS // 49


def test_after_a_probe_of_too_much_the_next_ends_where_that_one_lost_and_a_third_follows() -> None:
    one = flow("bbr3")
    until(one, UP)
    one.path.queue = 2 * MSS
    until(one, DOWN, 400)
    model = bbr3(one)
    assert model.last_probe_too_high
    until(one, REFILL)
    one.path.queue = 200 * MSS
    until(one, UP, 400)
    bound = model.inflight_longterm
    until(one, DOWN, 400)
    assert (model.last_probe_too_high, model.last_probe_cautious) == (False, True)
    assert bound <= model.inflight_longterm <= bound + 4 * MSS
    until(one, REFILL, 100)  # at once, with no time in CRUISE
    until(one, UP, 100)
    one.run_us(100_000)
    assert model.inflight_longterm > bound + 4 * MSS


def test_drain_lasts_for_three_round_trips_at_most() -> None:
    one = until(flow("bbr3"), DRAIN)
    model, sample = bbr3(one), AckSample()
    sample.now_us = one.now_us
    rounds = 0
    while model.mode == DRAIN:
        rounds += 1
        sample.now_us += RTT_US
        sample.prior_delivered = max(sample.delivered, one.delivered)
        sample.delivered = sample.prior_delivered + MSS
        sample.newly_delivered, sample.pipe = MSS, 10 * BDP  # it does not become less
        model.on_sample(sample)
    assert rounds == 4
    assert model.mode == DOWN


@pytest.mark.parametrize(("ended", "again"), [(STARTUP, STARTUP), (UP, REFILL)])
def test_a_mode_that_spurious_losses_have_ended_comes_back(ended: int, again: int) -> None:
    if ended == STARTUP:
        one = until(flow("bbr3", lose_every=10), DRAIN, 1000)
    else:
        one = until(flow("bbr3"), UP)
        one.path.queue = 2 * MSS
        until(one, DOWN, 400)
    model = bbr3(one)
    assert model.undo_mode == ended
    model.on_undo(model.cwnd, model.ssthresh)
    assert model.mode == again
    assert model.full_bw_reached == (ended != STARTUP)
    assert (model.inflight_longterm, model.loss_in_round) == (INFINITE, False)


def test_after_a_timeout_the_bound_begins_with_the_window_before_it() -> None:
    one = until(flow("bbr3"), CRUISE)
    model = bbr3(one)
    cwnd = model.cwnd
    model.on_rto(BDP, True, one.now_us)
    assert (model.cwnd, model.inflight_shortterm) == (MSS, cwnd)


def test_more_room_is_found_one_two_four_eight_segments_a_round() -> None:
    one = flow("bbr3", queue=10)
    one.run(4)
    one.path.rate *= 16
    one.path.queue *= 4
    one.run(4)
    assert bbr3(one).bw > 14 * RATE


@pytest.mark.parametrize(("ppm", "least"), [(1000, 92), (10_000, 70)])
def test_random_losses_below_two_percent_cost_little(ppm: int, least: int) -> None:
    one = flow("bbr3", loss_ppm=ppm)
    one.run(10)
    assert one.delivered * 100 // (10 * RATE) >= least


class NoMargin(Bbr3):
    """Paces at the rate, where the draft paces 1 % below it."""

    name = "no margin"

    def set_pacing_rate(self, gain: int) -> None:
        super().set_pacing_rate(gain)
        if self.full_bw_reached:
            self.pacing_rate = self.bw * gain // UNIT


class NoShortTerm(Bbr3):
    """Losses between probes lower no bound."""

    name = "no short term"

    def adapt_short_term(self) -> None:
        if self.loss_round_start:
            self.loss_in_round = False


def test_it_is_two_rules_of_the_draft_that_random_losses_cost_by() -> None:
    """docs/congestion-control.md has the figures of whole connections."""

    def share(made: type[Bbr3]) -> float:
        one = Flow(made(MSS, 10 * MSS), Path(RATE, RTT_US, BDP, loss_ppm=10_000))
        one.cc.seed = 1
        one.run(10)
        return one.delivered / (10 * RATE)

    draft, no_margin, no_short_term = map(share, (Bbr3, NoMargin, NoShortTerm))
    assert 0.7 < draft < min(no_margin, no_short_term)


def test_on_a_long_path_it_probes_after_63_rounds_at_the_latest() -> None:
    one = until(flow("bbr3", rate=10_000_000, rtt_us=20_000, queue=200), CRUISE)
    begin = bbr3(one).cycle_from_us
    rounds = (until(one, REFILL).now_us - begin) / 20_000
    assert 60 <= rounds <= 66


def test_a_slower_link_is_followed_within_two_cycles() -> None:
    one = flow("bbr3", queue=400)
    one.run(3)
    one.path.rate = RATE // 2
    one.run(7)
    assert bbr3(one).bw == pytest.approx(RATE // 2, rel=0.02)
