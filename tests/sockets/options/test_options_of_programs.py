"""Options that programs set are taken as on Linux, on TCP's and UDP's sockets."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pystack.sockets import constants as c
from tests.sockets.wire import make_wire
from tests.sockets.world import IPV4_ONLY, World, outcome

TIMEVAL = struct.pack("qq", 1, 0)
OF_BOTH: list[tuple[str, Any]] = [
    ("SO_REUSEPORT", 1), ("SO_BROADCAST", 1), ("SO_PRIORITY", 3), ("SO_RCVTIMEO", TIMEVAL),
    ("SO_SNDTIMEO", TIMEVAL), ("SO_MARK", 7), ("SO_INCOMING_CPU", 0), ("SO_BUSY_POLL", 50),
    ("SO_TIMESTAMP", 1), ("SO_TIMESTAMPNS", 1), ("SO_ZEROCOPY", 1), ("SO_RXQ_OVFL", 1),
    ("IP_BIND_ADDRESS_NO_PORT", 1), ("IP_FREEBIND", 1), ("IP_RECVTOS", 1), ("IP_RECVTTL", 1),
    ("IP_MINTTL", 1), ("IP_PKTINFO", 1), ("IP_TRANSPARENT", 1), ("IP_RECVORIGDSTADDR", 1),
]  # fmt: skip
OF_TCP: list[tuple[str, Any]] = [
    ("TCP_THIN_LINEAR_TIMEOUTS", 1), ("TCP_INQ", 1), ("SO_TXREHASH", 0),
]  # fmt: skip


def level_of(name: str) -> int:
    return {"SO": c.SOL_SOCKET, "IP": c.IPPROTO_IP, "TCP": c.IPPROTO_TCP}[name.split("_")[0]]


@IPV4_ONLY
@pytest.mark.parametrize(("name", "value"), [*OF_BOTH, *OF_TCP])
def test_a_tcp_socket_takes_and_tells_it(world: World, name: str, value: Any) -> None:
    sock = world.near()
    where = level_of(name), getattr(c, name)
    sock.setsockopt(*where, value)
    size = (len(value),) if isinstance(value, bytes) else ()
    assert sock.getsockopt(*where, *size) == value


@IPV4_ONLY
@pytest.mark.parametrize(("name", "value"), OF_BOTH)
def test_a_udp_socket_takes_and_tells_it(world: World, name: str, value: Any) -> None:
    sock = world.datagram()
    where = level_of(name), getattr(c, name)
    sock.setsockopt(*where, value)
    size = (len(value),) if isinstance(value, bytes) else ()
    assert sock.getsockopt(*where, *size) == value


def test_a_socket_is_bound_to_the_one_device_there_is(world: World) -> None:
    sock = world.near()
    bind_to = c.SOL_SOCKET, c.SO_BINDTODEVICE
    assert outcome(sock.setsockopt, *bind_to, b"no-such-one") == "ENODEV"
    assert sock.getsockopt(*bind_to, 16) == b""
    sock.setsockopt(*bind_to, world.device.encode())
    assert sock.getsockopt(*bind_to, 16) == world.device.encode() + b"\0"
    assert sock.getsockopt(c.SOL_SOCKET, c.SO_BINDTOIFINDEX) == 1
    sock.setsockopt(*bind_to, b"")
    assert sock.getsockopt(c.SOL_SOCKET, c.SO_BINDTOIFINDEX) == 0


def test_every_socket_has_its_own_cookie(world: World) -> None:
    socks = [world.near(), world.near(), world.datagram()]
    cookies = [sock.getsockopt(c.SOL_SOCKET, c.SO_COOKIE, 8) for sock in socks]
    assert len(set(cookies)) == 3
    assert cookies == [sock.getsockopt(c.SOL_SOCKET, c.SO_COOKIE, 8) for sock in socks]


@IPV4_ONLY
@pytest.mark.parametrize(("tos", "priority"), [(0, 0), (0x08, 2), (0x10, 6), (0x1C, 4), (0xB8, 4)])
def test_the_tos_sets_the_priority(world: World, tos: int, priority: int) -> None:
    for sock in (world.near(), world.datagram()):
        sock.setsockopt(c.IPPROTO_IP, c.IP_TOS, tos)
        assert sock.getsockopt(c.SOL_SOCKET, c.SO_PRIORITY) == priority


def test_what_a_stack_has_not_is_refused_by_its_name() -> None:


    sock = make_wire().near.socket()
    with pytest.raises(OSError, match="TCP_MD5SIG: a stack has no MD5 signatures"):
        sock.setsockopt(c.IPPROTO_TCP, c.TCP_MD5SIG, bytes(216))
    with pytest.raises(OSError, match="SO_ATTACH_FILTER: a stack runs no BPF programs"):
        sock.setsockopt(c.SOL_SOCKET, c.SO_ATTACH_FILTER, bytes(16))
