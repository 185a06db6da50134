"""CUBIC, RFC 9438, by its equations in segments and seconds."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pystack.cc.base import INFINITE_SSTHRESH
from pystack.cc.cubic import Cubic, cube_root
from tests.cc.told import MSS, Told

K_OF_100 = 4.217163326508746  # cube root of 30 / 0.4: from 100 segments after one loss


def after_a_loss(at_segs: int, now_us: int = 1_000_000) -> Told:
    """In congestion avoidance after one loss with a window of `at_segs`."""
    told = Told(Cubic(MSS, at_segs * MSS), now_us)
    told.cc.on_enter_recovery(at_segs * MSS, now_us)
    told.cc.on_exit_recovery(told.cc.ssthresh, now_us)
    return told


def w_cubic(t: float, w_max: float = 100.0, k: float = K_OF_100) -> float:
    return 0.4 * (t - k) ** 3 + w_max


@pytest.mark.parametrize("n", [0, 1, 7, 8, 26, 27, 28, 10**18 - 1, 10**18, 3**90, 3**90 - 1])
def test_the_cube_root_is_exact_in_integers(n: int) -> None:
    root = cube_root(n)
    assert root**3 <= n < (root + 1) ** 3


def test_the_cube_root_of_what_is_negative_is_zero() -> None:
    assert cube_root(-5) == 0


# -- §4.2, §4.4, §4.5 --------------------------------------------------------------------------
@pytest.mark.requirement("RFC9438-S4.2-1", "RFC9438-S4.5-1")
def test_the_window_is_concave_up_to_w_max_flat_there_and_convex_beyond() -> None:
    told = after_a_loss(100)
    begin = told.now_us + 2000  # the first ACK begins the epoch
    curve: list[float] = []
    while told.now_us < begin + 8_400_000:
        told.round(200_000)
        t = (told.now_us - begin) / 1e6
        curve.append(told.cwnd)
        assert told.cwnd == pytest.approx(w_cubic(t), abs=1.6)
    steps = [after - before for before, after in pairwise(curve)]
    assert steps[1] > 5 * steps[12] > 0
    assert min(steps) == min(steps[19:23])
    assert steps[40] > 5 * steps[25]
    assert curve[20] == pytest.approx(100, abs=0.5)
    assert curve[41] == pytest.approx(130, abs=1.5)


@pytest.mark.requirement("RFC9438-S4.2-1")
def test_the_curve_in_whole_segments() -> None:
    told = after_a_loss(100)
    curve = []
    for _ in range(13):
        curve.append(told.cc.cwnd // MSS)
        told.rounds(4, 200_000)
    assert curve == [70, 83, 92, 97, 99, 99, 100, 101, 104, 110, 121, 138, 162]


@pytest.mark.requirement("RFC9438-S4.2-1", "RFC9438-S4.5-1")
def test_the_target_is_at_most_one_and_a_half_windows() -> None:
    told = after_a_loss(100)
    told.ack(MSS)
    told.now_us += 60_000_000  # W_cubic is at thousands
    cwnd = told.cc.cwnd
    told.round(100_000)
    assert told.cc.cwnd == pytest.approx(cwnd * 1.5, rel=0.11)
    assert told.cc.cwnd <= cwnd * 1.65


def test_the_target_is_never_below_the_window() -> None:
    told = after_a_loss(100)
    told.ack(MSS)
    told.cc.cwnd = 98 * MSS  # ahead of the curve, as after an undo
    told.rounds(3)
    assert 98 <= told.cwnd < 98.5


@pytest.mark.requirement("RFC9438-S4.2-2")
def test_idle_time_is_no_part_of_t() -> None:
    busy, idle = after_a_loss(100), after_a_loss(100)
    for told in (busy, idle):
        told.rounds(5)
    idle.now_us += 3_000_000
    idle.cc.on_tx_start(3_000_000, idle.now_us)
    for told in (busy, idle):
        told.rounds(5)
    assert idle.cc.cwnd == busy.cc.cwnd


@pytest.mark.requirement("RFC9438-S4.2-2")
def test_time_in_which_the_application_is_the_limit_is_no_part_of_t() -> None:
    busy, limited = after_a_loss(100), after_a_loss(100)
    for told in (busy, limited):
        told.rounds(5)
    cwnd = limited.cc.cwnd
    limited.rounds(30, limited=False)
    assert limited.cc.cwnd == cwnd
    for told in (busy, limited):
        told.rounds(5)
    assert limited.cc.cwnd == busy.cc.cwnd


# -- §4.3 --------------------------------------------------------------------------------------
@pytest.mark.requirement("RFC9438-S4.3-1")
def test_on_a_short_path_the_window_grows_by_nine_seventeenths_of_a_segment_a_round() -> None:
    told = after_a_loss(20)
    told.rounds(1, 1000)
    before = told.cwnd
    told.rounds(10, 1000)
    assert told.cwnd - before == pytest.approx(10 * 9 / 17, abs=0.15)


@pytest.mark.requirement("RFC9438-S4.3-1")
def test_from_the_old_window_on_reno_is_followed_with_a_whole_segment_a_round() -> None:
    told = after_a_loss(20)
    while told.cwnd < 20.5:
        told.round(1000)
    before = told.cwnd
    told.rounds(10, 1000)
    assert told.cwnd - before == pytest.approx(10, abs=0.2)


# -- §4.6, §4.7 --------------------------------------------------------------------------------
@pytest.mark.requirement("RFC9438-S4.6-1")
def test_a_loss_cuts_both_windows_at_once_to_seven_tenths_whatever_was_in_flight() -> None:
    cc = Cubic(MSS, 100 * MSS)
    cc.on_enter_recovery(MSS, 1_000_000)
    assert cc.cwnd == cc.ssthresh == 70 * MSS


@pytest.mark.requirement("RFC9438-S4.6-1")
def test_a_loss_leaves_two_segments() -> None:
    cc = Cubic(MSS, 2 * MSS)
    cc.on_enter_recovery(2 * MSS, 1_000_000)
    assert cc.cwnd == cc.ssthresh == 2 * MSS


def test_a_flight_beyond_the_window_does_not_open_it() -> None:
    cc = Cubic(MSS, 10 * MSS)
    cc.on_enter_recovery(100 * MSS, 1_000_000)
    assert cc.cwnd == cc.ssthresh == 7 * MSS


@pytest.mark.requirement("RFC9438-S4.7-1")
def test_a_window_that_did_not_reach_w_max_leaves_room_to_others() -> None:
    cc = after_a_loss(100).cc
    assert isinstance(cc, Cubic)
    assert cc.w_max == 100 * MSS
    cc.on_enter_recovery(cc.cwnd, 2_000_000)
    assert cc.w_max == 70 * MSS * 17 // 20  # (1 + 0.7) / 2
    assert cc.cwnd == 49 * MSS


@pytest.mark.requirement("RFC9438-S4.7-1")
def test_a_window_beyond_w_max_is_the_new_w_max() -> None:
    cc = after_a_loss(100).cc
    assert isinstance(cc, Cubic)
    cc.cwnd = 120 * MSS
    cc.on_enter_recovery(120 * MSS, 2_000_000)
    assert cc.w_max == 120 * MSS


# -- §4.8, §4.9, §4.10 -------------------------------------------------------------------------
@pytest.mark.requirement("RFC9438-S4.8-1")
def test_a_timeout_leaves_one_segment_and_seven_tenths_of_the_flight_as_threshold() -> None:
    told = Told(Cubic(MSS, 100 * MSS))
    told.cc.on_rto(100 * MSS, True, told.now_us)
    assert (told.cwnd, told.ssthresh) == (1, 70)
    told.cc.on_rto(100 * MSS, False, told.now_us)
    assert (told.cwnd, told.ssthresh) == (1, 70)
    told.rounds(4)
    assert told.cwnd == 16  # slow start, without the limit of HyStart++'s L


@pytest.mark.requirement("RFC9438-S4.8-1")
def test_after_a_timeout_the_curve_begins_flat_at_the_threshold() -> None:
    told = Told(Cubic(MSS, 100 * MSS))
    told.cc.on_rto(100 * MSS, True, told.now_us)
    while told.cwnd < 70:
        told.round()
    begin = told.now_us
    told.rounds(20)
    t = (told.now_us - begin) / 1e6
    # K = 0 and W_max = cwnd; here Reno's window is larger for 2 s: 9/17 a round
    assert w_cubic(t, 70, 0) < told.cwnd
    assert told.cwnd == pytest.approx(70 + 20 * 9 / 17, abs=1)
    told.rounds(40)
    t = (told.now_us - begin) / 1e6
    assert told.cwnd == pytest.approx(w_cubic(t, 70, 0), rel=0.06)


@pytest.mark.requirement("RFC9438-S4.9-1")
def test_a_spurious_loss_leaves_no_trace() -> None:
    quiet, fooled = after_a_loss(100), after_a_loss(100)
    for told in (quiet, fooled):
        told.rounds(10)
    before = fooled.cc.cwnd, fooled.cc.ssthresh
    fooled.cc.on_enter_recovery(fooled.cc.cwnd, fooled.now_us)
    assert fooled.cc.cwnd < before[0]
    fooled.cc.on_undo(*before)
    for told in (quiet, fooled):
        told.rounds(10)
    assert (fooled.cc.cwnd, fooled.cc.ssthresh) == (quiet.cc.cwnd, quiet.cc.ssthresh)


@pytest.mark.requirement("RFC9438-S4.9-1")
def test_a_spurious_timeout_leaves_no_trace() -> None:
    quiet, fooled = after_a_loss(100), after_a_loss(100)
    for told in (quiet, fooled):
        told.rounds(10)
    before = fooled.cc.cwnd, fooled.cc.ssthresh
    fooled.cc.on_rto(fooled.cc.cwnd, True, fooled.now_us)
    fooled.cc.on_undo(*before)
    for told in (quiet, fooled):
        told.rounds(10)
    assert (fooled.cc.cwnd, fooled.cc.ssthresh) == (quiet.cc.cwnd, quiet.cc.ssthresh)


@pytest.mark.requirement("RFC9438-S4.10-1")
def test_below_ssthresh_the_window_doubles_each_round() -> None:
    cc = Cubic(MSS, 10 * MSS)
    cc.hystart = 0  # the ACKs of a round come over a whole round trip here
    told = Told(cc)
    seen = []
    for _ in range(4):
        told.round()
        seen.append(told.cwnd)
    assert seen == [20, 40, 80, 160]
    assert told.cc.ssthresh == INFINITE_SSTHRESH


def test_slow_start_stops_at_the_threshold_and_the_rest_of_the_ack_counts_beyond() -> None:
    told = Told(Cubic(MSS, 10 * MSS))
    told.cc.ssthresh = 12 * MSS
    told.ack(10 * MSS)
    assert 12 <= told.cwnd < 13


def test_a_new_segment_size_reckons_the_curve_anew() -> None:
    told = after_a_loss(100)
    told.rounds(5)
    cwnd = told.cc.cwnd
    told.cc.on_mss(MSS // 2)
    assert told.cc.cwnd == cwnd
    told.rounds(60)
    assert told.cc.cwnd > 100 * MSS
