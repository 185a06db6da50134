"""Westwood+: after a loss the window is what the measured bandwidth needs."""

from __future__ import annotations

import pytest

from pystack.cc.westwood import Westwood
from tests.cc.told import MSS, Told


def westwood(segs: int = 40, rtt_us: int = 100_000, rounds: int = 60) -> tuple[Told, Westwood]:
    """After `rounds` in which `segs` were delivered every `rtt_us`."""
    cc = Westwood(MSS, segs * MSS)
    told = Told(cc)
    for _ in range(rounds):
        told.round(rtt_us, limited=False)
    return told, cc


def test_the_bandwidth_is_what_was_delivered_per_second() -> None:
    _, cc = westwood()
    assert cc.bw == pytest.approx(400_000, rel=0.03)


def test_the_bandwidth_is_smoothed_twice_by_seven_eighths() -> None:
    _, cc = westwood()
    told = Told(cc, now_us=20_000_000)
    told.ack(MSS, limited=False)
    cc.bw = cc.bw_once = 800_000
    cc.window_from_us, cc.window_bytes = told.now_us, 0
    told.now_us += 125_000
    told.ack(50_000 - 1, limited=False)
    assert cc.bw_once == (7 * 800_000 + 399_992) // 8
    assert cc.bw == (7 * 800_000 + cc.bw_once) // 8


def test_a_loss_leaves_bandwidth_times_the_shortest_rtt() -> None:
    told, cc = westwood()
    for _ in range(30):
        cc.cwnd = 80 * MSS
        told.round(200_000, limited=False)  # the same rate, with a queue
    cc.on_enter_recovery(80 * MSS, told.now_us)
    assert cc.cwnd == cc.ssthresh
    assert cc.cwnd == pytest.approx(40 * MSS, rel=0.03)


def test_a_random_loss_costs_little() -> None:
    told, cc = westwood()
    cc.on_enter_recovery(40 * MSS, told.now_us)
    assert cc.cwnd > 38 * MSS


def test_a_timeout_leaves_one_segment_and_that_threshold() -> None:
    told, cc = westwood()
    cc.on_rto(40 * MSS, True, told.now_us)
    assert cc.cwnd == MSS
    assert cc.ssthresh == pytest.approx(40 * MSS, rel=0.03)


def test_after_a_timeout_the_shortest_rtt_is_forgotten() -> None:
    told, cc = westwood()
    cc.on_rto(40 * MSS, True, told.now_us)
    told.ack(MSS, 300_000, limited=False)
    assert cc.min_rtt_us == 300_000


def test_without_a_measurement_two_segments_are_left() -> None:
    cc = Westwood(MSS, 10 * MSS)
    cc.on_enter_recovery(10 * MSS, 1_000_000)
    assert cc.cwnd == 2 * MSS


def test_idle_time_is_no_low_bandwidth() -> None:
    told, cc = westwood()
    bw = cc.bw
    told.now_us += 10_000_000
    cc.on_tx_start(10_000_000, told.now_us)
    told.rounds(3, limited=False)
    assert cc.bw == pytest.approx(bw, rel=0.02)
