"""setsockopt() and getsockopt(): bounds, rounding and refusals, as Linux has them."""

from __future__ import annotations

import select
import socket
import struct
import sys
from typing import Any

import pytest

from pystack.sockets import constants as c
from tests.sockets.wire import make_wire
from tests.sockets.world import IPV4_ONLY, World, outcome

SOCKET, TCP, IP, IPV6 = c.SOL_SOCKET, c.IPPROTO_TCP, c.IPPROTO_IP, c.IPPROTO_IPV6

FLAG = [(1, 1), (5, 1), (-1, 1), (0, 0)]
READ_ONLY = [(1, "ENOPROTOOPT")]

# name: level, option, value of a fresh socket, then each value with what is read afterwards or
# the errno. All families, unless the level is IPPROTO_IPV6.
OPTIONS: dict[str, tuple[int, int, Any, list[tuple[Any, Any]]]] = {
    "SO_TYPE": (SOCKET, c.SO_TYPE, c.SOCK_STREAM, READ_ONLY),
    "SO_ERROR": (SOCKET, c.SO_ERROR, 0, READ_ONLY),
    "SO_PROTOCOL": (SOCKET, c.SO_PROTOCOL, c.IPPROTO_TCP, READ_ONLY),
    "SO_ACCEPTCONN": (SOCKET, c.SO_ACCEPTCONN, 0, READ_ONLY),
    "SO_SNDLOWAT": (SOCKET, c.SO_SNDLOWAT, 1, READ_ONLY),
    "SO_REUSEADDR": (SOCKET, c.SO_REUSEADDR, 0, FLAG),
    "SO_KEEPALIVE": (SOCKET, c.SO_KEEPALIVE, 0, FLAG),
    "SO_OOBINLINE": (SOCKET, c.SO_OOBINLINE, 0, FLAG),
    "SO_RCVLOWAT": (SOCKET, c.SO_RCVLOWAT, 1, [(0, 1), (5, 5)]),
    "SO_LINGER": (
        SOCKET, c.SO_LINGER, struct.pack("ii", 0, 0),
        [
            (struct.pack("ii", 1, 0), struct.pack("ii", 1, 0)),
            (struct.pack("ii", 7, 5), struct.pack("ii", 1, 5)),
            (struct.pack("ii", 0, 9), struct.pack("ii", 0, 5)),
            (struct.pack("i", 1), "EINVAL"),
            (1, "EINVAL"),
        ],
    ),
    "SO_MAX_PACING_RATE": (
        SOCKET, c.SO_MAX_PACING_RATE, struct.pack("Q", 0xFFFF_FFFF_FFFF_FFFF),
        [
            (1_000_000, struct.pack("Q", 1_000_000)),
            (struct.pack("I", 3_000_000_000), struct.pack("Q", 3_000_000_000)),
            (struct.pack("Q", 5 << 32), struct.pack("Q", 5 << 32)),
            (-1, struct.pack("Q", 0xFFFF_FFFF_FFFF_FFFF)),
            (b"\1\2", "EINVAL"),
        ],
    ),
    "TCP_NODELAY": (TCP, c.TCP_NODELAY, 0, [*FLAG, (b"\1", "EINVAL"), (b"", "EINVAL")]),
    "TCP_MAXSEG": (
        TCP, c.TCP_MAXSEG, 536,
        [(87, "EINVAL"), (88, 88), (32767, 32767), (32768, "EINVAL"), (-1, "EINVAL"), (0, 536)],
    ),
    "TCP_CORK": (TCP, c.TCP_CORK, 0, FLAG),
    "TCP_KEEPIDLE": (
        TCP, c.TCP_KEEPIDLE, 7200,
        [(0, "EINVAL"), (1, 1), (32767, 32767), (32768, "EINVAL"), (-1, "EINVAL"),
         (b"\5\0\0\0\0", 5)],
    ),
    "TCP_KEEPINTVL": (
        TCP, c.TCP_KEEPINTVL, 75, [(0, "EINVAL"), (1, 1), (32767, 32767), (32768, "EINVAL")]
    ),
    "TCP_KEEPCNT": (TCP, c.TCP_KEEPCNT, 9, [(0, "EINVAL"), (127, 127), (128, "EINVAL")]),
    "TCP_SYNCNT": (TCP, c.TCP_SYNCNT, 6, [(0, "EINVAL"), (1, 1), (127, 127), (128, "EINVAL")]),
    "TCP_LINGER2": (
        TCP, c.TCP_LINGER2, 60, [(1, 1), (120, 120), (121, 120), (-1, -1), (-7, -1), (0, 60)]
    ),
    "TCP_DEFER_ACCEPT": (
        TCP, c.TCP_DEFER_ACCEPT, 0,
        [(1, 1), (2, 3), (3, 3), (4, 7), (8, 15), (100, 127), (1000, 1087), (100000, 29887),
         (-1, 0), (0, 0)],
    ),
    "TCP_WINDOW_CLAMP": (
        TCP, c.TCP_WINDOW_CLAMP, 0,
        [(1, 1152), (1153, 1153), (10**6, 10**6), (-1, 1152), (0, 0)],
    ),
    "TCP_QUICKACK": (TCP, c.TCP_QUICKACK, 1, [(0, 0), (2, 1), (0, 0), (1, 1)]),
    "TCP_USER_TIMEOUT": (TCP, c.TCP_USER_TIMEOUT, 0, [(1, 1), (5000, 5000), (-1, "EINVAL")]),
    "TCP_NOTSENT_LOWAT": (TCP, c.TCP_NOTSENT_LOWAT, 0, [(5000, 5000), (-1, -1), (0, 0)]),
    "TCP_INFO": (TCP, c.TCP_INFO, 7, READ_ONLY),
    "IP_TOS": (
        IP, c.IP_TOS, 0,
        [(0x10, 0x10), (0xFF, 0xFC), (3, 0), (-1, 0xFC), (256, 0), (440, 184), (b"\x08", 8),
         (b"", 0)],
    ),
    "IP_TTL": (
        IP, c.IP_TTL, 64,
        [(1, 1), (255, 255), (256, "EINVAL"), (0, "EINVAL"), (-2, "EINVAL"), (b"\x09", 9),
         (b"", "EINVAL"), (-1, 64)],
    ),
    "IP_MTU_DISCOVER": (
        IP, c.IP_MTU_DISCOVER, 1,
        [*((mode, mode) for mode in range(6)), (6, "EINVAL"), (-1, "EINVAL")],
    ),
    "IP_MTU": (IP, c.IP_MTU, "ENOTCONN", READ_ONLY),
    "IP_RECVERR": (IP, c.IP_RECVERR, 0, FLAG),
    "IPV6_TCLASS": (
        IPV6, c.IPV6_TCLASS, 0,
        [(0x10, 0x10), (0xFF, 0xFC), (256, "EINVAL"), (-2, "EINVAL"), (3, 0), (b"\1", "EINVAL"),
         (0x20, 0x20), (-1, 0)],
    ),
    "IPV6_UNICAST_HOPS": (
        IPV6, c.IPV6_UNICAST_HOPS, 64,
        [(0, 0), (1, 1), (255, 255), (256, "EINVAL"), (-2, "EINVAL"), (-1, 64)],
    ),
    "IPV6_MTU_DISCOVER": (
        IPV6, c.IPV6_MTU_DISCOVER, 1,
        [*((mode, mode) for mode in range(6)), (6, "EINVAL"), (-1, "EINVAL")],
    ),
    "IPV6_RECVERR": (IPV6, c.IPV6_RECVERR, 0, FLAG),
    "IPV6_V6ONLY": (IPV6, c.IPV6_V6ONLY, 0, [*FLAG, (b"\1", "EINVAL")]),
    "IPV6_MTU": (IPV6, c.IPV6_MTU, "ENOTCONN", []),
    "unknown of SOL_SOCKET": (SOCKET, 9999, "ENOPROTOOPT", READ_ONLY),
    "unknown of TCP": (TCP, 200, "ENOPROTOOPT", READ_ONLY),
    "unknown of IP": (IP, 999, "ENOPROTOOPT", READ_ONLY),
    "unknown level": (99, 1, "EOPNOTSUPP", READ_ONLY),
}  # fmt: skip


@pytest.mark.parametrize("name", list(OPTIONS))
def test_an_option_takes_and_gives_what_linux_does(world: World, name: str) -> None:
    level, option, fresh, values = OPTIONS[name]
    if name == "unknown level" and world.family == c.AF_INET6:
        fresh = "ENOPROTOOPT"
    if level == IPV6 and world.family == c.AF_INET:
        fresh, values = "EOPNOTSUPP", READ_ONLY
    size = (len(fresh),) if isinstance(fresh, bytes) else ()
    sock = world.near()
    assert outcome(sock.getsockopt, level, option, *size) == fresh
    known = fresh
    for value, expected in values:
        result = outcome(sock.setsockopt, level, option, value)
        if isinstance(expected, str):
            assert (value, result) == (value, expected)
        else:
            assert (value, result) == (value, None)
            known = expected
        assert (value, outcome(sock.getsockopt, level, option, *size)) == (value, known)


@pytest.mark.parametrize(
    ("which", "option", "values"),
    [
        (0, c.SO_SNDBUF, [(0, 4608), (1, 4608), (2303, 4608), (2305, 4610), (70000, 140000)]),
        (1, c.SO_RCVBUF, [(0, 2304), (1000, 2304), (1153, 2306), (2304, 4608), (70000, 140000)]),
    ],
)
def test_buffers_are_doubled_and_bounded(
    world: World, which: int, option: int, values: list[tuple[int, int]]
) -> None:
    sock = world.near()
    assert sock.getsockopt(SOCKET, option) == world.buffers[which]
    most = 2 * world.most[which]
    for value, expected in [*values, (10**9, most), (-1, most)]:
        sock.setsockopt(SOCKET, option, value)
        assert (value, sock.getsockopt(SOCKET, option)) == (value, expected)


def test_values_are_cut_to_the_size_that_is_asked_for(world: World) -> None:
    sock = world.near()
    sock.setsockopt(TCP, c.TCP_KEEPIDLE, 0x1234)
    sock.setsockopt(IP, c.IP_TOS, 0x10)
    assert sock.getsockopt(TCP, c.TCP_KEEPIDLE, 4) == struct.pack("i", 0x1234)
    assert sock.getsockopt(TCP, c.TCP_KEEPIDLE, 2) == b"\x34\x12"
    assert sock.getsockopt(TCP, c.TCP_KEEPIDLE, 100) == struct.pack("i", 0x1234)
    assert sock.getsockopt(IP, c.IP_TOS, 4) == struct.pack("i", 0x10)
    assert sock.getsockopt(IP, c.IP_TOS, 2) == b"\x10"  # it fits an unsigned char
    assert sock.getsockopt(SOCKET, c.SO_LINGER, 3) == b"\0\0\0"


def test_the_family_of_a_socket_is_its_domain(world: World) -> None:
    assert world.near().getsockopt(SOCKET, c.SO_DOMAIN) == world.family


def test_a_congestion_control_is_chosen_by_name(world: World) -> None:
    sock = world.near()
    assert outcome(sock.setsockopt, TCP, c.TCP_CONGESTION, b"reno") is None
    assert sock.getsockopt(TCP, c.TCP_CONGESTION, 16) == b"reno".ljust(16, b"\0")
    assert sock.getsockopt(TCP, c.TCP_CONGESTION, 3) == b"ren"
    assert outcome(sock.setsockopt, TCP, c.TCP_CONGESTION, b"nosuch") == "ENOENT"
    assert outcome(sock.setsockopt, TCP, c.TCP_CONGESTION, b"") == "EINVAL"
    assert outcome(sock.setsockopt, TCP, c.TCP_CONGESTION, b"reno\0junk") is None
    assert outcome(sock.setsockopt, TCP, c.TCP_CONGESTION, 5) == "ENOENT"
    client, _ = world.pair()
    assert outcome(client.setsockopt, TCP, c.TCP_CONGESTION, b"reno") is None
    assert client.getsockopt(TCP, c.TCP_CONGESTION, 16) == b"reno".ljust(16, b"\0")


def test_options_of_ip_work_on_an_ipv6_socket_too(world: World) -> None:
    sock = world.near(c.AF_INET6)
    for option, value in ((c.IP_TOS, 16), (c.IP_TTL, 9), (c.IP_MTU_DISCOVER, 0)):
        sock.setsockopt(IP, option, value)
        assert sock.getsockopt(IP, option) == value
    assert sock.getsockopt(IPV6, c.IPV6_TCLASS) == 0


def test_v6only_is_decided_before_bind(world: World) -> None:
    sock = world.near(c.AF_INET6)
    sock.bind(("", 0))
    assert outcome(sock.setsockopt, IPV6, c.IPV6_V6ONLY, 1) == "EINVAL"


def test_on_a_connection_some_options_are_of_the_connection(world: World) -> None:
    client, _ = world.pair()
    mss = client.getsockopt(TCP, c.TCP_MAXSEG)
    assert mss > 536
    assert outcome(client.setsockopt, TCP, c.TCP_MAXSEG, 500) is None  # counts in the SYN only
    assert client.getsockopt(TCP, c.TCP_MAXSEG) == mss
    assert client.getsockopt(TCP, c.TCP_WINDOW_CLAMP) > 0
    assert outcome(client.setsockopt, TCP, c.TCP_WINDOW_CLAMP, 0) == "EINVAL"
    assert outcome(client.setsockopt, TCP, c.TCP_WINDOW_CLAMP, 5000) is None
    assert client.getsockopt(TCP, c.TCP_WINDOW_CLAMP) == 5000
    assert client.getsockopt(TCP, c.TCP_QUICKACK) == 1
    client.setsockopt(TCP, c.TCP_QUICKACK, 0)
    assert client.getsockopt(TCP, c.TCP_QUICKACK) == 0
    mtu = (IP, c.IP_MTU) if world.family == c.AF_INET else (IPV6, c.IPV6_MTU)
    assert client.getsockopt(*mtu) >= 1500


INHERITED = [
    (SOCKET, c.SO_REUSEADDR, 1), (SOCKET, c.SO_KEEPALIVE, 1), (SOCKET, c.SO_OOBINLINE, 1),
    (SOCKET, c.SO_LINGER, struct.pack("ii", 1, 9)), (SOCKET, c.SO_SNDBUF, 30000),
    (SOCKET, c.SO_RCVBUF, 40000), (SOCKET, c.SO_RCVLOWAT, 5), (TCP, c.TCP_NODELAY, 1),
    (TCP, c.TCP_CORK, 1), (TCP, c.TCP_KEEPIDLE, 11), (TCP, c.TCP_KEEPINTVL, 12),
    (TCP, c.TCP_KEEPCNT, 13), (TCP, c.TCP_SYNCNT, 4), (TCP, c.TCP_LINGER2, 14),
    (TCP, c.TCP_WINDOW_CLAMP, 20000), (TCP, c.TCP_USER_TIMEOUT, 1500),
    (TCP, c.TCP_NOTSENT_LOWAT, 999), (TCP, c.TCP_CONGESTION, b"reno"), (IP, c.IP_TOS, 0x20),
    (IP, c.IP_TTL, 33), (IP, c.IP_MTU_DISCOVER, 2), (IP, c.IP_RECVERR, 1),
]  # fmt: skip


def test_an_accepted_socket_has_the_options_of_its_listener(world: World) -> None:
    _, server = world.pair(far=INHERITED)
    for level, option, value in INHERITED:
        if option in (c.SO_SNDBUF, c.SO_RCVBUF) and level == SOCKET:
            value *= 2
        size = (16,) if isinstance(value, bytes) else ()
        got = server.getsockopt(level, option, *size)
        if (level, option) == (TCP, c.TCP_CONGESTION):
            got = got.rstrip(b"\0")
        assert (level, option, got) == (level, option, value)


def test_an_accepted_socket_has_not_its_listeners_defer_accept_and_quickack(world: World) -> None:
    listener = world.listener(options=[(TCP, c.TCP_QUICKACK, 0)])
    client = world.near()
    outcome(client.connect, world.where(listener))
    world.settle()
    server, _ = listener.accept()
    assert server.getsockopt(TCP, c.TCP_QUICKACK) == listener.getsockopt(TCP, c.TCP_QUICKACK) == 1
    assert server.getsockopt(SOCKET, c.SO_ACCEPTCONN) == 0
    assert listener.getsockopt(SOCKET, c.SO_ACCEPTCONN) == 1
    listener.setsockopt(TCP, c.TCP_DEFER_ACCEPT, 3)
    second = world.near()
    outcome(second.connect, world.where(listener))
    world.settle()
    assert outcome(listener.accept) == "EAGAIN"
    outcome(second.send, b"now")
    world.settle()
    server, _ = listener.accept()
    assert server.getsockopt(TCP, c.TCP_DEFER_ACCEPT) == 0
    assert server.recv(10) == b"now"


def test_options_set_on_a_listener_later_count_for_later_connections(world: World) -> None:
    listener = world.listener()
    for ttl in (31, 32):
        listener.setsockopt(IP, c.IP_TTL, ttl)
        client = world.near()
        outcome(client.connect, world.where(listener))
        world.settle()
        server, _ = listener.accept()
        assert server.getsockopt(IP, c.IP_TTL) == ttl


def test_an_accepted_sockets_options_are_its_own(world: World) -> None:
    listener = world.listener()
    socks = []
    for _ in range(2):
        client = world.near()
        outcome(client.connect, world.where(listener))
        world.settle()
        socks.append(listener.accept()[0])
    socks[0].setsockopt(TCP, c.TCP_NODELAY, 1)
    assert [sock.getsockopt(TCP, c.TCP_NODELAY) for sock in (*socks, listener)] == [1, 0, 0]


def test_pollin_waits_for_so_rcvlowat(world: World) -> None:
    client, server = world.pair(far=[(SOCKET, c.SO_RCVLOWAT, 5)])
    client.send(b"1234")
    world.settle()
    assert not server.poll() & c.POLLIN
    client.send(b"5")
    world.settle()
    assert server.poll() & c.POLLIN


def test_who_waits_for_more_than_fits_is_woken_when_no_more_fits(world: World) -> None:
    """Or else a loop that polls would wait for ever: the peer may send nothing more."""
    most = (SOCKET, c.SO_RCVBUF, 8192)
    client, server = world.pair(far=[most, (SOCKET, c.SO_RCVLOWAT, (1 << 31) - 1)])
    assert server.getsockopt(SOCKET, c.SO_RCVLOWAT) == 8192
    assert client.send(bytes(500)) == 500
    world.settle()
    assert not server.poll() & c.POLLIN
    for _ in range(20):
        outcome(client.send, bytes(2000))
        world.settle()
    waiting = len(server.recv(100_000, c.MSG_PEEK))
    assert 500 < waiting < 8192 or world.is_kernel  # whose window may pass the half of the buffer
    assert server.poll() & c.POLLIN


@pytest.mark.parametrize(
    ("level", "option", "value"),
    [
        (SOCKET, c.SO_KEEPALIVE, b"\1"), (SOCKET, c.SO_LINGER, bytes(7)),
        (SOCKET, c.SO_MAX_PACING_RATE, bytes(3)), (TCP, c.TCP_CONGESTION, b""),
        (TCP, c.TCP_NODELAY, b""), (TCP, c.TCP_WINDOW_CLAMP, 0), (TCP, c.TCP_KEEPCNT, 0),
    ],
)  # fmt: skip
def test_what_is_no_value_of_an_option_is_invalid(
    world: World, level: int, option: int, value: Any
) -> None:
    client, _ = world.pair()
    assert outcome(client.setsockopt, level, option, value) == "EINVAL"


@IPV4_ONLY
def test_a_small_number_of_the_ip_level_is_one_octet_where_an_int_has_no_room(
    world: World,
) -> None:
    sock = world.near()
    for value in (0, 4, 252):
        sock.setsockopt(IP, c.IP_TOS, value)
        octets = [sock.getsockopt(IP, c.IP_TOS, size) for size in (1, 2, 3)]
        assert octets == 3 * [bytes((value,))]
        assert sock.getsockopt(IP, c.IP_TOS, 4) == struct.pack("i", value)
    sock.setsockopt(SOCKET, c.SO_RCVLOWAT, 1)
    assert sock.getsockopt(SOCKET, c.SO_RCVLOWAT, 2) == struct.pack("i", 1)[:2]


@pytest.mark.parametrize("size", [-1, 1025])
def test_a_size_that_no_option_has_is_invalid(family: int, size: int) -> None:
    sock = make_wire().near.socket(family)
    assert outcome(sock.getsockopt, SOCKET, c.SO_KEEPALIVE, size) == "EINVAL"


def test_numbers_beyond_a_c_int_overflow(family: int) -> None:
    with pytest.raises(OverflowError):
        make_wire().near.socket(family).setsockopt(TCP, c.TCP_NODELAY, 1 << 31)


# -- numbers ------------------------------------------------------------------------------------
NUMBERS = {name: value for name, value in vars(c).items() if name.isupper()}
PYTHONS = {**vars(select), **vars(socket)}
# what Python's modules have under another name, or not at all: <bits/in.h>, <asm-generic/ioctls.h>
HEADERS = {
    "IP_MTU_DISCOVER": 10, "IP_RECVERR": 11, "IP_MTU": 14, "IPV6_MTU_DISCOVER": 23, "IPV6_MTU": 24,
    "IPV6_RECVERR": 25, "SIOCATMARK": 0x8905, "SIOCINQ": 0x541B, "SIOCOUTQ": 0x5411,
    "SO_MAX_PACING_RATE": 47, "SO_EE_ORIGIN_LOCAL": 1, "SO_EE_ORIGIN_ICMP": 2,
    "SO_EE_ORIGIN_ICMP6": 3,
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="Python's numbers are those of its system")
def test_the_numbers_of_the_calls_are_those_of_pythons_modules() -> None:
    shared = NUMBERS.keys() & PYTHONS.keys()
    assert len(shared) > 60
    assert {name: NUMBERS[name] for name in shared} == {name: int(PYTHONS[name]) for name in shared}


def test_what_python_lacks_has_the_number_of_linuxs_headers() -> None:
    assert {name: NUMBERS[name] for name in HEADERS} == HEADERS
