"""When what a socket was given leaves: TCP_NODELAY, TCP_CORK, MSG_MORE, MSG_EOR,
TCP_NOTSENT_LOWAT. Seen on the wire, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from pystack.sockets import constants as c
from pystack.sockets.constants import IPPROTO_TCP
from tests.sockets.packets import sent_by, text_of
from tests.sockets.wire import Wire, connected, make_wire
from tests.sockets.world import World

NODELAY, CORK = (IPPROTO_TCP, c.TCP_NODELAY), (IPPROTO_TCP, c.TCP_CORK)


def sent(wire: Wire, since: int) -> list[bytes]:
    return text_of(sent_by(wire, wire.near, since))


# -- what is held back ----------------------------------------------------------------------------
@pytest.mark.parametrize("held", ["cork", "more"])
def test_nodelay_lets_go_what_is_held_back(family: int, held: str) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    if held == "cork":
        client.setsockopt(*CORK, 1)
    client.send(b"held", c.MSG_MORE if held == "more" else 0)
    since = len(wire.sent)
    wire.run(1000)
    assert sent(wire, since) == []
    client.setsockopt(*NODELAY, 1)
    wire.run(0)
    assert sent(wire, since) == [b"held"]


def test_nodelay_lets_go_what_was_written_before_it_and_a_cork_stays(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    client.setsockopt(*CORK, 1)
    client.setsockopt(*NODELAY, 1)
    client.send(b"after")
    since = len(wire.sent)
    wire.run(1000)
    assert sent(wire, since) == []
    client.setsockopt(*CORK, 0)
    wire.run(0)
    assert sent(wire, since) == [b"after"]


def test_msg_more_holds_no_longer_than_to_the_next_segment_that_comes(family: int) -> None:
    """Linux: it counts for the call alone; whatever makes the connection look again lets it go."""
    wire = make_wire()
    client, server = connected(wire, family)
    client.send(b"held", c.MSG_MORE)
    since = len(wire.sent)
    wire.run(1000)
    assert sent(wire, since) == []
    server.send(b"from the peer")
    wire.run(1000)
    assert sent(wire, since) == [b"held"]


def test_msg_more_ends_with_the_next_call_without_it(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    client.send(b"one ", c.MSG_MORE)
    client.send(b"two ", c.MSG_MORE)
    client.send(b"three")
    since = len(wire.sent)
    wire.run(0)
    assert sent(wire, since) == [b"one two three"]


def test_the_peer_has_what_nodelay_let_go(world: World) -> None:
    """The same calls on Linux."""
    client, server = world.pair()
    client.setsockopt(*CORK, 1)
    client.send(b"held")
    client.setsockopt(*NODELAY, 1)
    world.settle()
    assert server.recv(100) == b"held"


# -- borders of records ---------------------------------------------------------------------------
def test_a_repeat_keeps_the_borders_of_msg_eor(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family, near=[(*NODELAY, 1)])
    records = [b"a" * 100, b"b" * 200, b"c" * 300]
    wire.drop = lambda sender, packet: sender is wire.near
    since = len(wire.sent)
    for record in records:
        client.send(record, c.MSG_EOR)
    wire.run(1000)
    assert sent(wire, since) == records
    wire.drop = lambda sender, packet: False
    since = len(wire.sent)
    wire.run(3_000_000)
    again = sent(wire, since)
    assert sorted(set(again)) == records
    assert server.recv(1000) == b"".join(records)


# -- TCP_NOTSENT_LOWAT ----------------------------------------------------------------------------
def test_one_call_takes_what_may_leave_and_up_to_the_mark(family: int) -> None:
    wire = make_wire(tcp_wmem=(4096, 262_144, 4_194_304))
    client, _ = connected(wire, family, near=[(IPPROTO_TCP, c.TCP_NOTSENT_LOWAT, 4000)])
    mss = client.tcp_info().tcpi_snd_mss
    taken = client.send(bytes(59_000))
    wire.run(0)
    info = client.tcp_info()
    assert taken == 10 * mss + info.tcpi_notsent_bytes  # the first window, and what waits
    assert 4000 <= info.tcpi_notsent_bytes < 4000 + mss
    assert not client.poll() & c.POLLOUT
    wire.run(2000)
    assert client.poll() & c.POLLOUT


def test_linux_takes_no_more_than_that_and_one_buffer(world: World) -> None:
    client, _ = world.pair(near=[(IPPROTO_TCP, c.TCP_NOTSENT_LOWAT, 4000)])
    client.setsockopt(c.SOL_SOCKET, c.SO_SNDBUF, 4_000_000)
    data: Any = bytes(4_000_000)
    assert client.send(data) < 1_000_000
