"""Faults with a memory or a time: bursts, correlation, outages, spikes, the n-th packet."""

from __future__ import annotations

import itertools
from functools import cache
from random import Random

import pytest

from pystack.path.bursts import GilbertElliott
from pystack.path.chance import Chance, Correlated
from pystack.path.faults import Corruption, Duplication, Loss
from pystack.path.intervals import Interval
from pystack.path.link import Delay, Stage
from pystack.path.nth import Nth
from pystack.path.outage import Outage
from pystack.path.scheduled import Scheduled
from pystack.path.spikes import Spikes
from pystack.wire.batch import Packet
from tests.path.traffic import CE, ECT0, NOT_ECT, departures, ecn_of, numbered, numbers, sized

MS = 1000


@cache
def many() -> list[Packet]:
    """Made once, as that takes longer than all that is done to them."""
    return numbered(40_000)


def passed(stage: Stage, packets: list[Packet]) -> list[int]:
    return [n for at, one in enumerate(packets) for n in numbers(stage.feed(one, 1 + at))]


# -- bursts -------------------------------------------------------------------------------------
def runs(lost: list[int]) -> list[int]:
    """Lengths of runs of successive numbers."""
    lengths: list[int] = []
    for at, number in enumerate(lost):
        if at and lost[at - 1] == number - 1:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return lengths


@pytest.mark.parametrize("seed", range(3))
def test_gilbert_elliott_loses_in_bursts_of_the_length_it_says(seed: int) -> None:
    stage = GilbertElliott(0.01, 0.25, Random(seed))
    count = 40_000
    got = set(passed(stage, many()))
    lost = [number for number in range(count) if number not in got]
    assert stage.lost == len(lost)
    # in the bad state for 0.01 / 0.26 = 3.85 % of the packets, 4 of them in a row
    assert 0.032 < len(lost) / count < 0.045
    lengths = runs(lost)
    assert 3.5 < sum(lengths) / len(lengths) < 4.5


def test_both_states_have_a_loss_of_their_own() -> None:
    stage = GilbertElliott(0.5, 0.5, Random(1), bad_loss=0.5, good_loss=0.1)
    passed(stage, many()[:20_000])
    assert 0.28 < stage.lost / 20_000 < 0.32  # (0.5 + 0.1) / 2


def test_it_begins_in_the_good_state() -> None:
    stage = GilbertElliott(1.0, 0.0, Random(1))
    assert passed(stage, numbered(4)) == [0]


def test_bursts_may_mark_instead() -> None:
    stage = GilbertElliott(1.0, 0.0, Random(1), ecn=True)
    packets = [sized(100, number=n, ecn=ECT0 if n % 2 else NOT_ECT) for n in range(6)]
    out = [packet for one in packets for packet in stage.feed(one, 1)]
    assert numbers(out) == [0, 1, 3, 5]
    assert [ecn_of(packet) for packet in out] == [NOT_ECT, CE, CE, CE]
    assert stage.counts() == {"lost": 2, "marked": 3}


# -- loss that marks, correlation ---------------------------------------------------------------
def test_loss_with_ecn_marks_those_that_may_be_marked() -> None:
    stage = Loss(1.0, Random(1), ecn=True)
    packets = [sized(100, number=n, ecn=ECT0 if n < 3 else NOT_ECT) for n in range(5)]
    out = [packet for one in packets for packet in stage.feed(one, 1)]
    assert [ecn_of(packet) for packet in out] == [CE] * 3
    assert stage.counts() == {"lost": 2, "marked": 3}


class Listed:
    """A random source that draws what it is told."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)

    def random(self) -> float:
        return self.numbers.pop(0) / (1 << 32)

    def randrange(self, stop: int, /) -> int:
        assert stop == 1 << 32
        return self.numbers.pop(0)


def test_a_correlated_number_is_a_mean_of_a_new_one_and_the_last() -> None:
    draws = Correlated(Listed(1_000_000, 2_000_000, 0, 4_000_000), 0.25)
    # three quarters of the new and a quarter of the last result (0 before the first)
    assert [draws.draw() for _ in range(4)] == [750_000, 1_687_500, 421_875, 3_105_468]


def test_a_correlation_of_1_repeats_the_first_for_ever() -> None:
    draws = Correlated(Random(1), 1.0)
    assert {draws.draw() for _ in range(10)} == {0}


def test_successive_numbers_are_correlated_by_what_was_asked_for() -> None:
    draws = Correlated(Random(3), 0.5)
    values = [draws.draw() for _ in range(20_000)]
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values)
    covariance = sum((a - mean) * (b - mean) for a, b in itertools.pairwise(values))
    assert 0.47 < covariance / variance < 0.53


def test_a_fault_that_is_correlated_comes_in_clusters() -> None:
    for make in (Loss, Duplication, Corruption):
        struck = []
        for correlation in (0.0, 0.9):
            stage = make(0.3, Random(5), correlation)
            before = 0
            hits = []
            for packet in many()[:4000]:
                stage.feed(packet, 1)
                count = sum(stage.counts().values())
                hits.append(count > before)
                before = count
            pairs = sum(a and b for a, b in itertools.pairwise(hits))
            struck.append(pairs / max(sum(hits), 1))
        assert struck[1] > struck[0] + 0.2, make


def test_an_uncorrelated_chance_is_its_rate() -> None:
    assert Chance(0.5, Listed((1 << 31) - 1)).strikes()
    assert not Chance(0.5, Listed(1 << 31)).strikes()


def test_a_correlation_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="a correlation lies between 0 and 1"):
        Loss(0.1, Random(1), 1.5)


# -- the n-th, outages, spikes ------------------------------------------------------------------
def test_the_nth_packets_are_lost_and_no_others() -> None:
    stage = Nth(1, 3, 7)
    assert passed(stage, numbered(8)) == [1, 3, 4, 5, 7]
    assert stage.counts() == {"lost": 3}
    with pytest.raises(ValueError, match="from 1"):
        Nth(0)


def test_nothing_passes_within_an_outage() -> None:
    stage = Outage(Interval(2_000, 500), Interval(5_000, 1))
    times = [1_999, 2_000, 2_499, 2_500, 4_999, 5_000, 5_001]
    out = departures(stage, list(zip(times, numbered(7), strict=True)))
    assert out == [(1_999, 0), (2_500, 3), (4_999, 4), (5_001, 6)]
    assert stage.counts() == {"cut_off": 3}


def test_an_outage_may_come_again_and_again() -> None:
    stage = Outage(Interval(1_000, 100, 1_000))
    times = [999, 1_050, 1_100, 2_099, 2_100, 70_000, 70_100]
    out = departures(stage, list(zip(times, numbered(7), strict=True)))
    assert [number for _, number in out] == [0, 2, 4, 6]


def test_what_comes_within_a_spike_waits_for_its_end_in_order() -> None:
    stage = Spikes(Interval(1_000, 500, 10_000))
    times = [999, 1_000, 1_400, 1_500, 1_501, 11_200]
    out = departures(stage, list(zip(times, numbered(6), strict=True)))
    assert out == [(999, 0), (1_500, 1), (1_500, 2), (1_500, 3), (1_501, 4), (11_500, 5)]
    assert stage.counts() == {"held_up": 3}


def test_spikes_that_overlap_keep_the_order() -> None:
    stage = Spikes(Interval(1_000, 5_000), Interval(2_000, 100))
    out = departures(stage, list(zip([1_000, 2_050, 6_000], numbered(3), strict=True)))
    assert out == [(6_000, 0), (6_000, 1), (6_000, 2)]


@pytest.mark.parametrize("numbers", [(-1, 5, 0), (0, 0, 0), (0, 5, 5), (0, 1, 1), (0, 5, -1)])
def test_an_impossible_interval_is_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="span of time"):
        Interval(*numbers)


# -- one after the other ------------------------------------------------------------------------
def test_each_stage_begins_at_its_time_and_what_was_kept_still_comes() -> None:
    stage = Scheduled((1_000, Delay(300)), (2_000, Nth(1)), (3_000, Delay(10)))
    times = [900, 1_000, 1_900, 2_000, 2_001, 3_000]
    out = departures(stage, list(zip(times, numbered(6), strict=True)))
    assert out == [(900, 0), (1_300, 1), (2_001, 4), (2_200, 2), (3_010, 5)]
    assert stage.counts() == {"lost": 1}


def test_stages_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="order"):
        Scheduled((2, Stage()), (1, Stage()))
