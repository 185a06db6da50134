"""UDP sockets: both families, errors and buffers, on our host and on Linux."""

from __future__ import annotations

import errno
import struct

import pytest

from pystack.events import EVENT_READABLE, EVENT_SOFT_ERROR, EVENT_WRITABLE
from pystack.sockets import constants as c
from pystack.sockets.constants import AF_INET, AF_INET6
from tests.sockets.udp.datagram_sockets import DISCOVER, RECVERR, REUSE, bound, pair
from tests.sockets.wire import ADDRESSES, make_wire
from tests.sockets.world import (
    IPV4_ONLY,
    IPV6_ONLY,
    KERNEL_ONLY,
    OURS_ONLY,
    OurWorld,
    World,
    error_of,
    outcome,
    polled,
)

# -- both families --------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [(AF_INET6, False)], indirect=True)
def test_a_socket_of_ipv6_speaks_ipv4_as_well(world: OurWorld) -> None:
    ipv4 = ADDRESSES[AF_INET]
    server = world.datagram(far=True)
    server.bind(("::", 53))
    client = world.datagram(family=AF_INET)
    client.sendto(b"hello", (ipv4[1], 53))
    world.settle()
    text, address = server.recvfrom(10)
    assert (text, address[0]) == (b"hello", f"::ffff:{ipv4[0]}")
    server.sendto(b"answer", address)
    world.settle()
    assert client.recvfrom(10) == (b"answer", (ipv4[1], 53))
    server.connect(address)
    assert server.getsockname()[0] == f"::ffff:{ipv4[1]}"


@IPV6_ONLY
def test_ipv6_only_leaves_ipv4_to_others(world: World) -> None:
    only = world.datagram()
    only.setsockopt(c.IPPROTO_IPV6, c.IPV6_V6ONLY, 1)
    only.bind(("::", 0))
    port = only.getsockname()[1]
    assert outcome(only.sendto, b"x", ("::ffff:198.18.0.2", 53)) == "ENETUNREACH"
    assert outcome(only.connect, ("::ffff:198.18.0.2", 53)) == "ENETUNREACH"
    assert outcome(only.setsockopt, c.IPPROTO_IPV6, c.IPV6_V6ONLY, 0) == "EINVAL"
    other = world.datagram(family=AF_INET)
    assert outcome(other.bind, ("", port)) is None
    dual = world.datagram()
    assert outcome(dual.bind, ("::", port)) == "EADDRINUSE"


# -- errors ---------------------------------------------------------------------------------------


def test_a_closed_port_is_told_once_to_a_connected_socket(world: World) -> None:
    near, far = pair(world)
    far.close()
    near.send(b"x")
    world.settle()
    assert polled(near) == {"ERR", "OUT"}
    assert outcome(near.recv, 10) == "ECONNREFUSED"
    assert polled(near) == {"OUT"}
    assert outcome(near.recv, 10) == "EAGAIN"
    near.send(b"x")
    world.settle()
    assert outcome(near.send, b"y") == "ECONNREFUSED"
    assert outcome(near.send, b"y") == 1
    world.settle()
    assert error_of(near) == "ECONNREFUSED"
    assert error_of(near) == 0


def test_an_error_comes_before_the_datagrams_that_wait(world: World) -> None:
    near, far = pair(world)
    far.send(b"first")
    world.settle()
    far.close()
    near.send(b"x")
    world.settle()
    assert outcome(near.recv, 10) == "ECONNREFUSED"
    assert near.recv(10) == b"first"


@pytest.mark.requirement("RFC1122-S4.1.3.3-1")
def test_a_socket_that_is_not_connected_hears_of_closed_ports_with_ip_recverr_only(
    world: World,
) -> None:
    far = bound(world)
    address = world.where(far)
    far.close()
    near = world.datagram()
    near.sendto(b"x", address)
    world.settle()
    assert polled(near) == {"OUT"}
    near.setsockopt(*RECVERR[world.family])
    near.sendto(b"hello", address)
    world.settle()
    assert polled(near) == {"ERR", "OUT"}
    data, items, flags, where = near.recvmsg(100, 100, c.MSG_ERRQUEUE)
    assert (data, flags, where[:2]) == (b"hello", c.MSG_ERRQUEUE, address)
    ((level, kind, told),) = items
    assert (level, kind) == RECVERR[world.family][:2]
    number, origin = struct.unpack_from("=IB", told)
    assert number == errno.ECONNREFUSED
    assert origin == (c.SO_EE_ORIGIN_ICMP if world.family == AF_INET else c.SO_EE_ORIGIN_ICMP6)
    assert outcome(near.recvmsg, 100, 100, c.MSG_ERRQUEUE) == "EAGAIN"
    assert outcome(near.recv, 10) == "EAGAIN"


@KERNEL_ONLY
def test_who_wants_no_fragments_may_fill_the_loopback(world: World) -> None:
    near, _ = pair(world)
    near.setsockopt(*DISCOVER[world.family], c.IP_PMTUDISC_DO)
    most = 65_507 if world.family == AF_INET else 65_488  # its MTU is 65,536
    assert outcome(near.send, bytes(most)) == most


@OURS_ONLY
def test_who_wants_no_fragments_is_told_that_it_is_too_big(world: World) -> None:
    near, far = pair(world)
    near.setsockopt(*DISCOVER[world.family], c.IP_PMTUDISC_DO)
    most = 1472 if world.family == AF_INET else 1452
    assert near.send(bytes(most)) == most
    assert outcome(near.send, bytes(most + 1)) == "EMSGSIZE"
    near.setsockopt(*RECVERR[world.family])
    assert outcome(near.send, bytes(most + 1)) == "EMSGSIZE"
    world.settle()
    assert far.recv(2000) == bytes(most)
    data, items, _, _ = near.recvmsg(5, 100, c.MSG_ERRQUEUE)
    number, origin, _, _, _, info = struct.unpack_from("=IBBBBI", items[0][2])
    assert (data, number, origin) == (bytes(5), errno.EMSGSIZE, c.SO_EE_ORIGIN_LOCAL)
    assert info == 1500


@IPV4_ONLY
def test_a_broadcast_has_to_be_allowed(world: World) -> None:
    sock = world.datagram()
    if world.is_kernel:
        sock.bind((world.here, 0))
    assert outcome(sock.sendto, b"x", (world.broadcast, 99)) in ("EACCES", "ENETUNREACH")
    if not world.is_kernel:
        assert outcome(sock.connect, (world.broadcast, 99)) == "EACCES"


def test_a_broadcast_reaches_every_socket_of_the_port_here_and_there() -> None:
    world = OurWorld(AF_INET)
    socks = []
    for far, address in ((True, ""), (True, "198.18.0.255"), (False, ""), (True, "198.18.0.2")):
        sock = world.datagram(far=far)
        sock.setsockopt(*REUSE)
        sock.bind((address, 99))
        socks.append(sock)
    near = world.datagram()
    near.setsockopt(c.SOL_SOCKET, c.SO_BROADCAST, 1)
    near.sendto(b"all", ("198.18.0.255", 99))
    world.settle()
    assert [outcome(sock.recv, 10) for sock in socks] == [b"all", b"all", b"all", "EAGAIN"]
    near.sendto(b"all", ("255.255.255.255", 99))
    near.sendto(b"none", ("198.18.0.255", 98))
    world.settle()
    assert [outcome(sock.recv, 10) for sock in socks] == [b"all", "EAGAIN", b"all", "EAGAIN"]
    assert error_of(near) == 0


# -- buffers --------------------------------------------------------------------------------------


def test_a_full_receive_buffer_drops_what_comes(world: World) -> None:
    near, far = pair(world)
    far.setsockopt(c.SOL_SOCKET, c.SO_RCVBUF, 1)
    for number in range(100):
        near.send(b"%d" % number)
        world.settle()
    got = []
    while isinstance(text := outcome(far.recv, 10), bytes):
        got.append(text)
    assert 1 <= len(got) < 10
    assert got == [b"%d" % number for number in range(len(got))]
    if isinstance(world, OurWorld):
        assert far.drops == 100 - len(got)
        counters = world.wire.far.counters.as_dict()
        assert counters["udp_rcvbuf_errors"] == counters["udp_in_errors"] == far.drops
        assert counters["dropped_socket_buffer"] == far.drops
        assert counters["udp_in_datagrams"] == len(got)
    near.send(b"room again")
    world.settle()
    assert far.recv(10) == b"room again"


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_a_full_send_buffer_is_told_and_when_there_is_room_again(family: int) -> None:
    wire = make_wire()
    near, far = (host.socket(family, c.SOCK_DGRAM) for host in (wire.near, wire.far))
    far.bind((ADDRESSES[family][1], 53))
    far.setsockopt(c.SOL_SOCKET, c.SO_RCVBUF, 1_000_000)
    near.connect(far.getsockname())
    told: list[int] = []
    near.on_events = told.append
    near.setsockopt(c.SOL_SOCKET, c.SO_SNDBUF, 10_000)
    sent = 0
    while outcome(near.send, bytes(1000)) == 1000:
        sent += 1
    assert 5 < sent < 20
    assert not near.poll() & c.POLLOUT
    assert near.ioctl(c.SIOCOUTQ) > 20_000
    assert told == []
    wire.run()
    assert told == [EVENT_WRITABLE]
    assert near.ioctl(c.SIOCOUTQ) == 0
    assert near.poll() & c.POLLOUT
    assert far.ioctl(c.SIOCINQ) == 1000
    assert len(far.udp.queue) == sent


def test_events_tell_of_datagrams_and_errors_once_per_batch() -> None:
    world = OurWorld(AF_INET)
    near, far = pair(world)
    told: dict[str, list[int]] = {"near": [], "far": []}
    near.on_events = told["near"].append
    far.on_events = told["far"].append
    near.send(b"a")
    near.send(b"b")
    world.settle()
    assert told == {"near": [], "far": [EVENT_READABLE]}
    far.close()
    near.send(b"c")
    world.settle()
    assert told == {"near": [EVENT_SOFT_ERROR], "far": [EVENT_READABLE]}


def test_an_owner_may_answer_while_it_is_told() -> None:
    world = OurWorld(AF_INET6)
    near, far = pair(world)

    def answer(events: int) -> None:
        while isinstance(text := outcome(far.recv, 100), bytes):
            far.send(text.upper())

    far.on_events = answer
    for text in (b"a", b"b"):
        near.send(text)
    world.settle()
    assert [near.recv(10), near.recv(10)] == [b"A", b"B"]


def test_an_owner_that_raises_is_counted_and_the_others_are_told() -> None:
    world = OurWorld(AF_INET)
    (near, far), (near2, far2) = pair(world), pair(world)

    def fails(events: int) -> None:
        raise RuntimeError("a user's mistake")

    told: list[int] = []
    far.on_events = fails
    far2.on_events = told.append
    for sock in (near, near2):
        sock.send(b"x")
    world.settle()
    assert world.wire.far.counters.owner_errors == 1
    assert told == [EVENT_READABLE]
