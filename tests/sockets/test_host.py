"""`Host`: making sockets, and its settings by their sysctl names."""

from __future__ import annotations

import errno
import socket
import sys

import pytest

from pystack.sockets import Host, Socket
from pystack.sockets import constants as c
from tests.sockets.wire import address_of, connected, listening, make_wire
from tests.sockets.world import World, outcome, polled


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((c.AF_INET, c.SOCK_STREAM, 0), None),
        ((c.AF_INET6, c.SOCK_STREAM, c.IPPROTO_TCP), None),
        ((c.AF_INET, c.SOCK_STREAM | c.SOCK_NONBLOCK | c.SOCK_CLOEXEC, 0), None),
        ((c.AF_INET, c.SOCK_STREAM, 17), "EPROTONOSUPPORT"),
        ((c.AF_INET, c.SOCK_STREAM, 1), "EPROTONOSUPPORT"),
        ((c.AF_INET, c.SOCK_STREAM, 300), "EINVAL"),
        ((c.AF_INET, c.SOCK_DGRAM, 0), None),
        ((c.AF_INET6, c.SOCK_DGRAM | c.SOCK_NONBLOCK, c.IPPROTO_UDP), None),
        ((c.AF_INET, c.SOCK_DGRAM, c.IPPROTO_TCP), "EPROTONOSUPPORT"),
        ((c.AF_INET, c.SOCK_SEQPACKET, 0), "ESOCKTNOSUPPORT"),
        ((c.AF_INET, c.SOCK_RDM, 0), "ESOCKTNOSUPPORT"),
        ((c.AF_INET, 11, 0), "EINVAL"),
        ((c.AF_INET, 77, 0), "EINVAL"),
        ((99, c.SOCK_STREAM, 0), "EAFNOSUPPORT"),
    ],
)
def test_sockets_are_made_and_refused_as_by_the_kernel(
    arguments: tuple[int, int, int], expected: str | None
) -> None:
    for make in (make_wire().near.socket, socket.socket):
        made = outcome(make, *arguments)
        if expected is not None:
            assert made == expected
            continue
        family, kind = [made.getsockopt(c.SOL_SOCKET, name) for name in (c.SO_DOMAIN, c.SO_TYPE)]
        assert (family, kind) == (arguments[0], arguments[1] & 0xF)  # without SOCK_NONBLOCK
        made.close()


def test_raw_sockets_which_linux_has_are_not_supported() -> None:
    assert outcome(make_wire().near.socket, c.AF_INET, c.SOCK_RAW) == "ESOCKTNOSUPPORT"


def test_the_constants_are_those_of_pythons_socket_and_select() -> None:
    import select

    names = [name for name in vars(c) if name.isupper() and hasattr(socket, name)]
    assert len(names) > 50
    assert {name: getattr(c, name) for name in names} == {
        name: int(getattr(socket, name)) for name in names
    }
    names = [name for name in vars(c) if name.startswith("POLL") and hasattr(select, name)]
    assert {name: getattr(c, name) for name in names} == {
        name: getattr(select, name) for name in names
    }


def test_settings_are_read_and_set_by_short_and_full_names() -> None:
    host = make_wire().near
    assert host.sysctl("net.ipv4.tcp_sack") == "1"
    assert host.sysctl("net.ipv4.tcp_sack", "0") == "0"
    assert host.sysctl("tcp_sack") == "0"
    assert host.sysctl("net.ipv4.tcp_rmem", "4096 8192 65536") == "4096\t8192\t65536"
    assert host.sysctl("net/core/somaxconn", 7) == "7"
    assert host.config.somaxconn == 7
    assert outcome(host.sysctl, "net.ipv4.nosuch") == "ENOENT"
    assert outcome(host.sysctl, "tcp_sack", "often") == "EINVAL"


def test_a_congestion_control_must_be_known() -> None:
    host = make_wire().near
    assert "reno" in host.sysctl("net.ipv4.tcp_available_congestion_control").split()
    assert host.sysctl("tcp_congestion_control", "reno") == "reno"
    assert outcome(host.sysctl, "tcp_congestion_control", "nosuch") == "ENOENT"


def test_an_unknown_ioctl_is_not_for_a_socket(world: World) -> None:
    assert outcome(world.near().ioctl, 0x1234) == "ENOTTY"


def test_a_closed_socket_polls_as_invalid() -> None:
    sock = make_wire().near.socket()
    sock.close()
    assert sock.poll() == c.POLLNVAL
    assert repr(sock) == "<Socket closed>"


def test_a_socket_shows_what_it_is() -> None:
    wire = make_wire()
    client, _ = connected(wire)
    ours, theirs = (f"{host}:{port}" for host, port in (client.getsockname(), client.getpeername()))
    assert repr(client) == f"<Socket ESTABLISHED {ours} -> {theirs} unsent 0, unread 0>"
    assert repr(wire.near.socket()) == "<Socket CLOSED 0.0.0.0:0>"
    listener = listening(wire.far, backlog=3)
    wire.near.socket().connect_ex(address_of(wire, listener))
    wire.run()
    port = listener.getsockname()[1]
    assert repr(listener) == f"<Socket LISTEN 0.0.0.0:{port} backlog 3, waiting 1>"


def test_a_handler_that_raises_ends_its_own_connection_only() -> None:
    wire = make_wire()
    first, first_peer = connected(wire)
    second, second_peer = connected(wire)

    def fails(events: int) -> None:
        raise RuntimeError("a user's mistake")

    first.on_events = fails
    for peer in (first_peer, second_peer):
        peer.send(b"hello")
    wire.run()
    assert second.recv(10) == b"hello"
    assert outcome(first_peer.recv, 1) == "ECONNRESET"
    assert polled(second) == {"OUT"}


def test_a_device_that_is_gone_ends_every_connection_with_its_error() -> None:
    wire = make_wire()
    client, _ = connected(wire)
    wire.near.fail_all(errno.ENETDOWN)
    assert outcome(client.recv, 1) == "ENETDOWN"
    assert outcome(client.send, b"x") == "EPIPE"


def test_somebody_is_told_when_a_call_has_made_something_to_transmit(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    told: list[bool] = []
    wire.near.on_dirty = lambda: told.append(True)
    client.send(b"x")
    client.send(b"y")
    assert told == [True]
    wire.run()
    client.shutdown(c.SHUT_WR)
    assert told == [True, True]


def test_sockets_are_small() -> None:
    sock = Host(secret=bytes(16)).socket()
    assert isinstance(sock, Socket)
    with pytest.raises(AttributeError):
        sock.nosuch = 1  # type: ignore[attr-defined]
    assert sys.getsizeof(sock) + sys.getsizeof(sock.settings) < 600
