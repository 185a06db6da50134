"""Runs of segments that travel as one object: everything is as if each packet had gone alone."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from random import Random

import pytest

from pystack.sim import LinkSpec, World
from pystack.sim.network.gso_link_direction import GsoLinkDirection
from pystack.sim.topology import dumbbell
from pystack.sim.traffic import Bulk, Flow, OnOff, Requests, Responder, Sink

RATES = ["1mbit", "10mbit", "100mbit", "100mbit", "1gbit", "40gbit"]
DELAYS = ["0ms", "10us", "1ms", "5ms", "20ms", "50ms"]


def a_way(random: Random) -> LinkSpec:
    queue: int | str = random.choice([1, 2, 3, 10, 30, 100, 1000, "3kb", "20kb", "200kb"])
    loss = random.choice([0.0, 0.0, 0.0, 0.001, 0.02])
    return LinkSpec(random.choice(RATES), random.choice(DELAYS), queue, loss)


def a_world(seed: int, runs: bool) -> tuple[World, list[Flow]]:
    """Two or three hosts, or a dumbbell, with flows of all kinds between them."""
    random = Random(seed)
    world = World(seed, digest=True, runs=runs)
    sysctl = {
        "tcp_sack": random.choice([0, 1, 1]),
        "tcp_timestamps": random.choice([0, 1, 1]),
        "tcp_congestion_control": random.choice(["reno", "cubic"]),
        "tcp_rmem": random.choice(["4096 8000 100000", "4096 131072 6291456"]),
    }
    if random.random() < 0.75:
        a = world.host("a", sysctl=sysctl, offload=random.random() < 0.9)
        b = world.host("b", sysctl=sysctl)
        mtu = random.choice([1500, 1500, 1280, 9000])
        world.link(a, b, there=a_way(random), back=a_way(random), mtu=mtu)
        pairs = [(a, b), (b, a)]
    else:
        made = dumbbell(
            world, 2, rtts=["2ms", "30ms"], rate=random.choice(RATES), queue=40, sysctl=sysctl
        )
        pairs = list(zip(made.senders, made.receivers, strict=True))
    flows: list[Flow] = []
    for index in range(random.randrange(1, 4)):
        one, other = random.choice(pairs)
        address = random.choice(other.addresses)
        port = 10 + index
        kind = random.randrange(4)
        if kind == 0:
            Sink(other, port, make=partial(Responder, response=30_000))
            flows.append(Requests(one, address, port, response=30_000, count=50))
        else:
            Sink(other, port)
            if kind == 1:
                flows.append(OnOff(one, address, port, octets=100_000, pause_us=70_000))
            else:
                octets = random.choice([50_000, 500_000, 1_500_000])
                flows.append(Bulk(one, address, port, octets=octets))
    return world, flows


@pytest.mark.parametrize("seed", range(60))
def test_every_packet_is_sent_and_arrives_at_the_same_time_as_alone(seed: int) -> None:
    worlds = []
    for runs in (True, False):
        world, flows = a_world(seed, runs)
        world.run(for_s=0.7)
        worlds.append((world, flows))
    (one, its_flows), (other, other_flows) = worlds
    for line, twin in zip(one.directions, other.directions, strict=True):
        assert (line.sent, line.arrived, line.octets) == (twin.sent, twin.arrived, twin.octets)
        alone, counts = twin.counts(), line.counts()
        lost = counts.pop("lost", 0)  # of a run they are counted as it enters the queue
        assert lost >= alone.get("lost", 0)
        assert {name: alone.get(name, 0) for name in counts} == counts
    assert one.digest() == other.digest()
    for flow, twin_flow in zip(its_flows, other_flows, strict=True):
        assert (flow.sent, flow.received) == (twin_flow.sent, twin_flow.received)
    for name, node in one.nodes.items():
        assert node.host.counters.as_dict() == other.nodes[name].host.counters.as_dict()


def test_runs_are_really_used_and_time_is_that_of_the_pieces() -> None:
    world = World(1)
    a, b = world.host("a"), world.host("b")
    line, _ = world.link(a, b, rate="10mbit", delay="1ms")
    assert isinstance(line, GsoLinkDirection)
    arrivals: list[int] = []
    line.arrival_taps.append(lambda line, packet, now_us: arrivals.append(now_us))
    sink = Sink(b, 1)
    flow = Bulk(a, b, 1, octets=14_480)
    assert world.run(until=lambda: flow.over, for_s=1)
    assert sink.received == 14_480
    assert line.in_runs == 10
    text = arrivals[1:11]
    assert [later - one for one, later in pairwise(text)] == [1200] * 9
