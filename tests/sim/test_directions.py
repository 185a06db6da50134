"""One direction of a link, and the node at its end: what is counted, and what arrives when."""

from __future__ import annotations

import pytest

from pystack.path.mtu import Mtu
from pystack.sim import LinkSpec, SimHost, World
from pystack.sim.network.events import START_US
from pystack.sim.network.link_direction import LinkDirection
from pystack.sim.traffic import Bulk, Flow, Requests, Responder, Sink, connecting
from pystack.wire.batch import Packet
from pystack.wire.consts import CHECKSUM_COMPLETE
from tests.kit.packets import decode, encode

Arrival = tuple[int, int, int]  # µs since the beginning, octets, sequence number


def two_hosts(world: World) -> tuple[SimHost, SimHost]:
    return world.host("a"), world.host("b")


def arrivals(line: LinkDirection) -> list[Arrival]:
    """Grows with every packet that arrives."""
    came: list[Arrival] = []

    def note(line: LinkDirection, packet: Packet, now_us: int) -> None:
        (one,) = decode.decode(bytes(packet[0]), *packet[1:])
        came.append((now_us - START_US, len(packet[0]), one.seq))

    line.arrival_taps.append(note)
    return came


def segment(sender: SimHost, receiver: SimHost, octets: int, gso_size: int = 0) -> Packet:
    """A TCP segment that belongs to no connection."""
    src, dst = (host.host.addresses.all()[0][12:] for host in (sender, receiver))
    upper = encode.tcp(src, dst, 1000, 80, 1, 0, encode.RST, 0, payload=bytes(octets))
    return encode.ip(src, dst, encode.TCP, upper), gso_size, CHECKSUM_COMPLETE


@pytest.mark.parametrize("runs", [True, False])
def test_the_first_packet_of_all_may_be_a_run(runs: bool) -> None:
    world = World(runs=runs)
    a, b = two_hosts(world)
    line, _ = world.link(a, b, rate="8mbit", delay="1ms")
    came = arrivals(line)
    assert (line.sent, line.arrived, line.octets, line.too_large) == (0, 0, 0, 0)
    a.send(segment(a, b, 2500, 1000), world.now_us)
    world.run()
    assert came == [(2040, 1040, 1), (3080, 1040, 1001), (3620, 540, 2001)]
    assert (line.sent, line.arrived, line.octets, line.too_large) == (3, 3, 2620, 0)
    assert line.counts() == {"dropped": 0, "lost": 0} or not runs
    assert b.host.counters.in_segs == 3


@pytest.mark.parametrize("runs", [True, False])
def test_packets_and_runs_keep_their_order_and_what_is_too_large_is_counted(runs: bool) -> None:
    world = World(runs=runs)
    a, b = two_hosts(world)
    line, _ = world.link(a, b, rate="8mbit", delay="1ms", mtu=1040)
    came = arrivals(line)
    for octets, gso_size in ((10, 0), (2000, 1000), (1001, 0), (3000, 1001), (20, 0)):
        a.send(segment(a, b, octets, gso_size), world.now_us)
    world.run()
    lengths = [50, 1040, 1040, 60]  # of the third run, only the last piece is small enough
    assert [length for _, length, _ in came][:3] == lengths[:3]
    assert came[0] == (1050, 50, 1)
    assert came[1:3] == [(2090, 1040, 1), (3130, 1040, 1001)]
    assert came[3:] == [(3130 + 1038, 1038, 2003), (3130 + 1038 + 60, 60, 1)]
    assert line.too_large == 3
    assert (line.sent, line.arrived, line.octets) == (5, 5, 50 + 2 * 1040 + 1038 + 60)


@pytest.mark.parametrize("runs", [True, False])
def test_an_answer_of_the_other_direction_arrives_at_once_and_before_what_is_on_its_way(
    runs: bool,
) -> None:
    world = World(runs=runs)
    a, b = two_hosts(world)
    narrow, back = world.link(a, b, there=Mtu(1000), back=LinkSpec("8mbit", "1ms"))
    came: list[tuple[int, int, int]] = []

    def note(line: LinkDirection, packet: Packet, now_us: int) -> None:
        (one,) = decode.decode(bytes(packet[0]), *packet[1:])
        came.append((now_us - START_US, one.kind, one.code))

    back.arrival_taps.append(note)
    b.send(segment(b, a, 2000, 1000), world.now_us)  # on its way until 2040 and 3080
    world.after("1500us", lambda: a.send(segment(a, b, 961), world.now_us))
    world.after("2040us", lambda: a.send(segment(a, b, 961), world.now_us))
    world.run()
    too_big = (3, 4)  # fragmentation needed
    assert came == [(1500, *too_big), (2040, 0, 0), (2040, *too_big), (3080, 0, 0)]
    assert back.arrived == 4
    assert a.host.counters.in_packets == 4
    assert (narrow.sent, narrow.arrived) == (2, 0)


def test_a_deadline_is_one_event_and_what_is_sent_another() -> None:
    world = World()
    a, b = two_hosts(world)
    world.link(a, b, delay="1ms")
    flow = Bulk(a, "10.0.0.9", 1)  # a SYN that nobody answers
    times: list[float] = []
    world.watch(lambda: times.append(world.now_s))
    world.run(for_s=3.5)
    assert flow.error == 0
    second = [1.0, 1.001]  # the timeout; the arrival
    assert times == [0, 0.001, *second, *(t + 1 for t in second), *(t + 2 for t in second)]


@pytest.mark.parametrize("rate", [None, "8mbit"])
def test_what_an_owner_sends_when_it_is_told_is_no_event_of_its_own(rate: str | None) -> None:
    world = World()
    a, b = (world.host(name, sysctl={"tcp_syn_retries": 1}) for name in "ab")
    world.link(a, b, rate=rate, delay="10ms")
    Sink(b, 1, make=Responder)
    times: list[int] = []
    lost = Flow(a, connecting(a, "10.0.0.9", 1))  # a SYN, and one more: the timeout is at 3 s
    seen: list[int] = []

    def told(events: int) -> None:
        seen.append(world.now_us - START_US)
        Requests(a, b, 1, count=2, response=30_000)

    world.run(for_s=2)
    lost.socket.on_events = told
    world.watch(lambda: times.append(world.now_us - START_US))
    world.run(for_s=2)
    assert seen == [3_000_000]
    assert times.count(3_000_000) == 1
    assert len(times) >= 10
    assert len(times) == len(set(times))  # nothing else happens at any time


def test_a_digest_tells_worlds_apart_by_octets_by_times_and_by_links() -> None:
    def digest(octets: int = 100, at: float = 0, *names: str) -> str:
        world = World(digest=True)
        a, b = (world.host(name, f"10.0.0.{n}/24") for n, name in enumerate(names or "ab", 1))
        world.link(a, b, delay="1ms")
        world.at(at, lambda: a.send(segment(a, b, octets), world.now_us))
        world.run(for_s=1)
        return world.digest()

    assert digest() == digest()
    others = [digest(101), digest(100, 0.5), digest(100, 0, "c", "b")]
    assert len({digest(), *others}) == 4


def test_a_flow_says_how_much_of_what_it_was_to_write_was_taken() -> None:
    world = World()
    a, b = two_hosts(world)
    world.link(a, b, rate="8mbit")
    sink = Sink(b, 1)
    flow = Bulk(a, b, 1, octets=0)
    world.run(for_s=0.1)
    assert flow.write(1000) == 1000
    world.run(for_s=0.1)
    assert flow.write(2000) == 2000
    assert 0 < (taken := flow.write(1 << 30)) < 1 << 20  # as much as there is room for
    assert flow.write(1) == 0
    assert flow.sent == 3000 + taken
    world.run(for_s=2)
    assert sink.received == 3000 + taken
