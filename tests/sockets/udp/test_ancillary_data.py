"""Ancillary data of datagrams: what recvmsg tells, what sendmsg takes, on our host and on Linux."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest

from pystack.sockets import constants as c
from pystack.sockets.constants import AF_INET, AF_INET6
from tests.sockets.udp.datagram_sockets import bound, pair
from tests.sockets.world import IPV4_ONLY, IPV6_ONLY, OURS_ONLY, World, outcome

IP, IPV6, SOCKET, UDP = c.IPPROTO_IP, c.IPPROTO_IPV6, c.SOL_SOCKET, c.IPPROTO_UDP
Item = tuple[int, int, bytes]


def number(value: int) -> bytes:
    return struct.pack("i", value)


def told(sock: Any, size: int = 500) -> list[Item]:
    items: list[Item] = sock.recvmsg(1000, size)[1]
    return items


def packed(address: str) -> bytes:
    return socket.inet_pton(AF_INET6 if ":" in address else AF_INET, address)


# -- receiving ------------------------------------------------------------------------------------
@IPV4_ONLY
def test_ipv4_tells_what_was_asked_for_in_linuxs_order(world: World) -> None:
    near, far = pair(world)
    near.setsockopt(IP, c.IP_TOS, 0xBA)
    near.setsockopt(IP, c.IP_TTL, 7)
    for option in (c.IP_RECVORIGDSTADDR, c.IP_RECVTOS, c.IP_RECVTTL, c.IP_PKTINFO):
        far.setsockopt(IP, option, 1)
    near.send(b"x")
    world.settle()
    there = packed(world.there)
    port = struct.pack("!H", far.getsockname()[1])
    assert told(far) == [
        (IP, c.IP_PKTINFO, number(1) + there + there),
        (IP, c.IP_TTL, number(7)),
        (IP, c.IP_TOS, b"\xba"),
        (IP, c.IP_RECVORIGDSTADDR, struct.pack("H", AF_INET) + port + there + bytes(8)),
    ]


@IPV6_ONLY
def test_ipv6_tells_what_was_asked_for_in_linuxs_order(world: World) -> None:
    near, far = pair(world)
    near.setsockopt(IPV6, c.IPV6_TCLASS, 0xBA)
    near.setsockopt(IPV6, c.IPV6_UNICAST_HOPS, 7)
    for option in (c.IPV6_RECVTCLASS, c.IPV6_RECVHOPLIMIT, c.IPV6_RECVPKTINFO, c.IPV6_ORIGDSTADDR):
        far.setsockopt(IPV6, option, 1)
    near.send(b"x")
    world.settle()
    there = packed(world.there)
    port = struct.pack("!H", far.getsockname()[1])
    assert told(far) == [
        (IPV6, c.IPV6_PKTINFO, there + number(1)),
        (IPV6, c.IPV6_HOPLIMIT, number(7)),
        (IPV6, c.IPV6_TCLASS, number(0xBA)),
        (IPV6, c.IPV6_ORIGDSTADDR, struct.pack("H", AF_INET6) + port + bytes(4) + there + bytes(4)),
    ]


@IPV4_ONLY
def test_an_ipv6_socket_is_told_of_ipv4_too(world: World) -> None:
    far = world.datagram(far=True, family=AF_INET6)
    far.bind(("::", 0))
    far.setsockopt(IPV6, c.IPV6_RECVPKTINFO, 1)
    far.setsockopt(IPV6, c.IPV6_RECVHOPLIMIT, 1)
    far.setsockopt(IP, c.IP_RECVTTL, 1)
    world.datagram().sendto(b"x", (world.there, far.getsockname()[1]))
    world.settle()
    mapped = bytes(10) + b"\xff\xff" + packed(world.there)
    assert told(far) == [(IPV6, c.IPV6_PKTINFO, mapped + number(1)), (IP, c.IP_TTL, number(64))]


def test_what_was_not_asked_for_is_not_told(world: World) -> None:
    near, far = pair(world)
    near.send(b"x")
    world.settle()
    assert far.recvmsg(1000, 500)[1:3] == ([], 0)


@IPV4_ONLY
@pytest.mark.parametrize(
    ("size", "data", "flags"),
    [
        (0, [], c.MSG_CTRUNC),
        (15, [], c.MSG_CTRUNC),
        (16, [b""], c.MSG_CTRUNC),
        (18, [number(64)[:2]], c.MSG_CTRUNC),
        (20, [number(64)], c.MSG_CTRUNC),
        (24, [number(64)], c.MSG_CTRUNC),
        (24 + 17, [number(64), b"\0"], 0),
        (500, [number(64), b"\0"], 0),
    ],
)
def test_what_does_not_fit_is_cut_and_said_to_be(
    world: World, size: int, data: list[bytes], flags: int
) -> None:
    near, far = pair(world)
    far.setsockopt(IP, c.IP_RECVTTL, 1)
    far.setsockopt(IP, c.IP_RECVTOS, 1)
    near.send(b"x")
    world.settle()
    _, items, got, _ = far.recvmsg(1000, size)
    assert ([item[2] for item in items], got) == (data, flags)


def test_datagrams_that_found_no_room_are_counted(world: World) -> None:
    near, far = pair(world)
    far.setsockopt(SOCKET, c.SO_RXQ_OVFL, 1)
    far.setsockopt(SOCKET, c.SO_RCVBUF, 1)
    for _ in range(20):
        near.send(bytes(100))
        world.settle()
    assert told(far) == []  # before it none was lost
    while outcome(far.recv, 100) != "EAGAIN":
        pass
    near.send(b"x")
    world.settle()
    ((level, kind, data),) = told(far)
    assert (level, kind) == (SOCKET, c.SO_RXQ_OVFL)
    assert 10 <= struct.unpack("I", data)[0] < 20


# -- timestamps -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("option", "unit"), [(c.SO_TIMESTAMP, 1_000_000), (c.SO_TIMESTAMPNS, 1_000_000_000)]
)
def test_a_datagram_is_stamped_with_the_time_of_day_at_which_it_came(
    world: World, option: int, unit: int
) -> None:
    near, far = pair(world)
    far.setsockopt(SOCKET, option, 1)
    world.know_the_time()
    before = world.time_of_day()
    near.send(b"x")
    world.settle()
    ((level, kind, data),) = told(far)
    assert (level, kind) == (SOCKET, option)
    seconds, fraction = struct.unpack("qq", data)
    assert 0 <= fraction < unit
    assert before <= seconds + fraction / unit <= world.time_of_day()


@OURS_ONLY
def test_it_is_the_time_of_arrival_and_not_of_the_call(world: World) -> None:
    near, far = pair(world)
    far.setsockopt(SOCKET, c.SO_TIMESTAMP, 1)
    world.know_the_time()
    sent = world.time_of_day()
    near.send(b"x")
    world.settle()
    world.settle()
    ((_, _, data),) = told(far)
    seconds, micros = struct.unpack("qq", data)
    assert round((seconds + micros / 1e6 - sent) * 1e6) == 500  # the way there


def test_software_timestamps_of_what_comes_and_of_what_leaves(world: World) -> None:
    near, far = pair(world)
    rx, tx, software, option_id, only = 1 << 3, 1 << 1, 1 << 4, 1 << 7, 1 << 11
    far.setsockopt(SOCKET, c.SO_TIMESTAMPING, rx | software)
    near.setsockopt(SOCKET, c.SO_TIMESTAMPING, tx | 1 << 8 | software | option_id | only)
    world.know_the_time()
    before = world.time_of_day()
    for text in (b"first", b"second"):
        near.send(text)
    world.settle()
    found = []
    for _ in range(4):
        data, items, flags, _ = near.recvmsg(100, 500, c.MSG_ERRQUEUE)
        assert (data, flags) == (b"", c.MSG_ERRQUEUE)
        (_, kind, stamp), (_, _, report) = items
        assert kind == c.SO_TIMESTAMPING
        seconds, nanos = struct.unpack_from("qq", stamp)
        assert before <= seconds + nanos / 1e9 <= world.time_of_day()
        error, origin, _, _, info, name = struct.unpack_from("IBBBxII", report)
        assert (error, origin) == (42, 4)  # ENOMSG, SO_EE_ORIGIN_TIMESTAMPING
        found.append((name, info))
    assert sorted(found) == [(0, 0), (0, 1), (1, 0), (1, 1)]  # sent, given to be sent
    assert outcome(near.recvmsg, 100, 500, c.MSG_ERRQUEUE) == "EAGAIN"
    near.setsockopt(SOCKET, c.SO_TIMESTAMPING, 0)
    for _ in range(1000):  # the kernel begins to stamp packets a moment after it was asked
        near.send(b"x")
        world.settle()
        if items := told(far):
            break
    ((_, kind, stamp),) = items
    assert kind == c.SO_TIMESTAMPING
    assert len(stamp) == 48


# -- sending --------------------------------------------------------------------------------------
@IPV4_ONLY
@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ((IP, c.IP_TTL, number(9)), (9, 0)),
        ((IP, c.IP_TTL, number(0)), "EINVAL"),
        ((IP, c.IP_TTL, number(256)), "EINVAL"),
        ((IP, c.IP_TTL, b"\1"), "EINVAL"),
        ((IP, c.IP_TOS, number(0xB8)), (64, 0xB8)),
        ((IP, c.IP_TOS, b"\xb8"), (64, 0xB8)),
        ((IP, c.IP_TOS, number(256)), "EINVAL"),
        ((IP, c.IP_TOS, b"\0\0"), "EINVAL"),
        ((IP, c.IP_MTU, number(1)), "EINVAL"),
        ((SOCKET, c.SO_MARK, number(5)), (64, 0)),
        ((SOCKET, c.SO_MARK, b"\1"), "EINVAL"),
        ((SOCKET, c.SO_TXTIME, bytes(8)), "EINVAL"),
        ((SOCKET, c.SO_TIMESTAMPING, number(1 << 4)), "EINVAL"),
        ((SOCKET, c.SO_RCVBUF, number(1)), "EINVAL"),
        ((UDP, c.UDP_GRO, number(1)), "EINVAL"),
        ((UDP, c.UDP_SEGMENT, number(1)), "EINVAL"),
        ((99, 99, b"passed over"), (64, 0)),
    ],
)
def test_ipv4_takes_what_linux_takes(world: World, item: Item, expected: Any) -> None:
    near, far = pair(world)
    far.setsockopt(IP, c.IP_RECVTTL, 1)
    far.setsockopt(IP, c.IP_RECVTOS, 1)
    got = outcome(near.sendmsg, [b"x"], [item])
    world.settle()
    if isinstance(expected, str):
        assert got == expected
    else:
        assert got == 1
        ttl, tos = expected
        assert told(far) == [(IP, c.IP_TTL, number(ttl)), (IP, c.IP_TOS, bytes((tos,)))]


@IPV6_ONLY
@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ((IPV6, c.IPV6_HOPLIMIT, number(9)), (9, 0)),
        ((IPV6, c.IPV6_HOPLIMIT, number(-1)), (64, 0)),
        ((IPV6, c.IPV6_HOPLIMIT, number(256)), "EINVAL"),
        ((IPV6, c.IPV6_TCLASS, number(0xB8)), (64, 0xB8)),
        ((IPV6, c.IPV6_TCLASS, b"\xb8"), "EINVAL"),
        ((IPV6, c.IPV6_MTU, number(1)), "EINVAL"),
    ],
)
def test_ipv6_takes_what_linux_takes(world: World, item: Item, expected: Any) -> None:
    near, far = pair(world)
    far.setsockopt(IPV6, c.IPV6_RECVHOPLIMIT, 1)
    far.setsockopt(IPV6, c.IPV6_RECVTCLASS, 1)
    got = outcome(near.sendmsg, [b"x"], [item])
    world.settle()
    if isinstance(expected, str):
        assert got == expected
    else:
        assert got == 1
        hops, tclass = expected
        assert told(far) == [
            (IPV6, c.IPV6_HOPLIMIT, number(hops)), (IPV6, c.IPV6_TCLASS, number(tclass))
        ]


def source(world: World, address: str, index: int = 0) -> Item:
    if world.family == AF_INET:
        return IP, c.IP_PKTINFO, number(index) + packed(address) + bytes(4)
    return IPV6, c.IPV6_PKTINFO, packed(address) + number(index)


def test_pktinfo_chooses_the_source(world: World) -> None:
    far = bound(world)
    near = world.datagram()
    assert near.sendmsg([b"he", b"llo"], [source(world, world.here, 1)], 0, world.where(far)) == 5
    world.settle()
    data, where = far.recvfrom(100)
    assert (data, where[0]) == (b"hello", world.here)
    assert outcome(near.sendmsg, [b"x"], [source(world, world.no_such)], 0, world.where(far)) == (
        "ENETUNREACH" if world.family == AF_INET else "EINVAL"
    )
    assert outcome(near.sendmsg, [b"x"], [source(world, world.here, 77)], 0, world.where(far)) == (
        "ENODEV"
    )


# -- several at once ------------------------------------------------------------------------------
@pytest.mark.parametrize("is_item", [False, True], ids=["option", "item"])
def test_udp_segment_cuts_one_call_into_datagrams(world: World, is_item: bool) -> None:
    near, far = pair(world)
    items = []
    if is_item:
        items = [(UDP, c.UDP_SEGMENT, struct.pack("H", 400))]
    else:
        near.setsockopt(UDP, c.UDP_SEGMENT, 400)
    assert near.sendmsg([bytes(1000)], items) == 1000
    world.settle()
    assert [len(far.recv(2000)) for _ in range(3)] == [400, 400, 200]
    assert outcome(far.recv, 2000) == "EAGAIN"


def test_what_udp_segment_cannot_cut_is_refused(world: World) -> None:
    near, _ = pair(world)
    near.setsockopt(UDP, c.UDP_SEGMENT, 10)
    assert near.send(bytes(1280)) == 1280
    assert outcome(near.send, bytes(1281)) == "EINVAL"  # more than 128


def test_udp_gro_gives_what_came_together_as_one(world: World) -> None:
    near, far = pair(world)
    far.setsockopt(UDP, c.UDP_GRO, 1)
    near.sendmsg([bytes(1000)], [(UDP, c.UDP_SEGMENT, struct.pack("H", 400))])
    world.settle()
    data, items, _, _ = far.recvmsg(2000, 100)
    assert len(data) == 1000
    assert items == [(UDP, c.UDP_GRO, number(400))]
    near.send(b"alone")
    world.settle()
    assert far.recvmsg(2000, 100)[:2] == (b"alone", [])


@OURS_ONLY
def test_udp_gro_ends_with_a_smaller_datagram_and_with_another_flow(world: World) -> None:
    far = bound(world)
    far.setsockopt(UDP, c.UDP_GRO, 1)
    first, second = world.datagram(), world.datagram()
    for sock in (first, second):
        sock.connect(world.where(far))
    for sock, size in ((first, 50), (first, 50), (first, 20), (first, 50), (second, 50)):
        sock.send(bytes(size))
    world.settle()
    assert [len(far.recv(1000)) for _ in range(3)] == [120, 50, 50]


@pytest.mark.requirement("RFC8200-S8.1-2")
# -- checksums ------------------------------------------------------------------------------------
def test_a_checksum_can_be_left_out(world: World) -> None:
    near, far = pair(world)
    if world.family == AF_INET:
        near.setsockopt(SOCKET, c.SO_NO_CHECK, 1)
    else:
        near.setsockopt(UDP, c.UDP_NO_CHECK6_TX, 1)
        near.send(b"refused")
        world.settle()
        assert outcome(far.recv, 100) == "EAGAIN"
        far.setsockopt(UDP, c.UDP_NO_CHECK6_RX, 1)
    near.send(b"taken")
    world.settle()
    assert far.recv(100) == b"taken"
