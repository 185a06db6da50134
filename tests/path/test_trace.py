"""Lines that follow a recording in Mahimahi's format."""

from __future__ import annotations

import pytest

from pystack.path.queues.codel import Codel, CodelLaw
from pystack.path.queues.discipline import DropTail
from pystack.path.queues.traced import TracedQueue, parsed
from tests.path.traffic import departures, numbers, sized

MS = 1000


def test_a_trace_is_read_line_by_line() -> None:
    assert parsed("0\n5\n5\n\n# a remark\n 7 \n") == (0, 5, 5, 7)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5\nsix\n", "line 2: 'six' is no time in ms"),
        ("5\n-6\n", "line 2: '-6' is no time in ms"),
        ("5\n1.5\n", "line 2: '1.5' is no time in ms"),
        ("5\n9\n7\n", "line 3: 7 comes before the time above it"),
        ("# nothing\n", "there is no time in it"),
        ("0\n0\n", "it lasts 0 ms"),
    ],
)
def test_a_trace_that_is_none_is_refused_by_the_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parsed(text)


def test_a_packet_goes_with_the_next_opportunity() -> None:
    queue = TracedQueue((3, 4, 10), DropTail(10), start_us=1_000)
    packets = [(1_500, sized(1500, number=n)) for n in range(3)]
    assert departures(queue, packets) == [(4_000, 0), (5_000, 1), (11_000, 2)]


def test_the_trace_begins_anew_at_its_last_line() -> None:
    queue = TracedQueue((2, 5), DropTail(10), start_us=0)
    packets = [(1, sized(1500, number=n)) for n in range(6)]
    out = departures(queue, packets)
    assert [at_us for at_us, _ in out] == [2_000, 5_000, 7_000, 10_000, 12_000, 15_000]


def test_two_opportunities_in_one_millisecond_carry_two_packets() -> None:
    queue = TracedQueue((2, 2, 5), DropTail(10))
    packets = [(1, sized(1500, number=n)) for n in range(3)]
    assert departures(queue, packets) == [(2_000, 0), (2_000, 1), (5_000, 2)]


def test_small_packets_share_an_opportunity() -> None:
    queue = TracedQueue((2, 4), DropTail(10))
    packets = [(1, sized(600, number=n)) for n in range(4)]
    # 1500 octets: two of them and half of the third
    assert departures(queue, packets) == [(2_000, 0), (2_000, 1), (4_000, 2), (4_000, 3)]


def test_a_large_packet_takes_several() -> None:
    queue = TracedQueue((1,), DropTail(10))
    assert departures(queue, [(1, sized(4000, number=7))]) == [(3_000, 7)]


def test_what_nobody_waits_for_is_lost() -> None:
    queue = TracedQueue((1, 2, 3, 50), DropTail(10))
    packets = [(10_000, sized(1500, number=0)), (10_000, sized(1500, number=1))]
    assert departures(queue, packets) == [(50_000, 0), (51_000, 1)]


def test_who_comes_at_the_very_moment_misses_it() -> None:
    queue = TracedQueue((5,), DropTail(10))
    assert departures(queue, [(5_000, sized(1500))]) == [(10_000, 0)]
    assert departures(queue, [(14_999, sized(1500))]) == [(15_000, 0)]
    within = TracedQueue((5, 9), DropTail(10))
    assert departures(within, [(5_000, sized(1500))]) == [(9_000, 0)]


def test_packets_before_the_beginning_wait_for_it() -> None:
    queue = TracedQueue((5,), DropTail(10), start_us=100 * MS)
    assert departures(queue, [(5_000, sized(1500))]) == [(105_000, 0)]


def test_who_asks_late_gets_what_was_due() -> None:
    queue = TracedQueue((1,), DropTail(2))
    for number in range(3):
        queue.feed(sized(1500, number=number), 1)
    assert queue.counts() == {"dropped": 1}
    # at 1 ms and 2 ms both have gone: there is room for two again
    assert numbers(queue.feed(sized(1500, number=3), 2_500)) == [0, 1]
    assert queue.feed(sized(1500, number=4), 2_500) == []
    assert numbers(queue.take(10_000)) == [3, 4]


def test_any_discipline_may_wait_before_it() -> None:
    codel = Codel(1000, CodelLaw())
    queue = TracedQueue((1,), codel)
    packets = [(1 + 500 * n, sized(1500, number=n)) for n in range(2_000)]
    out = departures(queue, packets)
    assert codel.early_dropped > 3
    assert len(out) + codel.early_dropped == 2_000


def test_an_impossible_trace_is_refused() -> None:
    for times in ((), (0,), (5, 4)):
        with pytest.raises(ValueError, match="ascending"):
            TracedQueue(times, DropTail(1))
