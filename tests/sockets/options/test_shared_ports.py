"""SO_REUSEPORT, IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE, IP_FREEBIND: on ours and on Linux."""

from __future__ import annotations

import struct
from collections import Counter
from typing import Any

import pytest

from pystack.sockets import constants as c
from tests.kit.tcp import Tcp
from tests.kit.variants import VARIANTS
from tests.sockets.world import World, outcome

REUSE_PORT = (c.SOL_SOCKET, c.SO_REUSEPORT, 1)


def sharing(world: World, port: int = 0) -> Any:
    """A far socket that listens, and shares its port."""
    sock = world.far()
    sock.setsockopt(*REUSE_PORT)
    sock.bind((world.there, port))
    sock.listen(100)
    return sock


def connect(world: World, where: Any, count: int) -> list[Any]:
    clients = [world.near() for _ in range(count)]
    for client in clients:
        assert outcome(client.connect, where) == "EINPROGRESS"
    world.settle()
    return clients


def accepted(listener: Any) -> list[Any]:
    """All that wait."""
    found = []
    while (got := outcome(listener.accept)) != "EAGAIN":
        found.append(got[0])
    return found


# -- TCP ------------------------------------------------------------------------------------------
def test_several_listeners_share_a_port_and_each_gets_its_part(world: World) -> None:
    first = sharing(world)
    where = world.where(first)
    listeners = [first, *(sharing(world, where[1]) for _ in range(3))]
    clients = connect(world, where, 80)
    counts = [len(accepted(listener)) for listener in listeners]
    assert sum(counts) == len(clients)
    assert min(counts) > 3  # a fair hash fails here once in 10,000 runs


def test_all_of_them_have_to_ask_for_it(world: World) -> None:
    first = sharing(world)
    port = first.getsockname()[1]
    plain = world.far()
    assert outcome(plain.bind, (world.there, port)) == "EADDRINUSE"
    plain.setsockopt(c.SOL_SOCKET, c.SO_REUSEADDR, 1)
    assert outcome(plain.bind, (world.there, port)) == "EADDRINUSE"
    lone = world.listener()
    other = world.far()
    other.setsockopt(*REUSE_PORT)
    assert outcome(other.bind, (world.there, lone.getsockname()[1])) == "EADDRINUSE"


def test_when_one_closes_the_others_go_on(world: World) -> None:
    listeners = [sharing(world)]
    where = world.where(listeners[0])
    listeners += [sharing(world, where[1]) for _ in range(2)]
    connect(world, where, 30)
    taken = [accepted(listener) for listener in listeners]
    assert all(taken)
    listeners[0].close()
    assert outcome(taken[0][0].send, b"still there") == 11
    connect(world, where, 30)
    assert sum(len(accepted(listener)) for listener in listeners[1:]) == 30
    listeners[1].close()
    connect(world, where, 30)
    assert len(accepted(listeners[2])) == 30
    listeners[2].close()
    refused = world.near()
    outcome(refused.connect, where)
    world.settle()
    assert outcome(refused.connect, where) == "ECONNREFUSED"


def test_who_waits_at_a_listener_that_closes_is_reset_and_those_at_others_are_not(
    world: World,
) -> None:
    first = sharing(world)
    where = world.where(first)
    second = sharing(world, where[1])
    clients = connect(world, where, 20)
    first.close()
    world.settle()
    answers = Counter(outcome(client.recv, 1) for client in clients)
    assert set(answers) == {"ECONNRESET", "EAGAIN"}
    assert len(accepted(second)) == answers["EAGAIN"]


@pytest.mark.parametrize("v6only_first", [True, False])
def test_of_ipv6_sockets_that_share_a_port_those_with_ipv6_v6only_get_no_ipv4(
    v6only_first: bool,
) -> None:
    tcp = Tcp(VARIANTS["ipv4"], {})
    listeners = []
    for v6only in (v6only_first, not v6only_first):
        sock = tcp.host.socket(c.AF_INET6)
        sock.setsockopt(*REUSE_PORT)
        sock.setsockopt(c.IPPROTO_IPV6, c.IPV6_V6ONLY, int(v6only))
        sock.bind(("::", 80))
        sock.listen(100)
        listeners.append(sock)
    for port in range(2000, 2020):
        tcp.flow(str(port), remote_port=port)
    tcp.inject(*(tcp.segment("S 0:0(0) win 65535", str(port)) for port in range(2000, 2020)))
    assert len(tcp.take()) == 20
    waiting = {sock.getsockopt(c.IPPROTO_IPV6, c.IPV6_V6ONLY): sock.listener.half_open
               for sock in listeners}  # fmt: skip
    assert waiting == {1: 0, 0: 20}


def test_a_connection_of_a_shared_port_does_not_hold_it(world: World) -> None:
    first = sharing(world)
    where = world.where(first)
    connect(world, where, 1)
    (server,) = accepted(first)
    first.close()
    again = sharing(world, where[1])
    assert server.getsockname()[1] == again.getsockname()[1]


# -- UDP ------------------------------------------------------------------------------------------
def test_datagrams_of_a_flow_come_to_one_of_those_that_share_the_port(world: World) -> None:
    far = [world.datagram(far=True) for _ in range(3)]
    port = 0
    for sock in far:
        sock.setsockopt(*REUSE_PORT)
        sock.bind((world.there, port))
        port = sock.getsockname()[1]
    for number in range(60):
        near = world.datagram()
        near.connect((world.there, port))
        for _ in range(2):
            near.send(bytes((number,)))
    world.settle()
    got = []
    for sock in far:
        mine = Counter()
        while (data := outcome(sock.recv, 10)) != "EAGAIN":
            mine[data] += 1
        got.append(mine)
    assert all(set(mine.values()) == {2} for mine in got)
    assert sum(len(mine) for mine in got) == 60


# -- which port -----------------------------------------------------------------------------------
def test_bind_may_leave_the_port_to_connect(world: World) -> None:
    listener = world.listener()
    sock = world.near()
    sock.setsockopt(c.IPPROTO_IP, c.IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((world.here, 0))
    assert sock.getsockname()[:2] == (world.here, 0)
    outcome(sock.connect, world.where(listener))
    world.settle()
    host, port = sock.getsockname()[:2]
    assert host == world.here
    assert port != 0
    datagrams = world.datagram()
    datagrams.setsockopt(c.IPPROTO_IP, c.IP_BIND_ADDRESS_NO_PORT, 1)
    datagrams.bind((world.here, 0))
    assert datagrams.getsockname()[1] == 0
    datagrams.sendto(b"x", world.where(listener))
    assert datagrams.getsockname()[1] != 0


@pytest.mark.parametrize("call", ["bind", "connect", "datagram"])
def test_a_socket_takes_its_ports_from_its_own_range(world: World, call: str) -> None:
    own = (c.IPPROTO_IP, c.IP_LOCAL_PORT_RANGE, struct.pack("HH", 41_000, 41_003))
    listener = world.listener()
    ports = set()
    socks = []
    for _ in range(4):
        sock = world.datagram() if call == "datagram" else world.near()
        socks.append(sock)
        sock.setsockopt(*own)
        if call == "connect":
            outcome(sock.connect, world.where(listener))
        else:
            sock.bind((world.here, 0))
        ports.add(sock.getsockname()[1])
    assert ports == {41_000, 41_001, 41_002, 41_003}
    one_more = world.near()
    one_more.setsockopt(*own)
    if call == "bind":
        assert outcome(one_more.bind, (world.here, 0)) == "EADDRINUSE"


def test_freebind_takes_an_address_that_the_host_has_not(world: World) -> None:
    sock = world.near()
    assert outcome(sock.bind, (world.no_such, 0)) == "EADDRNOTAVAIL"
    sock.setsockopt(c.IPPROTO_IP, c.IP_FREEBIND, 1)
    assert outcome(sock.bind, (world.no_such, 0)) is None
    assert sock.getsockname()[0] == world.no_such
