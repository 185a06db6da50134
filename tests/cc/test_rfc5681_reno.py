"""Reno, RFC 5681, and what a mark costs it."""

from __future__ import annotations

import pytest

from pystack.cc.reno import Reno
from tests.cc.told import MSS, Told


def test_the_window_doubles_each_round_below_ssthresh() -> None:
    told = Told(Reno(MSS, 10 * MSS))
    told.rounds(3)
    assert told.cwnd == 80


@pytest.mark.requirement("RFC5681-S3.1-4")
def test_above_ssthresh_it_grows_by_one_segment_a_round() -> None:
    told = Told(Reno(MSS, 10 * MSS))
    told.cc.ssthresh = 10 * MSS
    for segs in range(11, 20):
        told.round()
        assert told.cwnd == segs


@pytest.mark.requirement("RFC5681-S3.1-4", "RFC3465-S2.1-1")
def test_however_many_acks_a_round_has() -> None:
    few, many = Told(Reno(MSS, 10 * MSS)), Told(Reno(MSS, 10 * MSS))
    for told, acks in ((few, 1), (many, 100)):
        told.cc.ssthresh = 10 * MSS
        for _ in range(5):
            told.round(acks=acks)
    assert few.cwnd == 15
    assert 14 <= many.cwnd <= 15


def test_a_window_that_is_not_used_does_not_grow() -> None:
    told = Told(Reno(MSS, 10 * MSS))
    told.rounds(3, limited=False)
    assert told.cwnd == 10


def test_a_loss_leaves_half_of_the_window_whatever_was_in_flight() -> None:
    cc = Reno(MSS, 20 * MSS)
    cc.on_enter_recovery(MSS, 1_000_000)
    assert cc.cwnd == cc.ssthresh == 10 * MSS


@pytest.mark.requirement("RFC5681-S3.1-6")
def test_a_timeout_leaves_one_segment_and_half_of_the_window_as_threshold() -> None:
    cc = Reno(MSS, 20 * MSS)
    cc.on_rto(MSS, True, 1_000_000)
    assert (cc.cwnd, cc.ssthresh) == (MSS, 10 * MSS)
    cc.on_rto(MSS, False, 2_000_000)
    assert (cc.cwnd, cc.ssthresh) == (MSS, 10 * MSS)


def test_the_threshold_is_two_segments_at_least() -> None:
    cc = Reno(MSS, 2 * MSS)
    cc.on_rto(2 * MSS, True, 1_000_000)
    assert cc.ssthresh == 2 * MSS


def test_a_mark_leaves_half_of_the_window() -> None:
    cc = Reno(MSS, 20 * MSS)
    cc.on_ecn(MSS, 1_000_000)
    assert cc.cwnd == cc.ssthresh == 10 * MSS
    cc.on_exit_recovery(cc.ssthresh, 2_000_000)
    assert cc.cwnd == 10 * MSS


def test_marks_without_end_lead_down_to_two_segments() -> None:
    cc = Reno(MSS, 20 * MSS)
    for _ in range(30):
        cc.on_ecn(cc.cwnd, 1_000_000)
        cc.on_exit_recovery(cc.ssthresh, 1_000_000)
    assert (cc.cwnd, cc.ssthresh) == (2 * MSS, 2 * MSS)
