"""Vegas: the window is kept so that two to four segments wait in the queue."""

from __future__ import annotations

import pytest

from pystack.cc.vegas import Vegas
from tests.cc.told import MSS, Told

BASE_US = 100_000


def vegas(segs: int = 20, *, slow_start: bool = False) -> tuple[Told, Vegas]:
    """After a round at the base RTT."""
    cc = Vegas(MSS, segs * MSS)
    told = Told(cc)
    told.round(BASE_US)
    told.ack(MSS, BASE_US, sent_at_delivered=told.sample.delivered)
    cc.cwnd = segs * MSS
    if not slow_start:
        cc.ssthresh = cc.cwnd
    return told, cc


def end_round(told: Told, rtt_us: int, *, limited: bool = True) -> None:
    """One ACK of the next window after a round at `rtt_us`."""
    cwnd = told.cc.cwnd
    for _ in range(3):
        told.ack(MSS, rtt_us, limited=limited, sent_at_delivered=0)
    told.cc.cwnd = cwnd
    told.ack(MSS, rtt_us, limited=limited, sent_at_delivered=told.sample.delivered)


@pytest.mark.parametrize(
    ("queued", "change"), [(0, 1), (1, 1), (2, 0), (3, 0), (4, 0), (5, -1), (10, -1)]
)
def test_the_window_moves_by_a_segment_towards_two_to_four_in_the_queue(
    queued: int, change: int
) -> None:
    told, cc = vegas(20)
    # of 20 segments `queued` wait when the RTT is that much longer
    end_round(told, BASE_US + BASE_US * queued // 20)
    assert cc.cwnd == (20 + change) * MSS


def test_slow_start_ends_with_more_than_one_in_the_queue_and_goes_back() -> None:
    told, cc = vegas(20, slow_start=True)
    end_round(told, 125_000)  # 5 segments queued
    assert cc.cwnd == 17 * MSS  # 20 · 100 / 125, and one
    assert cc.ssthresh == 16 * MSS


def test_slow_start_goes_on_while_the_queue_is_empty() -> None:
    told, _ = vegas(20, slow_start=True)
    told.round(BASE_US)
    assert told.cwnd == 40


def test_a_window_that_is_not_used_does_not_grow_but_shrinks() -> None:
    told, cc = vegas(20)
    end_round(told, BASE_US, limited=False)
    assert cc.cwnd == 20 * MSS
    end_round(told, 150_000, limited=False)
    assert cc.cwnd == 19 * MSS


def test_with_two_samples_or_fewer_it_is_reno() -> None:
    told, cc = vegas(20)
    for _ in range(10):
        told.round(200_000, acks=1)
    assert cc.cwnd == 30 * MSS


def test_a_loss_halves_the_window() -> None:
    told, cc = vegas(20)
    cc.on_enter_recovery(20 * MSS, told.now_us)
    cc.on_exit_recovery(cc.ssthresh, told.now_us)
    assert cc.cwnd == cc.ssthresh == 10 * MSS


def test_the_window_is_two_segments_at_least() -> None:
    told, cc = vegas(4)
    for _ in range(10):
        end_round(told, 900_000)
    assert cc.cwnd == 2 * MSS
