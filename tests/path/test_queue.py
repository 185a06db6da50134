"""A line of a rate, and packets that wait for it: exact times, limits, changes of the rate."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystack.path.link import Delay, Link, Stage
from pystack.path.queues.bottleneck import Pipe, Queue
from pystack.path.queues.discipline import DropTail
from pystack.wire.batch import Packet
from tests.path.traffic import departures, number_of, numbers, sized

MBIT = 1_000_000


def train(count: int, length: int = 1000, at_us: int = 100) -> list[tuple[int, Packet]]:
    return [(at_us, sized(length, number=n)) for n in range(count)]


def test_a_packet_comes_out_when_its_last_bit_is_through() -> None:
    queue = Queue(8 * MBIT, DropTail(10))  # an octet per µs
    assert departures(queue, train(3)) == [(1_100, 0), (2_100, 1), (3_100, 2)]


def test_an_idle_line_saves_nothing_up() -> None:
    queue = Queue(8 * MBIT, DropTail(10))
    packets = [(100, sized(1000, number=0)), (50_000, sized(1000, number=1))]
    assert departures(queue, packets) == [(1_100, 0), (51_000, 1)]


def test_a_time_that_is_no_whole_microsecond_is_rounded_up_and_adds_up_exactly() -> None:
    queue = Queue(7 * MBIT, DropTail(1000))  # 1000 octets take 8000/7 = 1142.86 µs
    out = departures(queue, train(700, at_us=1))
    assert [at for at, _ in out[:3]] == [1 + 1143, 1 + 2286, 1 + 3429]
    assert out[-1] == (1 + 700 * 8000 // 7, 699)


def test_the_packet_that_is_being_sent_does_not_wait_any_more() -> None:
    discipline = DropTail(3)
    queue = Queue(8 * MBIT, discipline)
    out = departures(queue, train(10))
    assert [number for _, number in out] == [0, 1, 2, 3]
    assert queue.counts() == {"dropped": 6}


def test_a_limit_in_bytes_counts_whole_packets() -> None:
    queue = Queue(8 * MBIT, DropTail(2_500, in_bytes=True))
    packets = [(100, sized(1000, number=n)) for n in range(4)]
    packets.append((100, sized(500, number=4)))
    assert [number for _, number in departures(queue, packets)] == [0, 1, 2, 4]


def test_what_leaves_at_the_very_moment_makes_room_for_what_comes() -> None:
    queue = Queue(8 * MBIT, DropTail(1))
    packets = [*train(2), (1_100, sized(1000, number=2)), (1_100, sized(1000, number=3))]
    assert departures(queue, packets) == [(1_100, 0), (2_100, 1), (3_100, 2)]


def test_who_asks_late_gets_the_same_packets_and_room() -> None:
    queue = Queue(8 * MBIT, DropTail(2))
    for at_us, packet in train(3):
        assert queue.feed(packet, at_us) == []
    # two are through and the third is being sent: there is room for two
    assert numbers(queue.feed(sized(1000, number=3), 2_500)) == [0, 1]
    assert queue.feed(sized(1000, number=4), 2_500) == []
    assert queue.feed(sized(1000, number=5), 2_500) == []
    assert numbers(queue.take(10_000)) == [2, 3, 4]
    assert queue.next_deadline() == 0


def test_the_rest_of_a_packet_goes_at_the_new_rate() -> None:
    queue = Queue(8 * MBIT, DropTail(10), changes=[(600, 4 * MBIT), (5_000, 16 * MBIT)])
    # the first: 500 octets by 600, the other 500 at half the rate; the third: 700 octets from 3600
    # to 5000, the other 300 at two octets per µs
    out = departures(queue, train(4))
    assert out == [(1_600, 0), (3_600, 1), (5_150, 2), (5_650, 3)]


def test_a_rate_of_0_holds_everything_until_it_ends() -> None:
    queue = Queue(8 * MBIT, DropTail(10), changes=[(600, 0), (10_000, 8 * MBIT)])
    assert departures(queue, train(2)) == [(10_500, 0), (11_500, 1)]
    stopped = Queue(8 * MBIT, DropTail(10), changes=[(600, 0)])
    assert departures(stopped, train(2)) == []


def test_a_packet_that_is_through_as_the_rate_falls_to_0_comes_out() -> None:
    """Its last bit leaves in the very microsecond; nobody may ask later than its deadline."""
    queue = Queue(8 * MBIT, DropTail(10), changes=[(1_100, 0)])
    assert departures(queue, train(2)) == [(1_100, 0)]


def test_a_change_while_the_line_is_idle_counts_from_the_next_packet_on() -> None:
    queue = Queue(8 * MBIT, DropTail(10), changes=[(600, 4 * MBIT)])
    assert departures(queue, train(1, at_us=1_000)) == [(3_000, 0)]


def test_a_kept_packet_does_not_depend_on_the_buffer_it_came_in() -> None:
    stages: list[Stage] = [Queue(8 * MBIT, DropTail(10)), Pipe(8 * MBIT, 10)]
    for stage in stages:
        packet = sized(100)
        arena = bytearray(packet[0])
        stage.feed((memoryview(arena), 0, 0), 1)
        arena[:] = bytes(len(arena))
        assert stage.take(1_000) == [packet]


def test_bytes_are_not_copied() -> None:
    stages: list[Stage] = [Queue(8 * MBIT, DropTail(10)), Pipe(8 * MBIT, 10), Delay(10)]
    for stage in stages:
        packet = sized(100)
        stage.feed(packet, 1)
        assert stage.take(1_000)[0] is packet


ARRIVALS = st.lists(
    st.tuples(st.integers(0, 2_000), st.integers(40, 1_500)), min_size=1, max_size=60
)


def arrivals(gaps: list[tuple[int, int]]) -> list[tuple[int, Packet]]:
    at_us = 1
    packets = []
    for number, (gap_us, length) in enumerate(gaps):
        at_us += gap_us
        packets.append((at_us, sized(length, number=number)))
    return packets


@given(
    gaps=ARRIVALS, rate=st.integers(10_000, 1_000 * MBIT), limit=st.integers(1, 10),
    delay_us=st.integers(0, 3_000),
)  # fmt: skip
def test_a_pipe_is_a_queue_with_a_delay(
    gaps: list[tuple[int, int]], rate: int, limit: int, delay_us: int
) -> None:
    packets = arrivals(gaps)
    for octets, in_bytes in ((limit, False), (limit * 700, True)):
        pipe = Pipe(rate, octets, delay_us, in_bytes=in_bytes)
        pair = Link(Queue(rate, DropTail(octets, in_bytes=in_bytes)), Delay(delay_us))
        assert departures(pipe, packets) == departures(pair, packets)
        assert pipe.counts() == pair.counts()


@given(gaps=ARRIVALS, rate=st.integers(10_000, 1_000 * MBIT), limit=st.integers(1, 10))
def test_a_line_carries_no_more_than_its_rate_and_loses_no_time(
    gaps: list[tuple[int, int]], rate: int, limit: int
) -> None:
    packets = arrivals(gaps)
    queue = Queue(rate, DropTail(limit))
    out = departures(queue, packets)
    came = {number_of(packet): (at_us, len(packet[0])) for at_us, packet in packets}
    end = 0  # exact, in units of 1/rate µs
    for at_us, number in out:
        came_us, length = came[number]
        end = max(end, came_us * rate) + 8_000_000 * length
        assert at_us == -(-end // rate)
    assert len(out) + queue.counts()["dropped"] == len(packets)


@given(gaps=ARRIVALS, cut=st.lists(st.booleans(), min_size=60, max_size=60))
def test_a_batch_is_the_same_as_its_packets_one_by_one(
    gaps: list[tuple[int, int]], cut: list[bool]
) -> None:
    together = zip(gaps, cut, strict=False)
    packets = arrivals([(gap if new else 0, length) for (gap, length), new in together])

    def played(stage: Stage, batches: bool) -> list[tuple[int, int]]:
        out: list[tuple[int, int]] = []
        at = 0
        while at < len(packets):
            now_us = packets[at][0]
            while 0 < (deadline := stage.next_deadline()) <= now_us:
                out += [(deadline, number_of(one)) for one in stage.take(deadline)]
            count = sum(1 for when, _ in packets if when == now_us) if batches else 1
            batch = [packet for _, packet in packets[at : at + count]]
            came = stage.feed_all(batch, now_us) if batches else stage.feed(batch[0], now_us)
            out += [(now_us, number_of(one)) for one in came]
            at += count
        while deadline := stage.next_deadline():
            out += [(deadline, number_of(one)) for one in stage.take(deadline)]
        return out

    for make in (
        lambda: Pipe(3 * MBIT, 4, 500),
        lambda: Queue(3 * MBIT, DropTail(4)),
        lambda: Link(Queue(3 * MBIT, DropTail(4)), Delay(100, 300, Random(1))),
    ):
        assert played(make(), True) == played(make(), False)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Queue(0, DropTail(1)),
        lambda: Queue(1, DropTail(1), changes=[(5, -1)]),
        lambda: Queue(1, DropTail(1), changes=[(5, 1), (4, 1)]),
        lambda: DropTail(0),
        lambda: Pipe(0, 1),
        lambda: Pipe(1, 0),
        lambda: Pipe(1, 1, -1),
    ],
)
def test_impossible_lines_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"rate|room"):
        make()
