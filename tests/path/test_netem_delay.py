"""Delay as netem has it: spread, correlation, what overtakes, and a limit."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from pystack.path.chance import Chance
from pystack.path.netem_delay import NORMAL, NetemDelay
from tests.path.traffic import departures, numbered, numbers

MS = 1000


def delays(stage: NetemDelay, count: int = 3000) -> list[int]:
    """Of packets that come 100 ms apart, so that none of them depends on another."""
    out = []
    for n, packet in enumerate(numbered(count)):
        now_us = 1 + 100 * MS * n
        if stage.feed(packet, now_us):
            out.append(0)
            continue
        deadline = stage.next_deadline()
        assert numbers(stage.take(deadline)) == [n]
        out.append(deadline - now_us)
    return out


def test_the_delay_lies_evenly_within_the_jitter() -> None:
    seen = delays(NetemDelay(20 * MS, 2 * MS, Random(1)))
    assert min(seen) >= 18 * MS
    assert max(seen) <= 22 * MS
    assert abs(sum(seen) / len(seen) - 20 * MS) < 100
    for low in range(18, 22):
        assert 650 < sum(low * MS <= one < (low + 1) * MS for one in seen) < 850


def test_both_ends_of_the_jitter_are_reached() -> None:
    assert set(delays(NetemDelay(10, 1, Random(1)), 200)) == {9, 10, 11}


def test_a_normal_distribution_has_the_jitter_as_its_standard_deviation() -> None:
    seen = delays(NetemDelay(20 * MS, 2 * MS, Random(1), distribution=NORMAL))
    mean = sum(seen) / len(seen)
    assert abs(mean - 20 * MS) < 100
    deviation = (sum((one - mean) ** 2 for one in seen) / len(seen)) ** 0.5
    assert 1_900 < deviation < 2_100
    assert 0.66 < sum(abs(one - mean) < 2 * MS for one in seen) / len(seen) < 0.71


def test_jitter_larger_than_the_delay_never_makes_it_negative() -> None:
    seen = delays(NetemDelay(1 * MS, 3 * MS, Random(1)))
    assert 0.2 < sum(one == 0 for one in seen) / len(seen) < 0.4
    assert max(seen) <= 4 * MS


@pytest.mark.parametrize("distribution", ["uniform", NORMAL])
def test_a_correlated_delay_changes_slowly(distribution: str) -> None:
    def steps(correlation: float) -> float:
        stage = NetemDelay(
            20 * MS, 5 * MS, Random(1), correlation=correlation, distribution=distribution
        )
        seen = delays(stage, 1000)[50:]
        spread = max(seen) - min(seen)
        return sum(abs(a - b) for a, b in itertools.pairwise(seen)) / spread

    assert steps(0.9) < 0.6 * steps(0.0)


def test_without_jitter_nothing_is_drawn_and_the_order_is_kept() -> None:
    stage = NetemDelay(5 * MS, 0, Random(1))
    out = departures(stage, [(1 + n, packet) for n, packet in enumerate(numbered(50))])
    assert out == [(5_001 + n, n) for n in range(50)]


def test_packets_of_one_moment_come_out_in_the_order_in_which_they_came() -> None:
    stage = NetemDelay(5 * MS, 0, Random(1))
    out = departures(stage, [(1, packet) for packet in reversed(numbered(300))])
    assert out == [(5_001, n) for n in reversed(range(300))]


def test_jitter_lets_packets_overtake() -> None:
    stage = NetemDelay(5 * MS, 1 * MS, Random(1))
    out = departures(stage, [(1 + 100 * n, packet) for n, packet in enumerate(numbered(100))])
    order = [number for _, number in out]
    assert sorted(order) == list(range(100))
    assert order != sorted(order)


def test_reordered_packets_go_at_once() -> None:
    stage = NetemDelay(5 * MS, 0, Random(1), overtakes=Chance(0.2, Random(2)))
    seen = delays(stage, 2000)
    assert set(seen) == {0, 5 * MS}
    assert 340 < stage.reordered < 460
    assert stage.counts() == {"reordered": seen.count(0), "dropped": 0}


def test_a_gap_makes_every_so_manieth_go_at_once() -> None:
    stage = NetemDelay(5 * MS, 0, Random(1), gap=5)
    seen = delays(stage, 20)
    assert [n for n, delay in enumerate(seen) if not delay] == [4, 9, 14, 19]


def test_with_a_gap_and_a_chance_at_most_one_in_a_gap_goes_at_once() -> None:
    stage = NetemDelay(5 * MS, 0, Random(1), overtakes=Chance(0.5, Random(2)), gap=3)
    at_once = [n for n, delay in enumerate(delays(stage, 600)) if not delay]
    spaces = [b - a for a, b in itertools.pairwise(at_once)]
    assert min(spaces) == 3
    assert max(spaces) > 3


def test_no_more_are_kept_than_the_limit() -> None:
    stage = NetemDelay(5 * MS, 0, Random(1), limit=3)
    out = departures(stage, [(1 + n, packet) for n, packet in enumerate(numbered(6))])
    assert [number for _, number in out] == [0, 1, 2]
    assert stage.counts() == {"reordered": 0, "dropped": 3}


def test_impossible_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        NetemDelay(-1, 0, Random(1))
    with pytest.raises(ValueError, match="'pareto'"):
        NetemDelay(1, 0, Random(1), distribution="pareto")
