"""LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pystack.cc.ledbat import Ledbat
from tests.cc.told import MSS, Told

BASE_US = 120_000  # GAIN is 1


def ledbat(segs: int = 20, base_us: int = BASE_US) -> tuple[Told, Ledbat]:
    """In congestion avoidance with the base RTT known and no slowdown to come."""
    cc = Ledbat(MSS, segs * MSS)
    cc.ssthresh = cc.cwnd
    told = Told(cc)
    told.round(base_us, limited=False)
    return told, cc


def end_round(told: Told, rtt_us: int) -> None:
    """Four ACKs at `rtt_us`, the last of which ends a round."""
    for _ in range(3):
        told.ack(MSS, rtt_us, sent_at_delivered=0)
    told.ack(MSS, rtt_us, sent_at_delivered=told.sample.delivered)


def test_it_begins_with_two_segments() -> None:
    cc = Ledbat(MSS, 10 * MSS)
    cc.on_established(10 * MSS, 1_000_000)
    assert cc.cwnd == 2 * MSS


@pytest.mark.parametrize(
    ("base_ms", "grown"), [(200, 1000), (120, 1000), (60, 500), (30, 250), (7, 62), (1, 62)]
)
def test_below_the_target_it_grows_by_gain_segments_a_round(base_ms: int, grown: int) -> None:
    told, cc = ledbat(base_us=base_ms * 1000)
    end_round(told, base_ms * 1000)
    assert cc.cwnd == 20 * MSS + grown


@pytest.mark.parametrize(
    ("queueing_ms", "window"),
    [(60, 21_000), (63, 20_000), (66, 19_000), (75, 16_000), (90, 11_000), (93, 10_000),
     (500, 10_000)],
)  # fmt: skip
def test_above_it_the_window_shrinks_by_the_excess_by_a_half_at_most(
    queueing_ms: int, window: int
) -> None:
    told, cc = ledbat()
    end_round(told, BASE_US + queueing_ms * 1000)
    assert cc.cwnd == window


def test_the_least_of_four_samples_is_the_delay() -> None:
    told, cc = ledbat()
    for rtt_ms in (125, 400, 400):
        told.ack(MSS, rtt_ms * 1000, sent_at_delivered=0)
    told.ack(MSS, 400_000, sent_at_delivered=told.sample.delivered)
    assert cc.cwnd == 21 * MSS


def test_the_base_is_the_least_of_ten_minutes() -> None:
    told, cc = ledbat()
    for _ in range(9):
        told.now_us += 61_000_000
        told.ack(MSS, 180_000, limited=False)
    assert cc.base_us == BASE_US
    told.now_us += 61_000_000
    told.ack(MSS, 180_000, limited=False)
    assert cc.base_us == 180_000


def test_slow_start_ends_at_three_quarters_of_the_target() -> None:
    cc = Ledbat(MSS, 10 * MSS)
    told = Told(cc)
    told.round(BASE_US)
    assert told.cwnd == 20
    for _ in range(4):
        told.ack(MSS, BASE_US + 45_001, sent_at_delivered=0)
    assert told.ssthresh == told.cwnd


def slowdowns(rtt_us: int, count: int) -> list[tuple[int, int]]:
    """When each of the first slowdowns began and ended, in rounds, with the queue always empty
    but for the end of the first slow start."""
    cc = Ledbat(MSS, 10 * MSS)
    told = Told(cc)
    told.round(rtt_us)
    told.round(rtt_us + 50_000)
    found: list[tuple[int, int]] = []
    begun = -1
    for at in range(1000):
        told.round(rtt_us)
        if begun < 0 and cc.cwnd == 2 * MSS:
            begun = at
        elif begun >= 0 and cc.cwnd >= cc.ssthresh:
            found.append((begun, at))
            begun = -1
            if len(found) == count:
                break
    return found


def test_slowdowns_take_a_tenth_of_the_time() -> None:
    found = slowdowns(BASE_US, 3)
    assert found[0][0] <= 2  # two rounds after slow start
    for (begun, ended), (again, _) in pairwise(found):
        assert 4 <= ended - begun <= 8
        assert again - ended == pytest.approx(9 * (ended - begun + 1), abs=3)


def test_a_slowdown_lasts_two_rounds_at_two_segments() -> None:
    told, cc = ledbat(20)
    cc.slowdown_at_us = 1
    seen = []
    for _ in range(7):
        told.round(BASE_US)
        seen.append(cc.cwnd // MSS)
    assert seen[:2] == [2, 2]
    assert seen[2:5] == [4, 8, 16]
    assert 19 <= seen[5] <= 20
    assert cc.slowdown_at_us > told.now_us


def test_a_loss_halves_the_window() -> None:
    told, cc = ledbat(20)
    cc.on_enter_recovery(20 * MSS, told.now_us)
    cc.on_exit_recovery(cc.ssthresh, told.now_us)
    assert cc.cwnd == cc.ssthresh == 10 * MSS
