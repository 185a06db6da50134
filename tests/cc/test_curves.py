"""Each algorithm's curve over time, as tables of integers, and the laws that they follow.

The path is that of `flows`: 20 Mbit/s, 40 ms, 69 segments of BDP, a queue of as much unless said.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from tests.cc.bottleneck import Flow
from tests.cc.built_in import names
from tests.cc.flows import MSS, RATE, flow

# cwnd in segments after 1, 2, … 19 s
CURVES = {
    "bbr": [148] * 9 + [150] + [148] * 9,
    "bbr3": [139, 139, 142] + [141] * 4 + [160] + [141] * 6 + [160] + [141] * 2 + [160, 141],
    "cubic": [
        93, 110, 124, 137, 114, 129, 137, 100, 112, 117, 123, 130, 137, 109, 126, 136, 140, 109,
        116,
    ],
    "dctcp": [
        80, 100, 115, 130, 71, 92, 109, 124, 137, 84, 102, 118, 131, 74, 94, 111, 126, 139, 86,
    ],
    "ledbat++": [
        2, 96, 101, 107, 112, 117, 122, 127, 29, 132, 136, 70, 78, 85, 92, 98, 2, 105, 110,
    ],
    "reno": [
        80, 100, 115, 130, 71, 92, 109, 124, 137, 84, 102, 118, 131, 74, 94, 111, 126, 139, 86,
    ],
    "vegas": [73] * 19,
    "westwood": [
        38, 62, 84, 103, 118, 132, 76, 96, 112, 127, 140, 88, 106, 121, 135, 80, 99, 115, 129,
    ],
}  # fmt: skip


def windows(one: Flow, seconds: int = 20) -> list[int]:
    """cwnd in segments every second."""
    return [row.cwnd for row in one.run(seconds, 1000)]


def window_by_rate(one: Flow, warm_up: int, seconds: int) -> float:
    """The mean window in segments that the data delivered in `seconds` stands for."""
    one.run(warm_up)
    before = one.delivered
    one.run(seconds)
    return (one.delivered - before) / seconds * one.path.rtt_us / 1e6 / MSS


@pytest.mark.parametrize("name", names())
def test_the_curve_is_the_known_one(name: str) -> None:
    assert windows(flow(name)) == CURVES[name]


@pytest.mark.parametrize("name", names())
def test_a_link_is_filled_without_timeouts(name: str) -> None:
    one = flow(name)
    one.run(20)
    assert one.timeouts == 0
    assert one.delivered > (90 if name == "ledbat++" else 95) * 20 * RATE // 100


@pytest.mark.parametrize("name", names())
def test_nothing_is_lost_where_the_application_sends_little(name: str) -> None:
    bursts = [(at * 500_000, 40_000) for at in range(40)]
    one = flow(name, bursts=bursts)
    rows = one.run(20, 100)
    assert one.delivered >= 40 * (40_000 - MSS)
    assert (one.lost_packets, one.timeouts) == (0, 0)
    # a burst has 27 segments: more than twice that is never asked for
    assert max(row.cwnd for row in rows) <= 60


# -- Reno and CUBIC -------------------------------------------------------------------------------
def test_reno_is_a_saw() -> None:
    rows = flow("reno", queue=100).run(20, 10)
    seen = [row.cwnd for row in rows[200:]]
    falls = [(a, b) for a, b in pairwise(seen) if b < a]
    assert len(falls) == 4
    assert all(b == pytest.approx(a / 2, abs=1) for a, b in falls)
    rises = [b - a for a, b in pairwise(seen) if b > a]
    assert set(rises) == {1}


@pytest.mark.parametrize("every", [200, 1000])
def test_reno_follows_the_law_of_mathis(every: int) -> None:
    one = flow("reno", rate=10**9, rtt_us=100_000, queue=10**6, lose_every=every)
    one.cc.ssthresh = 50 * MSS
    law = math.sqrt(1.5 * every)
    assert window_by_rate(one, 40, every // 6) == pytest.approx(law, rel=0.15)


def test_cubic_is_concave_flat_and_convex() -> None:
    # 276 segments of BDP, 34 of queue
    assert windows(flow("cubic", rate=4_000_000, rtt_us=100_000, queue=50), 50) == [
        116, 134, 144, 148, 149, 150, 151, 157, 169, 190, 221, 266, 224, 263, 289, 306, 225, 246,
        258, 264, 265, 266, 266, 271, 280, 298, 231, 267, 290, 305, 312, 239, 254, 262, 265, 265,
        265, 268, 275, 290, 314, 254, 282, 300, 310, 230, 249, 259, 264,
    ]  # fmt: skip


def test_cubic_keeps_up_with_reno_on_a_short_path() -> None:
    short = {"rtt_us": 4000, "queue": 10}
    reno, cubic = flow("reno", **short), flow("cubic", **short)
    reno.run(10)
    cubic.run(10)
    assert cubic.delivered >= reno.delivered


@pytest.mark.parametrize(("every", "rtt_us"), [(1000, 300_000), (1000, 100_000)])
def test_cubic_follows_its_response_function(every: int, rtt_us: int) -> None:
    one = flow("cubic", rate=10**9, rtt_us=rtt_us, queue=10**6, lose_every=every)
    one.cc.ssthresh = 50 * MSS
    # RFC 9438 §5.1 with C = 0.4 and β = 0.7, and Reno where that is larger
    law = max(1.054 * (rtt_us / 1e6 * every) ** 0.75, math.sqrt(1.5 * every))
    assert window_by_rate(one, 60, 160) == pytest.approx(law, rel=0.15)


# -- the others -----------------------------------------------------------------------------------
def test_vegas_and_bbr_keep_the_queue_short_that_reno_and_cubic_fill() -> None:
    def waiting(name: str) -> float:
        rows = flow(name, queue=400).run(12, 100)[50:]
        return sum(row.queue_ms for row in rows) / len(rows)

    assert waiting("vegas") < 3
    assert waiting("bbr") < 8
    assert waiting("bbr3") < 3
    assert 50 < waiting("ledbat++") < 61
    assert waiting("cubic") > 100
    assert waiting("reno") > 80


def test_random_losses_cost_those_little_that_measure_the_bandwidth() -> None:
    def share(name: str) -> int:
        one = flow(name, loss_ppm=10_000)
        one.run(20)
        return one.delivered * 100 // (20 * RATE)

    shares = {name: share(name) for name in CURVES}
    assert shares["bbr"] > 95
    assert shares["bbr3"] > 70
    assert shares["westwood"] > 45
    assert 15 <= shares["reno"] <= 20
    assert 17 <= shares["cubic"] <= 22
