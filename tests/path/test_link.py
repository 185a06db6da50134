"""Stages of a link, and links of stages, in virtual time."""

from __future__ import annotations

from random import Random

import pytest

from pystack.path.faults import Duplication, Loss, Reordering
from pystack.path.link import Delay, Link
from pystack.path.nth import Nth
from pystack.path.queues.bottleneck import Queue
from pystack.path.queues.discipline import DropTail
from pystack.wire.batch import Packet
from tests.path.traffic import ECT0, NOT_ECT, numbered, numbers, sized


def test_a_link_without_stages_lets_the_very_packets_pass() -> None:
    link = Link()
    for packet in numbered(3):
        assert link.feed(packet, 1) == [packet]
    assert link.next_deadline() == 0
    assert link.take(1_000_000) == []


def test_a_delayed_packet_comes_at_its_time_and_not_before() -> None:
    delay = Delay(5_000)
    first, second = numbered(2)
    assert delay.feed(first, 100) == []
    assert delay.feed(second, 200) == []
    assert delay.next_deadline() == 5_100
    assert delay.take(5_099) == []
    assert numbers(delay.take(5_100)) == [0]
    assert delay.next_deadline() == 5_200
    assert numbers(delay.take(9_000)) == [1]
    assert delay.next_deadline() == 0


def test_packets_of_the_same_time_stay_in_order() -> None:
    delay = Delay(10)
    for packet in numbered(50):
        delay.feed(packet, 7)
    assert numbers(delay.take(17)) == list(range(50))


def test_without_delay_a_packet_goes_on_at_once() -> None:
    packet = numbered(1)[0]
    assert Delay(0).feed(packet, 7) == [packet]


def test_jitter_keeps_the_order_unless_told_otherwise() -> None:
    def arrivals(delay: Delay) -> list[int]:
        for at, packet in enumerate(numbered(100)):
            delay.feed(packet, 1 + at)
        return numbers(delay.take(1_000_000))

    assert arrivals(Delay(10, 500, Random(1))) == list(range(100))
    mixed = arrivals(Delay(10, 500, Random(1), reorder=True))
    assert sorted(mixed) == list(range(100))
    assert mixed != list(range(100))


def test_jitter_lies_within_its_bounds() -> None:
    delay = Delay(1_000, 50, Random(3), reorder=True)
    seen = set()
    for packet in numbered(500):
        delay.feed(packet, 10)
        seen.add(delay.next_deadline())
        delay.take(delay.next_deadline())
    assert min(seen) == 1_010
    assert max(seen) == 1_060


def test_a_kept_packet_does_not_depend_on_the_buffer_it_came_in() -> None:
    delay = Delay(10)
    packet = numbered(1)[0]
    arena = bytearray(packet[0])
    delay.feed((memoryview(arena), 0, 0), 1)
    arena[:] = bytes(len(arena))
    assert delay.take(11) == [packet]


def test_a_link_asks_for_the_earliest_of_its_stages_deadlines() -> None:
    link = Link(Delay(300), Delay(50))
    first, second = numbered(2)
    link.feed(first, 100)
    assert link.next_deadline() == 400
    assert link.take(400) == []
    link.feed(second, 410)
    assert link.next_deadline() == 450
    assert numbers(link.take(450)) == [0]
    assert link.next_deadline() == 710


def test_what_was_there_before_comes_out_before_what_comes_now() -> None:
    link = Link(Delay(100), Loss(0, Random(0)), Delay(100))
    first, second = numbered(2)
    link.feed(first, 1)
    assert link.take(101) == []
    link.feed(second, 101)
    assert numbers(link.take(201)) == [0]
    assert numbers(link.take(301)) == [1]


def test_who_drives_a_link_late_gets_what_was_due_then() -> None:
    """Each stage is fed when the one before let a packet go, not when somebody asked."""
    link = Link(Delay(100), Queue(8_000_000, DropTail(1)), Delay(100))
    first, second, third = (sized(1000, number=n) for n in range(3))
    link.feed(first, 1)
    link.feed(second, 1)
    # both were at the queue at 101; the first left at 1101 and is there at 1201
    assert link.next_deadline() == 101
    assert numbers(link.take(1_500)) == [0]
    assert link.next_deadline() == 2_101
    # late again: the second has left the queue, so it has room, and was due at 2201
    assert numbers(link.feed(third, 9_000)) == [1]
    assert link.take(9_100) == []
    assert link.next_deadline() == 10_100
    assert numbers(link.take(10_200)) == [2]


def test_packets_that_come_at_one_moment_may_be_fed_together() -> None:
    """The same, as long as each stage has a random source of its own."""

    def made() -> Link:
        return Link(Loss(0.3, Random(1)), Duplication(0.3, Random(2)), Reordering(0.3, Random(3)))

    together, single = made(), made()
    packets = numbered(200)
    one_by_one = [out for packet in packets for out in single.feed(packet, 5)]
    assert together.feed_all(packets, 5) == one_by_one
    assert together.counts() == single.counts()
    assert together.feed_all([], 5) == []


def test_counts_of_all_stages_are_added_up_by_name() -> None:
    link = Link(Loss(1.0, Random(1), ecn=True), Nth(1), Duplication(1.0, Random(1)), Delay(1))
    for ecn in (ECT0, NOT_ECT, ECT0):
        link.feed(sized(100, ecn=ecn), 1)
    assert link.counts() == {"lost": 2, "marked": 2, "duplicated": 1}
    assert Link().counts() == {}


def test_a_link_is_a_stage() -> None:
    link = Link(Delay(10), Link(Duplication(1, Random(0)), Delay(10)))
    link.feed(numbered(1)[0], 1)
    assert link.take(11) == []
    assert link.next_deadline() == 21
    assert numbers(link.take(21)) == [0, 0]


def test_the_same_seed_gives_the_same_link() -> None:
    def played(seed: int) -> list[Packet]:
        source = Random(seed)
        link = Link(
            Loss(0.2, source),
            Duplication(0.2, source),
            Reordering(0.2, source),
            Delay(100, 400, source, reorder=True),
        )
        out: list[Packet] = []
        for at, packet in enumerate(numbered(300)):
            out += link.take(1 + at * 10)
            out += link.feed(packet, 1 + at * 10)
        while deadline := link.next_deadline():
            out += link.take(deadline)
        return out

    assert played(7) == played(7)
    assert played(7) != played(8)


def test_impossible_delays_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Delay(-1)
    with pytest.raises(ValueError, match="random"):
        Delay(1, 1)
