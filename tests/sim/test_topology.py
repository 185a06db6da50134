"""Routers and what is built of them: ways, hops, bottlenecks, and what ICMP says of them."""

from __future__ import annotations

import errno
from functools import partial

import pytest

from pystack.sim import LinkSpec, World
from pystack.sim.network.events import START_US
from pystack.sim.topology import chain, dumbbell
from pystack.sim.traffic import Bulk, Requests, Responder, Sink
from pystack.sockets.constants import IP_RECVERR, IP_TTL, IPPROTO_IP, MSG_ERRQUEUE
from tests.kit.packets.decode import Packet, decode


@pytest.mark.parametrize("family", [0, 1])
def test_packets_take_the_shortest_way_and_age_by_a_hop_each(family: int) -> None:
    world = World(seed=1)
    a, b = world.host("a"), world.host("b")
    r1, r2, r3 = (world.router(f"r{n}") for n in (1, 2, 3))
    world.link(a, r1)
    world.link(r1, r2, delay="1ms")
    world.link(r2, r3, delay="1ms")
    world.link(r1, r3, delay="5ms")  # fewer hops
    _, last = world.link(b, r3)
    seen: list[Packet] = []
    last.taps.append(lambda line, packet, now_us: seen.extend(decode(*packet)))
    sink = Sink(b, 1)
    flow = Bulk(a, b.addresses[family], 1, octets=10_000)
    assert world.run(until=lambda: flow.over, for_s=1)
    assert sink.received == 10_000
    assert {packet.ttl for packet in seen} == {62}
    assert r2.forwarded == 0
    assert r1.forwarded == r3.forwarded > 10


def test_a_packet_that_is_too_old_is_reported_by_the_router_where_it_ends() -> None:
    world = World(seed=1)
    made = chain(world, [LinkSpec("10mbit", "1ms")] * 3)
    socket = made.one.socket()
    socket.setsockopt(IPPROTO_IP, IP_TTL, 3)
    socket.setsockopt(IPPROTO_IP, IP_RECVERR, 1)
    Sink(made.other, 1)
    with pytest.raises(BlockingIOError):
        socket.connect((made.other.address, 1))
    world.run(for_s=0.1)
    _, ancillary, _, _ = socket.recvmsg(0, 100, MSG_ERRQUEUE)
    assert [router.expired for router in made.routers] == [0, 0, 1, 0]
    assert made.routers[2].host.addresses.all()[0][12:] in ancillary[0][2]


def test_an_address_that_nobody_has_is_reported() -> None:
    world = World(seed=1)
    made = chain(world, [LinkSpec("10mbit", "1ms")])
    flow = Bulk(made.one, "10.99.0.1", 1)
    world.run(for_s=300)
    assert flow.error == errno.ENETUNREACH
    assert made.routers[0].unroutable > 0


@pytest.mark.parametrize("family", [0, 1])
def test_the_mtu_of_a_path_is_discovered(family: int) -> None:
    world = World(seed=1)
    a, b = world.host("a"), world.host("b")
    r1, r2 = world.router("r1"), world.router("r2")
    world.link(a, r1, delay="1ms")
    narrow, _ = world.link(r1, r2, delay="1ms", mtu=1300)
    world.link(r2, b, delay="1ms")
    sink = Sink(b, 1, check=True)
    flow = Bulk(a, b.addresses[family], 1, octets=100_000)
    assert world.run(until=lambda: flow.over, for_s=10)
    assert sink.received == 100_000
    assert not sink.flows[0].wrong
    assert r1.too_big > 0
    assert narrow.too_large == 0


def test_in_a_dumbbell_each_pair_has_its_round_trip_time() -> None:
    world = World(seed=1)
    made = dumbbell(world, 3, rtts=["10ms", "40ms", "100ms"], rate="100mbit")
    flows = []
    for sender, receiver in zip(made.senders, made.receivers, strict=True):
        Sink(receiver, 1, make=partial(Responder, request=10, response=10))
        flows.append(Requests(sender, receiver, 1, request=10, response=10, count=3))
    assert world.run(until=lambda: all(flow.over for flow in flows), for_s=5)
    for flow, rtt_us in zip(flows, (10_000, 40_000, 100_000), strict=True):
        assert all(rtt_us <= took <= rtt_us + 20 for took in flow.latencies_us)


def test_a_bottleneck_carries_its_rate_and_no_more() -> None:
    world = World(seed=1)
    made = dumbbell(world, 2, rtts="20ms", rate="10mbit", queue=50)
    sinks = []
    for sender, receiver in zip(made.senders, made.receivers, strict=True):
        sinks.append(Sink(receiver, 1))
        Bulk(sender, receiver, 1)
    world.run(for_s=5)
    before = made.bottleneck.octets
    received = sum(sink.received for sink in sinks)
    world.run(for_s=10)
    assert sum(sink.received for sink in sinks) - received > 0.9 * 12_500_000
    assert made.bottleneck.octets - before >= 12_400_000
    assert world.now_us == START_US + 15_000_000


def test_the_slowest_of_a_chain_decides() -> None:
    world = World(seed=1)
    hops = [
        LinkSpec("50mbit", "2ms"), LinkSpec("5mbit", "2ms", queue=40), LinkSpec("20mbit", "2ms"),
    ]  # fmt: skip
    made = chain(world, hops)
    sink = Sink(made.other, 1)
    Bulk(made.one, made.other, 1)
    world.run(for_s=10)
    assert 0.8 < sink.received * 8 / 10 / 5e6 < 1
    assert len(made.hops) == 3


def test_as_many_round_trip_times_as_pairs_are_wanted() -> None:
    with pytest.raises(ValueError, match="2 round trip times for 3 pairs"):
        dumbbell(World(), 3, rtts=["1ms", "2ms"])
