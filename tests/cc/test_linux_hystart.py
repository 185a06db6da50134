"""Linux's HyStart in CUBIC's slow start: the ACK train and the delay (tcp_cubic.c)."""

from __future__ import annotations

import pytest

from pystack.cc.base import INFINITE_SSTHRESH
from pystack.cc.cubic import Cubic
from pystack.cc.hystart import ACK_TRAIN, DELAY
from tests.cc.told import MSS, Told

RTT_US = 40_000


def told_of(detect: int, segs: int = 16) -> Told:
    """A connection with a window of `segs` segments, one round trip after its begin."""
    cc = Cubic(MSS, segs // 2 * MSS)
    cc.hystart_detect = detect
    told = Told(cc)
    told.ack(cc.cwnd, RTT_US, sent_at_delivered=0)
    assert told.cwnd == segs
    return told


def train(told: Told, count: int, spacing_us: int, rtt_us: int = RTT_US) -> None:
    """A round begins: `count` ACKs of a segment, evenly spaced; until slow start is over."""
    begun_with = told.sample.delivered
    told.now_us += RTT_US
    for _ in range(count):
        told.ack(MSS, rtt_us, sent_at_delivered=begun_with)
        if told.cc.ssthresh != INFINITE_SSTHRESH:
            return
        told.now_us += spacing_us


# -- the ACK train --------------------------------------------------------------------------------
@pytest.mark.deviation("RFC9438-S4.10-1")
def test_a_train_of_more_than_half_of_the_shortest_rtt_ends_slow_start() -> None:
    """By default, where RFC 9438 prefers HyStart++: it repeats less and brings as much."""
    assert Cubic(MSS, 10 * MSS).hystart_detect == ACK_TRAIN | DELAY
    told = told_of(ACK_TRAIN)
    train(told, 100, 1000)
    # (40 ms + 1 ms of offload) / 2 = 20.5 ms: the 22nd ACK comes 21 ms after the first
    assert told.ssthresh == 16 + 21
    assert 37 <= told.cwnd < 37.1  # what this ACK covers counts in congestion avoidance


def test_where_pacing_spreads_the_window_the_whole_rtt_counts() -> None:
    told = told_of(ACK_TRAIN)
    told.cc.paced = True
    train(told, 100, 1000)
    assert told.ssthresh == 16 + 42


@pytest.mark.parametrize(("spacing_us", "ends"), [(2000, True), (2001, False)])
def test_acks_more_than_two_milliseconds_apart_are_no_train(spacing_us: int, ends: bool) -> None:
    told = told_of(ACK_TRAIN)
    train(told, 40, spacing_us)
    assert (told.cc.ssthresh != INFINITE_SSTHRESH) == ends


def test_how_far_apart_is_a_parameter() -> None:
    told = told_of(ACK_TRAIN)
    cc = told.cc
    assert isinstance(cc, Cubic)
    cc.hystart_ack_delta_us = 5000
    train(told, 40, 5000)
    assert told.ssthresh == 16 + 5


def test_a_train_begins_anew_with_each_round_trip() -> None:
    told = told_of(ACK_TRAIN)
    for _ in range(4):
        train(told, 16, 1000)  # 15 ms
    assert told.cc.ssthresh == INFINITE_SSTHRESH


def test_a_fast_path_has_less_offload_to_wait_for() -> None:
    told = told_of(ACK_TRAIN, 10_000)
    train(told, 100, 1000)
    # 256 KB at twice 10 MB per 40 ms are 524 µs: (40 000 + 524) / 2
    assert told.ssthresh == 10_000 + 21


# -- the delay ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("rise_us", "ends"), [(5000, False), (5001, True)])
def test_the_ninth_sample_above_an_eighth_ends_slow_start(rise_us: int, ends: bool) -> None:
    told = told_of(DELAY)
    train(told, 8, 1000, RTT_US + rise_us)
    assert told.cc.ssthresh == INFINITE_SSTHRESH
    train_goes_on = told.sample.prior_delivered
    told.ack(MSS, RTT_US + rise_us, sent_at_delivered=train_goes_on)
    assert told.cc.ssthresh == (24 * MSS if ends else INFINITE_SSTHRESH)


def test_the_shortest_of_a_round_counts() -> None:
    told = told_of(DELAY)
    begun_with = told.sample.delivered
    for i in range(40):
        told.ack(MSS, RTT_US if i == 3 else 2 * RTT_US, sent_at_delivered=begun_with)
    assert told.cc.ssthresh == INFINITE_SSTHRESH


@pytest.mark.parametrize("detect", [ACK_TRAIN, DELAY])
def test_each_half_looks_at_its_own(detect: int) -> None:
    told = told_of(detect)
    if detect == DELAY:
        train(told, 60, 1000)
    else:
        train(told, 60, 100, 2 * RTT_US)
    assert told.cc.ssthresh == INFINITE_SSTHRESH


# -- both -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("low", [16, 64])
def test_below_the_low_window_nothing_is_looked_for(low: int) -> None:
    told = told_of(ACK_TRAIN | DELAY, 8)
    cc = told.cc
    assert isinstance(cc, Cubic)
    cc.hystart_low_window = low
    train(told, 100, 500, 2 * RTT_US)
    assert told.ssthresh >= low


def test_off_is_plain_slow_start() -> None:
    told = told_of(ACK_TRAIN | DELAY)
    cc = told.cc
    assert isinstance(cc, Cubic)
    cc.hystart = 0
    train(told, 200, 1000, 3 * RTT_US)
    assert (told.cwnd, cc.ssthresh) == (216, INFINITE_SSTHRESH)


def test_after_a_timeout_it_looks_again() -> None:
    told = told_of(ACK_TRAIN, 256)
    train(told, 100, 1000)
    assert told.ssthresh == 277
    told.cc.on_rto(256 * MSS, True, told.now_us)
    assert told.ssthresh == pytest.approx(277 * 0.7, abs=0.1)
    told.cc.cwnd = 32 * MSS
    told.ack(MSS, RTT_US, sent_at_delivered=told.sample.delivered)
    begun_with = told.sample.delivered
    told.now_us += RTT_US
    for _ in range(22):
        told.ack(MSS, RTT_US, sent_at_delivered=begun_with)
        told.now_us += 1000
    assert told.ssthresh == 33 + 21


def test_the_curve_then_begins_flat_at_the_window_reached() -> None:
    told = told_of(ACK_TRAIN)
    train(told, 100, 1000)
    cc = told.cc
    assert isinstance(cc, Cubic)
    assert (cc.cwnd_prior, cc.w_max) == (cc.ssthresh, cc.ssthresh)
    told.rounds(3, RTT_US)
    assert told.cwnd < 37 + 4
