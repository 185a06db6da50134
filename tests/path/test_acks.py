"""Fewer acknowledgements: which ones may go, and when the last of them comes."""

from __future__ import annotations

import struct

import pytest

from pystack.path.ack_thinning import AckThinning
from pystack.path.header_fields import pure_ack
from pystack.path.queues.ack_filter import AckFilter
from pystack.path.queues.bottleneck import Queue
from pystack.wire.batch import Packet
from tests.path.traffic import ack, acks, sized
from tests.wire import crafted

ECE, CWR, PSH, FIN, SYN, RST, URG = 0x40, 0x80, 0x08, 0x01, 0x02, 0x04, 0x20
SACK = b"\x01\x01\x05\x0a" + struct.pack("!II", 5000, 6000)
TIMESTAMPS = b"\x01\x01\x08\x0a" + bytes(8)


def fed(stage: AckThinning, packets: list[Packet], at_us: int = 1) -> list[int]:
    return [number for packet in packets for number in acks(stage.feed(packet, at_us))]


@pytest.mark.parametrize("version", [4, 6])
def test_only_what_does_nothing_else_is_a_pure_ack(version: int) -> None:
    upper = 20 if version == 4 else 40
    assert pure_ack(ack(1, version=version)[0]) == upper
    assert pure_ack(ack(1, version=version, options=TIMESTAMPS)[0]) == upper
    assert pure_ack(ack(1, version=version, flags=0x10 | ECE | CWR)[0]) == upper
    assert pure_ack(sized(200, version=version)[0]) == 0
    assert pure_ack(ack(1, version=version, options=SACK)[0]) == 0
    for flag in (PSH, FIN, SYN, RST, URG):
        assert pure_ack(ack(1, version=version, flags=0x10 | flag)[0]) == 0
    assert pure_ack(ack(1, version=version, flags=0)[0]) == 0


def test_what_cannot_be_read_is_no_pure_ack() -> None:
    good = bytes(ack(1)[0])
    broken = [b"", b"\x45", bytes(100), good[:39], good[:32] + b"\xf0" + good[33:]]
    broken += [crafted.ipv4(crafted.tcp(), fragment=0x2000), crafted.ipv4(bytes(20), protocol=17)]
    broken += [bytes(ack(1, options=b"\x08\x00\x00\x00")[0])]
    for octets in broken:
        assert pure_ack(octets) == 0, octets


def test_one_ack_in_so_many_passes() -> None:
    stage = AckThinning(4)
    assert fed(stage, [ack(1000 * n) for n in range(1, 11)]) == [4000, 8000]
    assert stage.counts() == {"thinned": 7}  # the tenth is held
    assert acks(stage.take(10_000)) == [10_000]


def test_the_last_one_comes_after_a_while_though_none_follows() -> None:
    stage = AckThinning(4, hold_us=3_000)
    stage.feed(ack(1000), 100)
    stage.feed(ack(2000), 900)
    assert stage.next_deadline() == 3_100  # from when the first came
    assert stage.take(3_099) == []
    assert acks(stage.take(3_100)) == [2000]
    assert stage.next_deadline() == 0


def test_duplicate_acks_are_all_let_through() -> None:
    stage = AckThinning(4)
    assert fed(stage, [ack(1000)] * 4 + [ack(2000)]) == [1000, 1000, 1000]
    assert stage.counts() == {"thinned": 1}


def test_anything_else_of_the_flow_sends_the_held_one_ahead() -> None:
    stage = AckThinning(4)
    out = [p for one in [ack(1000), sized(200)] for p in stage.feed(one, 1)]
    assert out == [ack(1000), sized(200)]
    sack = ack(1000, options=SACK)
    out = [p for one in [ack(1000), sack, ack(2000)] for p in stage.feed(one, 1)]
    assert out == [ack(1000), sack]


def test_an_older_ack_takes_nobodys_place() -> None:
    stage = AckThinning(4)
    assert fed(stage, [ack(2000), ack(1000)]) == [2000]


def test_a_change_of_the_ecn_flags_is_not_swallowed() -> None:
    stage = AckThinning(4)
    out = fed(stage, [ack(1000), ack(2000, flags=0x10 | ECE), ack(3000, flags=0x10 | ECE)])
    assert out == [1000]
    assert fed(stage, [ack(4000, flags=0x10)]) == [3000]


def test_numbers_may_wrap() -> None:
    stage = AckThinning(2)
    assert fed(stage, [ack(0xFFFF_FFF0), ack(0x10)]) == [0x10]


def test_flows_are_thinned_each_for_itself() -> None:
    stage = AckThinning(2, hold_us=100)
    packets = [ack(1000, port=1), ack(1000, port=2), ack(2000, port=1)]
    assert fed(stage, packets, 1) == [2000]
    stage.feed(ack(500, port=3), 50)
    assert acks(stage.take(1_000)) == [1000, 500]  # in the order of their times


def test_impossible_thinning_is_refused() -> None:
    with pytest.raises(ValueError, match="1 in 1"):
        AckThinning(1)


# -- in a queue ---------------------------------------------------------------------------------
def waiting(queue: AckFilter, packets: list[Packet]) -> list[Packet]:
    for packet in packets:
        queue.enqueue(packet, 1)
    out = []
    while (packet_out := queue.dequeue(2)) is not None:
        out.append(packet_out)
    assert (queue.packets, queue.octets) == (0, 0)
    return out


def test_a_waiting_ack_makes_way_for_a_later_one() -> None:
    queue = AckFilter(10)
    out = waiting(queue, [ack(1000), ack(2000), ack(3000)])
    assert acks(out) == [3000]
    assert queue.counts() == {"dropped": 0, "thinned": 2}


def test_an_ack_that_has_gone_is_not_looked_for() -> None:
    queue = AckFilter(10)
    queue.enqueue(ack(1000), 1)
    assert queue.dequeue(1) == ack(1000)
    assert waiting(queue, [ack(2000)]) == [ack(2000)]
    assert queue.thinned == 0


def test_the_rest_of_the_queue_stays_in_order() -> None:
    queue = AckFilter(10)
    other = ack(7000, port=2)
    out = waiting(queue, [ack(1000), other, ack(2000), sized(100), ack(3000)])
    assert out == [other, ack(2000), sized(100), ack(3000)]


def test_what_makes_way_leaves_room() -> None:
    queue = AckFilter(2)
    out = waiting(queue, [sized(100), ack(1000), ack(2000), sized(200)])
    assert out == [sized(100), ack(2000)]
    assert queue.counts() == {"dropped": 1, "thinned": 1}


def test_before_a_slow_line_fewer_acks_come() -> None:
    queue = Queue(320_000, AckFilter(100))  # an ACK takes 1 ms
    out = []
    for n in range(100):
        out += queue.feed(ack(1000 * n), 1 + 100 * n)
    while deadline := queue.next_deadline():
        out += queue.take(deadline)
    # the first at once; then, each ms, the last of ten that came meanwhile
    assert acks(out) == [0, *(1000 * n for n in range(9, 100, 10))]
    assert queue.counts() == {"dropped": 0, "thinned": 89}
