"""UDP sockets: options, shutdown and close, on our host and on Linux."""

from __future__ import annotations

import errno
import itertools
import struct
from typing import Any

import pytest

from pystack.events import EVENT_SOFT_ERROR
from pystack.sockets import constants as c
from pystack.sockets.constants import AF_INET, AF_INET6
from tests.sockets.udp.datagram_sockets import bound, pair
from tests.sockets.wire import make_wire
from tests.sockets.world import (
    OurWorld,
    World,
    outcome,
    polled,
)

# -- options, shutdown, close ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "name", "value", "expected"),
    [
        (c.SOL_SOCKET, c.SO_REUSEADDR, 7, 1),
        (c.SOL_SOCKET, c.SO_REUSEPORT, 1, 1),
        (c.SOL_SOCKET, c.SO_BROADCAST, 2, 1),
        (c.SOL_SOCKET, c.SO_TYPE, None, c.SOCK_DGRAM),
        (c.SOL_SOCKET, c.SO_TYPE, 1, "ENOPROTOOPT"),
        (c.SOL_SOCKET, c.SO_PROTOCOL, None, c.IPPROTO_UDP),
        (c.SOL_SOCKET, c.SO_ACCEPTCONN, None, 0),
        (c.SOL_SOCKET, c.SO_SNDBUF, 10_000, 20_000),
        (c.SOL_SOCKET, c.SO_SNDBUF, 1, 4608),
        (c.SOL_SOCKET, c.SO_RCVBUF, 10_000, 20_000),
        (c.SOL_SOCKET, c.SO_RCVBUF, 1, 2304),
        (c.SOL_SOCKET, 9999, 1, "ENOPROTOOPT"),
        (c.IPPROTO_IP, c.IP_TTL, 1, 1),
        (c.IPPROTO_IP, c.IP_TTL, 0, "EINVAL"),
        (c.IPPROTO_IP, c.IP_TTL, 256, "EINVAL"),
        (c.IPPROTO_IP, c.IP_TTL, -1, 64),
        (c.IPPROTO_IP, c.IP_TOS, 0x13, 0x13),
        (c.IPPROTO_IP, c.IP_RECVERR, 1, 1),
        (c.IPPROTO_IP, c.IP_MTU_DISCOVER, None, c.IP_PMTUDISC_WANT),
        (c.IPPROTO_IP, c.IP_MTU_DISCOVER, c.IP_PMTUDISC_PROBE, c.IP_PMTUDISC_PROBE),
        (c.IPPROTO_IP, c.IP_MTU_DISCOVER, 6, "EINVAL"),
        (c.IPPROTO_IP, c.IP_MTU, None, "ENOTCONN"),
        (c.IPPROTO_TCP, c.TCP_NODELAY, 1, "ENOPROTOOPT"),
        (c.IPPROTO_IPV6, c.IPV6_UNICAST_HOPS, 9, 9),
        (c.IPPROTO_IPV6, c.IPV6_UNICAST_HOPS, -1, 64),
        (c.IPPROTO_IPV6, c.IPV6_UNICAST_HOPS, 256, "EINVAL"),
        (c.IPPROTO_IPV6, c.IPV6_TCLASS, 0x13, 0x13),
        (c.IPPROTO_IPV6, c.IPV6_TCLASS, 256, "EINVAL"),
        (c.IPPROTO_IPV6, c.IPV6_V6ONLY, 1, 1),
        (c.IPPROTO_IPV6, c.IPV6_RECVERR, 1, 1),
        (c.IPPROTO_IPV6, c.IPV6_MTU_DISCOVER, c.IP_PMTUDISC_DO, c.IP_PMTUDISC_DO),
        (c.IPPROTO_IPV6, c.IPV6_MTU, None, "ENOTCONN"),
    ],
)
def test_options_take_and_give_what_linux_does(
    world: World, level: int, name: int, value: int | None, expected: Any
) -> None:
    sock = world.datagram(family=AF_INET6 if level == c.IPPROTO_IPV6 else 0)
    if value is None:
        assert outcome(sock.getsockopt, level, name) == expected
    elif isinstance(expected, str):
        assert outcome(sock.setsockopt, level, name, value) == expected
    else:
        assert outcome(sock.setsockopt, level, name, value) is None
        assert sock.getsockopt(level, name) == expected
        assert sock.getsockopt(level, name, 4) == struct.pack("i", expected)


def test_an_unknown_level_is_not_supported(world: World) -> None:
    expected = "EOPNOTSUPP" if world.family == AF_INET else "ENOPROTOOPT"
    assert outcome(world.datagram().getsockopt, c.IPPROTO_TCP, c.TCP_NODELAY) == expected
    assert outcome(world.datagram().setsockopt, 9999, 1, 1) == "ENOPROTOOPT"


@pytest.mark.requirement("RFC1122-S4.1.4-1")
def test_the_ip_header_says_what_the_options_say() -> None:
    for family, tos, ttl in (
        (AF_INET, (c.IPPROTO_IP, c.IP_TOS, 0xBA), (c.IPPROTO_IP, c.IP_TTL, 7)),
        (AF_INET6, (c.IPPROTO_IPV6, c.IPV6_TCLASS, 0xBA), (c.IPPROTO_IPV6, c.IPV6_UNICAST_HOPS, 7)),
    ):
        world = OurWorld(family)
        near, _ = pair(world)
        near.setsockopt(*tos)
        near.setsockopt(*ttl)
        near.send(b"x")
        world.settle()
        (_, packet) = world.wire.sent[-1]
        if family == AF_INET:
            assert (packet[1], packet[8]) == (0xBA, 7)
        else:
            assert (packet[0] << 4 & 0xF0 | packet[1] >> 4, packet[7]) == (0xBA, 7)


def test_shutdown_ends_sending_and_shows_in_poll(world: World) -> None:
    sock = world.datagram()
    assert outcome(sock.shutdown, 3) == "EINVAL"
    assert outcome(sock.shutdown, c.SHUT_WR) == "ENOTCONN"
    near, far = pair(world)
    near.shutdown(c.SHUT_WR)
    assert outcome(near.send, b"x") == "EPIPE"
    far.send(b"still heard")
    world.settle()
    assert near.recv(100) == b"still heard"
    near.shutdown(c.SHUT_RD)
    assert polled(near) == {"IN", "OUT", "RDHUP", "HUP"}
    assert outcome(near.recv, 100) == "EAGAIN"


def test_a_closed_socket_frees_its_port_and_takes_no_call() -> None:
    world = OurWorld(AF_INET)
    sock = bound(world)
    name = sock.getsockname()
    sock.close()
    sock.close()
    assert sock.poll() == c.POLLNVAL
    assert repr(sock).startswith("<DatagramSocket closed")
    for call, *arguments in (
        ("bind", name), ("connect", name), ("send", b""), ("sendto", b"", name), ("recv", 1),
        ("recvfrom", 1), ("recv_into", bytearray(1)), ("recvmsg", 1), ("getsockname",),
        ("getpeername",), ("getsockopt", 1, 1), ("setsockopt", 1, 1, 1), ("shutdown", 2),
        ("ioctl", c.SIOCINQ),
    ):  # fmt: skip
        assert outcome(getattr(sock, call), *arguments) == "EBADF"
    assert world.wire.far.udp.by_port == {}
    again = world.datagram(far=True)
    again.bind(name)
    near = world.datagram()
    near.connect(name)
    ours, theirs = (f"{host}:{port}" for host, port in (near.getsockname(), near.getpeername()))
    assert repr(near) == f"<DatagramSocket {ours} -> {theirs} unread 0, drops 0>"


def test_an_ioctl_of_others_is_none(world: World) -> None:
    assert outcome(world.datagram().ioctl, 0x1234) == "ENOTTY"


def test_what_waited_to_be_sent_goes_after_close(world: World) -> None:
    near, far = pair(world)
    near.send(b"last words")
    near.close()
    world.settle()
    assert far.recv(100) == b"last words"


def test_a_device_that_is_gone_is_told_to_every_socket() -> None:
    world = OurWorld(AF_INET)
    near, _ = pair(world)
    told: list[int] = []
    near.on_events = told.append
    world.wire.near.fail_all(errno.ENETDOWN)
    assert told == [EVENT_SOFT_ERROR]
    assert outcome(near.recv, 1) == "ENETDOWN"
    for _ in range(2):
        assert outcome(near.send, b"x") == "ENETDOWN"


def test_ports_are_taken_at_random_until_none_is_free() -> None:
    host = make_wire(ip_local_port_range=(40_000, 40_099)).near
    ports = []
    for _ in range(100):
        sock = host.socket(AF_INET, c.SOCK_DGRAM)
        sock.bind(("", 0))
        ports.append(sock.getsockname()[1])
    assert sorted(ports) == list(range(40_000, 40_100))
    assert ports != sorted(ports)
    steps = {after - before for before, after in itertools.pairwise(ports)}
    assert len(steps) > 30
    last = host.socket(AF_INET, c.SOCK_DGRAM)
    assert outcome(last.sendto, b"x", ("198.18.0.2", 9)) == "EAGAIN"


def test_a_host_talks_to_itself(world: World) -> None:
    sock, other = world.datagram(), world.datagram()
    for one in (sock, other):
        one.bind((world.here, 0))
    sock.sendto(b"hello", other.getsockname()[:2])
    world.settle()
    assert other.recvfrom(10) == (b"hello", sock.getsockname())
    wild = world.datagram()
    wild.sendto(b"anywhere", ("", other.getsockname()[1]))
    world.settle()
    assert other.recv(10) == b"anywhere"
    if isinstance(world, OurWorld):
        assert world.wire.sent == []
