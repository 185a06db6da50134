"""TCP_INFO's times: busy, bounded by the peer's window or by the send buffer, timeouts."""

from __future__ import annotations

import struct
from typing import Any

from pystack.sockets import constants as c
from tests.sockets.wire import DELAY_US, connected, make_wire
from tests.sockets.world import World, outcome

SOCKET = c.SOL_SOCKET
BUSY, RWND, SNDBUF = 168, 176, 184  # octets into struct tcp_info
ROUND_TRIP = 2 * DELAY_US


def times(sock: Any) -> tuple[int, int, int]:
    """tcpi_busy_time, tcpi_rwnd_limited, tcpi_sndbuf_limited, in µs, as getsockopt gives them."""
    raw = sock.getsockopt(c.IPPROTO_TCP, c.TCP_INFO, 280)
    return struct.unpack_from("=3Q", raw, BUSY)  # type: ignore[return-value]


def test_a_sender_is_busy_while_something_waits_for_its_ack(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    assert times(client) == (0, 0, 0)
    client.send(b"x")
    wire.run(300)
    wire.near.on_time(wire.now_us)  # or the host would not know how late it is
    assert times(client) == (300, 0, 0)
    wire.run(100_000)
    assert times(client) == (ROUND_TRIP, 0, 0)
    client.send(b"y")
    wire.run(100_000)
    assert times(client) == (2 * ROUND_TRIP, 0, 0)


def test_the_peers_window_is_told_as_the_bound(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family, far=[(SOCKET, c.SO_RCVBUF, 5000)])
    client.send(bytes(30_000))
    wire.run(100_000)
    wire.near.on_time(wire.now_us)
    before = times(client)
    assert 90_000 < before[1] <= before[0] <= 100_000
    wire.run(50_000)
    wire.near.on_time(wire.now_us)
    assert times(client)[1] == before[1] + 50_000
    for _ in range(20):
        outcome(server.recv, 50_000)
        wire.run(300_000)
    after = times(client)
    assert after[1] <= after[0]
    wire.run(1_000_000)
    assert times(client) == after  # all is sent: neither goes on


def test_the_send_buffer_is_told_as_the_bound(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family, near=[(SOCKET, c.SO_SNDBUF, 2304)])
    for _ in range(20):
        while outcome(client.send, bytes(10_000)) != "EAGAIN":
            pass
        wire.run(5000)
        outcome(server.recv, 50_000)
    busy, rwnd, sndbuf = times(client)
    assert rwnd == 0
    assert 20 * ROUND_TRIP * 0.9 <= sndbuf <= busy


def test_timeouts_are_counted_and_timed(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    wire.drop = lambda sender, packet: True
    client.send(b"x")
    wire.run(1_000_000)
    wire.drop = lambda sender, packet: False
    wire.run(1_000_000)
    info = client.tcp_info()
    assert info.tcpi_total_rto >= 2
    assert info.tcpi_total_rto_recoveries == 1
    assert info.tcpi_rehash == (info.tcpi_total_rto if family == c.AF_INET6 else 0)
    first = 200_000 + ROUND_TRIP  # the RTO
    assert 1_000_000 - first < info.tcpi_total_rto_time * 1000 < 2_000_000 - first
    raw = client.getsockopt(c.IPPROTO_TCP, c.TCP_INFO, 280)
    assert struct.unpack_from("=I2HI", raw, 236) == (
        info.tcpi_rehash, info.tcpi_total_rto, info.tcpi_total_rto_recoveries,
        info.tcpi_total_rto_time,
    )
    client.send(b"y")
    wire.run(1_000_000)
    assert client.tcp_info().tcpi_total_rto == info.tcpi_total_rto


def test_a_window_that_is_full_counts_on_linux_too(world: World) -> None:
    client, server = world.pair(far=[(SOCKET, c.SO_RCVBUF, 5000)])
    while outcome(client.send, bytes(50_000)) != "EAGAIN":
        pass
    for _ in range(20):
        world.settle()
    busy, rwnd, _ = times(client)
    assert 50_000 < rwnd <= busy
    del server
