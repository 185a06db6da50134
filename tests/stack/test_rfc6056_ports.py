"""RFC 6056: which ports connections leave from."""

from __future__ import annotations

import errno
import ipaddress
from contextlib import suppress
from itertools import pairwise

import pytest

from tests.kit.tcp import Tcp

once = pytest.mark.variants("ipv4", "ipv6")


def ports_to(tcp: Tcp, count: int, same: bool) -> list[int]:
    """Local ports of connections to one peer, or each to another one."""
    base = int(ipaddress.ip_address(tcp.remote))
    ports = []
    for number in range(count):
        sock = tcp.socket()
        peer = str(ipaddress.ip_address(base + (0 if same else number)))
        with suppress(BlockingIOError):
            sock.connect(tcp.address(80, peer))
        ports.append(sock.getsockname()[1])
    tcp.take()
    return ports


def distances(ports: list[int]) -> list[int]:
    return [after - before for before, after in pairwise(ports)]


@pytest.mark.requirement("RFC6056-S3.3-1")
@once
def test_ports_to_different_peers_look_random(tcp: Tcp) -> None:
    ports = ports_to(tcp, 250, same=False)
    assert all(32768 <= port <= 60999 for port in ports)
    assert len(set(ports)) > 235
    # evenly over the range: a quarter holds 62 of 250, give or take
    for quarter in range(4):
        low = 32768 + 7058 * quarter
        assert 35 < sum(low <= port < low + 7058 for port in ports) < 95
    steps = distances(ports)
    assert sum(abs(step) < 500 for step in steps) < 25
    assert 90 < sum(step > 0 for step in steps) < 160
    assert len(set(steps)) > 235


@pytest.mark.requirement("RFC6056-S3.3-1")
@once
def test_what_one_peer_sees_says_nothing_of_the_port_to_another(tcp: Tcp) -> None:
    """The distance between the ports to two peers is another one on each host (secret)."""
    from pystack.sockets import Host

    found = set()
    for number in range(20):
        host = Host(
            (f"{tcp.local}/24" if tcp.version == 4 else f"{tcp.local}/64",),
            secret=number.to_bytes(16, "big"),
        )
        ports = []
        for peer in (tcp.remote, str(ipaddress.ip_address(tcp.remote) + 1)):
            sock = host.socket(2 if tcp.version == 4 else 10)
            with suppress(BlockingIOError):
                sock.connect(tcp.address(80, peer))
            ports.append(sock.getsockname()[1])
        found.add(ports[1] - ports[0])
    assert len(found) == 20


@pytest.mark.requirement("RFC6056-S3.3-1")
@once
def test_a_port_to_the_same_peer_is_not_used_again_soon(tcp: Tcp) -> None:
    """An old connection's segments find nobody for as long as possible."""
    ports = ports_to(tcp, 300, same=True)
    assert len(set(ports)) == 300
    assert max(ports) - min(ports) > 0


@pytest.mark.host(ip_local_port_range="40000 40009")
@once
def test_the_range_can_be_set_and_used_up(tcp: Tcp) -> None:
    assert sorted(ports_to(tcp, 10, same=True)) == list(range(40_000, 40_010))
    with pytest.raises(OSError, match=r".") as failure:
        tcp.socket().connect(tcp.address(80))
    assert failure.value.errno == errno.EADDRNOTAVAIL
    # to another peer the same ports serve
    with suppress(BlockingIOError):
        tcp.socket().connect(tcp.address(81))
    tcp.take()


@once
def test_a_port_that_somebody_listens_on_is_not_taken(tcp: Tcp) -> None:
    tcp.host.sysctl("ip_local_port_range", "40000 40003")
    tcp.listen(40_001)
    assert sorted(ports_to(tcp, 3, same=True)) == [40_000, 40_002, 40_003]
