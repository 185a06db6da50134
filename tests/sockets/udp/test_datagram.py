"""UDP sockets: datagrams and names, on our host and on Linux."""

from __future__ import annotations

from typing import Any

import pytest

from pystack.sockets import constants as c
from pystack.sockets.constants import AF_INET
from tests.sockets.udp.datagram_sockets import REUSE, REUSE_PORT, bound, pair
from tests.sockets.world import (
    OurWorld,
    World,
    outcome,
    polled,
)

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


def test_parts_gathered_by_msg_more_leave_as_one_datagram(world: World) -> None:
    near, far = pair(world)
    assert near.send(b"one ", c.MSG_MORE) == 4
    assert near.send(b"two ", c.MSG_MORE) == 4
    world.settle()
    assert outcome(far.recv, 100) == "EAGAIN"
    assert near.send(b"three") == 5
    near.send(b"four")
    world.settle()
    assert [far.recv(100), far.recv(100)] == [b"one two three", b"four"]


def test_what_udp_cork_holds_leaves_when_it_is_pulled_out(world: World) -> None:
    near, far = pair(world)
    cork = c.IPPROTO_UDP, c.UDP_CORK
    near.setsockopt(*cork, 1)
    near.send(b"one ")
    near.send(b"two")
    world.settle()
    assert outcome(far.recv, 100) == "EAGAIN"
    near.setsockopt(*cork, 0)
    world.settle()
    assert far.recv(100) == b"one two"
    near.setsockopt(*cork, 1)
    near.setsockopt(*cork, 0)  # nothing was held: no datagram
    world.settle()
    assert outcome(far.recv, 100) == "EAGAIN"


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


@pytest.mark.requirement("RFC1122-S4.1.3.5-1")
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


@pytest.mark.requirement("RFC1122-S4.1.3.5-1", "RFC1122-S4.1.3.6-2")
def test_an_address_of_nobody_here_can_not_be_bound(world: World) -> None:
    assert outcome(world.datagram().bind, (world.no_such, 0)) == "EADDRNOTAVAIL"


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
