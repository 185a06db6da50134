"""Urgent data as Linux has it: one octet out of band (RFC 9293 §3.8.5, RFC 6093)."""

from __future__ import annotations

import pytest

from pystack.events import EVENT_URGENT
from pystack.sockets import constants as c
from tests.sockets.wire import connected, make_wire
from tests.sockets.world import World, outcome, polled

INLINE = (c.SOL_SOCKET, c.SO_OOBINLINE, 1)


@pytest.mark.requirement("RFC9293-MUST-30", "RFC9293-MUST-33")
def test_the_urgent_octet_is_read_apart_and_reading_stops_at_its_mark(world: World) -> None:
    client, server = world.pair()
    client.send(b"ab")
    client.send(b"U", c.MSG_OOB)
    client.send(b"cd")
    world.settle()
    assert polled(server) == {"IN", "PRI", "OUT"}
    assert server.ioctl(c.SIOCINQ) == 2
    assert server.ioctl(c.SIOCATMARK) == 0
    assert server.recv(100, c.MSG_PEEK) == b"ab"
    assert server.recv(100) == b"ab"
    assert server.ioctl(c.SIOCATMARK) == 1
    assert server.ioctl(c.SIOCINQ) == 0
    assert polled(server) == {"IN", "PRI", "OUT"}
    assert server.recv(1, c.MSG_OOB | c.MSG_PEEK) == b"U"
    assert server.recv(1, c.MSG_OOB) == b"U"
    assert outcome(server.recv, 1, c.MSG_OOB) == "EINVAL"
    assert polled(server) == {"IN", "OUT"}
    assert server.ioctl(c.SIOCATMARK) == 1
    assert server.recv(100, c.MSG_PEEK) == b"cd"
    assert server.ioctl(c.SIOCATMARK) == 1
    assert server.recv(100) == b"cd"
    assert server.ioctl(c.SIOCATMARK) == 0
    assert polled(server) == {"OUT"}
    assert outcome(server.recv, 1, c.MSG_OOB) == "EINVAL"


def test_an_urgent_octet_that_is_read_past_is_lost(world: World) -> None:
    client, server = world.pair()
    client.send(b"abU", c.MSG_OOB)
    client.send(b"cd")
    world.settle()
    assert server.recv(100) == b"ab"
    assert server.recv(100) == b"cd"
    assert outcome(server.recv, 1, c.MSG_OOB) == "EINVAL"
    assert polled(server) == {"OUT"}


@pytest.mark.requirement("RFC9293-MUST-33")
def test_inline_the_urgent_octet_is_part_of_the_stream_and_the_mark_before_it(
    world: World,
) -> None:
    client, server = world.pair(far=[INLINE])
    client.send(b"abU", c.MSG_OOB)
    client.send(b"cd")
    world.settle()
    assert server.ioctl(c.SIOCINQ) == 5
    assert server.recv(100) == b"ab"
    assert server.ioctl(c.SIOCATMARK) == 1
    assert outcome(server.recv, 1, c.MSG_OOB) == "EINVAL"
    assert polled(server) == {"IN", "PRI", "OUT"}
    assert server.recv(100) == b"Ucd"
    assert server.ioctl(c.SIOCATMARK) == 0
    assert polled(server) == {"OUT"}


def test_nothing_but_an_urgent_octet_is_not_readable(world: World) -> None:
    client, server = world.pair()
    client.send(b"U", c.MSG_OOB)
    world.settle()
    assert polled(server) == {"PRI", "OUT"}
    assert server.ioctl(c.SIOCATMARK) == 1
    assert server.ioctl(c.SIOCINQ) == 0
    assert outcome(server.recv, 10) == "EAGAIN"  # and it is stepped over
    assert polled(server) == {"OUT"}
    assert server.ioctl(c.SIOCATMARK) == 0
    assert outcome(server.recv, 1, c.MSG_OOB) == "EINVAL"
    client.send(b"x")
    world.settle()
    assert server.recv(10) == b"x"


def test_a_second_urgent_octet_leaves_the_first_in_the_stream(world: World) -> None:
    client, server = world.pair()
    client.send(b"aU", c.MSG_OOB)
    client.send(b"bV", c.MSG_OOB)
    world.settle()
    assert server.recv(100) == b"aUb"
    assert server.ioctl(c.SIOCATMARK) == 1
    assert server.recv(1, c.MSG_OOB) == b"V"
    assert outcome(server.recv, 100) == "EAGAIN"


def test_an_urgent_octet_before_the_fin_does_not_hide_the_end_of_the_stream(world: World) -> None:
    client, server = world.pair()
    client.send(b"abU", c.MSG_OOB)
    client.shutdown(c.SHUT_WR)
    world.settle()
    assert polled(server) == {"IN", "PRI", "OUT", "RDHUP"}
    assert server.recv(100) == b"ab"
    assert server.recv(100) == b""
    assert server.recv(100) == b""


def test_an_urgent_octet_cannot_be_read_after_a_reset(world: World) -> None:
    client, server = world.pair()
    client.send(b"abU", c.MSG_OOB)
    world.settle()
    assert server.recv(1, c.MSG_OOB | c.MSG_PEEK) == b"U"
    world.reset(client)
    assert outcome(server.recv, 1, c.MSG_OOB) == "ENOTCONN"


def test_a_listener_has_no_urgent_octet(world: World) -> None:
    assert outcome(world.listener().recv, 1, c.MSG_OOB) == "ENOTCONN"


def test_without_urgent_data_there_is_none_to_read(world: World) -> None:
    client, _ = world.pair()
    assert outcome(client.recv, 1, c.MSG_OOB) == "EINVAL"


@pytest.mark.requirement("RFC9293-MUST-32")
def test_the_user_is_told_when_urgent_data_is_announced_and_when_it_moves_on(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    told: list[int] = []
    server.on_events = told.append
    for expected in (1, 2):
        client.send(b"some text, then U", c.MSG_OOB)
        wire.run()
        assert len([events for events in told if events & EVENT_URGENT]) == expected


@pytest.mark.requirement("RFC9293-MUST-31")
def test_a_long_urgent_sequence_arrives_whole(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family, far=[INLINE])
    text = bytes(range(256)) * 20
    assert client.send(text, c.MSG_OOB) == len(text)
    wire.run()
    got = server.recv(10_000)
    assert got == text[:-1]
    assert server.ioctl(c.SIOCATMARK) == 1
    assert server.recv(10_000) == text[-1:]


@pytest.mark.requirement("RFC9293-SHLD-13")
def test_ordinary_writes_never_set_the_urgent_flag(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    client.send(bytes(5000))
    wire.run()
    offset = 33 if family == c.AF_INET else 53
    assert not any(packet[offset] & 0x20 for _, packet in wire.sent)


@pytest.mark.requirement("RFC9293-MUST-66")
def test_urgent_data_is_announced_though_the_window_is_shut(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family, far=[(c.SOL_SOCKET, c.SO_RCVBUF, 4000)])
    client.send(bytes(8000))
    wire.run(30_000_000)
    assert server.tcp_info().tcpi_rcv_wnd == 0
    told: list[int] = []
    server.on_events = told.append
    client.send(b"U", c.MSG_OOB)
    wire.run(130_000_000)
    assert server.tcp_info().tcpi_rcv_wnd == 0
    assert [events for events in told if events & EVENT_URGENT]
    assert outcome(server.recv, 1, c.MSG_OOB) == "EAGAIN"  # announced, and on its way


def test_chunks_stop_at_the_mark_as_well(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    client.send(b"abU", c.MSG_OOB)
    wire.run()
    client.send(b"cd")
    wire.run()
    assert [bytes(server.take_chunk()) for _ in range(3)] == [b"ab", b"cd", b""]


def test_an_urgent_octet_is_no_text_that_is_thrown_away(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    client.send(b"abU", c.MSG_OOB)
    wire.run()
    client.send(b"cd")
    wire.run()
    assert server.skip() == 4
    assert server.take_chunk() == b""
