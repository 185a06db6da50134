"""Worlds: what a seed decides, how long packets take, which way they go."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from dpkt import pcapng

from pystack.errors import SetupError
from pystack.path.faults import Loss
from pystack.path.link import Link
from pystack.sim import LinkSpec, World
from pystack.sim.network.events import ENDLESS, START_US
from pystack.sim.traffic import Bulk, Requests, Responder, Sink
from pystack.wire.consts import CHECKSUM_COMPLETE
from tests.kit.packets.decode import decode

PROGRAM = """
from pystack.sim import World
from pystack.sim.traffic import Bulk, OnOff, Requests, Responder, Sink

world = World(seed={seed!r}, digest=True)
a, b, router = world.host("a"), world.host("b"), world.router("r")
world.link(a, router, rate="20mbit", delay="3ms", loss=0.02)
world.link(router, b, rate="5mbit", delay="10ms", queue=20)
Sink(b, 1)
Sink(b, 2, make=Responder)
Bulk(a, b, 1, octets=1_000_000)
Bulk(a, "fd00::2", 1)
OnOff(a, b, 1, octets=30_000, pause_us=500_000, repeat=5)
Requests(a, b, 2, count=50)
world.run(for_s=4)
print(world.digest(), world.events.count, [line.arrived for line in world.directions])
"""


ASYNC_PROGRAM = """
import asyncio, os
from pystack import sim

junk = []  # it makes places in memory differ

async def main():
    world = sim.World(seed={seed!r}, digest=True)
    clients = [world.host(f"client{{n}}") for n in range(3)]
    server, router = world.host("server"), world.router("r")
    for host in (*clients, server):
        world.link(host, router, impair="rate 5mbit delay 10ms 3ms loss 2%")

    async def chatter(reader, writer):
        while text := await reader.read(5000):
            writer.write(text * 3)
            await writer.drain()

    listening = await server.start_server(chatter, port=7)
    streams = []
    for host in clients * 4:
        reader, writer = await host.open_connection("server", 7)
        writer.write(bytes(20_000))
        streams.append((reader, writer))
        junk.extend(bytearray(n) for n in range(len(streams) * int(os.environ["JUNK"])))
    await asyncio.sleep(0.3)
    listening.close_clients()
    await asyncio.sleep(0.3)
    await asyncio.gather(*(host.aclose() for host in clients))
    print(world.digest(), world.events.count)

sim.run(main())
"""


def printed(seed: int | str, program: str = PROGRAM, **environment: str) -> str:
    """What a program prints in a process of its own."""
    command = [sys.executable, "-c", program.format(seed=seed)]
    return subprocess.run(
        command, env={"PYTHONPATH": ":".join(sys.path), **environment}, check=True,
        stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip


def test_the_same_seed_gives_the_same_octets_in_every_process() -> None:
    first = printed(7, PYTHONHASHSEED="0")
    assert len(first.split()[0]) == 64
    assert printed(7, PYTHONHASHSEED="12345") == first
    assert printed(7, PYTHONHASHSEED="random", PYTHONDEVMODE="1", TZ="Asia/Tokyo") == first
    assert printed(7, PYSTACK_PURE="1") == first
    assert printed("7") == first
    assert printed(8, PYTHONHASHSEED="0") != first


def test_so_does_an_asyncio_program_that_closes_many_connections_at_once() -> None:
    first = printed(3, ASYNC_PROGRAM, JUNK="0")
    for number in (1, 7, 30):
        assert printed(3, ASYNC_PROGRAM, JUNK=str(number)) == first


def test_a_digest_is_to_be_asked_for_in_advance() -> None:
    with pytest.raises(RuntimeError, match="digest=True"):
        World().digest()


def test_a_round_trip_takes_exactly_the_delays_and_the_time_for_its_bits() -> None:
    world = World(seed=1)
    a, b = world.host("a"), world.host("b")
    there, back = world.link(a, b, rate="1mbit", delay="20ms")
    times: list[int] = []
    there.taps.append(lambda line, packet, now_us: times.append(now_us - START_US))
    back.arrival_taps.append(lambda line, packet, now_us: times.append(now_us - START_US))
    Sink(b, 1)
    Bulk(a, b, 1, octets=1000)
    world.run(for_s=1)
    syn, syn_ack, text, acked = times[:4]
    assert syn == 0
    assert syn_ack == 2 * (60 * 8 + 20_000)  # 60 octets each way, a µs per bit
    assert text == syn_ack
    assert acked - text == (1052 + 52) * 8 + 2 * 20_000  # with headers and timestamps


def test_both_directions_may_differ() -> None:
    world = World(seed=1)
    a, b = world.host("a"), world.host("b")
    there, back = world.link(
        a, b, rate="10mbit", delay="5ms", back=LinkSpec(rate="1mbit", delay="50ms"), mtu=1000
    )
    arrivals: list[int] = []
    for line in (there, back):
        line.arrival_taps.append(lambda line, packet, now_us: arrivals.append(now_us - START_US))
    Sink(b, 1)
    Bulk(a, b, 1, octets=5000)
    world.run(for_s=1)
    assert arrivals[:2] == [48 + 5000, 48 + 5000 + 480 + 50_000]
    assert there.octets > 5000
    assert a.host.mtu == 1000


def test_a_link_takes_stages_of_its_own() -> None:
    world = World(seed=1)
    a, b = world.host("a"), world.host("b")
    loss = Loss(0.1, world.random("my loss"))
    world.link(
        a,
        b,
        rate="10mbit",
        delay="5ms",
        there=Link(loss, LinkSpec("10mbit", "5ms").stage(world.random("?"))),
    )
    sink = Sink(b, 1, check=True)
    Bulk(a, b, 1, octets=300_000)
    assert world.run(until=lambda: sink.received == 300_000, for_s=60)
    assert loss.lost > 10
    assert not sink.flows[0].wrong


@pytest.mark.parametrize("address", ["10.0.0.2", "fd00::2"])
def test_both_families_are_spoken(address: str) -> None:
    world = World(seed=1)
    a, b = (
        world.host("a", "10.0.0.1/24", "fd00::1/64"),
        world.host("b", "10.0.0.2/24", "fd00::2/64"),
    )
    world.link(a, b, rate="10mbit", delay="1ms")
    sink = Sink(b, 1, check=True)
    flow = Bulk(a, address, 1, octets=200_000)
    assert world.run(until=lambda: flow.over, for_s=10)
    assert (flow.sent, sink.received, flow.error) == (200_000, 200_000, 0)


def test_requests_are_answered_one_by_one() -> None:
    world = World(seed=1)
    a, b = world.host("a"), world.host("b")
    world.link(a, b, delay="10ms")
    Sink(b, 1, make=Responder)
    flow = Requests(a, b, 1, count=20, response=5000)
    assert world.run(until=lambda: flow.over, for_s=10)
    assert flow.latencies_us == [20_000] * 20
    assert flow.error == 0


def test_calls_come_in_their_order_and_time_never_goes_back() -> None:
    world = World()
    seen: list[tuple[str, float]] = []

    def note(name: str) -> None:
        seen.append((name, world.now_s))

    world.at("20ms", lambda: note("c"))
    world.at(0.01, lambda: note("a"))
    world.at(0.01, lambda: (note("b"), world.at(0.005, lambda: note("late"))))  # type: ignore[func-returns-value]
    world.after("1s", lambda: note("d"))
    world.run(for_s=0.5)
    assert seen == [("a", 0.01), ("b", 0.01), ("late", 0.01), ("c", 0.02)]
    assert world.now_s == 0.5
    world.run()
    assert seen[-1] == ("d", 1.0)


def test_what_cannot_be_is_refused() -> None:
    world = World()
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    world.link(a, b)
    with pytest.raises(ValueError, match="put a router between"):
        world.link(a, c)
    with pytest.raises(ValueError, match="called a already"):
        world.host("a")
    with pytest.raises(SetupError, match="tcp_nonsense"):
        world.host("d", sysctl={"tcp_nonsense": 1})
    with pytest.raises(ValueError, match="a rate is a number with"):
        world.link(c, world.router("r"), rate="fast")


def test_a_host_without_a_link_reaches_nobody() -> None:
    world = World()
    a = world.host("a")
    flow = Bulk(a, "10.9.9.9", 1)
    world.run()
    assert flow.over
    assert flow.error
    assert a.unsent == 11  # tcp_syn_retries: a SYN and 10 more of them


def test_an_endless_loop_is_found() -> None:
    world = World()

    calls = 0

    def again() -> None:
        nonlocal calls
        calls += 1
        world.after(0, again)

    world.after(0, again)
    with pytest.raises(RuntimeError, match="time does not move on: 100000 events at 1000000 µs"):
        world.run(for_s=1)
    assert calls == ENDLESS - 1


def test_as_many_events_as_that_are_none_if_time_moves_meanwhile() -> None:
    world = World()
    left = 3 * ENDLESS // 2

    def again() -> None:
        nonlocal left
        left -= 1
        if left:
            world.after(0.000_001 if left == ENDLESS else 0, again)

    world.after(0, again)
    world.run()
    assert left == 0


def test_a_capture_has_both_directions_with_the_times_of_the_world() -> None:
    world = World()
    a, b = world.host("a"), world.host("b")
    world.link(a, b, rate="1mbit", delay="20ms")
    file = io.BytesIO()
    world.capture(a, file)
    Sink(b, 1)
    world.at(2, lambda: Bulk(a, b, 1, octets=3000))
    world.run(for_s=3)
    packets = list(pcapng.Reader(io.BytesIO(file.getvalue())))
    times = [round(time * 1e6) - 2_000_000 for time, _ in packets]
    assert times[:3] == [0, 40_960, 40_960]  # SYN; SYN,ACK; ACK with text
    assert sum(len(octets) > 1000 for _, octets in packets) == 2
    for _, octets in packets:
        decode(octets, 0, CHECKSUM_COMPLETE)  # whole, with full checksums


def test_a_capture_of_the_same_seed_is_the_same_file_from_time_0_on() -> None:
    files = []
    for _ in range(2):
        world = World(1)
        a, b = world.host("a"), world.host("b")
        world.link(a, b, rate="10mbit", delay="20ms")
        file = io.BytesIO()
        world.capture(a, file)
        Sink(b, 1)
        Bulk(a, b, 1, octets=1000)
        world.run(for_s=1)
        files.append(file.getvalue())
    assert files[0] == files[1]
    times = [time for time, _ in pcapng.Reader(io.BytesIO(files[0]))]
    assert times[0] == 0
    assert times[1] == pytest.approx(0.040096)


def test_a_watcher_is_called_after_each_event_and_may_end_the_run() -> None:
    world = World()
    seen: list[int] = []
    world.watch(lambda: seen.append(world.now_us))
    a, b = world.host("a"), world.host("b")
    world.link(a, b, rate="10mbit", delay="1ms")
    Sink(b, 1)
    Bulk(a, b, 1, octets=100_000)
    world.run()
    assert len(seen) == world.events.count
    assert seen == sorted(seen)

    def complain() -> None:
        raise AssertionError("as can never be")

    world.watch(complain)
    world.after(1, lambda: None)
    with pytest.raises(AssertionError, match="as can never be"):
        world.run()


def test_words_make_a_link_too() -> None:
    world = World()
    a, b = world.host("a"), world.host("b")
    there, back = world.link(a, b, impair="rate 1mbit delay 20ms out: nth 1 in: delay 30ms")
    Sink(b, 1)
    Bulk(a, b, 1)
    sent: list[float] = []
    there.taps.append(lambda line, packet, now_us: sent.append(world.now_s))
    world.run(for_s=1.2)
    assert sent[:2] == [0, 1.0]  # the first SYN is lost
    assert back.sent > 0
    assert sent[2] == pytest.approx(1.0 + 2 * 60 * 8e-6 + 0.05)


def test_a_link_without_cutting_carries_whole_runs() -> None:
    world = World()
    a, b = world.host("a"), world.host("b")
    there, _ = world.link(a, b, delay="1ms", uncut=True)
    sizes: list[int] = []
    there.taps.append(lambda line, packet, now_us: sizes.append(len(packet[0])))
    sink = Sink(b, 1, check=True)
    flow = Bulk(a, b, 1, octets=100_000)
    assert world.run(until=lambda: flow.over, for_s=1)
    assert sink.received == 100_000
    assert max(sizes) > 10_000
