"""TCP_VARIANT: a socket's own parts, in the form "kind=name"."""

from __future__ import annotations

import pytest

from pystack.sockets import constants as c
from tests.sockets.wire import address_of, connected, listening, make_wire
from tests.sockets.world import outcome

TCP, VARIANT = c.IPPROTO_TCP, c.TCP_VARIANT


def chosen(sock: object) -> dict[str, str]:
    """What getsockopt gives, taken apart."""
    text = sock.getsockopt(TCP, VARIANT, 1024).decode()  # type: ignore[attr-defined]
    return dict(pair.split("=") for pair in text.split(","))


def test_a_fresh_socket_shows_the_settings_of_its_stack(family: int) -> None:
    wire = make_wire()
    wire.near.sysctl("tcp_nagle_policy", "off")
    shown = chosen(wire.near.socket(family))
    assert shown["ack_policy"] == "delayed"
    assert shown["nagle_policy"] == "off"
    assert shown["congestion_control"] == wire.near.sysctl("tcp_congestion_control")
    assert shown["isn"] == "rfc6528"


def test_what_is_set_is_shown_and_what_is_shown_can_be_set(family: int) -> None:
    wire = make_wire()
    sock = wire.near.socket(family)
    sock.setsockopt(TCP, VARIANT, b"ack_policy=every-4")
    sock.setsockopt(TCP, VARIANT, "nagle_policy=off,congestion_control=reno")
    shown = chosen(sock)
    assert (shown["ack_policy"], shown["nagle_policy"]) == ("every-4", "off")
    other = wire.near.socket(family)
    del shown["isn"]
    other.setsockopt(TCP, VARIANT, ",".join(f"{kind}={name}" for kind, name in shown.items()))
    assert chosen(other) == chosen(sock)


@pytest.mark.parametrize(
    ("value", "errno"),
    [
        (b"ack_policy=nosuch", "ENOENT"), (b"nosuch=delayed", "ENOENT"),
        (b"congestion_control=nosuch", "ENOENT"), (b"ack_policy", "EINVAL"), (b"", "EINVAL"),
        (b"ack_policy=every-0", "EINVAL"), (b"isn=rfc6528", "EOPNOTSUPP"),
        (b"ack_policy=quick,nagle_policy=nosuch", "ENOENT"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_refused_and_nothing_changes(
    family: int, value: bytes, errno: str
) -> None:
    sock = make_wire().near.socket(family)
    before = chosen(sock)
    assert outcome(sock.setsockopt, TCP, VARIANT, value) == errno
    assert chosen(sock) == before


def test_accepted_sockets_inherit_the_parts_of_their_listener(family: int) -> None:
    wire = make_wire()
    parts = (TCP, VARIANT, b"ack_policy=quick,rtt_estimator=rfc6298")
    listener = listening(wire.far, family, options=[parts])
    client = wire.near.socket(family)
    client.connect_ex(address_of(wire, listener))
    wire.run()
    server, _ = listener.accept()
    assert chosen(server)["ack_policy"] == "quick"
    assert chosen(server)["rtt_estimator"] == "rfc6298"
    assert server.tcb.rto_us == 1_000_000  # from its first sample on
    assert chosen(client)["ack_policy"] == "delayed"


def test_options_of_a_listener_and_of_what_it_accepts_are_their_own_afterwards(family: int) -> None:
    wire = make_wire()
    keepalive = (c.SOL_SOCKET, c.SO_KEEPALIVE, 1)
    options = [(TCP, c.TCP_NODELAY, 1), (TCP, c.TCP_KEEPIDLE, 77), keepalive]
    listener = listening(wire.far, family, options=options)
    servers = []
    for _ in range(2):
        client = wire.near.socket(family)
        client.connect_ex(address_of(wire, listener))
        wire.run()
        servers.append(listener.accept()[0])
    servers[0].setsockopt(TCP, c.TCP_KEEPIDLE, 88)
    listener.setsockopt(TCP, c.TCP_NODELAY, 0)
    expected = [(servers[0], (1, 88, 1)), (servers[1], (1, 77, 1)), (listener, (0, 77, 1))]
    for sock, values in expected:
        found = tuple(sock.getsockopt(level, name) for level, name, _ in options)
        assert found == values


def test_the_parts_of_a_connection_can_be_changed(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    client.setsockopt(TCP, VARIANT, b"nagle_policy=off,congestion_control=reno")
    assert chosen(client)["nagle_policy"] == "off"
    for _ in range(3):
        client.send(b"abc")
        wire.run(for_us=0)  # no ACK has come yet
    wire.run()
    assert server.recv(100) == b"abcabcabc"
    assert server.tcb.data_segs_in == 3
    assert chosen(server)["nagle_policy"] == "minshall"


def test_without_a_size_it_is_no_int(family: int) -> None:
    sock = make_wire().near.socket(family)
    assert sock.getsockopt(TCP, VARIANT, 10) == b"ack_policy"
