"""`repr` of what a user may print: one line that says addresses, state and counts."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
import socket
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import pytest

import pystack
from pystack import Config, Host, Stack, sim
from pystack.aio.devices.cable import Cable
from pystack.cc import registry
from pystack.cc.base import AckSample
from pystack.compiling import is_compiled
from pystack.parts import variants
from pystack.path.faults import Loss
from pystack.path.link import Delay, Link
from pystack.sim.traffic import Bulk, Sink
from pystack.sockets.constants import AF_INET, SOCK_DGRAM
from tests.aio.two_stacks import LEFT, RIGHT, two_stacks

SECRET = bytes(range(32))

# What works inside and is handed to nobody; who prints one of these reads the source as well.
INSIDE = """
aio.drive.alarm.DeadlineAlarm aio.drive.alarm.LoopAlarm aio.drive.alarm.TimerAlarm
aio.handles.blocking.BlockingProxy aio.drive.capture.CaptureFile aio.handles.ready_fd.ReadyFd
aio.handles.ready_fd.ReadyDatagrams aio.handles.ready_fd.ReadyPair aio.loop.refusing.Refuser
aio.loop.ownership.Ownership
aio.handles.sendfile.FileSending aio.endpoint.streams.Handlers cc.bbr.MaxOfRounds
cc.policer.Policer device.link.Netlink device.link_watch.LinkWatch testing.bench.Bench
testing.bench.RealBench testing.bench.VirtualBench testing.bounded_runner.BoundedRunner
path.chance.Chance path.chance.Correlated path.queues.codel.CodelQueue wire.offload.Cutter
path.pcap.Capture path.language.tokens.Tokens sockets.options.OptionTable
sockets.tcp.tcp_options.TcpOptions ip.fragments.Reassembly ip.icmp.Icmp ip.icmp_limit.IcmpLimit
ip.path_mtu.PathMtu ip.ports.Ports stack.run_input.RunInput stack.time_wait.TimeWaits
stack.fast_accepts.Answer stack.fast_accepts.FastAccepts tcp.header.fastopen_option.FastOpenOption
sockets.tcp.tcp_messages.SendStamps sockets.udp.udp_ancillary.Asked
sockets.udp.udp_state.Corked udp.endpoints.Received
udp.udp_output.Sending
tcp.state.records.FastAccept tcp.state.records.FastOpen tcp.state.fastopen_cache.FastOpenCache
tcp.state.fastopen_cache.KnownServer
udp.endpoints.UdpTable stack.wakeups.Wakeups tcp.state.records.AccEcn tcp.state.recvbuf.RecvBuffer
tcp.scoreboard.scoreboard.Scoreboard tcp.state.sendbuf.SendBuffer tcp.state.stack_shared.Memory
tcp.state.stack_shared.Shared tcp.state.records.Ecn tcp.state.records.MtuSearch
tcp.state.records.Prr
tcp.state.records.ReceiveSpace tcp.state.records.Statistics tcp.state.records.TailProbe
tcp.state.records.Undo tcp.state.records.UserSettings tcp.state.variables.TcbVariables
tcp.scoreboard.ack_result.AckResult tcp.scoreboard.in_flight.InFlight
tcp.scoreboard.send_order.SendOrder tcp.scoreboard.sent_range.SentRange wire.codec.layout.Layout
wire.show.Notation sim.network.link_direction.LinkEnd sim.virtual_selector.VirtualSelector
aio.loop.calls.StackCalls aio.loop.watches.Watch aio.loop.watches.Watches
aio.loop.routing.StackRouter aio.loop.routing.CallersRouter aio.endpoint.resolve.Resolver
aio.handles.socket_state.SocketState aio.endpoint.open_handles.OpenHandles
""".split()  # noqa: SIM905 (a list of them would be a page)


def classes() -> Iterator[tuple[str, type]]:
    """Every class of the package that has no underscore, by its name below it."""
    for found in pkgutil.walk_packages(pystack.__path__, "pystack."):
        if found.name.startswith("pystack.cli") or found.name.endswith("__main__"):
            continue  # a command, nobody's library
        module = importlib.import_module(found.name)
        for name, cls in vars(module).items():
            if isinstance(cls, type) and cls.__module__ == found.name and name[0] != "_":
                yield f"{found.name.removeprefix('pystack.')}.{name}", cls


def test_every_class_that_is_handed_out_prints_itself() -> None:
    plain = {
        name
        for name, cls in classes()
        if cls.__repr__ is object.__repr__ and not getattr(cls, "_is_protocol", False)
    }
    assert sorted(plain) == sorted(INSIDE)


def printing() -> Iterator[tuple[str, type]]:
    """Those with a `__repr__` of ours that can be had half made; dataclasses are made whole."""
    for name, cls in classes():
        own: Any = inspect.getattr_static(cls, "__repr__")
        ours = getattr(own, "__module__", "").startswith("pystack")
        made_whole = is_dataclass(cls) and cls is not Config
        if ours and not made_whole and not issubclass(cls, asyncio.AbstractEventLoop):
            yield name, cls


@pytest.mark.skipif(is_compiled(), reason="mypyc's classes cannot be had without their __init__")
@pytest.mark.parametrize(("name", "cls"), list(printing()))
def test_what_is_still_being_made_prints_itself(name: str, cls: type) -> None:
    unfinished = cls.__new__(cls)
    if isinstance(unfinished, socket.socket):
        socket.socket.detach(unfinished)
    shown = repr(unfinished)
    assert "\n" not in shown
    assert shown.startswith("<") or cls is Config
    if name != "aio.loop.dual_datagram.DualDatagramTransport":  # it passes for a DatagramTransport
        assert name.rpartition(".")[2] in shown or "socket.socket" in shown


def one_line(thing: object, *words: str) -> None:
    shown = repr(thing)
    assert "\n" not in shown
    assert "object at 0x" not in shown
    assert all(word in shown for word in words), (shown, words)


@two_stacks()
async def test_stacks_transports_and_servers(left: Stack, right: Stack) -> None:
    one_line(left, f"<Stack {LEFT}/24", "over", "open: nothing on it>")

    def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    accepted: list[asyncio.StreamWriter] = []
    server = await right.start_server(quiet, RIGHT, 80)
    assert repr(server) == f"<pystack Server serving at {RIGHT}:80, 0 connections>"
    _, writer = await left.open_connection(RIGHT, 80)
    transport = writer.transport
    await asyncio.sleep(1)
    port = writer.get_extra_info("sockname")[1]
    way = f"{LEFT}:{port} -> {RIGHT}:80"
    counts = "unsent 0, flight 0, unread 0"
    assert repr(transport) == f"<pystack Transport {way} ESTABLISHED, {counts}>"
    back = f"{RIGHT}:80 <- {LEFT}:{port}"
    assert repr(accepted[0].transport) == f"<pystack Transport {back} ESTABLISHED, {counts}>"
    one_line(server, "serving", "1 connection>")
    one_line(left, "open: 1 connection>")
    one_line(right, "open: 1 connection, 1 server>")
    sock = writer.get_extra_info("socket")
    assert repr(sock) == f"<Socket ESTABLISHED {way} unsent 0, unread 0>"
    tcb = left.host.connections[next(iter(left.host.connections))]
    one_line(tcb, f"<Tcb ESTABLISHED {way} flight 0, unsent 0, unread 0, cwnd ", "rto_us ")
    endpoint, _ = await left.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(RIGHT, 9)
    )
    one_line(endpoint, "<pystack DatagramTransport open <DatagramSocket", f"-> {RIGHT}:9 unread 0")
    one_line(left, "open: 1 connection, 1 UDP endpoint>")
    endpoint.close()
    accepted[0].write(bytes(100_000_000))
    transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(5)
    one_line(transport, "ESTABLISHED, unsent 0, flight 0, unread ", ", not reading>")
    assert "unread 0" not in repr(transport)
    assert "unsent 0" not in repr(accepted[0].transport)
    accepted[0].transport.abort()
    writer.close()
    one_line(transport, way, "closed")
    server.close()
    one_line(server, "<pystack Server closed, ")
    await left.aclose()
    one_line(left, f"<Stack {LEFT}/24", "closed>")
    one_line(transport, way, "closed")
    one_line(sock, "<Socket closed")


def test_a_stack_that_is_not_open_yet() -> None:
    assert repr(Stack.over(Cable().left, "10.0.0.1/24")) == "<Stack 10.0.0.1/24, not open>"
    tun = Stack.over_tun("tun0", "198.18.0.2/24", addr6="fd00::2/64")
    assert repr(tun) == "<Stack 198.18.0.2/24, fd00::2/64, not open>"


def test_hosts_counters_and_sockets() -> None:
    host = Host(["10.0.0.1/24", "fd00::1/64"], secret=SECRET)
    assert repr(host.counters) == "<Counters all 0>"
    words = "0 connections (0 established), 0 listeners, 0 packets in, 0 out"
    assert repr(host) == f"<Host 10.0.0.1, fd00::1: {words}>"
    assert repr(host.addresses) == "<Addresses 10.0.0.1, fd00::1>"
    sock = host.socket()
    assert repr(sock) == "<Socket CLOSED 0.0.0.0:0>"
    sock.bind(("10.0.0.1", 80))
    sock.listen(5)
    assert repr(sock) == "<Socket LISTEN 10.0.0.1:80 backlog 5, waiting 0>"
    (listener,) = host.listeners.values()
    assert repr(listener) == "<Listener 10.0.0.1:80 backlog 5: 0 half open, 0 to be accepted>"
    one_line(host, "1 listener,")
    sock.close()
    assert repr(sock) == "<Socket closed 10.0.0.1:80>"
    other = host.socket()
    other.close()
    assert repr(other) == "<Socket closed>"
    calling = host.socket()
    calling.connect_ex(("10.0.0.2", 80))
    one_line(calling, "<Socket SYN_SENT 10.0.0.1:", " -> 10.0.0.2:80 unsent 0, unread 0>")
    tx = host.transmit(1)
    assert repr(tx).startswith("<TxBatch 1 packet of ")
    assert repr(host.counters) == "<Counters out_packets 1, active_opens 1>"
    host.receive([(b"nonsense", 0, 0)], 2)
    one_line(host.counters, "in_packets 1", "dropped_")
    datagrams = host.socket(AF_INET, SOCK_DGRAM)
    datagrams.bind(("10.0.0.1", 53))
    assert repr(datagrams) == "<DatagramSocket 10.0.0.1:53 unread 0, drops 0>"
    assert repr(datagrams.udp) == "<UdpEndpoint 10.0.0.1:53 unread 0, unsent 0, drops 0>"
    datagrams.close()
    one_line(datagrams, "<DatagramSocket closed")


def test_what_waits_for_a_handshake_and_what_has_closed() -> None:
    world = sim.World()
    a, b = world.host("a"), world.host("b")
    there, _ = world.link(a, b, delay="10ms")
    sink = Sink(b, 80)
    flow = Bulk(a, b, 80, octets=1000)
    world.run(for_s=0.015)
    (half,) = b.host.connections.values()
    one_line(half, "<HalfOpen 10.0.0.2:80 <- 10.0.0.1:", "SYN,ACK repeated 0>")
    world.run(for_s=1)
    (record,) = a.host.connections.values()
    one_line(record, "<TimeWait 10.0.0.1:", " - 10.0.0.2:80 until ")
    one_line(flow, "<Bulk of a: sent 1000, received 0, over, <Socket closed 10.0.0.1:")
    one_line(sink, "<Sink of b: received 1000 on 1 connection, <Socket LISTEN [::]:80 ")
    one_line(there, "a>b: sent ", "arrived ")
    one_line(a, "<SimHost a at 10.0.0.1, fd00::1: 1 connection, 0 listeners, 1 link>")
    a.stop()
    one_line(a, "<SimHost a at 10.0.0.1, fd00::1, off: ")


def test_worlds_and_what_is_in_them() -> None:
    world = sim.World(seed="x", digest=True)
    assert repr(world) == "<World seed 'x' at 0 s: 0 hosts, 0 routers, 0 links>"
    a, router = world.host("a"), world.router("r")
    there, _ = world.link(a, router, there=Link(Delay(5), Loss(0.5, world.random("loss"))))
    one_line(world, "1 host, 1 router, 1 link>")
    assert repr(router) == "<Router r at 10.0.0.2, fd00::2: 1 link, nothing forwarded>"
    assert repr(there) == "<StageLinkDirection a>r: nothing yet>"
    delay = "<Delay delay_us 5, jitter_us 0, reorder False>"
    loss = "<Loss rate 0.5, ecn False, lost 0, marked 0>"
    assert repr(there.stage) == f"<Link {delay}, {loss}>"  # type: ignore[attr-defined]
    one_line(world.events, "<Events at 1000000 µs: 0 happened, 0 wait>")


def test_devices_in_memory() -> None:
    ends = [f"<CableEnd {name} sent 0, arrived 0, octets 0>" for name in ("left", "right")]
    assert repr(Cable()) == f"<Cable {ends[0]} {ends[1]}>"


def test_parts_of_tcp_and_settings() -> None:
    for name in registry.names():
        one_line(registry.factory(name)(1448, 14480), f"{name!r} cwnd 14480, ssthresh none, mss ")
    for kind in ("ack_policy", "rtt_estimator", "nagle_policy", "loss_recovery", "pacing"):
        part = variants.make(kind, getattr(Config(), variants.KINDS[kind].setting))
        assert repr(part) == f"<{type(part).__name__} {part.name!r}>"
    one_line(AckSample(), "<AckSample at 0 µs: acked 0, ", "rtt_us -1")
    assert repr(Config()) == "Config()"
    assert repr(Config(tcp_sack=0, tcp_isn="mine")) == "Config(tcp_sack=0, tcp_isn='mine')"
    assert eval(repr(Config(tcp_rmem=(1, 2, 3)))) == Config(tcp_rmem=(1, 2, 3))


@pytest.mark.network(rtt="40ms", loss=0.5)
async def test_networks_of_a_test(network: Any) -> None:
    one_line(network, "<Network seed 0 at 0 s: <SimHost client at ", "<SimHost server at ")
    one_line(network.link, "<NetworkLink delay 20000us loss 50%; out: nothing yet; in: ")
    network.link.down("out")
    one_line(network.link, "; out down: nothing yet; in: nothing yet>")


def test_a_name_of_several_lines_is_printed_in_one() -> None:
    assert "\n" not in repr(sim.World().host("a\nb"))
