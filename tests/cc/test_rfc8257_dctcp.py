"""DCTCP, RFC 8257 §3.3 and §3.5."""

from __future__ import annotations

import pytest

from pystack.cc.base import ECT_1, FAST
from pystack.cc.dctcp import Dctcp
from pystack.cc.registry import factory
from tests.cc.bottleneck import Flow, Path
from tests.cc.told import MSS, Told


def dctcp(segs: int = 100, alpha: int | None = None) -> tuple[Told, Dctcp]:
    """In congestion avoidance with a window of `segs`."""
    cc = Dctcp(MSS, segs * MSS)
    cc.ssthresh = cc.cwnd
    if alpha is not None:
        cc.alpha = alpha
    return Told(cc), cc


def test_it_asks_for_marks_of_its_own_kind() -> None:
    assert (Dctcp.wants_ecn, Dctcp.scalable, Dctcp.ect) == (True, True, ECT_1)


@pytest.mark.requirement("RFC8257-S3.3-1")
def test_without_marks_alpha_falls_by_a_sixteenth_a_window_down_to_nothing() -> None:
    told, cc = dctcp()
    seen = []
    for _ in range(6):
        told.round()
        seen.append(cc.alpha)
    assert seen == [960, 900, 844, 792, 743, 697]  # 1024 of 1024 at first
    told.rounds(100)
    assert cc.alpha == 0


@pytest.mark.requirement("RFC8257-S3.3-1")
@pytest.mark.parametrize(("marked_of", "alpha"), [(1, 1024), (2, 512), (4, 256), (10, 102)])
def test_alpha_comes_to_the_part_that_is_marked(marked_of: int, alpha: int) -> None:
    told, cc = dctcp()
    for _ in range(100):
        cc.cwnd = cc.ssthresh = 100 * MSS  # whatever it makes of it
        told.round(marked_of=marked_of)
    assert cc.alpha == pytest.approx(alpha, abs=16)


@pytest.mark.requirement("RFC8257-S3.3-2")
@pytest.mark.parametrize(
    ("alpha", "window"), [(1024, 50_000), (512, 75_000), (128, 93_750), (0, 100_000)]
)
def test_a_mark_takes_half_of_alpha_off_the_window(alpha: int, window: int) -> None:
    told, cc = dctcp(alpha=alpha)
    cc.window_end = 1 << 60  # this window of observation is not over
    told.ack(MSS, marked=MSS, limited=False)
    assert cc.cwnd == cc.ssthresh == window


@pytest.mark.requirement("RFC8257-S3.3-2")
def test_a_window_is_cut_once_however_many_marks_it_brings() -> None:
    told, cc = dctcp(alpha=512)
    told.round()
    before = cc.cwnd
    told.round(marked_of=1)
    assert cc.cwnd > before * 3 // 4
    once = cc.cwnd
    told.round(marked_of=1)
    assert cc.cwnd < once


def test_persistent_marks_lead_down_to_very_few_segments() -> None:
    told, cc = dctcp(10)
    for _ in range(60):
        told.round(marked_of=1)
        assert cc.ssthresh >= 2 * MSS
    assert cc.cwnd <= 3 * MSS


@pytest.mark.requirement("RFC8257-S3.5-1")
def test_a_loss_is_answered_as_by_reno() -> None:
    told, cc = dctcp(alpha=0)
    cc.on_enter_recovery(100 * MSS, told.now_us)
    assert cc.cwnd == cc.ssthresh == 50 * MSS


def test_marks_in_recovery_do_not_cut_again() -> None:
    told, cc = dctcp()
    cc.on_enter_recovery(100 * MSS, told.now_us)
    told.sample.recovery = FAST
    told.ack(MSS, marked=MSS, limited=False)
    assert cc.cwnd == 50 * MSS


def test_the_queue_stays_at_the_threshold_of_marking() -> None:
    mss, rate = 1448, 12_500_000
    flow = Flow(
        factory("dctcp")(mss, 10 * mss), Path(rate, 10_000, 4 * 125_000, mark_above=20 * mss)
    )
    rows = flow.run(3, 100)
    assert flow.lost_packets == 0
    assert flow.delivered > 0.98 * 3 * rate
    # 86 segments fill the path, 20 more are marked
    assert all(100 <= row.cwnd <= 112 for row in rows[5:])
    assert max(row.queue_ms for row in rows[5:]) <= 3
