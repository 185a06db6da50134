"""connect() and what becomes of it (RFC 9293 §3.9.1.1, §3.10.1), as Linux answers."""

from __future__ import annotations

import pytest

from pystack.sockets.constants import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SO_REUSEADDR,
    SOL_SOCKET,
)
from tests.sockets.wire import connected, make_wire
from tests.sockets.world import IPV4_ONLY, IPV6_ONLY, World, error_of, outcome, polled

ENDED = {"IN", "OUT", "HUP", "RDHUP"}
FRESH = {"OUT", "HUP"}


def test_connecting_is_in_progress_then_done_once_then_already_connected(world: World) -> None:
    listener = world.listener()
    sock = world.near()
    assert outcome(sock.connect, world.where(listener)) == "EINPROGRESS"
    world.settle()
    assert outcome(sock.connect, world.where(listener)) is None
    assert outcome(sock.connect, world.where(listener)) == "EISCONN"
    assert polled(sock) == {"OUT"}


def test_while_connecting_nothing_is_ready_and_calls_say_so(world: World) -> None:
    sock = world.near()
    address = world.silent_port()
    assert outcome(sock.connect, address) == "EINPROGRESS"
    world.settle()
    assert outcome(sock.connect, address) == "EALREADY"
    assert polled(sock) == set()
    assert outcome(sock.send, b"x") == "EAGAIN"
    assert outcome(sock.recv, 1) == "EAGAIN"
    assert outcome(sock.getpeername) == "ENOTCONN"
    assert sock.getsockname()[0] == world.here
    assert outcome(sock.listen, 1) == "EINVAL"
    assert outcome(sock.bind, ("", 0)) == "EINVAL"
    assert outcome(sock.accept) == "EINVAL"


def test_a_refused_connection_tells_connect_once_and_may_be_tried_again(world: World) -> None:
    sock = world.near()
    address = world.closed_port()
    assert outcome(sock.connect, address) == "EINPROGRESS"
    world.settle()
    assert polled(sock) == ENDED | {"ERR"}
    assert outcome(sock.getpeername) == "ENOTCONN"
    assert sock.getsockname()[0] == world.here
    assert outcome(sock.connect, address) == "ECONNREFUSED"
    assert polled(sock) == FRESH
    assert error_of(sock) == 0
    assert outcome(sock.recv, 1) == "ENOTCONN"
    assert outcome(sock.send, b"x") == "EPIPE"
    assert outcome(sock.connect, address) == "EINPROGRESS"


@pytest.mark.parametrize("first", ["recv", "send", "SO_ERROR"])
def test_the_error_of_a_refused_connection_is_given_to_whoever_asks_first(
    world: World, first: str
) -> None:
    sock = world.near()
    outcome(sock.connect, world.closed_port())
    world.settle()
    asked = {
        "recv": lambda: outcome(sock.recv, 1),
        "send": lambda: outcome(sock.send, b"x"),
        "SO_ERROR": lambda: error_of(sock),
    }[first]()
    assert asked == "ECONNREFUSED"
    assert outcome(sock.recv, 1) == b""
    assert outcome(sock.send, b"x") == "EPIPE"
    assert error_of(sock) == 0
    assert polled(sock) == ENDED
    assert outcome(sock.listen, 1) == "EINVAL"
    assert outcome(sock.connect, world.closed_port()) == "ECONNABORTED"
    assert outcome(sock.connect, world.closed_port()) == "EINPROGRESS"


def test_after_a_refusal_the_port_chosen_for_us_is_free_and_shown_and_bind_possible(
    world: World,
) -> None:
    sock = world.near()
    address = world.closed_port()
    outcome(sock.connect, address)
    port = sock.getsockname()[1]
    world.settle()
    outcome(sock.connect, address)
    assert sock.getsockname()[:2] == ("0.0.0.0" if world.family == AF_INET else "::", port)
    assert outcome(sock.bind, (world.here, 0)) is None


def test_a_bound_port_outlives_a_refusal(world: World) -> None:
    reserved = world.near()
    reserved.bind((world.here, 0))
    port = reserved.getsockname()[1]
    reserved.close()
    sock = world.near()
    sock.bind((world.here, port))
    address = world.closed_port()
    outcome(sock.connect, address)
    world.settle()
    assert outcome(sock.connect, address) == "ECONNREFUSED"
    assert sock.getsockname()[:2] == (world.here, port)
    assert outcome(sock.bind, (world.here, 0)) == "EINVAL"


@pytest.mark.requirement("RFC9293-MUST-46")
def test_multicast_and_broadcast_addresses_are_refused_at_once(world: World) -> None:
    if world.family == AF_INET:
        remotes = ["224.0.0.1", "255.255.255.255", world.broadcast]
    else:
        remotes = ["ff02::1", "ff0e::1", "::ffff:224.0.0.1"]
    for remote in remotes:
        sock = world.near()
        assert outcome(sock.connect, (remote, 80)) == "ENETUNREACH"
        assert polled(sock) == FRESH


@IPV6_ONLY
def test_a_link_local_address_without_scope_is_invalid(world: World) -> None:
    assert outcome(world.near().connect, ("fe80::1", 80)) == "EINVAL"


def test_any_address_means_oneself(world: World) -> None:
    sock = world.near()
    assert outcome(sock.connect, ("", 9)) == "EINPROGRESS"
    assert sock.getsockname()[0] == world.here
    world.settle()
    assert error_of(sock) == "ECONNREFUSED"


def test_a_connection_that_exists_is_not_available_a_second_time(world: World) -> None:
    listener = world.listener()
    first, second = world.near(), world.near()
    for sock in (first, second):
        sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    first.bind((world.here, 0))
    second.bind(first.getsockname()[:2])
    assert outcome(first.connect, world.where(listener)) == "EINPROGRESS"
    assert outcome(second.connect, world.where(listener)) == "EADDRNOTAVAIL"
    assert polled(second) == FRESH


def test_a_listening_socket_does_not_connect(world: World) -> None:
    listener = world.listener()
    assert outcome(listener.connect, (world.there, 80)) == "EISCONN"


def test_unspec_dissolves_a_connection_with_a_reset(world: World) -> None:
    client, server = world.pair()
    port = client.getsockname()[1]
    assert outcome(client.connect, None) is None
    assert polled(client) == FRESH | {"ERR"}
    assert client.getsockname()[:2] == ("0.0.0.0" if world.family == AF_INET else "::", port)
    assert outcome(client.recv, 1) == "ECONNRESET"
    assert outcome(client.recv, 1) == "ENOTCONN"
    assert outcome(client.send, b"x") == "EPIPE"
    world.settle()
    assert error_of(server) == "ECONNRESET"
    listener = world.listener()
    assert outcome(client.connect, world.where(listener)) == "EINPROGRESS"
    world.settle()
    assert outcome(client.connect, world.where(listener)) is None


def test_an_error_nobody_was_told_survives_unspec_and_listen(world: World) -> None:
    client, server = world.pair()
    world.reset(server)
    assert outcome(client.connect, None) is None
    assert polled(client) == FRESH | {"ERR"}
    assert outcome(client.listen, 1) is None
    assert polled(client) == set()
    assert outcome(client.send, b"x") == "ECONNRESET"
    assert outcome(client.send, b"x") == "EPIPE"


def test_unspec_while_connecting_gives_the_attempt_up(world: World) -> None:
    sock = world.near()
    address = world.silent_port()
    outcome(sock.connect, address)
    assert outcome(sock.connect, None) is None
    assert polled(sock) == FRESH | {"ERR"}
    assert error_of(sock) == "ECONNRESET"
    assert outcome(sock.connect, address) == "EINPROGRESS"


def test_unspec_ends_listening_and_keeps_what_bind_chose(world: World) -> None:
    reserved = world.far()
    reserved.bind((world.there, 0))
    port = reserved.getsockname()[1]
    reserved.close()
    sock = world.far()
    assert outcome(sock.connect, None) is None
    sock.bind((world.there, port))
    sock.listen(1)
    assert outcome(sock.connect, None) is None
    assert sock.getsockname()[:2] == (world.there, port)
    assert polled(sock) == FRESH
    assert error_of(sock) == 0
    assert outcome(sock.accept) == "EINVAL"
    assert outcome(sock.listen, 1) is None


@IPV4_ONLY
def test_an_ipv6_socket_speaks_ipv4_unless_v6only(world: World) -> None:
    listener = world.listener()
    mapped = ("::ffff:" + world.there, listener.getsockname()[1])
    sock = world.near(AF_INET6)
    assert outcome(sock.connect, mapped) == "EINPROGRESS"
    world.settle()
    assert outcome(sock.connect, mapped) is None
    assert sock.getpeername()[0] == "::ffff:" + world.there
    assert sock.getsockname()[0] == "::ffff:" + world.here
    alone = world.near(AF_INET6)
    alone.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
    assert outcome(alone.connect, mapped) == "ENETUNREACH"


def test_silence_is_a_timeout_after_all_repeats_of_the_syn() -> None:
    wire = make_wire(tcp_syn_retries=1, tcp_syn_linear_timeouts=0)
    wire.drop = lambda sender, packet: True
    sock = wire.near.socket()
    assert outcome(sock.connect, ("198.18.0.2", 80)) == "EINPROGRESS"
    wire.run(10_000_000)
    assert outcome(sock.connect, ("198.18.0.2", 80)) == "ETIMEDOUT"


def test_a_family_without_an_address_is_unreachable() -> None:
    from pystack.sockets import Host

    host = Host(("198.18.0.1/24",), secret=bytes(16))
    assert outcome(host.socket(AF_INET6).connect, ("fd00::2", 80)) == "ENETUNREACH"
    assert outcome(host.socket(AF_INET).connect, ("127.0.0.1", 80)) == "ENETUNREACH"


def test_all_ports_taken_is_address_not_available(family: int) -> None:
    wire = make_wire(ip_local_port_range=(40000, 40001))
    remote = ("198.18.0.2" if family == AF_INET else "fd00::2", 80)
    outcomes = [outcome(wire.near.socket(family).connect, remote) for _ in range(3)]
    assert outcomes == ["EINPROGRESS", "EINPROGRESS", "EADDRNOTAVAIL"]


def test_names_are_not_looked_up_and_ports_are_checked(family: int) -> None:
    sock = make_wire().near.socket(family)
    assert outcome(sock.connect, ("www.example.org", 80)) == "EINVAL"
    with pytest.raises(OverflowError):
        sock.connect(("", 65536))
    with pytest.raises(TypeError):
        sock.connect("198.18.0.2:80")


def test_an_address_of_the_other_family_is_not_supported(family: int) -> None:
    sock = make_wire().near.socket(family)
    other = "fd00::2" if family == AF_INET else "198.18.0.2"
    assert outcome(sock.connect, (other, 80)) == "EAFNOSUPPORT"


@pytest.mark.requirement("RFC9293-MUST-43")
def test_a_connection_leaves_from_the_address_that_bind_chose() -> None:
    from pystack.sockets import Host

    host = Host(("198.18.0.1/24", "198.18.0.7/24"), secret=bytes(16))
    sock = host.socket()
    sock.bind(("198.18.0.7", 0))
    outcome(sock.connect, ("198.18.0.2", 80))
    (packet,) = host.transmit(1000)
    assert bytes(packet[0][12:16]) == bytes((198, 18, 0, 7))


def test_the_blocking_errors_are_pythons_own_classes() -> None:
    wire = make_wire()
    with pytest.raises(BlockingIOError):
        wire.near.socket().connect(("198.18.0.2", 80))
    client, server = connected(wire)
    with pytest.raises(BlockingIOError):
        client.recv(1)
    server.close()
    wire.run()
    client.send(b"x")
    wire.run()
    with pytest.raises(BrokenPipeError):
        client.send(b"x")
