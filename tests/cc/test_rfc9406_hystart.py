"""HyStart++ (RFC 9406) in CUBIC's first slow start, where `hystart_detect` is 4."""

from __future__ import annotations

import pytest

from pystack.cc.base import INFINITE_SSTHRESH
from pystack.cc.cubic import Cubic
from pystack.cc.hystart import RFC_9406
from tests.cc.told import MSS, Told


def told_of(segs: int) -> Told:
    """A new connection with a window of `segs` segments, that goes by RFC 9406."""
    cc = Cubic(MSS, segs * MSS)
    cc.hystart_detect = RFC_9406
    return Told(cc)


def in_slow_start(segs: int = 16, rtt_us: int = 40_000) -> Told:
    """After one round whose RTT was `rtt_us`, with a window of twice `segs`."""
    told = told_of(segs)
    told.round(rtt_us)
    assert told.cwnd == 2 * segs
    return told


# -- §4.2 --------------------------------------------------------------------------------------
@pytest.mark.requirement("RFC9406-S4.2-1")
@pytest.mark.parametrize(
    ("rtt_ms", "rise_us"),
    [(8, 4000), (40, 5000), (80, 10_000), (128, 16_000), (300, 16_000)],
)
def test_the_eighth_sample_at_the_threshold_ends_fast_growth(rtt_ms: int, rise_us: int) -> None:
    told = in_slow_start(rtt_us=rtt_ms * 1000)
    begin = told.sample.delivered
    for i in range(8):
        assert told.cwnd == 32 + i
        told.ack(MSS, rtt_ms * 1000 + rise_us, sent_at_delivered=begin)
    assert told.cwnd == 40
    for _ in range(8):
        told.ack(MSS, rtt_ms * 1000 + rise_us, sent_at_delivered=begin)
    assert told.cwnd == 42  # a quarter as fast
    assert told.cc.ssthresh == INFINITE_SSTHRESH


@pytest.mark.requirement("RFC9406-S4.2-1")
@pytest.mark.parametrize(("rtt_ms", "rise_us"), [(8, 3999), (40, 4999), (300, 15_999)])
def test_a_smaller_rise_does_not(rtt_ms: int, rise_us: int) -> None:
    told = in_slow_start(rtt_us=rtt_ms * 1000)
    told.round(rtt_ms * 1000 + rise_us)
    told.round(rtt_ms * 1000 + rise_us)
    assert told.cwnd == 128


@pytest.mark.requirement("RFC9406-S4.2-1")
def test_seven_samples_are_too_few() -> None:
    told = in_slow_start()
    told.round(60_000, acks=7)
    told.round(80_000, acks=7)
    assert told.cwnd > 80


@pytest.mark.requirement("RFC9406-S4.2-1")
def test_the_least_rtt_of_a_round_counts() -> None:
    told = in_slow_start()
    begin = told.sample.delivered
    for i in range(32):
        told.ack(MSS, 41_000 if i == 3 else 70_000, sent_at_delivered=begin)
    assert told.cwnd == 64


@pytest.mark.requirement("RFC9406-S4.2-2")
def test_an_rtt_below_the_baseline_resumes_slow_start() -> None:
    told = in_slow_start()
    told.round(46_000)  # 8 samples, then a quarter of 24
    assert told.cwnd == 46
    told.round(45_999)  # the baseline was 46 ms: 8 samples at a quarter, then whole again
    assert told.cwnd == 46 + 2 + 38
    told.round(45_999)
    assert told.cwnd == 172
    assert told.cc.ssthresh == INFINITE_SSTHRESH


@pytest.mark.requirement("RFC9406-S4.2-3")
def test_five_rounds_of_it_end_slow_start() -> None:
    told = in_slow_start()
    told.round(46_000)  # the rest of this round is the first of the five
    for _ in range(4):
        told.round(46_000)
        assert told.cc.ssthresh == INFINITE_SSTHRESH
    cwnd = told.cc.cwnd
    told.ack(MSS, 46_000, sent_at_delivered=told.sample.delivered)
    assert told.cc.ssthresh == told.cc.cwnd == cwnd
    told.rounds(3, 46_000)
    assert told.cc.cwnd < cwnd + 4 * MSS


@pytest.mark.requirement("RFC9406-S4.2-3", "RFC9438-S4.10-1")
def test_the_curve_then_begins_flat_at_the_window_reached() -> None:
    told = in_slow_start()
    for _ in range(6):
        told.round(46_000)
    cc = told.cc
    assert isinstance(cc, Cubic)
    assert cc.w_max == cc.ssthresh
    assert cc.cwnd_prior == cc.ssthresh


@pytest.mark.requirement("RFC9406-S4.2-3")
@pytest.mark.parametrize("event", ["loss", "mark"])
def test_a_loss_or_a_mark_ends_it(event: str) -> None:
    told = in_slow_start()
    told.round(46_000)
    cc = told.cc
    flight = cc.cwnd
    if event == "loss":
        cc.on_enter_recovery(flight, told.now_us)
    else:
        cc.on_ecn(flight, told.now_us)
    assert cc.ssthresh == flight * 7 // 10
    cc.on_exit_recovery(cc.ssthresh, told.now_us)
    assert cc.cwnd == cc.ssthresh


# -- §4.3 --------------------------------------------------------------------------------------
@pytest.mark.deviation("RFC9406-S4.3-1")
@pytest.mark.parametrize("paced", [False, True])
def test_an_ack_adds_all_that_it_covers(paced: bool) -> None:
    """As in Linux: behind GRO or thinned ACKs eight segments are a small part of what was sent."""
    told = told_of(20)
    told.cc.paced = paced
    for cwnd in (40, 80, 160, 320):
        told.round(40_000, acks=1)
        assert told.cwnd == cwnd


@pytest.mark.requirement("RFC9406-S4.3-1")
def test_a_later_slow_start_is_plain() -> None:
    told = told_of(100)
    told.cc.on_rto(100 * MSS, True, told.now_us)
    told.cc.cwnd = 16 * MSS
    told.round(40_000)
    told.round(60_000)
    assert told.cwnd == 64
    told.ack(6 * MSS)
    assert told.cwnd == 70
