"""UDP sockets: the calls, their errno values and poll bits, on our hosts and on the kernel."""

from __future__ import annotations

import errno
import itertools
import struct
from typing import Any

import pytest

from pystack.events import EVENT_READABLE, EVENT_SOFT_ERROR, EVENT_WRITABLE
from pystack.sockets import constants as c
from pystack.sockets.constants import AF_INET, AF_INET6
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

RECVERR = {
    AF_INET: (c.IPPROTO_IP, c.IP_RECVERR, 1), AF_INET6: (c.IPPROTO_IPV6, c.IPV6_RECVERR, 1)
}  # fmt: skip
DISCOVER = {
    AF_INET: (c.IPPROTO_IP, c.IP_MTU_DISCOVER), AF_INET6: (c.IPPROTO_IPV6, c.IPV6_MTU_DISCOVER)
}  # fmt: skip


def bound(world: World, *options: tuple[int, int, Any]) -> Any:
    """A far socket at its address and a free port."""
    sock = world.datagram(far=True)
    for option in options:
        sock.setsockopt(*option)
    sock.bind((world.there, 0))
    return sock


def pair(world: World) -> tuple[Any, Any]:
    """Two sockets connected to each other, the near one first."""
    far = bound(world)
    near = world.datagram()
    near.connect(world.where(far))
    far.connect(near.getsockname()[:2])
    return near, far


# -- datagrams ------------------------------------------------------------------------------------


def test_datagrams_keep_their_bounds_and_order_and_say_from_where(world: World) -> None:
    far = bound(world)
    near = world.datagram()
    near.bind((world.here, 0))
    for text in (b"one", b"", b"three"):
        assert near.sendto(text, world.where(far)) == len(text)
    world.settle()
    assert polled(far) == {"IN", "OUT"}
    got = [far.recvfrom(100) for _ in range(3)]
    assert [text for text, _ in got] == [b"one", b"", b"three"]
    assert {address[:2] for _, address in got} == {near.getsockname()[:2]}
    assert outcome(far.recv, 100) == "EAGAIN"
    assert polled(far) == {"OUT"}


def test_what_does_not_fit_the_readers_size_is_lost(world: World) -> None:
    near, far = pair(world)
    for text in (b"hello", b"world"):
        near.send(text)
    world.settle()
    assert far.recv(2) == b"he"
    assert far.recv(100) == b"world"


def test_peeking_leaves_the_datagram_and_trunc_tells_its_length(world: World) -> None:
    near, far = pair(world)
    near.send(b"hello")
    world.settle()
    assert far.recv(2, c.MSG_PEEK) == b"he"
    buffer = bytearray(3)
    length, address = far.recvfrom_into(buffer, 0, c.MSG_PEEK | c.MSG_TRUNC)
    assert (length, bytes(buffer), address[:2]) == (5, b"hel", near.getsockname()[:2])
    data, items, flags, _ = far.recvmsg(4)
    assert (data, items, flags) == (b"hell", [], c.MSG_TRUNC)
    assert outcome(far.recvmsg, 4) == "EAGAIN"


def test_text_is_read_into_a_buffer(world: World) -> None:
    near, far = pair(world)
    near.send(b"hello")
    near.send(b"world")
    world.settle()
    buffer = bytearray(10)
    assert far.recv_into(buffer) == 5
    assert far.recv_into(buffer, 2) == 2
    assert bytes(buffer) == b"wollo\0\0\0\0\0"


@pytest.mark.parametrize("size", [1472, 1473, 9000, 65_507])
def test_datagrams_of_any_size_arrive_whole(world: World, size: int) -> None:
    near, far = pair(world)
    text = bytes(n * 7 & 0xFF for n in range(size))
    near.send(text)
    world.settle()
    assert far.recv(70_000) == text


def test_datagrams_above_the_largest_ip_packet_are_refused(world: World) -> None:
    near, far = pair(world)
    most = 65_507 if world.family == AF_INET else 65_527
    assert outcome(near.send, bytes(most + 1)) == "EMSGSIZE"
    assert outcome(near.send, bytes(70_000)) == "EMSGSIZE"
    world.settle()
    assert outcome(far.recv, 1) == "EAGAIN"


def test_there_is_no_urgent_text(world: World) -> None:
    near, _ = pair(world)
    expected = "EOPNOTSUPP" if world.family == AF_INET else 1
    assert outcome(near.send, b"x", c.MSG_OOB) == expected


def test_a_datagram_is_not_sent_in_parts() -> None:
    near, _ = pair(OurWorld(AF_INET))
    assert outcome(near.send, b"x", c.MSG_MORE) == "EOPNOTSUPP"


@pytest.mark.parametrize("call", ["recv", "recvfrom", "recvmsg"])
def test_a_negative_size_is_no_size(world: World, call: str) -> None:
    with pytest.raises(ValueError, match="negative"):
        getattr(world.datagram(), call)(-1)


def test_bytes_of_every_kind_are_sent_and_text_is_not() -> None:
    world = OurWorld(AF_INET)
    near, far = pair(world)
    near.send(bytearray(b"ab"))
    near.send(memoryview(b"a-b-c")[::2])
    near.send(memoryview(bytes(8)).cast("Q"))
    world.settle()
    assert [far.recv(100) for _ in range(3)] == [b"ab", b"abc", bytes(8)]
    for wrong in ("text", 5):
        with pytest.raises(TypeError):
            near.send(wrong)


# -- names ----------------------------------------------------------------------------------------


def test_a_socket_gets_its_port_when_it_needs_one(world: World) -> None:
    far = bound(world)
    near = world.datagram()
    assert near.getsockname()[1] == 0
    near.sendto(b"x", world.where(far))
    port = near.getsockname()[1]
    assert port
    assert near.getsockname()[0] in ("0.0.0.0", "::")
    assert outcome(near.bind, (world.here, 0)) == "EINVAL"
    near.sendto(b"x", world.where(far))
    assert near.getsockname()[1] == port


def test_connecting_chooses_the_address_to_send_from(world: World) -> None:
    far = bound(world)
    near = world.datagram()
    assert outcome(near.getpeername) == "ENOTCONN"
    assert outcome(near.send, b"x") == "EDESTADDRREQ"
    near.connect(world.where(far))
    assert near.getsockname()[0] == world.here
    assert near.getpeername()[:2] == world.where(far)


def test_a_connected_socket_hears_its_peer_alone_and_may_send_elsewhere(world: World) -> None:
    near, far = pair(world)
    stranger = world.datagram(far=True)
    stranger.bind((world.there, 0))
    stranger.sendto(b"intruder", near.getsockname()[:2])
    far.send(b"peer")
    near.sendto(b"elsewhere", world.where(stranger))
    world.settle()
    assert near.recv(100) == b"peer"
    assert outcome(near.recv, 100) != b"intruder"
    assert stranger.recvfrom(100)[1][:2] == near.getsockname()[:2]


def test_the_peer_may_be_changed(world: World) -> None:
    near, far = pair(world)
    other = bound(world)
    near.connect(world.where(other))
    near.send(b"to the other")
    far.send(b"from the first")
    world.settle()
    assert other.recv(100) == b"to the other"
    assert outcome(near.recv, 100) == "EAGAIN"


def test_dissolving_gives_back_what_bind_has_not_chosen(world: World) -> None:
    far = bound(world)
    near = world.datagram()
    near.connect(world.where(far))
    near.connect(None)
    assert near.getsockname()[:2] == (("0.0.0.0" if world.family == AF_INET else "::"), 0)
    assert outcome(near.getpeername) == "ENOTCONN"
    assert outcome(near.send, b"x") == "EDESTADDRREQ"
    assert near.getsockname()[1] != 0, "it has a port again since that send"
    other = world.datagram()
    other.bind((world.here, 0))
    other.connect(world.where(far))
    other.connect(None)
    assert other.getsockname()[:2] == (world.here, 0), "the address was chosen, the port was not"


def test_a_bound_port_stays_when_the_peer_is_dissolved(world: World) -> None:
    far = bound(world)
    probe = world.datagram()
    probe.bind((world.here, 0))
    name = probe.getsockname()
    probe.close()
    near = world.datagram()
    near.bind(name)
    near.connect(world.where(far))
    near.connect(None)
    assert near.getsockname() == name
    far.sendto(b"hello", name[:2])
    world.settle()
    assert near.recv(10) == b"hello"


def test_port_0_is_nowhere_to_send_to(world: World) -> None:
    assert outcome(world.datagram().sendto, b"x", (world.there, 0)) == "EINVAL"


def test_an_address_of_nobody_here_can_not_be_bound(world: World) -> None:
    assert outcome(world.datagram().bind, (world.no_such, 0)) == "EADDRNOTAVAIL"


REUSE = (c.SOL_SOCKET, c.SO_REUSEADDR, 1)
REUSE_PORT = (c.SOL_SOCKET, c.SO_REUSEPORT, 1)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([], [], "EADDRINUSE"),
        ([REUSE], [], "EADDRINUSE"),
        ([REUSE], [REUSE], None),
        ([REUSE_PORT], [REUSE_PORT], None),
        ([REUSE_PORT], [REUSE], "EADDRINUSE"),
    ],
)
def test_a_port_is_shared_by_those_who_all_agree(
    world: World, first: list[Any], second: list[Any], expected: str | None
) -> None:
    one = bound(world, *first)
    for wildcard in (False, True):
        other = world.datagram(far=True)
        for option in second:
            other.setsockopt(*option)
        address = ("" if wildcard else world.there, one.getsockname()[1])
        assert outcome(other.bind, address) == expected
        other.close()


def test_of_sockets_that_share_a_port_the_last_one_gets_the_datagram(world: World) -> None:
    first = bound(world, REUSE)
    second = world.datagram(far=True)
    second.setsockopt(*REUSE)
    second.bind(first.getsockname())
    world.datagram().sendto(b"x", world.where(first))
    world.settle()
    assert second.recv(10) == b"x"
    assert outcome(first.recv, 10) == "EAGAIN"


def test_the_very_address_comes_before_the_wildcard_and_the_peer_before_both(
    world: World,
) -> None:
    near = world.datagram()
    near.bind((world.here, 0))
    wide = world.datagram(far=True)
    wide.setsockopt(*REUSE)
    wide.bind(("", 0))
    port = wide.getsockname()[1]
    socks = [wide]
    for peer in (None, near.getsockname()[:2]):
        sock = world.datagram(far=True)
        sock.setsockopt(*REUSE)
        sock.bind((world.there, port))
        if peer:
            sock.connect(peer)
        socks.insert(1, sock)
    socks.reverse()
    for expected in (socks[1], socks[0], socks[2]):
        near.sendto(b"x", (world.there, port))
        world.settle()
        assert expected.recv(10) == b"x"
        expected.close()


def test_flows_are_spread_over_sockets_with_so_reuseport(world: World) -> None:
    socks = [bound(world, REUSE_PORT)]
    for _ in range(3):
        sock = world.datagram(far=True)
        sock.setsockopt(*REUSE_PORT)
        sock.bind(socks[0].getsockname())
        socks.append(sock)
    for _ in range(64):
        near = world.datagram()
        near.connect(world.where(socks[0]))
        near.send(b"a")
        near.send(b"b")
    world.settle()
    counts = []
    for sock in socks:
        got = []
        while isinstance(found := outcome(sock.recvfrom, 10), tuple):
            got.append(found)
        counts.append(len(got))
        for text, address in got:  # both of a flow at one socket
            assert (b"b" if text == b"a" else b"a", address) in got
    assert sum(counts) == 128
    assert min(counts) > 0


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


# -- options, shutdown, close ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "name", "value", "expected"),
    [
        (c.SOL_SOCKET, c.SO_REUSEADDR, 7, 1),
        (c.SOL_SOCKET, c.SO_REUSEPORT, 1, 1),
        (c.SOL_SOCKET, c.SO_BROADCAST, 2, 1),
        (c.SOL_SOCKET, c.SO_TYPE, None, c.SOCK_DGRAM),
        (c.SOL_SOCKET, c.SO_TYPE, 1, "ENOPROTOOPT"),
        (c.SOL_SOCKET, c.SO_PROTOCOL, None, c.IPPROTO_UDP),
        (c.SOL_SOCKET, c.SO_ACCEPTCONN, None, 0),
        (c.SOL_SOCKET, c.SO_SNDBUF, 10_000, 20_000),
        (c.SOL_SOCKET, c.SO_SNDBUF, 1, 4608),
        (c.SOL_SOCKET, c.SO_RCVBUF, 10_000, 20_000),
        (c.SOL_SOCKET, c.SO_RCVBUF, 1, 2304),
        (c.SOL_SOCKET, 9999, 1, "ENOPROTOOPT"),
        (c.IPPROTO_IP, c.IP_TTL, 1, 1),
        (c.IPPROTO_IP, c.IP_TTL, 0, "EINVAL"),
        (c.IPPROTO_IP, c.IP_TTL, 256, "EINVAL"),
        (c.IPPROTO_IP, c.IP_TTL, -1, 64),
        (c.IPPROTO_IP, c.IP_TOS, 0x13, 0x13),
        (c.IPPROTO_IP, c.IP_RECVERR, 1, 1),
        (c.IPPROTO_IP, c.IP_MTU_DISCOVER, None, c.IP_PMTUDISC_WANT),
        (c.IPPROTO_IP, c.IP_MTU_DISCOVER, c.IP_PMTUDISC_PROBE, c.IP_PMTUDISC_PROBE),
        (c.IPPROTO_IP, c.IP_MTU_DISCOVER, 6, "EINVAL"),
        (c.IPPROTO_IP, c.IP_MTU, None, "ENOTCONN"),
        (c.IPPROTO_TCP, c.TCP_NODELAY, 1, "ENOPROTOOPT"),
        (c.IPPROTO_IPV6, c.IPV6_UNICAST_HOPS, 9, 9),
        (c.IPPROTO_IPV6, c.IPV6_UNICAST_HOPS, -1, 64),
        (c.IPPROTO_IPV6, c.IPV6_UNICAST_HOPS, 256, "EINVAL"),
        (c.IPPROTO_IPV6, c.IPV6_TCLASS, 0x13, 0x13),
        (c.IPPROTO_IPV6, c.IPV6_TCLASS, 256, "EINVAL"),
        (c.IPPROTO_IPV6, c.IPV6_V6ONLY, 1, 1),
        (c.IPPROTO_IPV6, c.IPV6_RECVERR, 1, 1),
        (c.IPPROTO_IPV6, c.IPV6_MTU_DISCOVER, c.IP_PMTUDISC_DO, c.IP_PMTUDISC_DO),
        (c.IPPROTO_IPV6, c.IPV6_MTU, None, "ENOTCONN"),
    ],
)
def test_options_take_and_give_what_linux_does(
    world: World, level: int, name: int, value: int | None, expected: Any
) -> None:
    sock = world.datagram(family=AF_INET6 if level == c.IPPROTO_IPV6 else 0)
    if value is None:
        assert outcome(sock.getsockopt, level, name) == expected
    elif isinstance(expected, str):
        assert outcome(sock.setsockopt, level, name, value) == expected
    else:
        assert outcome(sock.setsockopt, level, name, value) is None
        assert sock.getsockopt(level, name) == expected
        assert sock.getsockopt(level, name, 4) == struct.pack("i", expected)


def test_an_unknown_level_is_not_supported(world: World) -> None:
    expected = "EOPNOTSUPP" if world.family == AF_INET else "ENOPROTOOPT"
    assert outcome(world.datagram().getsockopt, c.IPPROTO_TCP, c.TCP_NODELAY) == expected
    assert outcome(world.datagram().setsockopt, 9999, 1, 1) == "ENOPROTOOPT"


def test_the_ip_header_says_what_the_options_say() -> None:
    for family, tos, ttl in (
        (AF_INET, (c.IPPROTO_IP, c.IP_TOS, 0xBA), (c.IPPROTO_IP, c.IP_TTL, 7)),
        (AF_INET6, (c.IPPROTO_IPV6, c.IPV6_TCLASS, 0xBA), (c.IPPROTO_IPV6, c.IPV6_UNICAST_HOPS, 7)),
    ):
        world = OurWorld(family)
        near, _ = pair(world)
        near.setsockopt(*tos)
        near.setsockopt(*ttl)
        near.send(b"x")
        world.settle()
        (_, packet) = world.wire.sent[-1]
        if family == AF_INET:
            assert (packet[1], packet[8]) == (0xBA, 7)
        else:
            assert (packet[0] << 4 & 0xF0 | packet[1] >> 4, packet[7]) == (0xBA, 7)


def test_shutdown_ends_sending_and_shows_in_poll(world: World) -> None:
    sock = world.datagram()
    assert outcome(sock.shutdown, 3) == "EINVAL"
    assert outcome(sock.shutdown, c.SHUT_WR) == "ENOTCONN"
    near, far = pair(world)
    near.shutdown(c.SHUT_WR)
    assert outcome(near.send, b"x") == "EPIPE"
    far.send(b"still heard")
    world.settle()
    assert near.recv(100) == b"still heard"
    near.shutdown(c.SHUT_RD)
    assert polled(near) == {"IN", "OUT", "RDHUP", "HUP"}
    assert outcome(near.recv, 100) == "EAGAIN"


def test_a_closed_socket_frees_its_port_and_takes_no_call() -> None:
    world = OurWorld(AF_INET)
    sock = bound(world)
    name = sock.getsockname()
    sock.close()
    sock.close()
    assert sock.poll() == c.POLLNVAL
    assert repr(sock).startswith("<DatagramSocket closed")
    for call, *arguments in (
        ("bind", name), ("connect", name), ("send", b""), ("sendto", b"", name), ("recv", 1),
        ("recvfrom", 1), ("recv_into", bytearray(1)), ("recvmsg", 1), ("getsockname",),
        ("getpeername",), ("getsockopt", 1, 1), ("setsockopt", 1, 1, 1), ("shutdown", 2),
        ("ioctl", c.SIOCINQ),
    ):  # fmt: skip
        assert outcome(getattr(sock, call), *arguments) == "EBADF"
    assert world.wire.far.udp.by_port == {}
    again = world.datagram(far=True)
    again.bind(name)
    near = world.datagram()
    near.connect(name)
    ours, theirs = (f"{host}:{port}" for host, port in (near.getsockname(), near.getpeername()))
    assert repr(near) == f"<DatagramSocket {ours} -> {theirs} unread 0, drops 0>"


def test_an_ioctl_of_others_is_none(world: World) -> None:
    assert outcome(world.datagram().ioctl, 0x1234) == "ENOTTY"


def test_what_waited_to_be_sent_goes_after_close(world: World) -> None:
    near, far = pair(world)
    near.send(b"last words")
    near.close()
    world.settle()
    assert far.recv(100) == b"last words"


def test_a_device_that_is_gone_is_told_to_every_socket() -> None:
    world = OurWorld(AF_INET)
    near, _ = pair(world)
    told: list[int] = []
    near.on_events = told.append
    world.wire.near.fail_all(errno.ENETDOWN)
    assert told == [EVENT_SOFT_ERROR]
    assert outcome(near.recv, 1) == "ENETDOWN"
    for _ in range(2):
        assert outcome(near.send, b"x") == "ENETDOWN"


def test_ports_are_taken_at_random_until_none_is_free() -> None:
    host = make_wire(ip_local_port_range=(40_000, 40_099)).near
    ports = []
    for _ in range(100):
        sock = host.socket(AF_INET, c.SOCK_DGRAM)
        sock.bind(("", 0))
        ports.append(sock.getsockname()[1])
    assert sorted(ports) == list(range(40_000, 40_100))
    assert ports != sorted(ports)
    steps = {after - before for before, after in itertools.pairwise(ports)}
    assert len(steps) > 30
    last = host.socket(AF_INET, c.SOCK_DGRAM)
    assert outcome(last.sendto, b"x", ("198.18.0.2", 9)) == "EAGAIN"


def test_a_host_talks_to_itself(world: World) -> None:
    sock, other = world.datagram(), world.datagram()
    for one in (sock, other):
        one.bind((world.here, 0))
    sock.sendto(b"hello", other.getsockname()[:2])
    world.settle()
    assert other.recvfrom(10) == (b"hello", sock.getsockname())
    wild = world.datagram()
    wild.sendto(b"anywhere", ("", other.getsockname()[1]))
    world.settle()
    assert other.recv(10) == b"anywhere"
    if isinstance(world, OurWorld):
        assert world.wire.sent == []
