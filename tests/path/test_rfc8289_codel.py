"""CoDel (RFC 8289): by hand figures, the control law, ECN and what a full queue drops."""

from __future__ import annotations

import pytest

from pystack.path.queues.bottleneck import Queue
from pystack.path.queues.codel import Codel, CodelLaw, CodelQueue
from tests.path.traffic import CE, ECT0, NOT_ECT, departures, ecn_of, number_of, sized
from tests.wire import crafted

MS = 1000
INTERVAL = 100 * MS


class Standing:
    """A queue whose packets wait about 100 ms: each millisecond one comes and one is asked for."""

    def __init__(self, law: CodelLaw, ecn: int = NOT_ECT) -> None:
        self.queue = CodelQueue(law)
        self.law = law
        self.ecn = ecn
        self.ms = 0
        self.dropped_at: list[int] = []  # ms
        self.marked_at: list[int] = []
        self.fill()

    def push(self, ms: int) -> None:
        self.queue.push(sized(1000, ecn=self.ecn), (1_000 + ms) * MS)

    def fill(self) -> None:
        """As if packets had been coming all the time."""
        for ms in range(100):
            self.push(self.ms + ms - 100)

    def run_empty(self) -> None:
        """All that waits goes at this moment, the last of which has not waited."""
        self.push(self.ms)
        while self.queue.pull((1_000 + self.ms) * MS) is not None:
            pass

    def run(self, ms: int) -> None:
        for _ in range(ms):
            self.push(self.ms)
            drops, marks = self.law.early_dropped, self.law.marked
            assert self.queue.pull((1_000 + self.ms) * MS) is not None
            self.dropped_at += [self.ms] * (self.law.early_dropped - drops)
            self.marked_at += [self.ms] * (self.law.marked - marks)
            self.ms += 1


def test_the_control_law_is_the_interval_by_the_square_root_of_the_count() -> None:
    law = CodelLaw(interval_us=INTERVAL)
    assert [law.next_drop_us(0, count) for count in (1, 2, 3, 4, 5, 100)] == [
        100_000, 70_710, 57_735, 50_000, 44_721, 10_000,
    ]  # fmt: skip


def test_the_first_drop_comes_an_interval_after_the_wait_rose_above_the_target() -> None:
    standing = Standing(CodelLaw())
    standing.run(100)
    assert standing.dropped_at == []
    standing.run(1)
    assert standing.dropped_at == [100]


def test_further_drops_come_sooner_and_sooner() -> None:
    standing = Standing(CodelLaw())
    standing.run(500)
    # 100; then + 100/√1 = 200; + 100/√2 = 270.71; + 100/√3 = 328.4; + 50 = 378.4; + 44.7 = 423.2;
    # + 100/√6 = 464.0; + 100/√7 = 501.8. Asked once per ms, at the next whole one
    assert standing.dropped_at == [100, 200, 271, 329, 379, 424, 464]


def test_a_wait_below_the_target_ends_the_dropping() -> None:
    standing = Standing(CodelLaw())
    standing.run(250)
    assert standing.dropped_at == [100, 200]
    standing.run_empty()
    standing.fill()
    standing.run(100)
    assert standing.dropped_at == [100, 200]  # an interval must pass again
    standing.run(1)
    assert standing.dropped_at == [100, 200, 350]


def test_soon_after_it_goes_on_at_the_rate_that_it_had() -> None:
    standing = Standing(CodelLaw())
    standing.run(480)  # seven drops
    standing.run_empty()
    standing.fill()
    standing.dropped_at.clear()
    standing.run(300)
    # 480 + 100, and then count = 7 - 1 = 6: + 100/√6 = 40.8; + 100/√7 = 37.8; + 100/√8 = 35.4 …
    assert standing.dropped_at[:5] == [580, 621, 659, 694, 728]


def test_long_after_it_begins_anew() -> None:
    standing = Standing(CodelLaw())
    standing.run(480)
    standing.run_empty()
    standing.ms += 1700
    standing.fill()
    standing.dropped_at.clear()
    standing.run(300)
    assert standing.dropped_at == [2280, 2380, 2451]


@pytest.mark.parametrize(("ms", "goes_on"), [(0, True), (1, False)])
def test_long_is_sixteen_intervals_after_the_next_drop_was_due(ms: int, goes_on: bool) -> None:
    """RFC 8289 §5.5 compares with the drop that would have come next, at 501.8 ms here."""
    standing = Standing(CodelLaw())
    standing.run(480)
    standing.run_empty()
    standing.ms = 502 + 1600 - 101 + ms  # the first drop is an interval after this
    standing.fill()
    standing.dropped_at.clear()
    standing.run(201)
    first = 2101 + ms
    assert standing.dropped_at[:2] == [first, first + (41 if goes_on else 100)]


def test_a_packet_that_leaves_no_more_than_one_behind_is_never_dropped() -> None:
    """However long it waited: RFC 8289 §5.6, as a queue of one keeps the line busy, no more."""
    queue = CodelQueue(CodelLaw())
    queue.push(sized(1500), 1)
    for n in range(1, 50):
        queue.push(sized(1500), n * 200 * MS)
        assert queue.pull(n * 200 * MS) is not None
    assert queue.packets == 1
    assert queue.law.early_dropped == 0


@pytest.mark.parametrize("version", [4, 6])
def test_packets_of_ecn_senders_are_marked_at_the_same_times(version: int) -> None:
    standing = Standing(CodelLaw(ecn=True), ECT0)
    standing.run(500)
    assert standing.marked_at == [100, 200, 271, 329, 379, 424, 464]
    assert standing.dropped_at == []
    queue = CodelQueue(CodelLaw(ecn=True))
    for _ in range(10):
        queue.push(sized(1000, ecn=ECT0, version=version), 1)
    out = [packet for ms in (50, 150) if (packet := queue.pull(ms * MS)) is not None]
    assert [ecn_of(packet) for packet in out] == [ECT0, CE]
    assert all(crafted.checksums_hold(bytes(packet[0])) for packet in out)


def test_packets_of_other_senders_are_dropped_with_ecn_too() -> None:
    standing = Standing(CodelLaw(ecn=True))
    standing.run(500)
    assert standing.dropped_at == [100, 200, 271, 329, 379, 424, 464]
    assert standing.marked_at == []


def test_whoever_waited_longer_than_the_ce_threshold_is_marked() -> None:
    queue = CodelQueue(CodelLaw(ce_threshold_us=2 * MS))
    for number in range(3):
        queue.push(sized(1000, ecn=ECT0), 1 + number * MS)
    out = [queue.pull(2 * MS + 1 + MS * n) for n in (0, 1, 3)]
    assert [ecn_of(packet) for packet in out if packet is not None] == [ECT0, ECT0, CE]
    assert queue.law.marked == 1


def test_before_a_line_it_keeps_the_wait_near_the_target() -> None:
    """11 % more than the line carries, for 8 s: a drop-tail queue would be full, 1 s long."""
    codel = Codel(1000, CodelLaw())
    queue = Queue(8_000_000, codel)  # a packet of 1000 octets per ms
    packets = [(1 + 900 * n, sized(1000, number=n)) for n in range(9_000)]
    out = departures(queue, packets)
    late = [at_us - packets[number][0] for at_us, number in out if at_us > 4_000 * MS]
    late.sort()
    assert late[len(late) // 2] < 80 * MS
    assert len(out) + codel.early_dropped + codel.dropped == len(packets)
    assert codel.dropped == 0


def test_what_comes_to_a_full_queue_is_dropped() -> None:
    codel = Codel(3, CodelLaw())
    for number in range(5):
        codel.enqueue(sized(1000, number=number), 1)
    assert codel.counts() == {"dropped": 2, "early_dropped": 0, "marked": 0}
    assert (codel.packets, codel.octets) == (3, 3000)
    head = codel.dequeue(2)
    assert head is not None
    assert number_of(head) == 0
    assert (codel.packets, codel.octets) == (2, 2000)


def test_an_empty_queue_has_nothing() -> None:
    codel = Codel(3, CodelLaw())
    assert codel.dequeue(1) is None


def test_impossible_laws_are_refused() -> None:
    for target_us, interval_us in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="CoDel cannot"):
            CodelLaw(target_us, interval_us)
