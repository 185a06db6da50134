"""listen() and accept() (RFC 9293 §3.9.1.1, passive OPEN), as Linux answers."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pystack.sockets import constants as c
from tests.sockets.wire import connected, make_wire
from tests.sockets.world import IPV4_ONLY, World, error_of, outcome, polled

ENDED = {"IN", "OUT", "HUP", "RDHUP"}


def is_established(sock: Any) -> bool:
    state: int = sock.getsockopt(c.IPPROTO_TCP, c.TCP_INFO, 1)[0]
    return state == 1


def test_a_listener_is_readable_when_somebody_waits(world: World) -> None:
    listener = world.listener()
    assert polled(listener) == set()
    assert outcome(listener.accept) == "EAGAIN"
    client = world.near()
    outcome(client.connect, world.where(listener))
    world.settle()
    assert polled(listener) == {"IN"}
    server, address = listener.accept()
    assert polled(listener) == set()
    assert address[:2] == client.getsockname()[:2]
    assert server.getsockname()[:2] == world.where(listener)
    assert server.getpeername()[:2] == client.getsockname()[:2]
    assert client.getpeername()[:2] == world.where(listener)
    assert polled(server) == {"OUT"}
    assert outcome(server.connect, address) == "EISCONN"


def test_calls_that_make_no_sense_on_a_listener(world: World) -> None:
    listener = world.listener()
    assert outcome(listener.send, b"x") == "EPIPE"
    assert outcome(listener.recv, 1) == "ENOTCONN"
    assert outcome(listener.recv, 1, c.MSG_OOB) == "ENOTCONN"
    assert outcome(listener.getpeername) == "ENOTCONN"
    assert outcome(listener.bind, ("", 0)) == "EINVAL"
    for request in (c.SIOCINQ, c.SIOCOUTQ, c.SIOCOUTQNSD):
        assert outcome(listener.ioctl, request) == "EINVAL"
    assert outcome(listener.ioctl, c.SIOCATMARK) == 0


def test_accept_wants_a_listener(world: World) -> None:
    client, _ = world.pair()
    assert outcome(world.near().accept) == "EINVAL"
    assert outcome(client.accept) == "EINVAL"
    assert outcome(client.listen, 1) == "EINVAL"


def test_an_unbound_listener_gets_a_port(world: World) -> None:
    sock = world.far()
    assert outcome(sock.listen, 1) is None
    host, port = sock.getsockname()[:2]
    assert host == ("0.0.0.0" if world.family == c.AF_INET else "::")
    assert port
    client = world.near()
    outcome(client.connect, (world.there, port))
    world.settle()
    assert polled(sock) == {"IN"}


@pytest.mark.parametrize("backlog", [0, 2])
def test_one_more_than_the_backlog_may_wait(world: World, backlog: int) -> None:
    listener = world.listener(backlog=backlog)
    clients = [world.near() for _ in range(backlog + 2)]
    for client in clients:
        outcome(client.connect, world.where(listener))
        world.settle()
    assert [is_established(client) for client in clients] == [True] * (backlog + 1) + [False]
    info = listener.getsockopt(c.IPPROTO_TCP, c.TCP_INFO, 104)
    assert struct.unpack_from("=II", info, 24) == (backlog + 1, backlog)


def test_listening_again_changes_the_backlog(world: World) -> None:
    listener = world.listener(backlog=0)
    listener.listen(1)
    clients = [world.near() for _ in range(2)]
    for client in clients:
        outcome(client.connect, world.where(listener))
    world.settle()
    assert all(is_established(client) for client in clients)


def test_a_connection_reset_before_accept_is_still_accepted(world: World) -> None:
    listener = world.listener()
    client = world.near()
    outcome(client.connect, world.where(listener))
    world.settle()
    name = client.getsockname()[:2]
    world.reset(client)
    server, address = listener.accept()
    assert address[:2] == name
    assert polled(server) == ENDED | {"ERR"}
    assert outcome(server.getpeername) == "ENOTCONN"
    assert server.getsockname()[:2] == world.where(listener)
    assert outcome(server.recv, 1) == "ECONNRESET"
    assert outcome(server.recv, 1) == b""


def test_text_sent_before_accept_is_there(world: World) -> None:
    listener = world.listener()
    client = world.near()
    outcome(client.connect, world.where(listener))
    world.settle()
    client.send(b"early")
    client.shutdown(c.SHUT_WR)
    world.settle()
    server, _ = listener.accept()
    assert polled(server) == {"IN", "OUT", "RDHUP"}
    assert outcome(server.recv, 10) == b"early"
    assert outcome(server.recv, 10) == b""


def test_closing_a_listener_resets_who_was_not_accepted(world: World) -> None:
    listener = world.listener()
    client = world.near()
    outcome(client.connect, world.where(listener))
    world.settle()
    listener.close()
    world.settle()
    assert error_of(client) == "ECONNRESET"


def test_a_second_listen_changes_how_many_may_wait(world: World) -> None:
    listener = world.listener(backlog=0)
    clients = []
    for _ in range(3):
        clients.append(world.near())
        outcome(clients[-1].connect, world.where(listener))
        world.settle()
    assert [bool(client.poll() & c.POLLOUT) for client in clients] == [True, False, False]
    assert outcome(listener.listen, 5) is None
    late = world.near()
    outcome(late.connect, world.where(listener))
    world.settle()
    assert late.poll() & c.POLLOUT


def test_shutting_a_listener_for_reading_ends_its_listening(world: World) -> None:
    listener = world.listener()
    assert outcome(listener.shutdown, c.SHUT_WR) is None
    assert polled(listener) == set()
    assert outcome(listener.shutdown, c.SHUT_RD) is None
    assert polled(listener) == {"OUT", "HUP"}
    assert outcome(listener.accept) == "EINVAL"
    assert error_of(listener) == 0
    assert outcome(listener.listen, 1) is None


@IPV4_ONLY
def test_a_dual_stack_listener_takes_both_families(world: World) -> None:
    listener = world.far(c.AF_INET6)
    listener.bind(("", 0))
    listener.listen(2)
    client = world.near()
    outcome(client.connect, (world.there, listener.getsockname()[1]))
    world.settle()
    server, address = listener.accept()
    assert address == ("::ffff:" + world.here, client.getsockname()[1], 0, 0)
    assert server.getsockopt(c.SOL_SOCKET, c.SO_DOMAIN) == c.AF_INET6


@IPV4_ONLY
def test_a_v6only_listener_refuses_ipv4(world: World) -> None:
    listener = world.far(c.AF_INET6)
    listener.setsockopt(c.IPPROTO_IPV6, c.IPV6_V6ONLY, 1)
    listener.bind(("", 0))
    listener.listen(2)
    client = world.near()
    outcome(client.connect, (world.there, listener.getsockname()[1]))
    world.settle()
    assert error_of(client) == "ECONNREFUSED"


@pytest.mark.requirement("RFC9293-MUST-43")
def test_a_listener_of_one_address_does_not_take_connections_to_another() -> None:
    from pystack.sockets import Host
    from tests.sockets.wire import Wire

    near = Host(("198.18.0.1/24",), secret=bytes(16))
    far = Host(("198.18.0.2/24", "198.18.0.3/24"), secret=bytes(16))
    wire = Wire(near, far)
    listener = far.socket()
    listener.bind(("198.18.0.3", 80))
    listener.listen()
    right, wrong = near.socket(), near.socket()
    outcome(right.connect, ("198.18.0.3", 80))
    outcome(wrong.connect, ("198.18.0.2", 80))
    wire.run()
    assert error_of(right) == 0
    assert error_of(wrong) == "ECONNREFUSED"


def test_a_backlog_is_at_most_somaxconn() -> None:
    wire = make_wire(somaxconn=3)
    for backlog in (-1, 10):
        sock = wire.near.socket()
        sock.listen(backlog)
        assert sock.tcp_info().tcpi_sacked == 3


def test_the_owner_of_an_accepted_connection_is_told_what_it_missed() -> None:
    from pystack.events import EVENT_READABLE

    wire = make_wire()
    listener = wire.far.socket()
    listener.bind(("", 80))
    listener.listen()
    told: list[int] = []
    listener.on_events = told.append
    client = wire.near.socket()
    outcome(client.connect, ("198.18.0.2", 80))
    wire.run()
    assert len(told) == 1
    client.send(b"early")
    wire.run()
    server, _ = listener.accept()
    missed: list[int] = []
    server.on_events = missed.append
    wire.run()
    assert len(missed) == 1
    assert missed[0] & EVENT_READABLE


def test_a_host_may_connect_to_itself(family: int) -> None:
    wire = make_wire()
    listener = wire.near.socket(family)
    listener.listen()
    client = wire.near.socket(family)
    outcome(client.connect, ("", listener.getsockname()[1]))
    wire.run()
    server, _ = listener.accept()
    assert server.getpeername() == client.getsockname()
    client.send(b"to myself")
    wire.run()
    assert server.recv(100) == b"to myself"
    assert not wire.sent
    assert connected(wire, family)
