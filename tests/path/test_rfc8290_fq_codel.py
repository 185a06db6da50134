"""FQ-CoDel (RFC 8290): turns by octets, new flows first, who pays when the queue is full."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from pystack.path.header_fields import flow_of
from pystack.path.queues.bottleneck import Queue
from pystack.path.queues.codel import CodelLaw
from pystack.path.queues.fq_codel import FqCodel
from pystack.wire import consts
from pystack.wire.batch import Packet
from tests.path.traffic import CE, ECT0, departures, ecn_of, number_of, sized
from tests.wire import crafted

MS = 1000


def port_of(packet: Packet) -> int:
    return int.from_bytes(packet[0][20:22], "big")


def drained(queue: FqCodel, now_us: int = 2) -> list[Packet]:
    out = []
    while (packet := queue.dequeue(now_us)) is not None:
        out.append(packet)
    assert (queue.packets, queue.octets) == (0, 0)
    return out


def test_flows_take_turns_by_octets_not_by_packets() -> None:
    queue = FqCodel(1000, CodelLaw(), quantum=1500)
    for _ in range(40):
        queue.enqueue(sized(500, port=1), 1)
    for _ in range(40):
        queue.enqueue(sized(1500, port=2), 1)
    ports = [port_of(packet) for packet in drained(queue)]
    assert ports[:16] == [1, 1, 1, 2] * 4


def test_a_flow_that_took_more_than_its_quantum_waits_until_it_has_paid() -> None:
    queue = FqCodel(1000, CodelLaw(), quantum=1000)
    for port in (1, 2):
        for _ in range(6):
            queue.enqueue(sized(1500 if port == 1 else 1000, port=port), 1)
    ports = [port_of(packet) for packet in drained(queue)]
    # credits of the first: 1000, -500, (500) -1000, (0: not yet), (1000) -500 …
    assert ports[:9] == [1, 2, 1, 2, 2, 1, 2, 1, 2]


def test_a_new_flow_goes_before_all_old_ones() -> None:
    queue = FqCodel(1000, CodelLaw())
    for port in (1, 2, 3):
        for _ in range(10):
            queue.enqueue(sized(1500, port=port), 1)
    for _ in range(6):
        queue.dequeue(2)  # all three are old by now
    queue.enqueue(sized(100, port=9), 3)
    packet = queue.dequeue(4)
    assert packet is not None
    assert port_of(packet) == 9


def test_a_new_flow_that_ran_dry_is_an_old_one_before_it_is_new_again() -> None:
    """§4.2: or else it would always come before the others."""
    queue = FqCodel(1000, CodelLaw(), quantum=1000)

    def next_port() -> int:
        packet = queue.dequeue(2)
        assert packet is not None
        return port_of(packet)

    for port in (1, 2, 3):
        for _ in range(10):
            queue.enqueue(sized(1000, port=port), 1)
    assert [next_port() for _ in range(6)] == [1, 2, 3, 1, 2, 3]
    queue.enqueue(sized(400, port=9), 2)
    assert [next_port(), next_port()] == [9, 1]  # in between 9 was found empty
    queue.enqueue(sized(400, port=9), 2)
    assert [next_port() for _ in range(4)] == [2, 9, 3, 1]  # its place among the old ones


def test_a_flow_of_few_packets_hardly_waits_beside_full_ones() -> None:
    """Four flows fill the line, a fifth sends a small packet every 20 ms."""
    packets = [(1 + 125 * n, sized(1500, number=n, port=n % 4)) for n in range(5_000)]
    sparse = [(7 + 20_000 * n, sized(100, number=100_000 + n, port=9)) for n in range(30)]
    came = sorted(packets + sparse, key=lambda entry: entry[0])
    fair = departures(Queue(12_000_000, FqCodel(10_240, CodelLaw())), came)
    times = {number_of(packet): at_us for at_us, packet in came}
    waits = [at_us - times[number] for at_us, number in fair if number >= 100_000]
    assert len(waits) == 30
    assert max(waits) <= 2 * 1_000 + 67  # what is being sent, one new flow before it, itself


def test_unequal_flows_get_equal_shares() -> None:
    """One flow sends twice what the line carries, one a little more than its half."""
    packets = [(1 + 500 * n, sized(1500, number=n, port=1)) for n in range(4_000)]
    packets += [(3 + 1_900 * n, sized(1500, number=10_000 + n, port=2)) for n in range(1_052)]
    packets.sort(key=lambda entry: entry[0])
    out = departures(Queue(12_000_000, FqCodel(1000, CodelLaw())), packets)
    within = [number for at_us, number in out if at_us < 2_000 * MS]
    shares = Counter(number >= 10_000 for number in within)
    assert abs(shares[True] - shares[False]) < 0.05 * len(within)


def test_the_longest_queue_pays_when_there_is_no_room() -> None:
    queue = FqCodel(100, CodelLaw())
    for number in range(5):
        queue.enqueue(sized(1500, number=number, port=2), 1)
    for number in range(96):
        queue.enqueue(sized(1500, number=100 + number, port=1), 1)
    # the 101st: half of the 96 are dropped, from the head
    assert queue.counts() == {"dropped": 48, "early_dropped": 0, "marked": 0}
    assert queue.packets == 53
    numbers = [number_of(packet) for packet in drained(queue)]
    assert [number for number in numbers if number < 100] == [0, 1, 2, 3, 4]
    assert [number for number in numbers if number >= 100] == list(range(148, 196))


def test_no_more_than_64_are_dropped_at_once() -> None:
    queue = FqCodel(300, CodelLaw())
    for _ in range(301):
        queue.enqueue(sized(100, port=1), 1)
    assert queue.dropped == 64


def test_each_flow_is_under_a_law_of_its_own() -> None:
    """The flow that fills its queue is told to slow down; the other is not."""
    queue = FqCodel(10_000, CodelLaw(ecn=True))
    for number in range(400):
        queue.enqueue(sized(1500, number=number, port=1, ecn=ECT0), 1)
    marked: Counter[int] = Counter()
    for ms in range(1, 400):
        now_us = ms * MS
        if ms % 5 == 0:
            queue.enqueue(sized(200, port=2, ecn=ECT0), now_us)
        packet = queue.dequeue(now_us)
        assert packet is not None
        marked[port_of(packet)] += ecn_of(packet) == CE
    assert marked[1] >= 4
    assert marked[2] == 0
    assert queue.marked == marked[1]


def test_the_flow_of_a_packet_is_its_five_tuple() -> None:
    one = crafted.ipv4(crafted.tcp(sport=1, text=b"a"))
    assert flow_of(one) == flow_of(crafted.ipv4(crafted.tcp(sport=1, seq=77, text=b"bcd")))
    different = [
        crafted.ipv4(crafted.tcp(sport=2)),
        crafted.ipv4(crafted.tcp(sport=1, dport=81)),
        crafted.ipv4(crafted.udp(crafted.PEER4, crafted.OURS4, 1, 80, b"a"), protocol=17),
        crafted.ipv4(crafted.tcp(sport=1), source="10.0.0.1"),
        crafted.ipv4(crafted.tcp(sport=1), target="10.0.0.1"),
        crafted.ipv6(crafted.tcp(crafted.PEER6, crafted.OURS6, sport=1)),
        crafted.ipv6(crafted.tcp(crafted.PEER6, crafted.OURS6, sport=2)),
        crafted.ipv4(bytes(20), protocol=1),
        b"nonsense",
    ]
    names = {flow_of(packet) for packet in [one, *different]}
    assert len(names) == len(different) + 1


def test_fragments_go_by_their_addresses() -> None:
    first = crafted.ipv4(crafted.tcp(sport=1, text=bytes(100)), fragment=0x2000)
    later = crafted.ipv4(bytes(100), fragment=0x0010)
    assert flow_of(first) == flow_of(later)


def test_options_and_extension_headers_hide_no_ports() -> None:
    segment = crafted.tcp(sport=7)
    plain, other = (crafted.ipv4(crafted.tcp(sport=port), options=b"\x01" * 4) for port in (7, 8))
    assert flow_of(plain) != flow_of(other)
    assert flow_of(plain) == flow_of(crafted.ipv4(segment, options=b"\x01" * 8))
    segments = [crafted.tcp(crafted.PEER6, crafted.OURS6, sport=port) for port in (7, 8)]
    behind = [
        crafted.ipv6(crafted.extension(consts.IPPROTO_TCP, bytes(6)) + one, protocol=60)
        for one in segments
    ]
    assert flow_of(behind[0]) != flow_of(behind[1])


def test_the_perturbation_decides_who_shares_a_queue() -> None:
    ports = range(2000)

    def queues(perturbation: int) -> list[int]:
        queue = FqCodel(10, CodelLaw(), perturbation=perturbation)
        return [queue.queue_of(sized(40, port=port)) for port in ports]

    first, second = queues(1), queues(2)
    assert first == queues(1)
    together = [(a, b) for a in ports[:300] for b in ports[:a] if first[a] == first[b]]
    assert len(together) > 10
    assert sum(second[a] == second[b] for a, b in together) < len(together) / 4
    # about as many queues are used as with random numbers: 1024 · (1 - 1/e**(2000/1024)) = 879
    assert 820 < len(set(first)) < 930


def test_without_a_perturbation_it_is_0_and_a_turn_may_be_an_octet() -> None:
    queue = FqCodel(10, CodelLaw(), quantum=1)
    same = FqCodel(10, CodelLaw(), perturbation=0)
    packets = [sized(40, port=port) for port in range(20)]
    assert list(map(queue.queue_of, packets)) == list(map(same.queue_of, packets))
    for packet in packets[:3]:
        queue.enqueue(packet, 1)
    assert [port_of(packet) for packet in drained(queue)] == [0, 1, 2]


def test_the_queue_does_not_depend_on_the_hash_seed_of_the_process() -> None:
    script = (
        "from pystack.path.queues.fq_codel import *; from tests.path.traffic import sized;"
        "q = FqCodel(10, CodelLaw(), perturbation=5);"
        "print([q.queue_of(sized(40, port=p)) for p in range(20)])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1


def test_impossible_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="0 flows"):
        FqCodel(10, CodelLaw(), flows=0)
