"""RED (Floyd and Jacobson 1993): the average, the probability, what is spared by it, ECN."""

from __future__ import annotations

from random import Random

import pytest

from pystack.path.link import RandomSource
from pystack.path.queues.red import Red
from tests.path.traffic import CE, ECT0, NOT_ECT, ecn_of, sized
from tests.wire import crafted

BEYOND = 1e9  # no probability reaches that


class Always:
    """A random source that always draws the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value

    def randrange(self, stop: int, /) -> int:
        return int(self.value * stop)


def red(source: RandomSource, **changes: object) -> Red:
    """Thresholds 5 and 15; with weight 0 the average is the length itself."""
    options = {"probability": 0.1, "weight": 0, **changes}
    return Red(100, 5, 15, source, **options)  # type: ignore[arg-type]


def fill(queue: Red, count: int, ecn: int = NOT_ECT) -> None:
    for number in range(count):
        queue.enqueue(sized(100, number=number, ecn=ecn), 1)


def test_the_average_takes_in_a_part_of_each_length() -> None:
    queue = Red(100, 50, 60, Random(1), weight=2)
    averages = []
    for number in range(4):
        queue.enqueue(sized(100, number=number), 1)
        averages.append(queue.average)
    # of the length before the packet: 0, 1, 2, 3, a quarter of the way each time
    assert averages == [0, 0.25, 0.6875, 1.265625]


def test_the_average_falls_while_the_line_is_idle_as_if_packets_had_come() -> None:
    queue = Red(100, 50, 60, Random(1), weight=1, slot_us=1000)
    fill(queue, 9)
    before = queue.average
    while queue.dequeue(10_000) is not None:
        pass
    queue.enqueue(sized(100), 13_999)  # three slots of 1 ms, then its own length of 0
    assert queue.average == pytest.approx(before / 2**4)


def test_below_the_lower_threshold_nothing_is_struck() -> None:
    queue = red(Always(0.0))
    fill(queue, 5)
    assert queue.counts() == {"dropped": 0, "early_dropped": 0, "marked": 0}
    queue.enqueue(sized(100), 1)  # at the threshold the probability is 0
    assert queue.packets == 6


def hold(queue: Red, source: Always, length: int) -> None:
    """Fill it up to `length`, and have one packet struck: the count begins with the next."""
    source.value = BEYOND
    while queue.packets < length:
        queue.enqueue(sized(100), 1)
    source.value = 0.0
    queue.enqueue(sized(100), 1)
    assert queue.packets == length


def test_the_probability_rises_evenly_between_the_thresholds() -> None:
    # pb is 2, 5 and 9 %; for the first packet after one that was struck, pb / (1 - pb)
    for length, probability in ((7, 0.02 / 0.98), (10, 0.05 / 0.95), (14, 0.09 / 0.91)):
        for drawn, struck in ((probability * 0.999, 1), (probability * 1.001, 0)):
            source = Always(0.0)
            queue = red(source)
            hold(queue, source, length)
            before = queue.early_dropped
            source.value = drawn
            queue.enqueue(sized(100), 1)
            assert queue.early_dropped - before == struck


def test_packets_that_are_struck_are_spread_evenly() -> None:
    """With pa = pb / (1 - count * pb), count from 1: every distance below 1/pb equally often."""
    queue = red(Random(7), probability=0.2)
    fill(queue, 10)  # pb = 0.1 from now on
    spaces: list[int] = []
    since = 0
    for _ in range(20_000):
        before = queue.early_dropped
        queue.enqueue(sized(100), 1)
        since += 1
        if queue.early_dropped > before:
            spaces.append(since)
            since = 0
        elif queue.packets > 10:
            queue.dequeue(1)
    assert max(spaces[1:]) == 9
    shares = [spaces.count(n) / len(spaces) for n in range(1, 10)]
    assert all(0.1 < share < 0.122 for share in shares), shares


def test_above_the_upper_threshold_all_are_dropped() -> None:
    queue = red(Always(BEYOND))
    fill(queue, 60)
    assert queue.packets == 15


def test_gentle_goes_on_to_twice_the_upper_threshold() -> None:
    queue = red(Always(BEYOND), gentle=True)
    fill(queue, 100)
    assert queue.packets == 30
    # at 18, a fifth of the way from 15 to 30: pb = 0.1 + 0.9 / 5
    probability = 0.28 / 0.72
    for drawn, struck in ((probability * 0.999, 1), (probability * 1.001, 0)):
        source = Always(0.0)
        queue = red(source, gentle=True)
        hold(queue, source, 18)
        before = queue.early_dropped
        source.value = drawn
        queue.enqueue(sized(100), 1)
        assert queue.early_dropped - before == struck


@pytest.mark.parametrize("version", [4, 6])
def test_packets_of_ecn_senders_are_marked_between_the_thresholds(version: int) -> None:
    queue = red(Always(0.0), ecn=True)
    packets = [sized(100, ecn=ECT0, version=version) for _ in range(15)]
    for packet in packets:
        queue.enqueue(packet, 1)
    assert queue.counts() == {"dropped": 0, "early_dropped": 0, "marked": 9}
    out = [packet for _ in range(15) if (packet := queue.dequeue(2)) is not None]
    assert [ecn_of(packet) for packet in out] == [ECT0] * 6 + [CE] * 9
    assert all(crafted.checksums_hold(bytes(packet[0])) for packet in out)


def test_packets_of_other_senders_are_dropped_with_ecn_too() -> None:
    queue = red(Always(0.0), ecn=True)
    fill(queue, 10)
    assert queue.counts() == {"dropped": 0, "early_dropped": 4, "marked": 0}


def test_above_the_upper_threshold_ecn_senders_are_dropped_too() -> None:
    queue = red(Always(BEYOND), ecn=True)
    fill(queue, 40, ECT0)
    marks = queue.marked
    assert queue.packets == 15
    fill(queue, 40, ECT0)
    assert queue.packets == 15
    assert queue.marked == marks


def test_a_full_queue_drops_whatever_the_average() -> None:
    queue = Red(3, 50, 60, Random(1))
    fill(queue, 5, ECT0)
    assert queue.counts() == {"dropped": 2, "early_dropped": 0, "marked": 0}


def test_thresholds_may_be_bytes() -> None:
    queue = Red(100_000, 500, 1500, Always(BEYOND), weight=0, in_bytes=True)
    fill(queue, 40)
    assert queue.octets == 1500


def test_the_same_seed_strikes_the_same_packets() -> None:
    def struck(seed: int) -> list[int]:
        queue = red(Random(seed))
        out = []
        for number in range(300):
            before = queue.early_dropped
            queue.enqueue(sized(100, number=number), 1 + number)
            if queue.early_dropped > before:
                out.append(number)
            elif queue.packets > 10:
                queue.dequeue(1 + number)
        return out

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)


def test_impossible_thresholds_are_refused() -> None:
    for least, most, probability in ((5, 5, 0.1), (-1, 5, 0.1), (1, 5, 0.0), (1, 5, 1.1)):
        with pytest.raises(ValueError, match="thresholds"):
            Red(10, least, most, Random(1), probability=probability)
