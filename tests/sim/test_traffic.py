"""Applications for experiments: what they send when nothing else is said, and when."""

from __future__ import annotations

from pystack.sim import SimHost, World
from pystack.sim.network.events import START_US
from pystack.sim.traffic import Bulk, Flow, OnOff, Requests, Responder, Sink


def two_hosts(delay: str = "1ms") -> tuple[World, SimHost, SimHost]:
    world = World()
    a, b = world.host("a"), world.host("b")
    world.link(a, b, delay=delay)
    return world, a, b


def test_bursts_go_on_for_ever_unless_they_are_counted() -> None:
    world, a, b = two_hosts()
    endless, counted = Sink(b, 1), Sink(b, 2)
    one = OnOff(a, b, 1, octets=1000, pause_us=100_000)
    other = OnOff(a, b, 2, octets=1000, pause_us=100_000, repeat=3)
    world.run(for_s=1)
    assert (one.bursts, one.sent, endless.received, one.over) == (10, 10_000, 10_000, False)
    assert (other.bursts, other.sent, counted.received, other.over) == (3, 3000, 3000, True)
    assert other.began_us == START_US
    assert other.ended_us == START_US + 2_000 + 200_000 + 2_000  # the last burst, and its answer


def test_a_burst_comes_after_the_pause_and_all_of_it() -> None:
    world, a, b = two_hosts()
    sink = Sink(b, 1)
    came: list[tuple[float, int]] = []
    OnOff(a, b, 1, octets=20_000, pause_us=500_000, repeat=2)
    world.run(until=lambda: bool(sink.flows), for_s=1)
    flow = sink.flows[0]
    flow.on_received = lambda: came.append((world.now_s, flow.received))
    world.run(for_s=2)
    assert [octets for _, octets in came][-1] == 40_000
    assert min(at for at, octets in came if octets > 20_000) == 0.002 + 0.5 + 0.001
    assert flow.over


def test_requests_and_responses_have_100_and_10_000_octets() -> None:
    world, a, b = two_hosts("10ms")
    sink = Sink(b, 1, make=Responder)
    flow = Requests(a, b, 1)
    world.run(for_s=1)
    assert (flow.sent, flow.received, flow.count) == (100, 10_000, 1)
    assert (sink.received, sink.flows[0].sent) == (100, 10_000)
    assert flow.latencies_us == [20_000]
    assert (flow.over, flow.error, flow.wrong) == (True, 0, False)


def test_requests_go_on_as_often_as_they_are_counted_and_no_longer() -> None:
    world, a, b = two_hosts("10ms")
    Sink(b, 1, make=lambda host, socket: Responder(host, socket, request=300, response=50))
    flow = Requests(a, b, 1, request=300, response=50, count=4)
    world.run(for_s=1)
    assert (flow.sent, flow.received) == (1200, 200)
    assert flow.latencies_us == [20_000] * 4


def test_a_sink_tells_whether_it_was_the_pattern() -> None:
    world, a, b = two_hosts()
    sinks = [Sink(b, 1, check=True), Sink(b, 2, check=True), Sink(b, 3)]
    Bulk(a, b, 1, octets=200_000)
    for port in (2, 3):
        flow = Bulk(a, b, port, octets=0)
        world.run(for_s=0.1)
        flow.socket.send(b"anything else")
    world.run(for_s=1)
    assert [sink.flows[0].wrong for sink in sinks] == [False, True, False]
    assert [sink.received for sink in sinks] == [200_000, 13, 13]
    sinks[0].close()
    late = Bulk(a, b, 1)
    world.run(for_s=1)
    assert late.over
    assert len(sinks[0].flows) == 1


def test_what_is_printed_tells_what_was_sent() -> None:
    world, a, b = two_hosts()
    sink = Sink(b, 1)
    flow: Flow = Bulk(a, b, 1, octets=1000)
    world.run(for_s=0.0005)
    start = f"<Bulk of a: sent 0, received 0, {flow.socket!r}>"
    assert repr(flow) == start
    world.run(for_s=1)
    assert repr(flow) == f"<Bulk of a: sent 1000, received 0, over, {flow.socket!r}>"
    assert repr(sink) == f"<Sink of b: received 1000 on 1 connection, {sink.socket!r}>"
    refused = Bulk(a, b, 2)
    world.run(for_s=1)
    assert repr(refused).startswith("<Bulk of a: sent 0, received 0, over, error 111, <Socket")
