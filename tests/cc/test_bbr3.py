"""BBR version 3 (draft-ietf-ccwg-bbr): what it adds to version 1."""

from __future__ import annotations

import pytest

from pystack.cc.bbr3 import (
    CRUISE,
    CWND_GAINS,
    DOWN,
    INFINITE,
    PACING_GAINS,
    REFILL,
    UP,
    Bbr3,
)
from pystack.cc.bbr_model import DRAIN, PROBE_RTT, STARTUP, UNIT
from tests.cc.bottleneck import Flow
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
    one.run(10)
    model = bbr3(one)
    assert BDP * 7 // 10 < model.inflight_hi < BDP * 13 // 10
    assert one.lost_packets * MSS * 200 < one.sent  # under 0.5 %
    assert one.delivered > 0.88 * 10 * RATE


def test_cruise_leaves_fifteen_hundredths_of_inflight_hi_to_others() -> None:
    one = flow("bbr3", queue=10)
    one.run(2)
    until(one, CRUISE)
    one.run_us(100_000)
    model = bbr3(one)
    assert one.cc.cwnd <= model.inflight_hi - model.inflight_hi * 15 // 100


def test_a_probe_that_loses_more_than_two_percent_is_stopped_and_lowers_inflight_hi() -> None:
    one = flow("bbr3")
    until(one, CRUISE)
    model = bbr3(one)
    assert model.inflight_hi == INFINITE
    one.path.queue = 2 * MSS
    until(one, UP)
    until(one, DOWN, 400)
    assert BDP * 7 // 10 <= model.inflight_hi <= BDP * 13 // 10
    assert not model.probe_samples


def test_one_percent_is_borne() -> None:
    one = flow("bbr3", lose_every=120)
    one.run(8)
    assert bbr3(one).inflight_hi > BDP


def test_a_loss_outside_of_probes_lowers_the_short_term_bounds_to_seven_tenths_at_least() -> None:
    one = until(flow("bbr3"), CRUISE)
    one.path.lose_every = 50
    one.run_us(200_000)
    model = bbr3(one)
    assert RATE * 7 // 10 <= model.bw_lo < RATE
    assert model.inflight_lo < INFINITE
    one.path.lose_every = 0
    until(one, REFILL)
    assert (model.bw_lo, model.inflight_lo) == (INFINITE, INFINITE)


def test_many_losses_end_startup() -> None:
    one = flow("bbr3", lose_every=10)
    until(one, DRAIN, 1000)
    assert bbr3(one).full_bw_reached
    assert bbr3(one).bw < RATE * 8 // 10  # no round without growth has shown it
    assert bbr3(one).inflight_hi < INFINITE


def test_a_spurious_loss_brings_the_bounds_back() -> None:
    one = until(flow("bbr3"), CRUISE)
    model = bbr3(one)
    model.bw_lo, model.inflight_lo, model.inflight_hi = RATE, BDP, 2 * BDP
    model.on_enter_recovery(BDP, one.now_us)
    model.bw_lo, model.inflight_lo, model.inflight_hi = RATE // 2, BDP // 2, BDP
    model.on_undo(model.cwnd, model.ssthresh)
    assert (model.bw_lo, model.inflight_lo, model.inflight_hi) == (RATE, BDP, 2 * BDP)


def test_more_room_is_found_one_two_four_eight_segments_a_round() -> None:
    one = flow("bbr3", queue=10)
    one.run(4)
    one.path.rate *= 16
    one.path.queue *= 4
    one.run(4)
    assert bbr3(one).bw > 15 * RATE


@pytest.mark.parametrize(("ppm", "least"), [(1000, 92), (10_000, 70)])
def test_random_losses_below_two_percent_cost_little(ppm: int, least: int) -> None:
    one = flow("bbr3", loss_ppm=ppm)
    one.run(10)
    assert one.delivered * 100 // (10 * RATE) >= least


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
