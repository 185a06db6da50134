"""shutdown() and close() (RFC 9293 §3.6, §3.10.4, §3.10.5), as Linux answers."""

from __future__ import annotations

import struct

import pytest

from pystack.sockets import constants as c
from tests.sockets.wire import connected, make_wire
from tests.sockets.world import World, error_of, outcome, polled

ENDED = {"IN", "OUT", "HUP", "RDHUP"}
CALLS = [
    ("bind", (("", 0),)), ("listen", (1,)), ("accept", ()), ("connect", (("", 1),)),
    ("send", (b"x",)), ("recv", (1,)), ("recvmsg", (1,)), ("shutdown", (0,)), ("getsockname", ()),
    ("getpeername", ()), ("setsockopt", (1, 2, 1)), ("getsockopt", (1, 2)),
]  # fmt: skip


def test_shutting_what_is_not_connected_is_refused_and_done_all_the_same(world: World) -> None:
    sock = world.near()
    assert outcome(sock.shutdown, 3) == "EINVAL"
    assert outcome(sock.shutdown, -1) == "EINVAL"
    assert outcome(sock.shutdown, c.SHUT_RDWR) == "ENOTCONN"
    assert polled(sock) == ENDED
    assert outcome(sock.recv, 1) == b""
    assert outcome(sock.send, b"x") == "EPIPE"
    listener = world.listener()
    assert outcome(sock.connect, world.where(listener)) == "EINPROGRESS"
    world.settle()
    assert outcome(sock.connect, world.where(listener)) is None
    assert outcome(sock.send, b"x") == "EPIPE"
    assert outcome(sock.recv, 1) == b""


@pytest.mark.parametrize("how", [c.SHUT_RD, c.SHUT_WR, c.SHUT_RDWR])
def test_shutting_while_connecting_gives_the_attempt_up(world: World, how: int) -> None:
    sock = world.near()
    address = world.silent_port()
    outcome(sock.connect, address)
    assert outcome(sock.shutdown, how) is None
    assert polled(sock) == {"OUT", "ERR", "HUP"}
    assert error_of(sock) == "ECONNRESET"
    assert sock.getsockname()[0] == ("0.0.0.0" if world.family == c.AF_INET else "::")
    assert outcome(sock.connect, address) == "EINPROGRESS"


@pytest.mark.requirement("RFC9293-S3.6-2")
def test_after_shutting_the_write_side_receiving_goes_on(world: World) -> None:
    client, server = world.pair()
    client.send(b"question")
    assert outcome(client.shutdown, c.SHUT_WR) is None
    assert outcome(client.send, b"x") == "EPIPE"
    world.settle()
    assert polled(client) == {"OUT"}
    assert server.recv(100) == b"question"
    assert server.recv(100) == b""
    server.send(b"answer")
    world.settle()
    assert client.recv(100) == b"answer"
    assert outcome(client.shutdown, c.SHUT_WR) is None
    assert client.getpeername()[:2] == server.getsockname()[:2]


def test_after_shutting_the_read_side_text_is_still_taken_as_linux_does(world: World) -> None:
    client, server = world.pair()
    server.send(b"early")
    world.settle()
    assert outcome(client.shutdown, c.SHUT_RD) is None
    assert polled(client) == {"IN", "OUT", "RDHUP"}
    assert client.recv(2) == b"ea"
    assert client.recv(100) == b"rly"
    assert client.recv(100) == b""
    server.send(b"late")
    world.settle()
    assert client.recv(100) == b"late"
    assert client.recv(100) == b""
    assert client.send(b"x") == 1


def test_text_for_a_socket_shut_both_ways_is_answered_by_a_reset(world: World) -> None:
    client, server = world.pair()
    client.shutdown(c.SHUT_RDWR)
    world.settle()
    assert polled(client) == ENDED
    assert server.send(b"x") == 1
    world.settle()
    assert error_of(server) == "EPIPE"
    assert polled(client) == ENDED | {"ERR"}
    assert outcome(client.recv, 1) == "ECONNRESET"


def test_both_ends_closed_in_turn(world: World) -> None:
    client, server = world.pair()
    client.shutdown(c.SHUT_WR)
    world.settle()
    assert server.recv(1) == b""
    assert outcome(server.shutdown, c.SHUT_WR) is None
    world.settle()
    for sock in (client, server):  # one in TIME_WAIT, one gone
        assert polled(sock) == ENDED
        assert outcome(sock.shutdown, c.SHUT_WR) == "ENOTCONN"
        assert outcome(sock.getpeername) == "ENOTCONN"
        assert outcome(sock.recv, 1) == b""
        assert outcome(sock.send, b"x") == "EPIPE"
        assert error_of(sock) == 0
        assert sock.ioctl(c.SIOCOUTQ) == 0
        assert outcome(sock.connect, (world.there, 1)) == "EISCONN"
        assert sock.getsockname()[1]


def test_closing_in_both_orders_is_clean(world: World) -> None:
    client, server = world.pair()
    client.send(b"last words")
    client.close()
    world.settle()
    assert polled(server) == {"IN", "OUT", "RDHUP"}
    assert server.recv(100) == b"last words"
    assert server.recv(100) == b""
    server.close()
    world.settle()


@pytest.mark.requirement("RFC9293-SHLD-3")
def test_closing_over_unread_text_resets_the_peer(world: World) -> None:
    client, server = world.pair()
    server.send(b"unread")
    world.settle()
    client.close()
    world.settle()
    assert outcome(server.recv, 1) == "ECONNRESET"


@pytest.mark.requirement("RFC9293-SHLD-3")
def test_text_after_close_resets_the_peer(world: World) -> None:
    client, server = world.pair()
    client.close()
    world.settle()
    assert server.recv(1) == b""
    assert server.send(b"x") == 1
    world.settle()
    assert error_of(server) == "EPIPE"
    assert outcome(server.send, b"x") == "EPIPE"


def test_a_linger_of_0_resets_the_peer(world: World) -> None:
    client, server = world.pair()
    client.setsockopt(c.SOL_SOCKET, c.SO_LINGER, struct.pack("ii", 1, 0))
    client.send(b"never mind")
    client.close()
    world.settle()
    assert error_of(server) == "ECONNRESET"


@pytest.mark.requirement("RFC9293-MAY-1")
@pytest.mark.parametrize(("name", "args"), CALLS)
def test_a_closed_socket_is_a_bad_descriptor(
    world: World, name: str, args: tuple[object, ...]
) -> None:
    client, _ = world.pair()
    client.close()
    assert outcome(getattr(client, name), *args) == "EBADF"
    client.close()


@pytest.mark.requirement("RFC9293-S3.6-1")
def test_what_was_sent_before_close_is_delivered_though_segments_are_lost(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    count = 0

    def every_third(sender: object, packet: bytes) -> bool:
        nonlocal count
        count += 1
        return count % 3 == 0

    wire.drop = every_third
    text = bytes(range(256)) * 60
    assert client.send(text) == len(text)
    client.close()
    got = b""
    for _ in range(400):
        wire.run(100_000)
        part = outcome(server.recv, 65536)
        if part == b"":
            break
        got += b"" if part == "EAGAIN" else part
    assert got == text


def test_a_longer_linger_closes_in_the_background(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    client.setsockopt(c.SOL_SOCKET, c.SO_LINGER, (1, 5))
    client.send(b"still coming")
    client.close()
    wire.run()
    assert server.recv(100) == b"still coming"
    assert server.recv(100) == b""


@pytest.mark.requirement("RFC9293-S3.10.4-1")
def test_closing_while_connecting_sends_nothing(family: int) -> None:
    wire = make_wire()
    sock = wire.near.socket(family)
    outcome(sock.connect, ("198.18.0.2" if family == c.AF_INET else "fd00::2", 80))
    wire.drop = lambda sender, packet: True
    wire.run()
    sent = len(wire.sent)
    sock.close()
    wire.run(10_000_000)
    assert len(wire.sent) == sent
    assert not wire.near.connections


def test_closing_in_last_ack_with_linger_0_sends_no_reset(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    client.shutdown(c.SHUT_WR)
    wire.run()
    server.recv(1)
    server.shutdown(c.SHUT_WR)
    wire.run(100)  # the FIN has left, its ACK is not here
    sent = len(wire.sent)
    server.setsockopt(c.SOL_SOCKET, c.SO_LINGER, (1, 0))
    server.close()
    wire.run(300)
    assert not [packet for host, packet in wire.sent[sent:] if host is wire.far]


@pytest.mark.requirement("RFC9293-S3.10.4-2")
def test_the_passive_closer_keeps_nothing(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    client.close()
    wire.run()
    server.close()
    wire.run()
    assert not wire.far.connections
    assert len(wire.near.connections) == 1  # TIME_WAIT
    wire.run(61_000_000)
    assert not wire.near.connections
    assert wire.near.shared.memory.held_bytes == wire.far.shared.memory.held_bytes == 0


def test_closing_gives_back_the_memory_of_unread_text(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    client.send(bytes(10_000))
    wire.run()
    assert wire.far.shared.memory.held_bytes == 10_000
    client.setsockopt(c.SOL_SOCKET, c.SO_LINGER, (1, 0))
    client.close()
    wire.run()
    server.close()
    wire.run()
    assert wire.far.shared.memory.held_bytes == 0
    assert wire.near.shared.memory.held_bytes == 0
