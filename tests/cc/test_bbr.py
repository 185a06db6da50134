"""BBR version 1: modes, gains and filters, on a path whose rate and RTT are known."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pystack.cc.base import FAST
from pystack.cc.bbr import DRAIN_GAIN, HIGH_GAIN, PROBE_BW, UNIT, Bbr, MaxOfRounds
from pystack.cc.bbr_model import DRAIN, PROBE_RTT, STARTUP
from pystack.cc.policer import Policer
from tests.cc.bottleneck import Flow
from tests.cc.flows import BDP, MSS, RATE, RTT_US, flow


def bbr(of: Flow) -> Bbr:
    assert isinstance(of.cc, Bbr)
    return of.cc


def run_ms(of: Flow, ms: int) -> Flow:
    of.run_us(ms * 1000)
    return of


@pytest.mark.requirement("BBR-Startup-1")
# -- modes ----------------------------------------------------------------------------------------
def test_startup_raises_the_rate_fast_until_three_rounds_bring_no_more() -> None:
    one = flow("bbr", queue=400)
    rates = []
    while bbr(one).mode == STARTUP:
        run_ms(one, 41)
        rates.append(bbr(one).bw)
    assert all(after > 1.5 * before for before, after in pairwise(rates[1:5]))
    assert rates[5] == pytest.approx(RATE, rel=0.05)
    assert bbr(one).mode == DRAIN
    assert 8 <= bbr(one).round_count <= 11


@pytest.mark.requirement("BBR-ProbeBW-1")
def test_the_gains_are_those_of_linux() -> None:
    assert (HIGH_GAIN, DRAIN_GAIN) == (739, 88)


@pytest.mark.requirement("BBR-Startup-1")
def test_drain_ends_when_the_flight_fits_the_path() -> None:
    one = flow("bbr", queue=400)
    while bbr(one).mode != PROBE_BW:
        run_ms(one, 5)
    assert one.pipe <= BDP + 12 * MSS


def test_it_settles_at_the_rate_of_the_link_and_its_shortest_rtt() -> None:
    one = flow("bbr")
    one.run(5)
    assert bbr(one).bw == pytest.approx(RATE, rel=0.002)
    assert RTT_US <= bbr(one).min_rtt_us <= RTT_US + 600  # and the packet's own time on the link
    assert one.cc.cwnd == pytest.approx(2 * BDP, abs=14 * MSS)


@pytest.mark.requirement("BBR-ProbeBW-1")
def test_probing_goes_up_down_and_six_times_level() -> None:
    one = flow("bbr")
    one.run(2)
    seen = []
    for _ in range(400):
        run_ms(one, 1)
        gain = bbr(one).pacing_gain
        if not seen or seen[-1] != gain:
            seen.append(gain)
    assert seen[seen.index(320) : seen.index(320) + 3] == [320, 192, 256]
    rates = {row.pacing_rate * 100 // RATE for row in one.run(1, 1)}
    assert rates == {74, 99, 123}


def test_the_pacing_rate_is_a_hundredth_below_the_bandwidth() -> None:
    one = flow("bbr")
    one.run(3)
    assert one.cc.pacing_rate == bbr(one).bw * bbr(one).pacing_gain * 99 // (UNIT * 100)


def test_where_the_cycle_begins_depends_on_the_seed() -> None:
    phases = set()
    for seed in range(1, 9):
        one = flow("bbr", seed=seed)
        while bbr(one).mode != PROBE_BW:
            run_ms(one, 10)
        phases.add(bbr(one).cycle)
    assert len(phases) >= 3
    assert 1 not in phases  # there is nothing to drain


@pytest.mark.requirement("BBR-ProbeRTT-1")
def test_every_ten_seconds_four_packets_for_200_ms_show_the_shortest_rtt() -> None:
    one = flow("bbr", queue=400)
    rows = one.run(30, 20)
    down = [row.at_ms for row in rows if row.cwnd <= 4]
    begins = [at for at in down if at - 20 not in down]
    assert len(begins) == 2
    for begin in begins:
        assert 200 <= len([at for at in down if begin <= at < begin + 1000]) * 20 <= 320
    assert 10_000 <= begins[0] <= 11_500
    assert begins[1] - begins[0] > 9_500
    assert rows[-1].cwnd > 100
    assert bbr(one).bw == pytest.approx(RATE, rel=0.01)


def test_what_is_sent_slowly_in_probe_rtt_is_no_low_bandwidth() -> None:
    # ten rounds of 2 ms pass within PROBE_RTT; the filter must not forget
    one = flow("bbr", rtt_us=2000, queue=400)
    one.run(10)
    while bbr(one).mode != PROBE_RTT:
        run_ms(one, 1)
    while bbr(one).mode == PROBE_RTT:
        run_ms(one, 1)
    assert bbr(one).bw == pytest.approx(RATE, rel=0.01)


# -- bandwidth ------------------------------------------------------------------------------------
def test_an_application_that_sends_little_does_not_lower_the_bandwidth() -> None:
    burst, trickle = [(0, 4_000_000)], [(3_000_000 + at * 50_000, 2 * MSS) for at in range(100)]
    one = flow("bbr", bursts=burst + trickle)
    one.run(7)
    assert bbr(one).bw == pytest.approx(RATE, rel=0.01)


def test_after_idling_it_goes_on_at_the_rate_it_had() -> None:
    one = flow("bbr", bursts=[(0, 4_000_000), (4_000_000, 200_000)])
    one.run(4)
    one.cc.pacing_rate = 1
    run_ms(one, 1)
    assert one.cc.pacing_rate == bbr(one).bw * 99 // 100
    assert bbr(one).mode == PROBE_BW


def test_the_shortest_rtt_is_taken_anew_after_a_long_idle_time_without_probe_rtt() -> None:
    one = flow("bbr", bursts=[(0, 4_000_000), (14_000_000, 400_000)])
    one.run(14)
    for _ in range(300):
        run_ms(one, 1)
        assert bbr(one).mode == PROBE_BW
    assert one.now_us - bbr(one).min_rtt_at_us < 1_000_000


def test_a_slower_link_is_followed_within_ten_rounds() -> None:
    one = flow("bbr", queue=400)
    one.run(3)
    one.path.rate = RATE // 2
    one.run(2)
    assert bbr(one).bw == pytest.approx(RATE // 2, rel=0.02)


def test_a_faster_link_is_found_by_probing() -> None:
    one = flow("bbr")
    one.run(3)
    one.path.rate = 2 * RATE
    one.run(3)
    assert bbr(one).bw == pytest.approx(2 * RATE, rel=0.03)


@pytest.mark.parametrize(("ppm", "least"), [(1000, 96), (10_000, 95), (50_000, 85)])
def test_random_losses_cost_little(ppm: int, least: int) -> None:
    one = flow("bbr", loss_ppm=ppm)
    one.run(10)
    assert one.delivered * 100 // (10 * RATE) >= least


def test_the_filter_keeps_the_largest_of_ten_rounds() -> None:
    largest = MaxOfRounds(10)
    seen = [largest.update(at, value) for at, value in enumerate((5, 9, 4, 3, 2))]
    assert seen == [5, 9, 9, 9, 9]
    seen = [largest.update(at, 1) for at in range(5, 20)]
    # of what came after the 9, the 2 is the first that is a quarter of the window apart from it
    assert seen == [9] * 7 + [2] * 3 + [1] * 5
    assert largest.update(40, 7) == 7


# -- recovery -------------------------------------------------------------------------------------
def test_recovery_conserves_packets_for_a_round_and_then_brings_the_window_back() -> None:
    one = flow("bbr", lose_every=700)
    one.run(3)
    before = one.cc.cwnd
    while one.recovery != 1:
        run_ms(one, 1)
    assert one.cc.cwnd <= one.pipe + 4 * MSS
    assert one.cc.cwnd < before
    while one.recovery:
        run_ms(one, 1)
    assert one.cc.cwnd >= before - 2 * MSS


def test_a_timeout_leaves_one_segment_and_the_window_comes_back_after_it() -> None:
    one = flow("bbr")
    one.run(3)
    before = one.cc.cwnd
    one.cc.on_rto(one.pipe, True, one.now_us)
    assert one.cc.cwnd == MSS
    run_ms(one, 100)
    assert one.cc.cwnd >= before - 2 * MSS


def test_a_mark_is_not_answered() -> None:
    one = flow("bbr")
    one.run(3)
    before = one.cc.cwnd
    one.cc.on_ecn(one.pipe, one.now_us)
    assert one.cc.cwnd == before


def test_a_loss_while_a_mark_is_being_told_does_not_cost_the_window_for_good() -> None:
    """Loss recovery then tells of no second cut (as in Linux, whose ssthresh() hears of both)."""
    one = flow("bbr")
    one.run(3)
    before = one.cc.cwnd
    bbr(one).prior_cwnd = 0  # nothing was lost so far
    one.cc.on_ecn(one.pipe, one.now_us)
    bbr(one).cwnd = 10 * MSS  # packets were conserved
    bbr(one).prior_recovery = FAST
    run_ms(one, 1)
    assert one.cc.cwnd >= before - 2 * MSS


# -- policers -------------------------------------------------------------------------------------
def test_two_intervals_of_the_same_rate_with_much_loss_show_a_policer() -> None:
    policer = Policer()
    policer.on_loss(1_000_000, 0, 0)
    for at in range(1, 9):
        policer.on_ack(
            1_000_000 + at * 100_000, at * 100_000, at * 30_000, losing=True, round_start=True
        )
        assert policer.in_use == (at == 8)
    assert policer.bw == 1_000_000
    assert [policer.is_over() for _ in range(48)] == [False] * 47 + [True]


@pytest.mark.parametrize(("lost", "second_rate"), [(10_000, 100_000), (30_000, 130_000)])
def test_little_loss_or_another_rate_does_not(lost: int, second_rate: int) -> None:
    policer = Policer()
    policer.on_loss(1_000_000, 0, 0)
    got = 0
    for at in range(1, 9):
        got += 100_000 if at <= 4 else second_rate
        policer.on_ack(1_000_000 + at * 100_000, got, at * lost, losing=True, round_start=True)
    assert not policer.in_use


def test_sixteen_rounds_are_too_long_an_interval() -> None:
    policer = Policer()
    policer.on_loss(1_000_000, 0, 0)
    for at in range(1, 18):
        policer.on_ack(1_000_000 + at, at, 0, losing=False, round_start=True)
    assert not policer.sampling


def test_behind_a_policer_its_rate_is_kept_to() -> None:
    one = flow("bbr", rate=12_500_000, police_rate=1_250_000, police_burst=500_000)
    one.run(1)
    policer = bbr(one).policer
    assert policer.in_use
    assert policer.bw == bbr(one).bw == pytest.approx(1_250_000, rel=0.01)
    lost = one.lost_packets
    one.run(1)
    assert one.lost_packets - lost < 10
